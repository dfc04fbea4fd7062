# SPDX-License-Identifier: Apache-2.0
"""The residual branch: the finer levels of the tokens from the coarser ones (after MoMask, Guo et al. 2024)."""

from __future__ import annotations

from torch import Tensor, nn

from .conditions import ConditionEmbedding, Conditions
from .layers import Layer, rotary_table
from .text_branch import BranchConfig

__all__ = ["ResidualBranch"]


class ResidualBranch(nn.Module):
    """Predicts level ``l`` of every token at once from the sum of the code vectors of the levels below it."""

    def __init__(self, config: BranchConfig, levels: int, code_width: int, layers: int = 4) -> None:
        super().__init__()
        self.config, self.levels = config, levels
        self.codes = nn.Linear(config.groups * code_width, config.width)
        self.level = nn.Embedding(levels, config.width)
        self.conditions = ConditionEmbedding(config.text_width, config.groups, config.width)
        self.layers = nn.ModuleList(Layer(config.width, config.heads, config.dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(config.width)
        self.heads = nn.ModuleList(nn.Linear(config.width, config.groups * config.codes) for _ in range(levels - 1))

    def forward(self, below: Tensor, level: int, conditions: Conditions) -> Tensor:
        """Logits (B, N, G, codes) for ``level`` (from 1).

        :param below: (B, N, G, code_width) sum of the code vectors of levels 0 to ``level - 1``.
        """
        return self.under(below, level, self.conditions(conditions))

    def under(self, below: Tensor, level: int, asked: Tensor, mask: Tensor | None = None) -> Tensor:
        """The same under conditions (B, N, width) that are embedded already. :param mask: as :class:`.layers.Layer` takes it."""
        b, n = below.shape[:2]
        x = self.codes(below.flatten(2)) + asked
        # the row itself: an index would have to be sent to the device first
        x = x + self.level.weight[level]
        table = rotary_table(n, self.config.width // self.config.heads, x.device)
        for layer in self.layers:
            x = layer(x, table, mask)
        out: Tensor = self.heads[level - 1](self.norm(x))
        return out.view(b, n, self.config.groups, self.config.codes)
