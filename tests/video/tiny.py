# SPDX-License-Identifier: Apache-2.0
"""Weights folders in the published layouts, with networks so small that they draw in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

__all__ = ["SVD_SCHEDULER", "UNET", "face_file", "mimicmotion_file", "svd_folder"]

UNET: dict[str, Any] = {
    "sample_size": 32, "in_channels": 8, "out_channels": 4,
    "down_block_types": ["CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"],
    "up_block_types": ["UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"],
    "block_out_channels": [32, 64], "num_attention_heads": [2, 4], "layers_per_block": 1, "cross_attention_dim": 32,
    "addition_time_embed_dim": 32, "projection_class_embeddings_input_dim": 96, "num_frames": 25,
}
SVD_SCHEDULER: dict[str, Any] = {
    # as stable-video-diffusion-img2vid-xt has it
    "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "interpolation_type": "linear",
    "num_train_timesteps": 1000, "prediction_type": "v_prediction", "sigma_max": 700.0, "sigma_min": 0.002, "steps_offset": 1,
    "timestep_spacing": "leading", "timestep_type": "continuous", "use_karras_sigmas": True,
}


def clip_encoder(width: int = 32) -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(CLIPVisionConfig(
        hidden_size=16, projection_dim=width, num_hidden_layers=1, num_attention_heads=2, image_size=224, patch_size=56,
        intermediate_size=16))


def svd_folder(folder: Path, seed: int = 0) -> Path:
    """Stable Video Diffusion as ``save_pretrained`` of diffusers' own pipeline writes it."""
    from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, StableVideoDiffusionPipeline
    from diffusers import UNetSpatioTemporalConditionModel
    from transformers import CLIPImageProcessor

    torch.manual_seed(seed)
    vae = AutoencoderKLTemporalDecoder(
        in_channels=3, out_channels=3, down_block_types=("DownEncoderBlock2D",) * 4, block_out_channels=(32, 32, 32, 32),
        layers_per_block=1, latent_channels=4, sample_size=64,
        # latents of this untrained coder get unit variance, as Stable Video Diffusion's have
        scaling_factor=4.7)
    pipe = StableVideoDiffusionPipeline(
        vae, clip_encoder(), UNetSpatioTemporalConditionModel(**UNET), EulerDiscreteScheduler(**SVD_SCHEDULER),
        CLIPImageProcessor(crop_size=224, size=224))
    pipe.save_pretrained(folder)
    return folder


def mimicmotion_file(path: Path, seed: int = 1) -> dict[str, torch.Tensor]:
    """A checkpoint with MimicMotion's names: ``unet.*`` of diffusers' plain U-Net and ``pose_net.*``."""
    from diffusers import UNetSpatioTemporalConditionModel

    torch.manual_seed(seed)
    state = {f"unet.{k}": v.half() for k, v in UNetSpatioTemporalConditionModel(**UNET).state_dict().items()}
    widths = [(3, 3, 3), (3, 16, 4), (16, 16, 3), (16, 32, 4), (32, 32, 3), (32, 64, 4), (64, 64, 3), (64, 128, 3)]
    for n, (inside, outside, kernel) in enumerate(widths):
        state[f"pose_net.conv_layers.{2 * n}.weight"] = (torch.randn(outside, inside, kernel, kernel) * 0.1).half()
        state[f"pose_net.conv_layers.{2 * n}.bias"] = torch.zeros(outside).half()
    state["pose_net.final_proj.weight"] = (torch.randn(32, 128, 1, 1) * 0.1).half()
    state["pose_net.final_proj.bias"] = torch.zeros(32).half()
    state["pose_net.scale"] = torch.full((1,), 2.0).half()
    torch.save(state, path)
    return state


def face_file(path: Path, seed: int = 2) -> None:
    """Stage 2's file with layers that do something, as training writes it."""
    import json

    from safetensors.torch import save_file

    from bridge_server.video.versa.conditions import FaceConditioner, FaceConfig
    from bridge_server.video.versa.unet import VersaUNet

    torch.manual_seed(seed)
    config = FaceConfig(identity_width=32, width=32)
    unet = VersaUNet.made(UNET)
    state = {f"unet.{n}": torch.randn_like(v) * 0.3 for n, v in unet.state_dict().items() if n in unet.face_names}
    state |= {f"face.{n}": v for n, v in FaceConditioner(config).state_dict().items()}
    save_file(state, path, {"face": json.dumps(config.to_json()), "head": "mask"})
