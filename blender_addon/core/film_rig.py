# SPDX-License-Identifier: GPL-3.0-or-later
"""From a posed rig back to the joints of a performance: what a film shows is the rig as it stands in the scene.

Whoever animated it, by whatever means: what is read are bones after constraints and drivers. ``D`` is the movement of a bone
from rest, ``posed · rest⁻¹`` in armature space. A joint's place is ``D`` applied to where the mapped bone's head is at rest; its turn
since the T-pose is the inverse of what the retarget does (see :mod:`.retarget.plan`): ``frame · D · R · factor⁻¹``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..shared import rotations as rot
from ..shared.skeleton import JOINT_COUNT, JOINT_INDEX, NEUTRAL_OFFSETS, PARENTS
from .retarget.axes import quat_to_y_up, vector_to_y_up
from .retarget.options import RetargetOptions
from .retarget.plan import Plan, make_plan
from .retarget.rig import RigRest
from .rigs.mapping import Mapping
from .rigs.slots import TWIST

__all__ = ["Observed", "Observer", "observer_of"]


@dataclass(frozen=True)
class Observed:
    """Joints in the scene's space, as :class:`..shared.films.FilmOrder` takes them.

    :ivar positions: (T, 55, 3) metres, +Y up. :ivar turns: (T, 55, 4) since the T-pose, wxyz. :ivar known: (55,) bool.
    :ivar offsets: (55, 3) metres. :ivar floor: metres.
    """

    positions: np.ndarray
    turns: np.ndarray
    known: np.ndarray
    offsets: np.ndarray
    floor: float


@dataclass(frozen=True)
class Observer:
    """What is to be read of a rig, and how it is understood.

    :ivar bones: names of the bones whose pose matrices are wanted, B of them.
    :ivar joint_bone: (55,) index into ``bones`` of what carries each joint, or -1.
    :ivar joint_head: (55, 3) where the joint is at rest, armature space.
    :ivar joint_turn: (55, 4) the constant right of ``frame · D`` that makes it the joint's turn.
    """

    plan: Plan
    bones: tuple[str, ...]
    joint_bone: np.ndarray
    joint_head: np.ndarray
    joint_turn: np.ndarray
    rest: np.ndarray

    def observe(self, posed: np.ndarray, objects: np.ndarray) -> Observed:
        """Joints of the frames.

        :param posed: (T, B, 4, 4) pose matrices of ``bones`` in armature space, after constraints.
        :param objects: (T, 4, 4) world matrices of the armature object.
        """
        moved = posed @ np.linalg.inv(self.rest)
        turned = rot.matrix_to_quat(_orthonormal(moved[..., :3, :3]))
        frame = self.plan.body.frame
        to_world = rot.mul(rot.matrix_to_quat(_orthonormal(objects[:, :3, :3])), rot.conjugate(frame))
        known = self.joint_bone >= 0
        scale = float(np.cbrt(abs(np.linalg.det(objects[0, :3, :3]))))
        offsets = self._offsets(scale)
        frames = len(posed)
        positions, turns = np.empty((frames, JOINT_COUNT, 3)), np.empty((frames, JOINT_COUNT, 4))
        for j in range(JOINT_COUNT):
            above = max(PARENTS[j], 0)
            if known[j]:
                b = self.joint_bone[j]
                local = np.einsum("tij,j->ti", moved[:, b], np.append(self.joint_head[j], 1.0))
                positions[:, j] = vector_to_y_up(np.einsum("tij,tj->ti", objects, local)[:, :3])
                carried = rot.mul(np.broadcast_to(frame, (frames, 4)), turned[:, b])
                turns[:, j] = quat_to_y_up(rot.mul(to_world, rot.mul(carried, self.joint_turn[j])))
            elif j == 0:
                positions[:, 0], turns[:, 0] = vector_to_y_up(objects[:, :3, 3]), quat_to_y_up(to_world)
            else:
                turns[:, j] = turns[:, above]
                positions[:, j] = positions[:, above] + rot.rotate(turns[:, above], np.broadcast_to(offsets[j], (frames, 3)))
        low = objects[0] @ np.append(rot.rotate(rot.conjugate(frame), np.array([0.0, 0.0, self.plan.body.floor])), 1.0)
        return Observed(positions, rot.continuous(rot.normalise(turns)), known, offsets, float(low[2]))

    def _offsets(self, scale: float) -> np.ndarray:
        """The neutral skeleton's at the rig's size; the head's size from the eyes where the rig has them."""
        offsets = NEUTRAL_OFFSETS * self.plan.body.scale * scale
        head = JOINT_INDEX["head"]
        for name in ("left_eye", "right_eye"):
            j = JOINT_INDEX[name]
            if self.joint_bone[j] >= 0 and self.joint_bone[head] >= 0:
                measured = float(np.linalg.norm(self.joint_head[j] - self.joint_head[head])) * scale
                # an eye bone may stand anywhere; what is far off says nothing about the head's size
                ratio = measured / max(float(np.linalg.norm(offsets[j])), 1e-9)
                offsets[j] = offsets[j] * (ratio if 0.5 < ratio < 3.0 else 1.0)
        return offsets


def _orthonormal(m: np.ndarray) -> np.ndarray:
    """Rotations of matrices (…, 3, 3) that may also scale."""
    return rot.six_d_to_matrix(rot.matrix_to_six_d(m))


def _carrier(name: str, rig: RigRest) -> str:
    """The bone that shows where a control has led: Rigify's and Auto-Rig Pro's own follow FK as well as IK."""
    plain = name.replace("_fk", "")
    own = plain.removeprefix("c_")
    for other in (f"ORG-{plain}", own.replace(".", "_stretch.", 1) if name.startswith("c_") else "", own if own != name else ""):
        if other and other != name and other in rig.index and "_fk" in name:
            return other
    return name


def observer_of(rig: RigRest, mapping: Mapping) -> Observer:
    """How to read a rig. :raises UnderstudyError: ``rig_unknown`` where too little of a body is mapped."""
    plan = make_plan(rig, mapping, RetargetOptions(jaw=True, eyes=True))
    # of the bones that follow a joint the one that does so most exactly; a chain's first one is where the joint is
    best: dict[int, tuple[float, int]] = {}
    for k, slot in enumerate(plan.slot):
        if slot in TWIST:
            continue
        share = float(plan.share[k])
        j = int(plan.joints[k, 1] if share > 0.5 else plan.joints[k, 0])
        error = min(share, 1 - share)
        if j not in best or error < best[j][0] - 1e-9:
            best[j] = (error, k)
    bones: list[str] = []
    joint_bone = np.full(JOINT_COUNT, -1)
    joint_head, joint_turn = np.zeros((JOINT_COUNT, 3)), np.tile(rot.identity(1)[0], (JOINT_COUNT, 1))
    rest_rotation = rig.rotations
    for j, (_, k) in best.items():
        i = int(plan.driven[k])
        carrier = _carrier(rig.names[i], rig)
        if carrier not in bones:
            bones.append(carrier)
        joint_bone[j] = bones.index(carrier)
        joint_head[j] = rig.heads[i]
        joint_turn[j] = rot.mul(rest_rotation[i], rot.conjugate(plan.factor[k]))
    rest = np.array([rig.matrices[rig.index[name]] for name in bones])
    return Observer(plan, tuple(bones), joint_bone, joint_head, joint_turn, rest)
