# SPDX-License-Identifier: Apache-2.0
"""Long films: windows over the frames, and how what overlaps is blended."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["window_weight", "windows"]


def windows(frames: int, size: int, overlap: int) -> list[list[int]]:
    """Indices of each window; every window begins with frame 0, which is the photograph, and has ``size`` frames at most.

    As MimicMotion divides (progressive latent fusion), and also where the film is shorter than a window.

    :raises ValueError: for windows that would not advance.
    """
    if size < 2 or not 0 <= overlap < size - 1:
        raise ValueError(f"windows of {size} frames cannot overlap by {overlap}")
    if frames <= size:
        return [list(range(frames))]
    out = [[0, *range(start + 1, start + size)] for start in range(0, frames - size + 1, size - overlap)]
    if out[-1][-1] < frames - 1:
        out.append([0, *range(frames - size + 1, frames)])
    return out


def window_weight(length: int) -> Tensor:
    """(length,) weights in (0, 1], highest in the middle: a window knows least about what lies beyond its ends."""
    rising = (torch.arange(length) + 0.5) * 2 / length
    return torch.minimum(rising, 2 - rising)
