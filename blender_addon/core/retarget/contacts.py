# SPDX-License-Identifier: GPL-3.0-or-later
"""When feet stand: the motion's own contacts, or an estimate from how the feet move."""

from __future__ import annotations

import numpy as np

from ...shared.motion import Motion
from ...shared.skeleton import CONTACT_NAMES, JOINT_INDEX, rest_positions

__all__ = ["estimate_contacts", "standing", "runs"]

_JOINTS = [JOINT_INDEX[name] for name in CONTACT_NAMES]
_REST_HEIGHT = rest_positions()[_JOINTS, 1]
_SPEED = 0.20
"""Metres per second below which a low foot stands."""
_HEIGHT = 0.035
"""Metres above its height at rest up to which a joint of the foot can stand."""
_SHORTEST_SECONDS = 0.1


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """(start, stop) of every stretch of True in (T,), stop excluded."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _close_and_open(mask: np.ndarray, frames: int) -> np.ndarray:
    """Fill gaps and drop stretches that are shorter than ``frames``."""
    mask = mask.copy()
    for start, stop in runs(~mask):
        if stop - start < frames and start > 0 and stop < len(mask):
            mask[start:stop] = True
    for start, stop in runs(mask):
        if stop - start < frames:
            mask[start:stop] = False
    return mask


def estimate_contacts(motion: Motion, positions: np.ndarray | None = None) -> np.ndarray:
    """(T, 4) bool: joints of the feet that are low and slow, on the source's floor y = 0."""
    low, slow = _low_and_slow(motion, positions)
    if len(motion) < 2:
        return low
    frames = max(2, round(_SHORTEST_SECONDS * motion.fps))
    return np.stack([_close_and_open((low & slow)[:, c], frames) for c in range(low.shape[1])], axis=1)


def _low_and_slow(motion: Motion, positions: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Two (T, 4) bool: joints of the feet near the source's floor y = 0, and those that hardly move."""
    feet = (motion.positions() if positions is None else positions)[:, _JOINTS]
    low = feet[..., 1] < _REST_HEIGHT + _HEIGHT
    if len(motion) < 2:
        return low, np.ones_like(low)
    return low, np.linalg.norm(np.gradient(feet, axis=0), axis=-1) * motion.fps < _SPEED


def standing(motion: Motion, estimate: bool, positions: np.ndarray | None = None) -> np.ndarray:
    """(T, 4) bool: the motion's contacts of at least one half, or an estimate where it has none at all.

    A foot that is still coming down does not stand, whatever a network says: pulled to the floor it would stretch the leg.
    """
    if np.any(motion.contacts > 0):
        frames = max(2, round(0.5 * _SHORTEST_SECONDS * motion.fps))
        low, slow = _low_and_slow(motion, positions)
        solid = (motion.contacts >= 0.5) & (low | slow)
        return np.stack([_close_and_open(solid[:, c], frames) for c in range(solid.shape[1])], axis=1)
    return estimate_contacts(motion, positions) if estimate else np.zeros((len(motion), len(CONTACT_NAMES)), dtype=bool)
