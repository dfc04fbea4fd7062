# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands stay on their side of the body's midline plane as far as the source's do, whatever the target's shoulders and arms are."""

from __future__ import annotations

import numpy as np

from ...shared import rotations as rot
from ...shared.skeleton import JOINT_INDEX, NEUTRAL_OFFSETS
from .axes import LEFT, UP, vector_to_z_up
from .ik import two_bone
from .plan import Plan
from .pose import Pose

__all__ = ["keep_hands_apart"]


def keep_hands_apart(plan: Plan, pose: Pose, turns: np.ndarray, positions: np.ndarray) -> None:
    """Bend arms, in place, so that no wrist, knuckle or finger lies further beyond the midline than the source's.

    The plane goes through the chest with the chest's left as its normal. A point of the source's hand at ``a`` metres on its own
    side (negative: crossed over) asks of the target's at least ``min(a, 0)`` times the scale, which is continuous in time. The hand keeps
    its turn, so the point that asks most moves it all.

    :param turns: (T, 55, 4) world turns of the source joints; :param positions: (T, 55, 3) their places; Blender's axes.
    """
    chest = (plan.of_slot("spine") or plan.of_slot("pelvis"))[-1]
    spine = JOINT_INDEX["spine3"]
    normal = rot.rotate(turns[:, spine], np.broadcast_to(LEFT, positions[:, 0].shape))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        upper, lower, hand = (plan.of_slot(f"{side}_{part}") for part in ("shoulder", "elbow", "wrist"))
        if not (upper and lower and hand):
            continue
        wrist = pose.head(hand[0])
        short = np.zeros(len(wrist))
        for slot, place in _hand_points(side, turns, positions).items():
            bones = plan.of_slot(slot)
            if bones:
                source = sign * np.sum((place - positions[:, spine]) * normal, axis=1)
                own = sign * np.sum((pose.head(bones[0]) - pose.head(chest)) * normal, axis=1)
                short = np.maximum(short, np.minimum(source * plan.body.scale, 0.0) - own)
        if not np.any(short > 1e-6 * plan.body.leg):
            continue
        target = wrist + (sign * short)[:, None] * normal
        hinge = rot.rotate(turns[:, JOINT_INDEX[f"{side}_shoulder"]], np.broadcast_to(-sign * UP, wrist.shape))
        first, second = two_bone(pose.head(upper[0]), pose.head(lower[0]), wrist, target, hinge)
        moved = short > 1e-6 * plan.body.leg
        none = rot.identity(len(moved))
        pose.turn(upper + plan.of_slot(f"{side}_shoulder_twist"), np.where(moved[:, None], first, none))
        pose.turn(lower + plan.of_slot(f"{side}_elbow_twist"), np.where(moved[:, None], second, none))


def _hand_points(side: str, turns: np.ndarray, positions: np.ndarray) -> dict[str, np.ndarray]:
    """Slot -> place (T, 3) of the source's wrist, and of the knuckles and last joints of its outer fingers and the middle one."""
    offsets = vector_to_z_up(NEUTRAL_OFFSETS)
    wrist = f"{side}_wrist"
    points = {wrist: positions[:, JOINT_INDEX[wrist]]}
    for finger in ("index", "middle", "pinky"):
        above, place = wrist, points[wrist]
        for n in (1, 2, 3):
            slot = f"{side}_{finger}{n}"
            place = place + rot.rotate(turns[:, JOINT_INDEX[above]], np.broadcast_to(offsets[JOINT_INDEX[slot]], place.shape))
            if n != 2:
                points[slot] = place
            above = slot
    return points
