# SPDX-License-Identifier: Apache-2.0
"""Two-bone inverse kinematics of the legs, over all frames at once."""

from __future__ import annotations

import numpy as np

from shared import rotations as rot
from shared.skeleton import JOINT_INDEX, NEUTRAL_OFFSETS

__all__ = ["reach_ankle"]


def reach_ankle(
    side: str, rotations: np.ndarray, positions: np.ndarray, world: np.ndarray, target: np.ndarray, weight: np.ndarray
) -> None:
    """Turn one hip and knee so that the ankle comes to ``target``; the foot keeps its direction in the world.

    The knee bends in the plane in which it was bent. A target out of reach is approached until the leg is
    99.9 % straight.

    :param side: ``left`` or ``right``.
    :param rotations: (T, J, 4) local quaternions, changed in place.
    :param positions: (T, J, 3) world positions before. :param world: (T, J, 4) world rotations before.
    :param target: (T, 3) metres. :param weight: (T,) in [0, 1], 0 leaves the frame as it is.
    """
    hip, knee, ankle = (JOINT_INDEX[f"{side}_{n}"] for n in ("hip", "knee", "ankle"))
    upper, lower = np.linalg.norm(NEUTRAL_OFFSETS[knee]), np.linalg.norm(NEUTRAL_OFFSETS[ankle])
    h, k, a = positions[:, hip], positions[:, knee], positions[:, ankle]
    goal = a + weight[:, None] * (target - a)
    reach = goal - h
    distance = np.clip(np.linalg.norm(reach, axis=1), abs(upper - lower) + 1e-4, (upper + lower) * 0.999)
    # the knee's new angle, by the law of cosines, about the axis it bends on now
    bend = np.arccos(np.clip((upper**2 + lower**2 - distance**2) / (2 * upper * lower), -1, 1))
    thigh, shin = k - h, a - k
    now = np.arccos(np.clip(np.sum(-thigh * shin, 1) / (np.linalg.norm(thigh, axis=1) * np.linalg.norm(shin, axis=1)), -1, 1))
    axis = np.cross(thigh, shin)
    length = np.linalg.norm(axis, axis=1, keepdims=True)
    # a straight leg has no plane: knees bend about the body's left-right axis
    sideways = rot.rotate(world[:, hip], np.broadcast_to(np.array([1.0, 0.0, 0.0]), h.shape))
    axis = np.where(length > 1e-4, axis / np.maximum(length, 1e-9), sideways)
    turn_knee = rot.axis_angle_to_quat(axis * (now - bend)[:, None])
    new_shin = rot.rotate(turn_knee, shin)
    turn_hip = rot.from_two_vectors(thigh + new_shin, reach)
    new_hip = rot.mul(turn_hip, world[:, hip])
    new_knee = rot.mul(turn_hip, rot.mul(turn_knee, world[:, knee]))
    pelvis = world[:, 0]
    rotations[:, hip] = rot.mul(rot.conjugate(pelvis), new_hip)
    rotations[:, knee] = rot.mul(rot.conjugate(new_hip), new_knee)
    rotations[:, ankle] = rot.mul(rot.conjugate(new_knee), world[:, ankle])
