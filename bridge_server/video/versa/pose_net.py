# SPDX-License-Identifier: Apache-2.0
"""The convolutions that turn a drawn pose into what is added after the U-Net's first convolution."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn

__all__ = ["PoseNet"]

# (channels in, channels out, kernel, stride): three of them halve the picture, so that eight pixels become one latent
_LAYERS: Final = ((3, 3, 3, 1), (3, 16, 4, 2), (16, 16, 3, 1), (16, 32, 4, 2), (32, 32, 3, 1), (32, 64, 4, 2), (64, 64, 3, 1),
                  (64, 128, 3, 1))


class PoseNet(nn.Module):
    """MimicMotion's PoseNet, with its names: ``conv_layers``, ``final_proj``, ``scale``.

    The projection starts at zero, so an untrained PoseNet leaves the U-Net as it is.
    """

    def __init__(self, channels: int = 320) -> None:
        """:param channels: of the U-Net's first convolution."""
        super().__init__()
        assert all(a[1] == b[0] for a, b in pairwise(_LAYERS))
        layers: list[nn.Module] = []
        for inside, outside, kernel, stride in _LAYERS:
            layers += [nn.Conv2d(inside, outside, kernel, stride, padding=1), nn.SiLU()]
        self.conv_layers = nn.Sequential(*layers)
        self.final_proj = nn.Conv2d(_LAYERS[-1][1], channels, 1)
        for layer in self.conv_layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.final_proj.weight)
        nn.init.zeros_(self.final_proj.bias)  # type: ignore[arg-type]
        self.scale = nn.Parameter(torch.full((1,), 2.0))

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, channels, H / 8, W / 8) of drawn poses (N, 3, H, W) in [-1, 1]."""
        projected: Tensor = self.final_proj(self.conv_layers(pictures))
        return projected * self.scale
