# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a retarget does not depend on the frames: which bone follows which joint, with what constant factors.

Derivation of the pose channels. ``R`` is a rest rotation in armature space, ``P`` a posed one. Blender composes
``P_b = P_p · (R_p⁻¹ · R_b) · basis_b`` for a bone b with parent p, and the pose channels are the basis, so
``basis_b = R_b⁻¹ · R_p · P_p⁻¹ · P_b``. A bone that is not driven has the identity as its basis, hence
``P_p = P_a · R_a⁻¹ · R_p`` where a is the nearest driven bone above it; put in, ``R_p`` cancels:

    basis_b = (R_b⁻¹ · R_a) · P_a⁻¹ · P_b

Bones that are not mapped therefore cost nothing and cannot disturb the ones below them. Without a driven ancestor, or
below a bone that does not inherit rotation, ``R_a · P_a⁻¹`` is the identity. The rotation from armature space to character
axes stands left of every R and P and cancels as well, so everything is computed in character axes.

Positions: ``head_b = head_a + P_a · R_a⁻¹ · (rest_b - rest_a)``, plus the location channel in the axes of ``R_b`` (root).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...shared import rotations as rot
from ...shared.errors import UnderstudyError
from ...shared.skeleton import JOINT_INDEX
from ..rigs.mapping import Mapping
from ..rigs.slots import SLOTS, TWIST
from .align import Anatomy, alignments, anatomy
from .options import RetargetOptions
from .rig import RigRest

__all__ = ["Plan", "TwistBone", "make_plan"]

_SPINE = ("pelvis", "spine1", "spine2", "spine3")
_NECK = ("spine3", "neck")


@dataclass(frozen=True)
class TwistBone:
    """A driven bone that takes a share of a twist.

    :ivar bone: index into ``Plan.driven``; :ivar limb: the same of the bone that carries the segment.
    :ivar axis: (3,) direction of the segment in the limb bone's rest axes.
    :ivar source: ``above``: undo a share of the limb's own twist; ``below``: take a share of the next bone's twist.
    :ivar below: index into ``Plan.driven`` of the next bone, for ``below``.
    :ivar share: 0 to 1.
    """

    bone: int
    limb: int
    axis: np.ndarray
    source: str
    below: int
    share: float


@dataclass(frozen=True)
class Plan:
    """Constants of a retarget; K driven bones, parents before children.

    :ivar driven: (K,) index of each into the rig's bones; :ivar slot: K slot names.
    :ivar joints: (K, 2) source joints between which the bone's turn is taken, :ivar share: (K,) 0 is the first.
    :ivar factor: (K, 4) ``L · R``; :ivar anchor: (K,) index into driven of the driven ancestor, or -1.
    :ivar to_basis: (K, 4) ``R_b⁻¹ · R_a``; :ivar arm: (K, 3) ``R_a⁻¹ · (rest_b - rest_a)``.
    :ivar copies: control -> driven bone whose place and turn it takes; :ivar poles: control -> elbow or knee slot that looks at it,
        :ivar carried: those of them whose constraints are on driven bones -> the constraint's pole angle.
    :ivar twists: bones that share a twist; their own ``factor`` is that of the rigid limb.
    """

    rig: RigRest
    mapping: Mapping
    body: Anatomy
    driven: np.ndarray
    slot: tuple[str, ...]
    joints: np.ndarray
    share: np.ndarray
    factor: np.ndarray
    anchor: np.ndarray
    to_basis: np.ndarray
    arm: np.ndarray
    twists: tuple[TwistBone, ...]
    notes: tuple[str, ...]
    copies: dict[str, str] = field(default_factory=dict)
    poles: dict[str, str] = field(default_factory=dict)
    carried: dict[str, float] = field(default_factory=dict)

    def of_slot(self, slot: str) -> list[int]:
        """Indices into ``driven`` of the bones in a slot, from the root outwards."""
        return [k for k, s in enumerate(self.slot) if s == slot]


def _spread(chain: int, joints: tuple[str, ...]) -> list[tuple[int, int, float]]:
    """Source joints and share for each of ``chain`` bones, the last of which follows the last joint exactly."""
    segments = len(joints) - 1
    result = []
    for i in range(chain):
        place = (i + 1) / chain * segments
        low = min(int(np.floor(place + 1e-9)), segments - 1)
        result.append((JOINT_INDEX[joints[low]], JOINT_INDEX[joints[low + 1]], place - low))
    return result


def _sources(mapping: Mapping, options: RetargetOptions) -> dict[str, tuple[str, int, int, float]]:
    """Bone -> (slot, joint, joint, share)."""
    result: dict[str, tuple[str, int, int, float]] = {}
    for slot in SLOTS:
        chain = mapping.bones(slot)
        if not chain or slot == "root" or (slot in TWIST and not options.twist):
            continue
        if (slot == "jaw" and not options.jaw) or (slot.endswith("_eye") and not options.eyes):
            continue
        if slot[-1].isdigit() and not options.fingers:
            continue
        if slot in ("spine", "neck"):
            places = _spread(len(chain), _SPINE if slot == "spine" else _NECK)
        else:
            joint = JOINT_INDEX[TWIST.get(slot, slot)]
            places = [(joint, joint, 0.0)] * len(chain)
        for bone, place in zip(chain, places, strict=True):
            result.setdefault(bone, (slot, *place))
    return result


def _anchor(rig: RigRest, mapping: Mapping, bone: int, place: dict[int, int]) -> int:
    """The driven bone that a bone moves with, as an index into driven, or -1."""
    follows = {rig.index[a]: rig.index[b] for a, b in mapping.follows.items() if a in rig.index and b in rig.index}
    above, seen = bone, {bone}
    while rig.inherit_rotation[above] and rig.parents[above] >= 0:
        above = int(rig.parents[above])
        above = follows.get(above, above)
        if above in place:
            return place[above]
        if above in seen:
            break
        seen.add(above)
    return -1


def make_plan(rig: RigRest, mapping: Mapping, options: RetargetOptions) -> Plan:
    """Analyse a rig for a mapping.

    :raises UnderstudyError: ``rig_unknown`` when too little is mapped, or a mapped bone is not in the rig.
    """
    mapping.check()
    unknown = [bone for bone in mapping.mapped_bones if bone not in rig.index]
    if unknown:
        raise UnderstudyError("rig_unknown", f"The bone map names {unknown[0]!r}, which the rig does not have.",
                              "Choose the rig's preset again, or correct the bone map.")
    body = anatomy(rig, mapping)
    align = alignments(rig, mapping, body)
    sources = _sources(mapping, options)
    driven = [i for i, name in enumerate(rig.names) if name in sources]
    place = {bone: k for k, bone in enumerate(driven)}
    info = [sources[rig.names[i]] for i in driven]
    slots = tuple(s[0] for s in info)
    none = rot.identity(1)[0]
    rest = body.rest[driven]
    factor = rot.mul(np.array([align.get(TWIST.get(s, s), none) for s in slots]), rest)

    anchor = np.array([_anchor(rig, mapping, bone, place) for bone in driven])
    has = anchor >= 0
    to_basis = np.where(has[:, None], rot.mul(rot.conjugate(rest), rest[anchor]), rot.conjugate(rest))
    arm = np.where(has[:, None], rot.rotate(rot.conjugate(rest[anchor]), body.heads[driven] - body.heads[driven][anchor]),
                   body.heads[driven])
    notes = (*body.notes, *_stretched(rig))
    plan = Plan(rig, mapping, body, np.array(driven), slots, np.array([[s[1], s[2]] for s in info]),
                np.array([s[3] for s in info]), factor, anchor, to_basis, arm, (), notes, *_controls(rig, mapping))
    return _with_twists(plan) if options.twist else plan


def _stretched(rig: RigRest) -> tuple[str, ...]:
    """A sentence where the object's scale is one that Blender's constraints do not bear: they drop the shear that it brings."""
    sizes = np.linalg.svd(rig.object_matrix[:3, :3], compute_uv=False)
    if not np.any(rig.constrained & rig.deform) or sizes[0] < 1.01 * max(float(sizes[2]), 1e-12):
        return ()
    return ("The armature object is stretched, and the rig moves bones by constraints, which Blender computes without the stretch: hands "
            "and feet will be off. Apply the object's scale before generating the rig.",)


def _controls(rig: RigRest, mapping: Mapping) -> tuple[dict[str, str], dict[str, str], dict[str, float]]:
    """IK targets and poles: as the preset names them, and as the constraints on mapped forearms and shins tell."""
    copies = {a: b for a, b in mapping.copies.items() if a in rig.index}
    poles = {a: slot for a, slot in mapping.poles.items() if a in rig.index}
    mapped = set(mapping.mapped_bones)
    carried: dict[str, float] = {}
    for limb in rig.ik:
        for side in ("left", "right"):
            for part, end in (("elbow", "wrist"), ("knee", "ankle")):
                if limb.bone not in mapping.bones(f"{side}_{part}") or not mapping.bones(f"{side}_{end}"):
                    continue
                if limb.target in rig.index and limb.target not in mapped:
                    copies.setdefault(limb.target, mapping.bones(f"{side}_{end}")[0])
                if limb.pole in rig.index and limb.pole not in mapped:
                    poles.setdefault(limb.pole, f"{side}_{part}")
                    carried[limb.pole] = limb.pole_angle
    return copies, poles, carried


def _with_twists(plan: Plan) -> Plan:
    """Add the shares of twist bones and of limbs that are split into several bones."""
    body, twists = plan.body, []

    def axis(limb: int, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        v = end - start
        v = v / max(float(np.linalg.norm(v)), 1e-12)
        return rot.rotate(rot.conjugate(body.rest[plan.driven[limb]]), v)

    for side in ("left", "right"):
        for part, following, kind in (("shoulder", "elbow", "above"), ("hip", "knee", "above"),
                                      ("elbow", "wrist", "below"), ("knee", "ankle", "below")):
            chain, below = plan.of_slot(f"{side}_{part}"), plan.of_slot(f"{side}_{following}")
            if not chain or not below:
                continue
            limb = chain[0]
            start, end = body.heads[plan.driven[limb]], body.heads[plan.driven[below[0]]]
            length = max(float(np.linalg.norm(end - start)), 1e-9)
            leaves = plan.of_slot(f"{side}_{part}_twist")
            for bone in leaves:
                along = float((body.heads[plan.driven[bone]] - start) @ (end - start)) / length**2
                along = float(np.clip(along, 0.0, 1.0))
                # a leaf that starts with the limb twists as its middle does: of the limb, or of its part where there are several
                along = 0.5 / len(leaves) if along < 0.05 and kind == "below" else along
                share = 1.0 - along if kind == "above" else along
                if kind == "below" and part == "knee":
                    continue
                twists.append(TwistBone(bone, limb, axis(limb, start, end), kind, below[0], share))
            if kind == "below" and part == "elbow" and len(chain) > 1:
                # a split forearm: its later bones take their share of the hand's turn about their own line to the wrist
                for n, bone in enumerate(chain[1:], start=1):
                    own = axis(limb, body.heads[plan.driven[bone]], end)
                    twists.append(TwistBone(bone, limb, own, "below", below[0], n / len(chain)))
    values = {name: getattr(plan, name) for name in plan.__dataclass_fields__}
    return Plan(**{**values, "twists": tuple(twists)})
