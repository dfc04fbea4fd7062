# SPDX-License-Identifier: Apache-2.0
"""The transformer layer that both branches are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Layer", "rotary_table"]


def rotary_table(length: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (length, width / 2) of rotary positions (Su et al. 2021).

    Positions are relative, so a window may begin anywhere in a long take.
    """
    rate = 10_000 ** (-torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)
    angle = torch.arange(length, device=device, dtype=torch.float32)[:, None] * rate
    return torch.cos(angle), torch.sin(angle)


def _turn(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = table[0].to(x.dtype), table[1].to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


class Layer(nn.Module):
    """Self-attention and a feed-forward net, each after a layer norm and added back."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.forward_net = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, table: tuple[Tensor, Tensor], mask: Tensor | None = None) -> Tensor:
        """(B, N, width) to the same shape.

        :param mask: (B, 1, 1, N) bool, False at rows that are padding and not looked at; None: none is.
        """
        b, n, w = x.shape
        q, k, v = self.qkv(self.norm_attention(x)).view(b, n, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(_turn(q, table), _turn(k, table), v, attn_mask=mask)
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(b, n, w)))
        out: Tensor = x + self.dropout(self.forward_net(self.norm_forward(x)))
        return out
