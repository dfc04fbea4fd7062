# SPDX-License-Identifier: Apache-2.0
"""Rotations from joint positions, for files that hold no usable rotations.

The trunk is oriented by the hips and the shoulders, the limbs by their bones; the twist of an upper arm or a thigh, which
positions alone leave open, follows from the plane in which the elbow or the knee is bent, and where the limb is straight
it is the smallest one. Wrists, toes and the head turn with their parents: positions say nothing about them.
"""

from __future__ import annotations

import numpy as np

from .. import rotations as rot
from ..kinematics import local_rotations
from ..skeleton import BODY_JOINT_COUNT, JOINT_INDEX, LEG_LENGTH, NEUTRAL_OFFSETS

__all__ = ["leg_length", "pelvis_from_hips", "rotations_from_positions"]

_J = JOINT_INDEX


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def _frame(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Quaternions (T, 4) whose +X is ``x`` and whose +Y is as near to ``y`` as that allows."""
    x = _unit(x)
    z = _unit(np.cross(x, y))
    return rot.matrix_to_quat(np.stack((x, np.cross(z, x), z), axis=-1))


def _swing(parent: np.ndarray, rest: np.ndarray, bone: np.ndarray) -> np.ndarray:
    """The parent's rotation turned by the least that brings the rest direction onto ``bone``."""
    carried = rot.rotate(parent, np.broadcast_to(rest, bone.shape))
    return rot.mul(rot.from_two_vectors(carried, bone), parent)


def _limb(parent: np.ndarray, rest: tuple[np.ndarray, np.ndarray], axis: np.ndarray, upper: np.ndarray,
          lower: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World rotations of the upper and the lower bone; ``axis`` is the hinge in the rest pose, about which it flexes."""
    swing = _swing(parent, rest[0], upper)
    u, v = _unit(upper), _unit(lower)
    hinge = np.cross(u, v)
    bend = np.linalg.norm(hinge, axis=-1, keepdims=True)
    hinge = hinge / np.maximum(bend, 1e-9)
    a = np.broadcast_to(axis, u.shape)

    def frame(bone: np.ndarray, h: np.ndarray) -> np.ndarray:
        return rot.matrix_to_quat(np.stack((bone, h, np.cross(bone, h)), axis=-1))

    def aligned(bone: np.ndarray, direction: np.ndarray) -> np.ndarray:
        e = np.broadcast_to(_unit(direction), bone.shape)
        square = _unit(a - np.sum(a * e, -1, keepdims=True) * e)
        return rot.mul(frame(bone, hinge), rot.conjugate(frame(e, square)))

    weight = np.clip((bend[:, 0] - 0.08) / 0.3, 0.0, 1.0)
    weight = weight * weight * (3 - 2 * weight)
    w_upper = rot.slerp(swing, aligned(u, rest[0]), weight)
    w_upper = _swing(w_upper, rest[0], upper)  # slerp between two rotations about the bone is exact only at its ends
    return w_upper, _swing(w_upper, rest[1], lower)


def _level(pelvis: np.ndarray, trunk: np.ndarray) -> np.ndarray:
    """The pelvis pitched by a constant so that the trunk stands straight on it in the median frame.

    Where a skeleton's hips and lowest spine joint sit in front of each other is a habit of its maker, up to 25 degrees.
    """
    d = rot.rotate(rot.conjugate(pelvis), _unit(trunk))
    pitch = float(np.clip(np.median(np.arctan2(d[:, 2], d[:, 1])), -0.6, 0.6))
    return rot.mul(pelvis, rot.axis_angle_to_quat(np.array([pitch, 0.0, 0.0])))


def _heads_up(chest: np.ndarray, neck: np.ndarray) -> np.ndarray:
    """The neck's bones (T, 3) pitched by a constant, in the chest's frame, so that the median one stands as ours does.

    SMPL's head joint lies 40 degrees ahead of its neck and ours above it; other skeletons lie between.
    """
    d = rot.rotate(rot.conjugate(chest), _unit(neck))
    ours = NEUTRAL_OFFSETS[_J["head"]]
    excess = np.median(np.arctan2(d[:, 2], d[:, 1])) - np.arctan2(ours[2], ours[1])
    back = rot.axis_angle_to_quat(np.array([-float(np.clip(excess, -0.9, 0.9)), 0.0, 0.0]))
    return rot.rotate(chest, rot.rotate(np.broadcast_to(back, (len(d), 4)), d))


def leg_length(p: np.ndarray) -> float:
    """Thigh plus shin of positions (T, >= 9, 3), the mean of both sides, in their unit."""
    total = 0.0
    for side in ("left", "right"):
        hip, knee, ankle = (p[:, _J[f"{side}_{n}"]] for n in ("hip", "knee", "ankle"))
        total += float(np.median(np.linalg.norm(knee - hip, axis=-1) + np.linalg.norm(ankle - knee, axis=-1)))
    return total / 2


def pelvis_from_hips(middle: np.ndarray, pelvis: np.ndarray, scale: float) -> np.ndarray:
    """(T, 3) pelvis of the neutral skeleton so that its hips lie at ``scale`` times ``middle`` (T, 3), given the pelvis'
    world rotation (T, 4)."""
    offset = (NEUTRAL_OFFSETS[_J["left_hip"]] + NEUTRAL_OFFSETS[_J["right_hip"]]) / 2
    return middle * scale - rot.rotate(pelvis, np.broadcast_to(offset, middle.shape))


def rotations_from_positions(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Local rotations (T, 22, 4), the pelvis (T, 3) on the neutral skeleton, and the scale that was applied to positions.

    :param p: (T, >= 22, 3) world positions of the body's joints in SMPL-X order, +Y up, any unit.
    """
    p = np.asarray(p, dtype=np.float64)

    def bone(a: str, b: str) -> np.ndarray:
        return p[:, _J[b]] - p[:, _J[a]]

    world = np.zeros((len(p), BODY_JOINT_COUNT, 4))
    middle = (p[:, _J["left_hip"]] + p[:, _J["right_hip"]]) / 2
    world[:, 0] = _level(_frame(bone("right_hip", "left_hip"), p[:, _J["spine1"]] - middle), p[:, _J["neck"]] - middle)
    across = bone("right_shoulder", "left_shoulder") + bone("right_collar", "left_collar")
    chest = _frame(across, bone("spine2", "neck"))
    for joint, part in (("spine1", 1 / 3), ("spine2", 2 / 3), ("spine3", 1.0)):
        world[:, _J[joint]] = rot.slerp(world[:, 0], chest, np.full(len(p), part))
    world[:, _J["neck"]] = _swing(chest, NEUTRAL_OFFSETS[_J["head"]], _heads_up(chest, bone("neck", "head")))
    world[:, _J["head"]] = world[:, _J["neck"]]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        hip, knee, ankle, foot, collar, shoulder, elbow, wrist = (
            f"{side}_{n}" for n in ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist"))
        rest = {n: NEUTRAL_OFFSETS[_J[n]] for n in (knee, ankle, foot, shoulder, elbow, wrist)}
        world[:, _J[hip]], world[:, _J[knee]] = _limb(
            world[:, 0], (rest[knee], rest[ankle]), np.array([1.0, 0.0, 0.0]), bone(hip, knee), bone(knee, ankle))
        world[:, _J[ankle]] = _swing(world[:, _J[knee]], rest[foot], bone(ankle, foot))
        world[:, _J[foot]] = world[:, _J[ankle]]
        world[:, _J[collar]] = _swing(chest, rest[shoulder], bone(collar, shoulder))
        world[:, _J[shoulder]], world[:, _J[elbow]] = _limb(
            world[:, _J[collar]], (rest[elbow], rest[wrist]), np.array([0.0, -sign, 0.0]), bone(shoulder, elbow),
            bone(elbow, wrist))
        world[:, _J[wrist]] = world[:, _J[elbow]]
    scale = LEG_LENGTH / max(leg_length(p), 1e-9)
    return rot.continuous(rot.normalise(local_rotations(world))), pelvis_from_hips(middle, world[:, 0], scale), scale
