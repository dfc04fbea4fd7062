# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognising a rig: every preset is tried and scored, the order of parents is checked, structure helps where names do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ...shared.errors import UnderstudyError
from ..retarget.rig import RigRest
from .mapping import Mapping
from .names import NameIndex
from .preset import Preset
from .reasons import missing_sentences, unmapped_sentences
from .slots import LABELS, PARENT_SLOT, SLOTS, TWIST, weight
from .structure import by_structure
from .tables import PRESETS

__all__ = ["THRESHOLD", "apply_preset", "detect", "detect_rest", "scores"]

THRESHOLD: Final = 0.55
"""Score from which a preset is believed."""


@dataclass(frozen=True)
class _Fit:
    preset: Preset
    slots: dict[str, tuple[str, ...]]
    score: float
    dropped: dict[str, str]


def _ancestor(parents: Sequence[int], above: int, below: int) -> bool:
    below = int(parents[below])
    while below >= 0:
        if below == above:
            return True
        below = int(parents[below])
    return False


def _check_order(
    slots: dict[str, tuple[str, ...]], names: Sequence[str], parents: Sequence[int], label: str
) -> dict[str, str]:
    """Remove slots whose bone is not below the bone of the slot above; returns the sentences."""
    index = {name: i for i, name in enumerate(names)}
    dropped: dict[str, str] = {}
    for slot in SLOTS:
        if slot not in slots:
            continue
        chain = slots[slot]
        kept = [chain[0]]
        for bone in chain[1:]:
            # a split limb's bones follow each other; twist leaves may be siblings
            if slot in TWIST or _ancestor(parents, index[kept[-1]], index[bone]):
                kept.append(bone)
        slots[slot] = tuple(kept)
        above = PARENT_SLOT.get(slot)
        while above is not None and above not in slots:
            above = PARENT_SLOT.get(above)
        if above is None or above == "root":
            continue
        if not _ancestor(parents, index[slots[above][0]], index[kept[0]]):
            dropped[slot] = (f"The {LABELS[slot]} is not mapped: “{kept[0]}” has the name that {label} gives it but does not "
                             f"hang below “{slots[above][0]}”.")
    for slot in dropped:
        del slots[slot]
    return dropped


def _fit(preset: Preset, index: NameIndex, names: Sequence[str], parents: Sequence[int]) -> _Fit:
    slots: dict[str, tuple[str, ...]] = {}
    used: set[str] = set()
    trust: dict[str, float] = {}
    table = preset.slots()
    for slot, chain in table.items():
        found: list[str] = []
        quality = 0.0
        for alternatives in chain:
            for wanted in alternatives:
                hit = index.find(wanted)
                if hit is not None and hit[0] not in used:
                    found.append(hit[0])
                    used.add(hit[0])
                    quality = max(quality, hit[1])
                    break
        if found:
            slots[slot] = tuple(found)
            trust[slot] = quality
    dropped = {} if preset.controls else _check_order(slots, names, parents, preset.label)
    total = sum(weight(slot) for slot in table)
    base = sum(weight(slot) * trust[slot] for slot in slots) / max(total, 1e-9)
    marks = [index.find(mark) for mark in preset.marks]
    # a mark counts only when it is there letter for letter, but for the namespace
    sure = sum(1 for hit in marks if hit is not None and hit[1] >= 0.98) / max(len(marks), 1)
    penalty = sum(weight(slot) for slot in dropped) / max(total, 1e-9)
    coverage = len({bone for chain in slots.values() for bone in chain}) / max(len(names), 1)
    score = 0.85 * base + 0.12 * sure + 0.03 * coverage - 0.5 * penalty
    if preset.controls and base > 0.8 and sure > 0.5:
        # beside controls the deforming bones are there as well; keys belong on the controls
        score += 0.1
    return _Fit(preset, slots, float(score), dropped)


def scores(names: Sequence[str], parents: Sequence[int], presets: Sequence[Preset] = PRESETS) -> dict[str, float]:
    """Preset key -> score in [0, 1], best first."""
    index = NameIndex(names)
    fits = sorted((_fit(p, index, names, parents) for p in presets), key=lambda f: -f.score)
    return {fit.preset.key: max(fit.score, 0.0) for fit in fits}


def _mapping(fit: _Fit, names: Sequence[str], parents: Sequence[int]) -> Mapping:
    preset, known = fit.preset, set(names)
    follows = {a: b for a, b in preset.both_sides(preset.follows).items() if a in known and b in known}
    copies = {a: b for a, b in preset.both_sides(preset.copies).items() if a in known and b in known}
    properties = {a: v for a, v in preset.both_sides(preset.properties).items() if a.partition(":")[0] in known}
    return Mapping(
        fit.preset.key, fit.preset.label, {slot: fit.slots[slot] for slot in SLOTS if slot in fit.slots}, len(names),
        min(max(fit.score, 0.0), 1.0), missing_sentences(fit.slots, fit.preset, fit.dropped),
        unmapped_sentences(names, parents, fit.slots),
        tuple(fit.dropped.values()), follows, copies, properties,
        {control: slot for control, slot in preset.pole_slots().items() if control in known},
    )


def apply_preset(preset: Preset, names: Sequence[str], parents: Sequence[int]) -> Mapping:
    """The mapping that one preset gives, whatever its score is."""
    return _mapping(_fit(preset, NameIndex(names), names, parents), names, parents)


def detect(
    names: Sequence[str], parents: Sequence[int] | np.ndarray, rest: RigRest | None = None,
    presets: Sequence[Preset] = PRESETS,
) -> Mapping:
    """Recognise a rig.

    :param names: B bone names, parents before children; :param parents: (B,) index or -1.
    :param rest: rest data; without it there is no fallback by structure.
    :param presets: the tables to try, users' own ones first where they should win a tie.
    :raises UnderstudyError: ``rig_unknown`` when neither names nor structure show a body; says what is lacking.
    """
    if not names:
        raise UnderstudyError("rig_unknown", "The armature has no bones.", "Choose an armature with bones.")
    parents = [int(p) for p in parents]
    index = NameIndex(names)
    best = max((_fit(p, index, names, parents) for p in presets), key=lambda f: f.score)
    mapping = _mapping(best, names, parents)
    complete = not mapping.missing_core
    if best.score >= THRESHOLD and complete:
        return mapping
    found = by_structure(rest) if rest is not None else None
    if found is None:
        if best.score >= THRESHOLD:
            mapping.check()
            return mapping
        raise UnderstudyError("rig_unknown", "The rig was not recognised, neither by its bone names nor by its structure.",
                              "Open the bone map and choose at least hips, upper arms, forearms, thighs and shins.")
    if best.score >= THRESHOLD:
        # names tell most: structure only fills what they leave open
        used = {bone for chain in mapping.slots.values() for bone in chain}
        extra = {slot: chain for slot, chain in found.items() if slot not in mapping.slots and not used & set(chain)}
        slots = {**mapping.slots, **extra}
        warnings = (*mapping.warnings, *(f"The {LABELS[s]} was found by its place: “{c[0]}”." for s, c in extra.items()))
        result = mapping.with_slots(slots, missing=missing_sentences(slots, best.preset, best.dropped),
                                    unmapped=unmapped_sentences(names, parents, slots), warnings=warnings)
    else:
        result = Mapping("structure", "Found by structure", found, len(names), 0.5, missing_sentences(found, None, {}),
                         unmapped_sentences(names, parents, found),
                         ("The names of the bones say nothing; they were told apart by their places. Check left and right.",))
    result.check()
    return result


def detect_rest(rest: RigRest, presets: Sequence[Preset] = PRESETS) -> Mapping:
    """:func:`detect` for rest data."""
    return detect(rest.names, rest.parents, rest, presets)
