# SPDX-License-Identifier: Apache-2.0
"""Both Wan-Animate pipelines as diffusers saves them, with networks so small that they draw in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

__all__ = ["wan_animate_2_folder", "wan_animate_folder"]

_FACE_CHANNELS = {"4": 8, "8": 8, "16": 8, "32": 8, "64": 8}


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3, "person": 4, "speaks": 5}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def _text_encoder() -> Any:
    from transformers import UMT5Config, UMT5EncoderModel

    return UMT5EncoderModel(UMT5Config(vocab_size=16, d_model=32, d_kv=8, d_ff=16, num_layers=1, num_heads=2))


def _image_encoder(width: int, picture: int, patch: int) -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModel

    return CLIPVisionModel(CLIPVisionConfig(hidden_size=width, num_hidden_layers=2, num_attention_heads=2, image_size=picture,
                                            patch_size=patch, intermediate_size=16))


def _vae() -> Any:
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True])


def wan_animate_folder(folder: Path) -> Path:
    """``WanAnimatePipeline.save_pretrained``."""
    from diffusers import UniPCMultistepScheduler, WanAnimatePipeline, WanAnimateTransformer3DModel
    from transformers import CLIPImageProcessor

    torch.manual_seed(0)
    transformer = WanAnimateTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=36, latent_channels=16, out_channels=16,
        text_dim=32, freq_dim=16, ffn_dim=32, num_layers=2, rope_max_seq_len=64, image_dim=16,
        motion_encoder_channel_sizes=_FACE_CHANNELS, motion_encoder_size=16, motion_style_dim=8, motion_dim=4, motion_encoder_dim=16,
        face_encoder_hidden_dim=16, face_encoder_num_heads=2, inject_face_latents_blocks=2)
    WanAnimatePipeline(
        tokenizer=_tokenizer(), text_encoder=_text_encoder(), vae=_vae(),
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0),
        image_processor=CLIPImageProcessor(crop_size=32, size=32), image_encoder=_image_encoder(16, 32, 16),
        transformer=transformer).save_pretrained(folder)
    return folder


def wan_animate_2_folder(folder: Path, *, distilled: bool = False) -> Path:
    """``save_pretrained`` of the modular pipeline, whose index names another place for the parts, as a fetched copy's does."""
    import json

    from diffusers import FlowMatchEulerDiscreteScheduler, WanAnimate2Transformer3DModel
    from diffusers.modular_pipelines import WanAnimate2Blocks, WanAnimate2DistilledBlocks

    torch.manual_seed(0)
    pipe = (WanAnimate2DistilledBlocks if distilled else WanAnimate2Blocks)().init_pipeline()
    transformer = WanAnimate2Transformer3DModel(text_len=16, dim=24, ffn_dim=32, freq_dim=16, text_dim=32, num_heads=2, num_layers=2)
    pipe.update_components(
        tokenizer=_tokenizer(), text_encoder=_text_encoder(), vae=_vae(), image_encoder=_image_encoder(1280, 224, 112),
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0))
    pipe.save_pretrained(str(folder), overwrite_modular_index=True)
    index = folder / "modular_model_index.json"
    content = json.loads(index.read_text())
    for part in content.values():
        if isinstance(part, list) and isinstance(part[-1], dict) and "pretrained_model_name_or_path" in part[-1]:
            part[-1]["pretrained_model_name_or_path"] = "someone/elsewhere"
    index.write_text(json.dumps(content))
    return folder
