# SPDX-License-Identifier: GPL-3.0-or-later
"""Rest pose analysis: the character's own axes, its size, its floor, and how its rest pose differs from the T-pose.

All results are in *character axes*: Blender's, with the character upright along +Z, looking along -Y, its left on +X,
whatever the armature's own axes are (FBX imports often lie on their back inside a rotated object).

The alignment ``L_b`` of a bone is the rotation that takes it from the rig's rest pose to the source's T-pose. A source
joint at rest has the identity as its world rotation, so its world rotation ``D`` *is* the turn since the T-pose, and the
bone's rotation in frame t is ``P_b = D · L_b · R_b`` with ``R_b`` its rest rotation. ``L_b`` is

- for trunk, neck, head, collarbones, jaw, eyes: the identity. Rests of standing people differ there by anatomy
  and by where the rigger put the joints, not by pose;
- for arms, legs, fingers: the parent segment's alignment, then the shortest arc from the segment's direction to the
  source's. Going down the chain this way unbends a bent elbow about its own hinge;
- for hands: both the direction of the middle finger and the line across the knuckles, because a palm has a side;
- for feet: the turn about the vertical only, so that a sole that is flat at rest stays flat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...shared import rotations as rot
from ...shared.skeleton import JOINT_INDEX, NEUTRAL_OFFSETS, rest_positions
from ..rigs.mapping import Mapping
from ..rigs.slots import FINGERS, SIDES
from .axes import FORWARD, UP, vector_to_z_up
from .rig import RigRest

__all__ = ["Anatomy", "alignments", "anatomy", "character_frame", "limb_directions", "source_direction"]

_SNAP_DEGREES = 25.0
_HINGE_DEGREES = 15.0
_ASIDE = 0.5
"""Cosine of the largest angle (60 degrees) between two bones of a finger, or hand and forearm, that a rest pose is believed to have."""
_SOURCE_REST = vector_to_z_up(rest_positions())
_SEGMENT_END = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist"}


def _unit(v: np.ndarray) -> np.ndarray:
    return v / max(float(np.linalg.norm(v)), 1e-12)


def source_direction(slot: str, knuckle: str = "middle") -> np.ndarray:
    """(3,) unit direction of a limb segment or finger bone of the source's T-pose, Blender's axes; of a hand, to the given knuckle."""
    side, _, part = slot.partition("_")
    if part in _SEGMENT_END:
        end, start = f"{side}_{_SEGMENT_END[part]}", slot
    elif part == "wrist":
        end, start = f"{side}_{knuckle}1", slot
    elif part == "ankle":
        end, start = f"{side}_foot", slot
    else:
        n = int(part[-1])
        # the third finger bone has no joint at its end; it goes on in the direction of the second
        end, start = (f"{slot[:-1]}{n + 1}", slot) if n < 3 else (slot, f"{slot[:-1]}2")
    return _unit(_SOURCE_REST[JOINT_INDEX[end]] - _SOURCE_REST[JOINT_INDEX[start]])


def _mean_head(rig: RigRest, mapping: Mapping, *slots: str) -> np.ndarray | None:
    bones = [mapping.first(slot) for slot in slots]
    heads = [rig.heads[rig.index[bone]] for bone in bones if bone is not None]
    return np.mean(heads, axis=0) if heads else None


def character_frame(rig: RigRest, mapping: Mapping) -> np.ndarray:
    """Rotation (4,) from armature space to character axes, found from where hips, head and sides are.

    Snapped to whole quarter turns where the rig stands within 25 degrees of one, so that a head that leans forward at
    rest does not tip the floor.
    """
    low = _mean_head(rig, mapping, "left_hip", "right_hip")
    low = _mean_head(rig, mapping, "pelvis") if low is None else low
    high = _mean_head(rig, mapping, "neck", "head")
    high = _mean_head(rig, mapping, "left_shoulder", "right_shoulder") if high is None else high
    left = [rig.heads[rig.index[a]] - rig.heads[rig.index[b]]
            for stem in ("hip", "shoulder", "collar", "knee")
            if (a := mapping.first(f"left_{stem}")) is not None and (b := mapping.first(f"right_{stem}")) is not None]
    if low is None or high is None or not left:
        return rot.identity(1)[0]
    up = _unit(high - low)
    x = _unit(np.sum([_unit(v) for v in left], axis=0))
    back = _unit(np.cross(up, x))
    matrix = np.stack((x, back, np.cross(x, back)))  # rows: the character's axes in armature space
    snapped = np.zeros((3, 3))
    for row in range(3):
        column = int(np.argmax(np.abs(matrix[row])))
        snapped[row, column] = np.sign(matrix[row, column])
    if abs(np.linalg.det(snapped) - 1.0) < 1e-6:
        turn = rot.angle_between(rot.matrix_to_quat(matrix), rot.matrix_to_quat(snapped))
        if np.degrees(turn) <= _SNAP_DEGREES:
            matrix = snapped
    return rot.matrix_to_quat(matrix)


@dataclass(frozen=True)
class Anatomy:
    """What the retarget knows about a body at rest, in character axes and armature units.

    :ivar frame: (4,) rotation from armature space to character axes.
    :ivar heads: (B, 3); :ivar tails: (B, 3); :ivar rest: (B, 4) rest rotations.
    :ivar leg: thigh plus shin; :ivar scale: ``leg`` per metre of the source's leg.
    :ivar floor: height of the floor.
    :ivar notes: sentences about what had to be assumed.
    """

    frame: np.ndarray
    heads: np.ndarray
    tails: np.ndarray
    rest: np.ndarray
    leg: float
    scale: float
    floor: float
    notes: tuple[str, ...]


def anatomy(rig: RigRest, mapping: Mapping) -> Anatomy:
    """Measure a rig at rest."""
    frame = character_frame(rig, mapping)
    heads = rot.rotate(np.broadcast_to(frame, (len(rig.names), 4)), rig.heads)
    tails = rot.rotate(np.broadcast_to(frame, (len(rig.names), 4)), rig.tails)
    rest = rot.mul(np.broadcast_to(frame, (len(rig.names), 4)), rig.rotations)
    notes: list[str] = []
    index = rig.index

    def head(slot: str) -> np.ndarray | None:
        bone = mapping.first(slot)
        return None if bone is None else heads[index[bone]]

    legs = []
    for side in SIDES:
        hip, knee, ankle = (head(f"{side}_{part}") for part in ("hip", "knee", "ankle"))
        if hip is None or knee is None:
            continue
        if ankle is None:
            ankle = tails[index[mapping.bones(f"{side}_knee")[-1]]]
        legs.append(float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee)))
    source_leg = float(-NEUTRAL_OFFSETS[JOINT_INDEX["left_knee"]][1] - NEUTRAL_OFFSETS[JOINT_INDEX["left_ankle"]][1])
    if legs and max(legs) > 1e-9:
        leg = float(np.mean(legs))
    else:
        extent = float(np.ptp(heads[:, 2]))
        leg = source_leg * (extent / 1.6 if extent > 1e-9 else 1.0)
        notes.append("The rig has no legs that could be measured; its size was taken from its height.")
    lowest = [heads[index[bone]][2] for side in SIDES for part in ("ankle", "foot")
              if (bone := mapping.first(f"{side}_{part}")) is not None]
    low = min(lowest) if lowest else float(heads[:, 2].min())
    # feet within a seventh of a leg of the armature's origin: the character was built standing on it
    floor = 0.0 if abs(low) < 0.15 * leg else low - 0.037 * leg / source_leg
    return Anatomy(frame, heads, tails, rest, leg, leg / source_leg, float(floor), tuple(notes))


def _twist_between(a: np.ndarray, b: np.ndarray, axis: np.ndarray) -> float:
    """Angle about ``axis`` from ``a`` to ``b``, both (3,), seen along the axis."""
    a, b = a - axis * (a @ axis), b - axis * (b @ axis)
    return float(np.arctan2(np.cross(a, b) @ axis, a @ b))


def _about(axis: np.ndarray, angle: float) -> np.ndarray:
    return rot.axis_angle_to_quat(axis * angle)


def _frame(primary: np.ndarray, secondary: np.ndarray) -> np.ndarray:
    x = _unit(primary)
    y = _unit(secondary - x * (secondary @ x))
    return np.stack((x, y, np.cross(x, y)), axis=-1)


class _Limbs:
    """Directions of a rig's limb segments at rest, from the head of a slot's chain to the head of the next one's."""

    def __init__(self, rig: RigRest, mapping: Mapping, body: Anatomy) -> None:
        self.mapping, self.body, self.index, self.parents = mapping, body, rig.index, rig.parents
        self.tails_tell = self._tails_tell()

    def head(self, slot: str) -> np.ndarray | None:
        bone = self.mapping.first(slot)
        return None if bone is None else self.body.heads[self.index[bone]]

    def knuckle(self, side: str) -> str:
        """The finger that tells a hand's direction: the middle one, or what there is."""
        return next((finger for finger in ("middle", "index", "ring", "pinky") if self.mapping.bones(f"{side}_{finger}1")), "middle")

    def end(self, slot: str) -> np.ndarray:
        """Where a slot's segment ends: the next joint, or the tail of its last bone."""
        side, _, part = slot.partition("_")
        if part in _SEGMENT_END:
            following = self.head(f"{side}_{_SEGMENT_END[part]}")
        elif part == "wrist":
            following = self.head(f"{side}_{self.knuckle(side)}1")
        elif part == "ankle":
            following = self.head(f"{side}_foot")
        else:
            following = self.head(f"{slot[:-1]}{int(slot[-1]) + 1}") if slot[-1].isdigit() and slot[-1] != "3" else None
        start = self.head(slot)
        if following is not None and start is not None and np.linalg.norm(following - start) > 1e-6 * self.body.leg:
            return following
        return self._tail(slot, self.index[self.mapping.bones(slot)[-1]])

    def _tail(self, slot: str, bone: int) -> np.ndarray:
        """The tail of a segment's last bone, unless the rig's tails say nothing or it points far from where the segment before goes.

        What hangs on such a bone then tells where it ends, or else it goes straight on.
        """
        start, tail = self.body.heads[bone], self.body.tails[bone]
        before = self._before(slot)
        if before is None or (self.tails_tell and _unit(tail - start) @ before >= _ASIDE):
            return tail
        ends = [self.body.heads[child] for child in np.flatnonzero(self.parents == bone)]
        ends = [end for end in ends if _unit(end - start) @ before >= _ASIDE]
        return ends[0] if ends else start + before * float(np.linalg.norm(tail - start))

    def _tails_tell(self) -> bool:
        """Whether bones point at the next joint. Those of many FBX files lie along another axis than Blender's."""
        told = []
        for side in SIDES:
            for part, end in (*_SEGMENT_END.items(), *((f"{f}{n}", f"{f}{n + 1}") for f in FINGERS for n in (1, 2))):
                start, following = self.head(f"{side}_{part}"), self.head(f"{side}_{end}")
                if start is not None and following is not None:
                    tail = self.body.tails[self.index[self.mapping.bones(f"{side}_{part}")[0]]]
                    told.append(_unit(tail - start) @ _unit(following - start) > 0.9)
        return not told or bool(np.mean(told) >= 0.5)

    def _before(self, slot: str) -> np.ndarray | None:
        """(3,) unit direction from the joint above a slot's to the slot's own; None where it says nothing about the slot."""
        side, _, part = slot.partition("_")
        above = {"wrist": "elbow", "elbow": "shoulder", "knee": "hip"}.get(part)
        if part[-1].isdigit():
            above = f"{part[:-1]}{int(part[-1]) - 1}" if part[-1] != "1" else "wrist"
        ends = (self.head(f"{side}_{above}"), self.head(slot)) if above else (None, None)
        if ends[0] is None or ends[1] is None or np.linalg.norm(ends[1] - ends[0]) < 1e-6 * self.body.leg:
            return None
        return _unit(ends[1] - ends[0])

    def direction(self, slot: str) -> np.ndarray | None:
        """(3,) unit vector, or None for an empty slot."""
        start = self.head(slot)
        return None if start is None else _unit(self.end(slot) - start)


def _hand(limbs: _Limbs, side: str, forearm: np.ndarray) -> np.ndarray:
    """Alignment (4,) of a hand, by its knuckles where there are any."""
    slot = f"{side}_wrist"
    direction = limbs.direction(slot)
    assert direction is not None
    ahead = source_direction(slot, limbs.knuckle(side))
    index, pinky = limbs.head(f"{side}_index1"), limbs.head(f"{side}_pinky1")
    if pinky is None:
        pinky = limbs.head(f"{side}_ring1")
    if index is None or pinky is None or np.linalg.norm(index - pinky) < 1e-6 * limbs.body.leg:
        return rot.mul(rot.from_two_vectors(rot.rotate(forearm, direction), ahead), forearm)
    joint = JOINT_INDEX
    across = _SOURCE_REST[joint[f"{side}_index1"]] - _SOURCE_REST[joint[f"{side}_pinky1"]]
    target, source = _frame(direction, index - pinky), _frame(ahead, across)
    return rot.matrix_to_quat(source @ target.T)


def alignments(rig: RigRest, mapping: Mapping, body: Anatomy) -> dict[str, np.ndarray]:
    """Slot -> ``L`` (4,), character axes; see the module's text. Slots that are not listed align by the identity."""
    limbs = _Limbs(rig, mapping, body)
    result: dict[str, np.ndarray] = {}
    none = rot.identity(1)[0]

    def arc(slot: str, above: np.ndarray) -> np.ndarray:
        direction = limbs.direction(slot)
        if direction is None:
            return above
        return rot.mul(rot.from_two_vectors(rot.rotate(above, direction), source_direction(slot)), above)

    for side in SIDES:
        for first, second, bends in (("shoulder", "elbow", FORWARD), ("hip", "knee", -FORWARD)):
            upper, lower = f"{side}_{first}", f"{side}_{second}"
            if limbs.direction(upper) is None:
                continue
            align = arc(upper, none)
            below, axis = limbs.direction(lower), source_direction(upper)
            if below is not None:
                bent = rot.rotate(align, below)
                if np.degrees(np.arccos(np.clip(bent @ axis, -1, 1))) > _HINGE_DEGREES:
                    # a joint that is bent at rest shows its hinge: turn the segment so that the hinge lies as the source's
                    turn = _twist_between(bent, bends, axis)
                    align = rot.mul(_about(axis, float(np.clip(turn, -np.pi / 3, np.pi / 3))), align)
            result[upper] = align
            result[lower] = arc(lower, align)
        if mapping.bones(f"{side}_wrist"):
            forearm = result.get(f"{side}_elbow", none)
            hand = _hand(limbs, side, forearm)
            result[f"{side}_wrist"] = hand
            if f"{side}_elbow" in result:
                # half of the turn between the two rest palms goes to the forearm, so that no wrist is wrung
                axis = source_direction(f"{side}_elbow")
                side_way = np.cross(axis, UP)
                residual = rot.rotate(rot.mul(hand, rot.conjugate(forearm)), side_way)
                result[f"{side}_elbow"] = rot.mul(_about(axis, 0.5 * _twist_between(side_way, residual, axis)), forearm)
            for finger in FINGERS:
                above = hand
                for n in (1, 2, 3):
                    slot = f"{side}_{finger}{n}"
                    if mapping.bones(slot):
                        above = result[slot] = arc(slot, above)
        direction = limbs.direction(f"{side}_ankle")
        if direction is not None:
            flat = direction * np.array([1.0, 1.0, 0.0])
            # a foot bone that stands upright (no toes, tail at the floor) has no heading to correct
            turn = _twist_between(flat, FORWARD, UP) if np.linalg.norm(flat) > 0.3 else 0.0
            result[f"{side}_ankle"] = result[f"{side}_foot"] = _about(UP, float(np.clip(turn, -1.0, 1.0)))
    return result


def limb_directions(rig: RigRest, mapping: Mapping, body: Anatomy) -> dict[str, np.ndarray]:
    """Slot -> (3,) unit direction at rest of arm, hand, leg and finger segments, character axes."""
    limbs = _Limbs(rig, mapping, body)
    parts = ["hip", "knee", "shoulder", "elbow", "wrist", *(f"{finger}{n}" for finger in FINGERS for n in (1, 2, 3))]
    found = {f"{side}_{part}": limbs.direction(f"{side}_{part}") for side in SIDES for part in parts}
    return {slot: direction for slot, direction in found.items() if direction is not None}
