# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics of the SMPL-X joint tree in numpy."""

from __future__ import annotations

import numpy as np

from . import rotations as rot
from .skeleton import END_POINTS, JOINT_INDEX, NEUTRAL_OFFSETS, PARENTS

__all__ = ["end_point", "forward", "local_rotations", "world_rotations"]


def world_rotations(local: np.ndarray) -> np.ndarray:
    """World rotations (T, J, 4) from local ones (T, J, 4), J the first joints of the SMPL-X order."""
    # components and joints first, so that what is multiplied lies side by side and not a whole pose apart
    world = np.ascontiguousarray(np.moveaxis(local, (2, 1), (0, 1)))
    for j in range(1, world.shape[1]):
        world[0, j], world[1, j], world[2, j], world[3, j] = rot.mul_parts(world[:, PARENTS[j]], world[:, j])
    return np.ascontiguousarray(np.moveaxis(world, (0, 1), (2, 1)))


def local_rotations(world: np.ndarray) -> np.ndarray:
    """The inverse of :func:`world_rotations`."""
    local = np.array(world, copy=True)
    for j in range(1, world.shape[1]):
        local[:, j] = rot.mul(rot.conjugate(world[:, PARENTS[j]]), world[:, j])
    return local


def forward(
    local: np.ndarray, translation: np.ndarray, offsets: np.ndarray = NEUTRAL_OFFSETS
) -> tuple[np.ndarray, np.ndarray]:
    """World positions (T, J, 3) in metres and world rotations (T, J, 4).

    :param local: (T, J, 4) local unit quaternions.
    :param translation: (T, 3) world position of the pelvis, metres.
    :param offsets: (>= J, 3) rest offsets, metres; row 0 is not used.
    """
    world = world_rotations(local)
    positions = np.empty((*world.shape[:2], 3), dtype=np.result_type(world, translation))
    positions[:, 0] = translation
    for j in range(1, world.shape[1]):
        p = PARENTS[j]
        positions[:, j] = positions[:, p] + rot.rotate(world[:, p], np.broadcast_to(offsets[j], (len(world), 3)))
    return positions, world


def end_point(name: str, positions: np.ndarray, world: np.ndarray) -> np.ndarray:
    """World position (T, 3) of a point of :data:`~.skeleton.END_POINTS`, from :func:`forward`'s results."""
    joint, offset = END_POINTS[name]
    j = JOINT_INDEX[joint]
    return positions[:, j] + rot.rotate(world[:, j], np.broadcast_to(np.array(offset), (len(world), 3)))
