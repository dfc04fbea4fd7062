# SPDX-License-Identifier: Apache-2.0
"""The text branch: directions to motion tokens (METHOD.md point 2)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .conditions import ConditionEmbedding, Conditions
from .layers import Layer, rotary_table

__all__ = ["BranchConfig", "TextBranch", "TokenEmbedding", "TokenHeads"]


@dataclass
class BranchConfig:
    """:ivar groups: token groups (2 with ``lower`` and ``upper``). :ivar codes: codes of a book."""

    groups: int = 2
    codes: int = 512
    width: int = 192
    layers: int = 8
    heads: int = 6
    dropout: float = 0.1
    text_width: int = 384
    audio_width: int = 42
    fusion: str = "layer"

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the weights' metadata."""
        return asdict(self)


class TokenEmbedding(nn.Module):
    """Tokens (B, N, G), ``codes`` standing for "masked", to (B, N, width): the sum over the groups."""

    def __init__(self, config: BranchConfig) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(config.codes + 1, config.width) for _ in range(config.groups))
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.02)  # type: ignore[arg-type]

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, width)."""
        return torch.stack([table(tokens[:, :, g]) for g, table in enumerate(self.tables)]).sum(0)


class TokenHeads(nn.Module):
    """Hidden states to logits (B, N, G, codes)."""

    def __init__(self, config: BranchConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.heads = nn.ModuleList(nn.Linear(config.width, config.codes) for _ in range(config.groups))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, G, codes)."""
        x = self.norm(x)
        return torch.stack([head(x) for head in self.heads], 2)


class TextBranch(nn.Module):
    """Masked tokens and conditions to logits; also gives each layer's output, which the audio branch takes in."""

    def __init__(self, config: BranchConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = TokenEmbedding(config)
        self.conditions = ConditionEmbedding(config.text_width, config.groups, config.width)
        self.layers = nn.ModuleList(Layer(config.width, config.heads, config.dropout) for _ in range(config.layers))
        self.heads = TokenHeads(config)

    def forward(self, tokens: Tensor, conditions: Conditions) -> tuple[Tensor, list[Tensor]]:
        """Logits (B, N, G, codes) and the outputs (B, N, width) of every layer.

        :param tokens: (B, N, G) level-0 tokens, ``codes`` where masked.
        """
        return self.under(tokens, self.conditions(conditions))

    def under(self, tokens: Tensor, asked: Tensor, mask: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """The same under conditions that are embedded already, which they need be only once for all steps of a window.

        :param asked: (B, N, width) of ``conditions``. :param mask: as :class:`.layers.Layer` takes it.
        """
        x = self.tokens(tokens) + asked
        table = rotary_table(x.shape[1], self.config.width // self.config.heads, x.device)
        outputs = []
        for layer in self.layers:
            x = layer(x, table, mask)
            outputs.append(x)
        return self.heads(x), outputs
