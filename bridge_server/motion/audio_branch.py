# SPDX-License-Identifier: Apache-2.0
"""The audio branch: speech to motion tokens, fused with the frozen text branch (METHOD.md points 2 and 3)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from .layers import Layer, rotary_table
from .text_branch import BranchConfig, TokenEmbedding, TokenHeads

__all__ = ["AUDIO_RATE", "AudioBranch", "AudioConvolutions", "FUSIONS"]

AUDIO_RATE: Final = 60
"""Audio feature rows per second: 8 to a token."""
FUSIONS: Final = ("layer", "last", "none")
"""``layer``: the text branch's every layer is added to the layer of the same index (the paper's choice); ``last``: only its
last layer is; ``none``: the text branch is left out. The latter two are for the ablation."""


class AudioConvolutions(nn.Module):
    """The temporal convolutions over audio features: (B, 8 N, audio_width) to (B, N, width)."""

    def __init__(self, config: BranchConfig) -> None:
        super().__init__()
        half = config.width // 2
        self.net = nn.Sequential(
            nn.Conv1d(config.audio_width, half, 5, padding=2), nn.GELU(),
            nn.Conv1d(half, half, 4, stride=2, padding=1), nn.GELU(),
            nn.Conv1d(half, config.width, 4, stride=2, padding=1), nn.GELU(),
            nn.Conv1d(config.width, config.width, 4, stride=2, padding=1), nn.GELU(),
            nn.Conv1d(config.width, config.width, 3, padding=1),
        )
        self.none = nn.Parameter(torch.zeros(config.width))

    def forward(self, audio: Tensor, given: Tensor, valid: Tensor | None = None) -> Tensor:
        """:param given: (B, N) bool; False takes the learned "no speech".

        :param valid: (B, N) bool, False at padding, which then sounds in no row beside it; None: there is none.
        """
        x = audio.transpose(1, 2)
        for part in self.net:
            if valid is not None and isinstance(part, nn.Conv1d):
                x = x * valid.repeat_interleave(x.shape[2] // valid.shape[1], 1)[:, None]
            x = part(x)
        return torch.where(given[..., None], x.transpose(1, 2), self.none)


class AudioBranch(nn.Module):
    """Masked tokens, audio and the text branch's layer outputs to logits."""

    def __init__(self, config: BranchConfig) -> None:
        super().__init__()
        if config.fusion not in FUSIONS:
            raise ValueError(f"fusion must be one of {FUSIONS}, not {config.fusion!r}")
        self.config = config
        self.tokens = TokenEmbedding(config)
        self.audio = AudioConvolutions(config)
        self.layers = nn.ModuleList(Layer(config.width, config.heads, config.dropout) for _ in range(config.layers))
        self.gates = nn.Parameter(torch.full((config.layers,), 0.5))
        self.heads = TokenHeads(config)

    def forward(self, tokens: Tensor, audio: Tensor, given: Tensor, text_layers: list[Tensor]) -> Tensor:
        """Logits (B, N, G, codes).

        :param tokens: (B, N, G) level-0 tokens, ``codes`` where masked.
        :param audio: (B, 8 N, audio_width) features at :data:`AUDIO_RATE`.
        :param given: (B, N) bool, False where there is no speech to follow.
        :param text_layers: outputs (B, N, width) of the text branch's layers.
        """
        return self.hearing(tokens, self.audio(audio, given), text_layers)

    def hearing(self, tokens: Tensor, heard: Tensor, text_layers: list[Tensor], mask: Tensor | None = None) -> Tensor:
        """The same with what is heard gone through the convolutions already, which it need be only once for all steps of a window.

        :param heard: (B, N, width) of ``audio``. :param mask: as :class:`.layers.Layer` takes it.
        """
        x = self.tokens(tokens) + heard
        table = rotary_table(x.shape[1], self.config.width // self.config.heads, x.device)
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            x = layer(x, table, mask)
            if self.config.fusion == "layer" or (self.config.fusion == "last" and index == last):
                x = x + self.gates[index] * text_layers[index]
        out: Tensor = self.heads(x)
        return out
