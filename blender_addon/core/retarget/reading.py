# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: from pose channels of a rig to a motion of the source skeleton, so that a pose set by an artist can be performed from.

The equations of :mod:`.plan` solved for the turn since the T-pose: ``P_b = P_a · (R_b⁻¹ · R_a)⁻¹ · basis_b`` down the chain of
driven bones, and ``D = P_b · (L_b · R_b)⁻¹``. Joints without a bone keep their local rotation of a given motion.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...shared import rotations as rot
from ...shared.motion import Motion
from ...shared.skeleton import JOINT_COUNT, JOINT_INDEX, NEUTRAL_OFFSETS, PARENTS
from .axes import quat_to_y_up, quat_to_z_up, vector_to_y_up, vector_to_z_up
from .plan import Plan
from .pose import Pose
from .transfer import hips_middle, source_place

__all__ = ["read_motion"]


def read_motion(
    plan: Plan, basis: np.ndarray, offset: np.ndarray, like: Motion,
    carried: tuple[np.ndarray, np.ndarray] | None = None,
) -> Motion:
    """A motion whose retarget is the given pose.

    :param basis: (T, K, 4) rotation channels of the driven bones; :param offset: (T, 3) place of the body, armature units in
        character axes, as :meth:`.pose.Pose.location_carrier` has it before it is turned into the carrier's axes.
    :param like: T frames that give what the rig has no bones for, and the frame rate.
    :param carried: turn (T, 4) and way (T, 3) that a root bone or the object adds, character axes, armature units.
    """
    frames = len(basis)
    rotations = np.empty_like(basis)
    for k, above in enumerate(plan.anchor):
        own = rot.mul(rot.conjugate(plan.to_basis[k]), basis[:, k])
        rotations[:, k] = own if above < 0 else rot.mul(rotations[:, int(above)], own)
    pose = Pose(plan, rotations, offset)
    middle = hips_middle(plan, pose)
    if carried is not None:
        turn, way = carried
        middle = rot.rotate(turn, middle) + way
        pose = Pose(plan, rot.mul(turn[:, None], rotations))
    world = _world_turns(plan, pose.rotations, like)
    offsets = vector_to_z_up(NEUTRAL_OFFSETS)[[1, 2]].mean(axis=0)
    place = source_place(plan, middle) - rot.rotate(world[:, 0], np.broadcast_to(offsets, (frames, 3)))
    turned = quat_to_y_up(world)
    local = np.stack([turned[:, j] if PARENTS[j] < 0 else rot.mul(rot.conjugate(turned[:, PARENTS[j]]), turned[:, j])
                      for j in range(JOINT_COUNT)], axis=1)
    return replace(like, rotations=rot.normalise(local).astype(np.float32), translation=vector_to_y_up(place).astype(np.float32))


def _world_turns(plan: Plan, rotations: np.ndarray, like: Motion) -> np.ndarray:
    """World turns (T, 55, 4) of the source joints since the T-pose, Blender's axes."""
    found: dict[int, list[tuple[float, np.ndarray]]] = {}
    seen: set[str] = set()
    for k, slot in enumerate(plan.slot):
        # of a split limb the first bone tells; the others share twists
        chain = slot in ("spine", "neck")
        if slot.endswith("_twist") or (slot in seen and not chain):
            continue
        seen.add(slot)
        turn = rot.mul(rotations[:, k], rot.conjugate(plan.factor[k]))
        first, second = (int(j) for j in plan.joints[k])
        share = float(plan.share[k]) if first != second else 0.0
        found.setdefault(second if share > 1 - 1e-6 else first, []).append((share if share < 1 - 1e-6 else 0.0, turn))
    like_local = quat_to_z_up(rot.normalise(np.asarray(like.rotations, dtype=np.float64)))
    world = np.empty((len(rotations), JOINT_COUNT, 4))
    # places along the spine and the neck, in joints; a joint between two bones lies between their turns
    for j in range(JOINT_COUNT):
        exact = [turn for share, turn in found.get(j, ()) if share == 0.0]
        if exact:
            world[:, j] = exact[-1]
            continue
        p = PARENTS[j]
        between = _between(j, found, world)
        if between is not None:
            world[:, j] = between
        else:
            world[:, j] = like_local[:, j] if p < 0 else rot.mul(world[:, p], like_local[:, j])
    return world


def _between(joint: int, found: dict[int, list[tuple[float, np.ndarray]]], world: np.ndarray) -> np.ndarray | None:
    """The turn of a joint of the trunk from the turns of bones before and after it, or None where no bone follows."""
    chain = [JOINT_INDEX[name] for name in ("pelvis", "spine1", "spine2", "spine3")]
    if joint not in chain[1:]:
        return None
    at = chain.index(joint)
    known = sorted(((chain.index(j) + share, turn) for j, turns in found.items() if j in chain for share, turn in turns),
                   key=lambda pair: pair[0])
    after = next(((place, turn) for place, turn in known if place > at), None)
    if after is None:
        return None
    before = next(((place, turn) for place, turn in reversed(known) if place < at), (0.0, world[:, chain[0]]))
    low = (float(at - 1), world[:, chain[at - 1]]) if before[0] < at - 1 else before
    weight = (at - low[0]) / (after[0] - low[0])
    return rot.slerp(low[1], after[1], np.full(len(world), weight))
