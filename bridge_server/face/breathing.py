# SPDX-License-Identifier: Apache-2.0
"""Breathing that shows in the trunk: a small turn of the upper spine, and the collars that rise with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from shared import rotations as rot
from shared.skeleton import JOINT_INDEX
from shared.timeline import Direction

__all__ = ["at_rest", "breathe"]

_EASE: Final = 0.6
"""Seconds over which breathing gives way to a direction, before its start and after its end."""
_TURNS: Final = (
    # joint, axis, degrees at a full breath; a negative turn about +X lifts the chest, the neck gives half of it back
    ("spine2", 0, -0.4),
    ("spine3", 0, -0.6),
    ("neck", 0, 0.5),
    ("left_collar", 2, 0.6),
    ("right_collar", 2, -0.6),
)


def at_rest(times: np.ndarray, directions: Sequence[Direction]) -> np.ndarray:
    """(T,) in [0, 1] at ``times`` (T,) seconds: 0 where a direction has the trunk, so that breathing fights no bow and no dance."""
    weight = np.ones(len(times))
    for d in directions:
        if d.enabled and d.part in ("full", "upper"):
            away = np.maximum(d.start - times, times - d.end)
            weight = np.minimum(weight, np.clip(away / _EASE, 0, 1))
    return weight * weight * (3 - 2 * weight)


def breathe(rotations: np.ndarray, chest: np.ndarray, weight: np.ndarray) -> None:
    """Turn the trunk of ``rotations`` (T, J, 4), in place, by ``chest`` (T,) in [-1, 1] times ``weight`` (T,)."""
    amount = np.radians(chest * weight)
    for name, axis, degrees in _TURNS:
        # half a small angle for its sine: exact to a millionth of a degree, and the same bits in however long a stretch
        turn = np.zeros((len(amount), 4))
        turn[:, 1 + axis] = 0.5 * degrees * amount
        turn[:, 0] = np.sqrt(1 - turn[:, 1 + axis] ** 2)
        j = JOINT_INDEX[name]
        rotations[:, j] = rot.mul(rotations[:, j], turn)
