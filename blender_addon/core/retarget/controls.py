# SPDX-License-Identifier: GPL-3.0-or-later
"""Controls beside the driven bones: those that take a bone's place and turn (IK targets), and poles, which elbows and knees look at.

A pole lies at rest somewhere in front of its joint. It is carried by the frame of its limb: one axis from the limb's root to its
end, the other the normal of the plane in which it bends. Where the limb is nearly straight the plane is not to be seen, and
the hinge that the upper bone has at rest stands in for it. Where the constraint is on the driven bones themselves, it begins from
their keys, and only the roll of the upper bone has to agree with the pole.
"""

from __future__ import annotations

import numpy as np

from ...shared import rotations as rot
from .plan import Plan
from .pose import Pose

__all__ = ["control_channels"]

_LIMBS = {"elbow": ("shoulder", "wrist"), "knee": ("hip", "ankle")}


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def _frame(axis: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Rotations (..., 4) whose Y is the axis and whose X is nearest to the normal."""
    y = _unit(axis)
    x = _unit(normal - np.sum(normal * y, axis=-1, keepdims=True) * y)
    return rot.matrix_to_quat(np.stack((x, y, np.cross(x, y)), axis=-1))


def control_channels(plan: Plan, pose: Pose) -> tuple[list[str], np.ndarray, dict[str, np.ndarray]]:
    """Names (C) and rotation channels (T, C, 4) of the controls that copy bones; location channels of these and of the poles."""
    rig, frames = plan.rig, len(pose.rotations)
    driven = {rig.names[bone]: k for k, bone in enumerate(plan.driven)}
    placed: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    names, turns, places = [], [], {}
    none = rot.identity(frames)
    for control in sorted((*plan.copies, *plan.poles), key=lambda name: rig.index[name]):
        own = rig.index[control]
        if control in plan.copies:
            k = driven.get(plan.copies[control])
            if k is None:
                continue
            turn = rot.mul(pose.rotations[:, k], rot.conjugate(plan.body.rest[plan.driven[k]]))
            head = pose.point(k, plan.body.heads[own])
        else:
            found = _pole(plan, pose, own, plan.poles[control])
            if found is None:
                continue
            turn, head = none, found
        above, above_head = _above(plan, pose, own, placed)
        back = rot.conjugate(above[0])
        rest = plan.body.rest[own]
        moved = rot.rotate(back, head - above_head) - (plan.body.heads[own] - above[1])
        # without local location Blender takes it in the axes of the armature
        axes = rest if rig.local_location[own] else plan.body.frame
        places[control] = rot.rotate(np.broadcast_to(rot.conjugate(axes), (frames, 4)), moved)
        if control in plan.copies:
            names.append(control)
            turns.append(rot.mul(rot.mul(rot.conjugate(rest), rot.mul(back, turn)), rest))
            placed[own] = (turn, head)
        else:
            placed[own] = (above[0], head)
    return names, np.stack(turns, axis=1) if turns else np.zeros((frames, 0, 4)), places


def _above(
    plan: Plan, pose: Pose, own: int, placed: dict[int, tuple[np.ndarray, np.ndarray]],
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """What a control hangs on: its turn (T, 4) since rest and its rest place (3,), and its place (T, 3) now."""
    rig, place = plan.rig, {int(bone): k for k, bone in enumerate(plan.driven)}
    bone = int(rig.parents[own])
    while bone >= 0:
        rest = plan.body.heads[bone]
        if bone in placed:
            return (placed[bone][0], rest), placed[bone][1]
        if bone in place:
            k = place[bone]
            turn = rot.mul(pose.rotations[:, k], rot.conjugate(plan.body.rest[bone]))
            return (turn, rest), pose.head(k)
        if rig.constrained[bone]:
            break  # a rig that switches parents by constraints is told by its properties to stand still here
        bone = int(rig.parents[bone])
    frames = len(pose.rotations)
    return (rot.identity(frames), np.zeros(3)), np.zeros((frames, 3))


def _pole(plan: Plan, pose: Pose, own: int, slot: str) -> np.ndarray | None:
    """Where (T, 3) a pole is for its elbow or knee."""
    side, _, part = slot.partition("_")
    start, end = _LIMBS[part]
    chains = [plan.of_slot(f"{side}_{name}") for name in (start, part, end)]
    if not all(chains):
        return None
    bones = [chain[0] for chain in chains]
    at_rest = [plan.body.heads[plan.driven[k]] for k in bones]
    root, middle, tip = (pose.head(k) for k in bones)
    axis_rest, axis = at_rest[2] - at_rest[0], tip - root
    away = plan.body.heads[own] - at_rest[0]
    if (angle := plan.carried.get(plan.rig.names[own])) is not None:
        # Blender's solver turns the limb about the line to its target until this side of the upper bone faces the pole
        faces = np.broadcast_to([np.cos(angle), 0.0, np.sin(angle)], root.shape)
        facing = rot.rotate(pose.rotations[:, bones[0]], faces)
        line, line_rest = _unit(axis), _unit(axis_rest)
        ahead = float(away @ line_rest)
        aside = float(np.linalg.norm(away - ahead * line_rest))
        return np.asarray(root + ahead * line + aside * _unit(facing - np.sum(facing * line, axis=1, keepdims=True) * line))
    bend_rest = np.cross(at_rest[1] - at_rest[0], at_rest[2] - at_rest[1])
    length = float(np.linalg.norm(axis_rest))
    if np.linalg.norm(bend_rest) < 0.02 * length**2:
        # straight at rest: the pole itself tells to which side the joint bends
        bend_rest = np.cross(away - axis_rest * (away @ axis_rest) / length**2, axis_rest)
    hinge_rest = bend_rest / max(float(np.linalg.norm(bend_rest)), 1e-12)
    upper = rot.mul(pose.rotations[:, bones[0]], rot.conjugate(plan.body.rest[plan.driven[bones[0]]]))
    hinge = rot.rotate(upper, np.broadcast_to(hinge_rest, root.shape))
    normal = np.cross(middle - root, tip - middle) / length**2
    # the rig's own solver bends to the pole's side, so the plane counts as soon as it is to be seen
    share = np.clip(0.02 - np.linalg.norm(normal, axis=1), 0.0, None)[:, None]
    turn = rot.mul(_frame(axis, normal + (share + 1e-4) * hinge), rot.conjugate(_frame(axis_rest, hinge_rest)))
    return np.asarray(root + rot.rotate(turn, np.broadcast_to(away, root.shape)))
