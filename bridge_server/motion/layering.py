# SPDX-License-Identifier: Apache-2.0
"""Laying one performance over another by joints, as strips for an arm or the head ask."""

from __future__ import annotations

import numpy as np

from shared import rotations as rot
from shared.skeleton import PART_JOINTS

__all__ = ["ease_window", "lay_over"]


def ease_window(frames: int, start: float, end: float, ease: float = 9.0) -> np.ndarray:
    """(frames,) weight: 1 between the frames ``start`` and ``end``, rising and falling smoothly inside over ``ease`` frames."""
    t = np.arange(frames, dtype=float)
    ease = max(1.0, min(ease, (end - start) / 3))
    w = np.clip(np.minimum((t - start) / ease, (end - t) / ease), 0, 1)
    return w * w * (3 - 2 * w)


def lay_over(base: np.ndarray, over: np.ndarray, part: str, weight: np.ndarray) -> np.ndarray:
    """Rotations (T, J, 4) of ``base`` with the joints of ``part`` from ``over``, by ``weight`` (T,)."""
    joints = [j for j in PART_JOINTS[part] if j < base.shape[1]]
    out = base.copy()
    out[:, joints] = rot.slerp(base[:, joints], over[:, joints], weight[:, None])
    return rot.continuous(out)
