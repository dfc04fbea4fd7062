# SPDX-License-Identifier: Apache-2.0
"""Arms by analytic inverse kinematics: a wrist position and an elbow swivel give collar, shoulder and elbow.

Everything is written for the **left** arm; the right one is solved in the mirror (x negated), which in this skeleton
is exact. The elbow is a hinge about -Y of its rest frame, as in captured SMPL-X data, so it can neither bend
backwards nor sideways; the forearm's own twist follows after it about the bone.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from shared import rotations as rot
from shared.skeleton import JOINT_INDEX, NEUTRAL_OFFSETS

__all__ = ["ELBOW_POLE", "REACH", "clamp_reach", "mirror_points", "mirror_quats", "solve", "swing_collar"]

_COLLAR = NEUTRAL_OFFSETS[JOINT_INDEX["left_collar"]]
_SHOULDER = NEUTRAL_OFFSETS[JOINT_INDEX["left_shoulder"]]
UPPER: Final = float(np.linalg.norm(NEUTRAL_OFFSETS[JOINT_INDEX["left_elbow"]]))
FORE: Final = float(np.linalg.norm(NEUTRAL_OFFSETS[JOINT_INDEX["left_wrist"]]))
REACH: Final = 0.965 * (UPPER + FORE)
"""Farthest wrist from the shoulder, metres: an arm in talk is never quite straight."""
_NEAR: Final = 0.19

ELBOW_POLE: Final = np.array([0.50, -0.75, -0.45])
"""Where the elbow of a relaxed arm points from the line shoulder to wrist: down, outward and back."""


def mirror_points(points: np.ndarray) -> np.ndarray:
    """Points or vectors (…, 3) with x negated."""
    return points * np.array([-1.0, 1.0, 1.0])


def mirror_quats(q: np.ndarray) -> np.ndarray:
    """Rotations (…, 4) seen in the mirror x -> -x."""
    return q * np.array([1.0, 1.0, -1.0, -1.0])


def shoulder_position(collar: np.ndarray) -> np.ndarray:
    """Left shoulder (T, 3) in the frame of spine3 for local collar rotations (T, 4)."""
    return _COLLAR + rot.rotate(collar, np.broadcast_to(_SHOULDER, (*collar.shape[:-1], 3)))


def swing_collar(collar: np.ndarray, wrist: np.ndarray, amount: float = 0.22) -> np.ndarray:
    """Collar rotations (T, 4) that follow the arm: up when the wrist is high, forward when it reaches across.

    :param collar: (T, 4) local rotations before.
    :param wrist: (T, 3) in the frame of spine3, metres.
    :param amount: share of the arm's elevation that the collar takes over (the scapula's rhythm, about a third above
        30 degrees of elevation, less in the small range of talk).
    """
    d = wrist - shoulder_position(collar)
    r = np.maximum(np.linalg.norm(d, axis=-1), 1e-6)
    elevation = np.pi / 2 + np.arcsin(np.clip(d[..., 1] / r, -1, 1))  # 0 hanging, pi/2 level
    up = amount * np.square(np.clip(elevation / (np.pi / 2), 0, 1.8)) * 0.6
    forward = 0.35 * amount * np.clip((r - 0.30) / 0.2, 0, 1) * np.clip(d[..., 2] / r, 0, 1)
    zero = np.zeros_like(up)
    return rot.mul(collar, rot.axis_angle_to_quat(np.stack((zero, -forward, up), -1)))


def clamp_reach(wrist: np.ndarray, shoulder: np.ndarray) -> np.ndarray:
    """Wrist positions (…, 3) drawn into the shell that the arm can reach; the far limit is approached smoothly."""
    d = wrist - shoulder
    r = np.maximum(np.linalg.norm(d, axis=-1, keepdims=True), 1e-9)
    soft = 0.90 * REACH
    far = soft + (REACH - soft) * np.tanh((r - soft) / (REACH - soft))
    limited = np.where(r > soft, far, np.maximum(r, _NEAR))
    return shoulder + d / r * limited


def solve(collar: np.ndarray, wrist: np.ndarray, pole: np.ndarray = ELBOW_POLE,
          twist: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Local rotations of the left shoulder and elbow, each (T, 4), that put the wrist exactly at a point.

    :param collar: (T, 4) local rotation of the collar.
    :param wrist: (T, 3) wrist in the frame of spine3, metres; within reach (see :func:`clamp_reach`), else the arm
        points there stretched.
    :param pole: (3,) or (T, 3) direction in the frame of spine3 in which the elbow lies off the line shoulder to wrist.
    :param twist: (T,) radians of the forearm about its bone, positive turns the palm up.
    """
    shoulder = shoulder_position(collar)
    d = wrist - shoulder
    r = np.clip(np.linalg.norm(d, axis=-1), abs(UPPER - FORE) + 1e-6, UPPER + FORE - 1e-9)
    axis = d / np.maximum(np.linalg.norm(d, axis=-1, keepdims=True), 1e-9)
    pole = np.broadcast_to(pole, d.shape)
    out = pole - np.sum(pole * axis, -1, keepdims=True) * axis
    out = out / np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), 1e-9)
    at_shoulder = np.arccos(np.clip((UPPER**2 + r**2 - FORE**2) / (2 * UPPER * r), -1, 1))
    at_elbow = np.arccos(np.clip((UPPER**2 + FORE**2 - r**2) / (2 * UPPER * FORE), -1, 1))
    upper = np.cos(at_shoulder)[..., None] * axis + np.sin(at_shoulder)[..., None] * out
    # the hinge turns +X (upper arm) about -Y towards +Z, so +Z of the bent arm lies opposite the elbow's side
    fore_side = np.sin(at_shoulder)[..., None] * axis - np.cos(at_shoulder)[..., None] * out
    world = np.stack((upper, np.cross(fore_side, upper), fore_side), axis=-1)
    shoulder_local = rot.mul(rot.conjugate(collar), rot.matrix_to_quat(world))
    zero = np.zeros_like(r)
    hinge = rot.axis_angle_to_quat(np.stack((zero, -(np.pi - at_elbow), zero), -1))
    turn = rot.axis_angle_to_quat(np.stack((-np.broadcast_to(twist, r.shape), zero, zero), -1))
    return shoulder_local, rot.mul(hinge, turn)
