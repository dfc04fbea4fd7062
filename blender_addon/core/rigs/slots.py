# SPDX-License-Identifier: GPL-3.0-or-later
"""The places of a human body that bones of a rig are mapped to.

A slot takes a *chain* of bones from the root outwards: usually one, two where a rig splits a limb segment, any number for
the spine and the neck. Slot names are the SMPL-X joint names, but for the three spine joints (one slot ``spine``),
the bone on the ground above everything (``root``) and leaf bones that only carry a share of a twist (``…_twist``).
"""

from __future__ import annotations

from typing import Final

from ...shared.skeleton import JOINT_NAMES

__all__ = ["CORE", "FINGERS", "LABELS", "PARENT_SLOT", "SIDES", "SLOTS", "TWIST", "mirror_slot", "weight"]

SIDES: Final = ("left", "right")
FINGERS: Final = ("thumb", "index", "middle", "ring", "pinky")
_LIMB: Final = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")
TWIST: Final[dict[str, str]] = {f"{side}_{limb}_twist": f"{side}_{limb}"
                                for side in SIDES for limb in ("hip", "knee", "shoulder", "elbow")}
"""Twist slot -> slot of the limb segment that its bones lie along."""

SLOTS: Final[tuple[str, ...]] = (
    "root", "pelvis", "spine", "neck", "head", "jaw", "left_eye", "right_eye",
    *(f"{side}_{limb}" for side in SIDES for limb in _LIMB),
    *(f"{side}_{finger}{n}" for side in SIDES for finger in FINGERS for n in (1, 2, 3)),
    *TWIST,
)
CORE: Final[tuple[str, ...]] = (
    "pelvis", "spine", "head", *(f"{side}_{limb}" for side in SIDES
                                 for limb in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")),
)
"""Slots without which a performance is not itself."""


def _parents() -> dict[str, str]:
    parents = {"spine": "pelvis", "neck": "spine", "head": "neck", "jaw": "head", "pelvis": "root"}
    for side in SIDES:
        chain = {"hip": "pelvis", "knee": "hip", "ankle": "knee", "foot": "ankle", "collar": "spine",
                 "shoulder": "collar", "elbow": "shoulder", "wrist": "elbow"}
        for limb, parent in chain.items():
            parents[f"{side}_{limb}"] = parent if parent in ("pelvis", "spine") else f"{side}_{parent}"
        parents[f"{side}_eye"] = "head"
        for finger in FINGERS:
            for n in (1, 2, 3):
                parents[f"{side}_{finger}{n}"] = f"{side}_wrist" if n == 1 else f"{side}_{finger}{n - 1}"
    parents.update(TWIST)
    return parents


PARENT_SLOT: Final[dict[str, str]] = _parents()
"""Slot above each slot in the body."""

_WORDS: Final = {
    "hip": "thigh", "knee": "shin", "ankle": "foot", "foot": "toes", "collar": "collarbone", "shoulder": "upper arm",
    "elbow": "forearm", "wrist": "hand", "pelvis": "hips", "root": "root on the ground",
}


def _label(slot: str) -> str:
    side, _, rest = slot.partition("_")
    if side not in SIDES:
        return _WORDS.get(slot, slot)
    twist = rest.endswith("_twist")
    rest = rest.removesuffix("_twist")
    finger = rest.rstrip("123")
    word = f"{finger} finger {rest[-1]}" if finger in FINGERS and rest != finger else _WORDS.get(rest, rest)
    return f"{side} {word.replace('thumb finger', 'thumb')}{' twist' if twist else ''}"


LABELS: Final[dict[str, str]] = {slot: _label(slot) for slot in SLOTS}
"""What an animator calls each slot."""

assert all(name in SLOTS or name.startswith("spine") for name in JOINT_NAMES)


def mirror_slot(slot: str) -> str:
    """The slot on the other side of the body, or the same on the middle line."""
    if slot.startswith("left_"):
        return "right_" + slot[5:]
    return "left_" + slot[6:] if slot.startswith("right_") else slot


def weight(slot: str) -> float:
    """How much a slot counts in a score."""
    if slot in CORE:
        return 3.0
    if slot == "root" or slot in TWIST:
        return 0.0
    # many a rig of any kind has no fingers and no bones in its face
    return 0.15 if slot.rstrip("123") != slot else 0.5 if slot == "jaw" or slot.endswith("_eye") else 1.0
