# SPDX-License-Identifier: Apache-2.0
"""Sliders that act on a generated motion: gesture size, energy, and staying in place."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from shared import rotations as rot
from shared.skeleton import BODY_JOINT_COUNT, PART_JOINTS

__all__ = ["scale_energy", "scale_gestures", "stay_in_place"]

_GESTURING = [j for j in PART_JOINTS["upper"] if j < BODY_JOINT_COUNT]
_SLOW_SECONDS = 1.2


def _relative(rotations: np.ndarray, seconds: float, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """The slow pose (T, J, 4) under the upper body's movement, and the movement as rotation vectors (T, J, 3)."""
    q = rot.continuous(rotations[:, _GESTURING].astype(np.float64))
    slow = rot.normalise(gaussian_filter1d(q, seconds * fps, axis=0, mode="nearest"))
    return slow, rot.quat_to_axis_angle(rot.mul(rot.conjugate(slow), q))


def scale_gestures(rotations: np.ndarray, amount: float, fps: float = 30.0) -> np.ndarray:
    """Rotations (T, J, 4) with the upper body's movement about its slow pose ``amount`` times as large.

    At most doubled; single joints are kept under 2.4 radians from their slow pose, short of turning inside out.
    """
    if amount == 1.0 or len(rotations) < 2:
        return rotations
    slow, vector = _relative(rotations, _SLOW_SECONDS, fps)
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    vector = vector * np.where(length > 1e-9, np.minimum(amount, 2.4 / np.maximum(length, 1e-9)), 1.0)
    out = rotations.copy()
    out[:, _GESTURING] = rot.mul(slow, rot.axis_angle_to_quat(vector))
    return rot.continuous(out)


def scale_energy(rotations: np.ndarray, amount: float, fps: float = 30.0) -> np.ndarray:
    """Rotations (T, J, 4) with the upper body's quick movement stronger (above 1) or calmed (below 1).

    Energy changes how sharp a movement is: only what is faster than about a third of a second is scaled,
    so the poses that gestures reach stay nearly where they were.
    """
    if amount == 1.0 or len(rotations) < 2:
        return rotations
    slow, vector = _relative(rotations, 0.12, fps)
    out = rotations.copy()
    out[:, _GESTURING] = rot.mul(slow, rot.axis_angle_to_quat(vector * amount))
    return rot.continuous(out)


def stay_in_place(translation: np.ndarray) -> np.ndarray:
    """Translation (T, 3) with x and z held at the start's, so that the character performs on the spot."""
    out = translation.copy()
    out[:, [0, 2]] = translation[:1, [0, 2]]
    return out
