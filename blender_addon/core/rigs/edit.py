# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a bone map by hand: one slot at a time, the other side going along."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ...shared.errors import UnderstudyError
from .mapping import Mapping
from .reasons import missing_sentences, unmapped_sentences
from .slots import LABELS, SLOTS, mirror_slot

__all__ = ["mirror_name", "set_slot"]

_WORDS: Final = (("left", "right"), ("l", "r"), ("lft", "rgt"), ("lf", "rt"))


def _like(model: str, word: str) -> str:
    return word.upper() if model.isupper() else word.capitalize() if model[:1].isupper() else word


def mirror_name(name: str, names: Sequence[str]) -> str | None:
    """The bone of the other side, as names tell it: ``hand.L``, ``LeftHand``, ``J_Bip_L_Hand``, ``lHand``; None without one."""
    known = set(names)
    for a, b in _WORDS:
        for this, other in ((a, b), (b, a)):
            # a whole word between separators or at a change of case; the short ones never inside a word
            patterns = [rf"(?<![A-Za-z])({this})(?![A-Za-z])", rf"(?<![A-Za-z])({this})(?=[A-Z])"]
            patterns.append(rf"(?<=[a-z0-9_:.])({this.capitalize()})(?![a-z])")
            if len(this) > 2:
                patterns.append(rf"({this})")
            for pattern in patterns:
                flags = 0 if pattern is patterns[1] and len(this) == 1 else re.IGNORECASE
                for match in re.finditer(pattern, name, flags):
                    candidate = name[: match.start()] + _like(match.group(), other) + name[match.end() :]
                    if candidate != name and candidate in known:
                        return candidate
    return None


def set_slot(
    mapping: Mapping, slot: str, bones: Sequence[str], names: Sequence[str], parents: Sequence[int], *, mirror: bool = True,
) -> Mapping:
    """A copy of the map with another chain in a slot; an empty chain clears it.

    :param mirror: put the mirrored bones into the slot of the other side, where names tell them.
    :raises UnderstudyError: ``rig_unknown`` for a bone that the rig lacks or a slot that there is not.
    """
    if slot not in SLOTS:
        raise UnderstudyError("rig_unknown", f"There is no place named {slot!r} in a bone map.", "Choose a place of the list.")
    lacking = [bone for bone in bones if bone not in names]
    if lacking:
        raise UnderstudyError("rig_unknown", f"The rig has no bone named {lacking[0]!r}.", "Choose a bone of this rig.")
    slots = dict(mapping.slots)
    changes = {slot: tuple(bones)}
    other = mirror_slot(slot)
    if mirror and other != slot:
        partners = [mirror_name(bone, names) for bone in bones]
        if all(partner is not None for partner in partners):
            changes[other] = tuple(partner for partner in partners if partner is not None)
    taken = {bone for chain in changes.values() for bone in chain}
    for place, chain in slots.items():
        if place not in changes:
            slots[place] = tuple(bone for bone in chain if bone not in taken)
    slots |= changes
    slots = {place: chain for place, chain in slots.items() if chain}
    label = mapping.label if mapping.label.endswith("(edited)") else f"{mapping.label} (edited)"
    missing = missing_sentences(slots, None, {place: f"The {LABELS[place]} was left empty." for place in changes if not changes[place]})
    return mapping.with_slots(slots, preset="user", label=label, missing=missing,
                              unmapped=unmapped_sentences(names, [int(p) for p in parents], slots))
