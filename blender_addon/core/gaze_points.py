# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a thing in the scene is for the performer: from Blender's world to the neutral body's own space."""

from __future__ import annotations

import numpy as np

from ..shared import rotations as rot
from ..shared.skeleton import JOINT_INDEX, rest_positions
from .retarget.align import Anatomy
from .retarget.axes import vector_to_y_up

__all__ = ["in_performers_space"]


def in_performers_space(points: np.ndarray, object_matrix: np.ndarray, body: Anatomy, head: int | None) -> np.ndarray:
    """World points (N, 3) in the performer's space: +Y up, metres of the neutral body, origin on the floor under its pelvis.

    Heads are laid over each other, so that a look has the same direction for a body of other proportions.

    :param object_matrix: (4, 4) of the armature object. :param head: index of the rig's head bone, or None.
    """
    inverse = np.linalg.inv(np.asarray(object_matrix, dtype=np.float64))
    local = np.asarray(points, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]
    local = rot.rotate(np.broadcast_to(body.frame, (len(local), 4)), local)
    neutral = rest_positions()[JOINT_INDEX["head"]]
    if head is None:
        return vector_to_y_up(local - np.array([0.0, 0.0, body.floor])) / body.scale
    return vector_to_y_up(local - body.heads[head]) / body.scale + neutral
