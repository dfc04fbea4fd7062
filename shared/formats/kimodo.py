# SPDX-License-Identifier: Apache-2.0
"""Kimodo's own npz: joint positions and rotation matrices of its SMPL-X (22) or SOMA (77 or 30) skeleton, +Y up, +Z forward."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .. import rotations as rot
from ..motion import Motion
from .arrays import ArrayFile, finite, invalid
from .conventions import find_roles
from .smpl import frame_rate
from .transfer import RestPose, find_rest, transfer

__all__ = ["FPS", "SOMA_JOINTS", "is_kimodo", "read_kimodo"]

FPS: Final = 30.0
_HAND: Final = ("Thumb1", "Thumb2", "Thumb3", "ThumbEnd") + tuple(
    f"{finger}{n}" for finger in ("Index", "Middle", "Ring", "Pinky") for n in ("1", "2", "3", "4", "End"))


def _soma(hand: tuple[str, ...], ends: bool) -> tuple[tuple[str, str], ...]:
    """(name, parent) of every joint, in Kimodo's order; the root's parent is empty."""
    joints = [("Hips", ""), ("Spine1", "Hips"), ("Spine2", "Spine1"), ("Chest", "Spine2"), ("Neck1", "Chest"),
              ("Neck2", "Neck1"), ("Head", "Neck2")]
    joints += [("HeadEnd", "Head")] if ends else []
    joints += [("Jaw", "Head"), ("LeftEye", "Head"), ("RightEye", "Head")]
    for side in ("Left", "Right"):
        joints += [(f"{side}Shoulder", "Chest"), (f"{side}Arm", f"{side}Shoulder"), (f"{side}ForeArm", f"{side}Arm"),
                   (f"{side}Hand", f"{side}ForeArm")]
        last = f"{side}Hand"
        for name in hand:
            begins = name.endswith("1") or len(hand) == 2
            joints.append((f"{side}Hand{name}", f"{side}Hand" if begins else last))
            last = f"{side}Hand{name}"
    for side in ("Left", "Right"):
        names = ["Leg", "Shin", "Foot", "ToeBase"] + (["ToeEnd"] if ends else [])
        joints += [(f"{side}{n}", f"{side}{names[k - 1]}" if k else "Hips") for k, n in enumerate(names)]
    return tuple(joints)


SOMA_JOINTS: Final = {77: _soma(_HAND, True), 30: _soma(("ThumbEnd", "MiddleEnd"), False)}
"""Joints of the SOMA skeletons by their number, after Kimodo's ``skeleton/definitions.py``."""


def is_kimodo(file: ArrayFile) -> bool:
    """Whether the keys are Kimodo's."""
    return "posed_joints" in file and ("local_rot_mats" in file or "global_rot_mats" in file)


def _matrices(file: ArrayFile, key: str) -> np.ndarray:
    m = file.numbers(key)
    if m.ndim != 4 or m.shape[2:] != (3, 3):
        raise invalid(file.name, f"{key} has shape {m.shape} where (frames, joints, 3, 3) is expected")
    return m


def read_kimodo(file: ArrayFile, source_fps: float | None = None) -> Motion:
    """A Motion at 30 frames per second, or at ``source_fps``. :raises UnderstudyError: ``file_invalid``."""
    positions = finite(file.numbers("posed_joints"), "posed_joints", file.name)
    if positions.ndim != 3 or positions.shape[2] != 3 or not len(positions):
        raise invalid(file.name, f"posed_joints has shape {positions.shape} where (frames, joints, 3) is expected")
    frames, count = positions.shape[:2]
    fps = frame_rate(file, FPS, source_fps)
    key = "global_rot_mats" if "global_rot_mats" in file else "local_rot_mats"
    matrices = _matrices(file, "local_rot_mats" if count == 22 and "local_rot_mats" in file else key)
    if matrices.shape[:2] != (frames, count):
        raise invalid(file.name, f"its rotations have shape {matrices.shape[:2]} and its positions {(frames, count)}")
    rest: dict[str, Any] = {}
    if "foot_contacts" in file:
        contacts = file.numbers("foot_contacts")
        if contacts.shape == (frames, 4):  # left heel, left toe, right heel, right toe: our order
            rest["contacts"] = np.clip(contacts, 0, 1).astype(np.float32)
    if count == 22:
        local = rot.matrix_to_quat(matrices)
        if "local_rot_mats" not in file:
            from ..kinematics import local_rotations

            local = local_rotations(local)
        motion = Motion.from_body(fps, rot.continuous(local).astype(np.float32), positions[:, 0].astype(np.float32), **rest)
    elif count in SOMA_JOINTS:
        motion = _from_soma(file, matrices, key, positions, fps, rest)
    else:
        raise invalid(file.name, f"it has {count} joints, and only Kimodo's SMPL-X (22) and SOMA (30, 77) skeletons are known",
                      "Generate the motion with the SMPL-X or the SOMA skeleton.")
    motion.metadata.update(source=file.name, format="kimodo", joints=count)
    return motion


def _from_soma(
    file: ArrayFile, matrices: np.ndarray, key: str, positions: np.ndarray, fps: float, rest: dict[str, Any]
) -> Motion:
    joints = SOMA_JOINTS[positions.shape[1]]
    names = [name for name, _ in joints]
    parents = [names.index(parent) if parent else -1 for _, parent in joints]
    world = rot.matrix_to_quat(matrices)
    if key == "local_rot_mats":
        for j, parent in enumerate(parents):
            if parent >= 0:
                world[:, j] = rot.mul(world[:, parent], world[:, j])
    # the file does not carry the skeleton; its bones in the zero pose follow from any frame
    zero = np.zeros((len(names), 3))
    for j, parent in enumerate(parents):
        if parent >= 0:
            bone = rot.rotate(rot.conjugate(world[0, parent]), positions[0, j] - positions[0, parent])
            zero[j] = zero[parent] + bone
    roles = find_roles(names, parents)
    pose = find_rest(RestPose(rot.identity(len(names)), zero, "zero"), world, positions, roles)
    moved = transfer(world, positions, roles, pose, up="y")
    return Motion(fps, moved.rotations.astype(np.float32), moved.pelvis.astype(np.float32),
                  metadata={"rest": "positions" if pose is None else pose.label, "leg_scale": round(moved.scale, 5)}, **rest)
