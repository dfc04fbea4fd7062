# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences about what a bone map leaves out."""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from typing import Final

from .preset import Preset
from .slots import LABELS, SLOTS, TWIST

__all__ = ["missing_sentences", "unmapped_sentences"]

_KINDS: Final[tuple[tuple[str, str], ...]] = (
    (r"(^|[^a-z])ik([^a-z]|$)|pole|target", "is a helper for inverse kinematics"),
    (r"corrective|helper|(^|[^a-z])mch([^a-z]|$)|(^|[^a-z])org([^a-z]|$)", "is a helper of the rig"),
    (r"twist|roll", "is a twist bone that this preset does not know"),
    (r"metacarpal|palm", "is a bone inside the palm, which has no joint of its own in the motion"),
    (r"toe", "is a single toe; the motion moves all toes together"),
    (r"heel", "marks the heel"),
    (r"breast|bust|pec", "is a soft part"),
    (r"oris|levator|orbicularis|risorius|temporalis|oculi|tongue|facial|brow|lid|lip|cheek|nose|teeth|special|chin|ear|forehead|temple",
     "is a bone of the face; faces are moved by shape keys or by the jaw and eye bones"),
    (r"hair|cloth|skirt|tail|cape|sec|spring|physics", "is an extra that moves by itself or with its parent"),
    (r"end$|_nub$|nub$|tip$", "marks the end of a chain"),
    (r"weapon|prop|attach|socket|camera", "is a place for props"),
    (r"pelvis|hip", "is a part of the hips, which move as one"),
)


def unmapped_sentences(
    names: Sequence[str], parents: Sequence[int], slots: MappingType[str, tuple[str, ...]]
) -> dict[str, str]:
    """Bone -> why it is not mapped and what it does instead."""
    used = {bone for chain in slots.values() for bone in chain}
    result = {}
    for i, name in enumerate(names):
        if name in used:
            continue
        what = next((text for pattern, text in _KINDS if re.search(pattern, name.casefold())),
                    "has no counterpart in the motion")
        follows = f"it follows {names[parents[i]]}" if parents[i] >= 0 else "it stays where it is"
        result[name] = f"{name} {what}; {follows}."
    return result


def missing_sentences(slots: MappingType[str, tuple[str, ...]], preset: Preset | None, dropped: MappingType[str, str]) -> dict[str, str]:
    """Slot -> why it is empty; ``dropped`` gives reasons that are known already."""
    wanted = preset.slots() if preset is not None else {}
    result = {}
    for slot in SLOTS:
        if slots.get(slot):
            continue
        if slot in dropped:
            result[slot] = dropped[slot]
        elif slot in wanted and slot not in TWIST and slot != "root":
            names = " or ".join(f"“{n}”" for n in wanted[slot][0][:3])
            result[slot] = f"The {LABELS[slot]} is not mapped: the rig has no bone named {names}."
        elif preset is None and slot not in TWIST and slot != "root":
            result[slot] = f"The {LABELS[slot]} is not mapped: no bone of the rig lies where one would be."
        elif slot not in TWIST and slot != "root":
            result[slot] = f"The {LABELS[slot]} is not mapped: rigs of the kind “{preset.label if preset else ''}” have no such bone."
    return result
