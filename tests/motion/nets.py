# SPDX-License-Identifier: Apache-2.0
"""Small random networks of the real classes."""

from __future__ import annotations

import torch

from bridge_server.motion.audio_branch import AudioBranch
from bridge_server.motion.conditions import Conditions
from bridge_server.motion.residual import ResidualBranch
from bridge_server.motion.text_branch import BranchConfig, TextBranch
from bridge_server.motion.tokenizer import Tokenizer, TokenizerConfig

CONFIG = BranchConfig(codes=32, width=32, heads=2, layers=3, dropout=0.0, text_width=16)


def tokenizer() -> Tokenizer:
    torch.manual_seed(1)
    return Tokenizer(TokenizerConfig(codes=32, levels=3, width=32, code_width=16)).eval()


def text_branch() -> TextBranch:
    torch.manual_seed(2)
    return TextBranch(CONFIG).eval()


def audio_branch(fusion: str = "layer") -> AudioBranch:
    torch.manual_seed(3)
    return AudioBranch(BranchConfig(**{**CONFIG.to_json(), "fusion": fusion})).eval()


def residual_branch() -> ResidualBranch:
    torch.manual_seed(4)
    return ResidualBranch(CONFIG, 3, 16, layers=2).eval()


def conditions(tokens: int, seed: int = 0) -> Conditions:
    g = torch.Generator().manual_seed(seed)
    return Conditions(torch.randn(1, tokens, 2, 16, generator=g), torch.zeros(1, tokens, 2), torch.ones(1, tokens, 2),
                      torch.ones(1, tokens, 2, dtype=torch.bool))
