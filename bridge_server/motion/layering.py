# SPDX-License-Identifier: Apache-2.0
"""Laying one performance over another by joints, as strips for an arm or the head ask."""

from __future__ import annotations

import numpy as np

from shared import rotations as rot
from shared.skeleton import PART_JOINTS

from .features import FIRST_FINGER

__all__ = ["ease_window", "lay_fingers_over", "lay_over"]


def ease_window(frames: int, start: float, end: float, ease: float = 9.0) -> np.ndarray:
    """(frames,) weight: 1 between the frames ``start`` and ``end``, rising and falling smoothly inside over ``ease`` frames."""
    t = np.arange(frames, dtype=float)
    ease = max(1.0, min(ease, (end - start) / 3))
    w = np.clip(np.minimum((t - start) / ease, (end - t) / ease), 0, 1)
    return w * w * (3 - 2 * w)


def away_from(stays: np.ndarray, ease: float) -> np.ndarray:
    """(T,) weight: 0 where ``stays`` (T,) bool holds, 1 from ``ease`` frames away from it on, smooth in between."""
    frames = np.arange(len(stays))
    held = np.flatnonzero(stays)
    if not len(held):
        return np.ones(len(stays))
    after = np.searchsorted(held, frames)
    distance = np.minimum(np.abs(frames - held[np.maximum(after - 1, 0)]), np.abs(held[np.minimum(after, len(held) - 1)] - frames))
    w = np.clip(distance / max(1.0, ease), 0, 1)
    return w * w * (3 - 2 * w)


def lay_over(base: np.ndarray, over: np.ndarray, part: str, weight: np.ndarray) -> np.ndarray:
    """Rotations (T, J, 4) of ``base`` with the joints of ``part`` from ``over``, by ``weight`` (T,)."""
    joints = [j for j in PART_JOINTS[part] if j < base.shape[1]]
    out = base.copy()
    out[:, joints] = rot.slerp(base[:, joints], over[:, joints], weight[:, None])
    return rot.continuous(out)


def lay_fingers_over(base: np.ndarray, over: np.ndarray, part: str, weight: np.ndarray) -> np.ndarray:
    """The same for finger joints (T, 30, 4) alone: an arm's strip brings its hand, a head's none."""
    fingers = [j - FIRST_FINGER for j in PART_JOINTS[part] if j >= FIRST_FINGER]
    if not fingers:
        return base
    out = base.copy()
    out[:, fingers] = rot.slerp(base[:, fingers], over[:, fingers], weight[:, None])
    return rot.continuous(out)
