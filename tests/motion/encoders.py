# SPDX-License-Identifier: Apache-2.0
"""Tiny random encoders, made and saved with the classes that make the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

WIDTH = 16


def save_clip(folder: Path) -> Path:
    """A CLIP text model with a tokenizer of single letters."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = [chr(c) for c in range(97, 123)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "wa", "<|startoftext|>", "<|endoftext|>"]
    CLIPTokenizer(vocab={w: n for n, w in enumerate(words)}, merges=[("w", "a")]).save_pretrained(folder)
    torch.manual_seed(5)
    CLIPTextModel(CLIPTextConfig(
        vocab_size=len(words), hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=77, projection_dim=WIDTH, bos_token_id=len(words) - 2, eos_token_id=len(words) - 1,
        pad_token_id=len(words) - 1)).save_pretrained(folder)
    return folder


def save_wav2vec2(folder: Path, **changes: Any) -> Path:
    """A wav2vec 2.0 model with the real one's 50 rows a second."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(6)
    Wav2Vec2Model(Wav2Vec2Config(
        hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=32,
        conv_dim=(8, 8), conv_stride=(5, 64), conv_kernel=(10, 80), num_feat_extract_layers=2,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, **changes)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder
