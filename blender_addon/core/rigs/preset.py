# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rig preset is: a table of bone names by slot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .slots import SIDES, SLOTS

__all__ = ["Preset"]


@dataclass(frozen=True)
class Preset:
    """Names of one kind of rig.

    A slot's value is a chain of bones from the root outwards, separated by spaces; ``a|b`` are alternatives for one
    bone; a bone of the chain that a rig lacks is left out. Names with spaces are written with ``_`` in their place:
    where letter for letter fails, names are compared without regard to case and separators.

    :ivar key: stable identifier; :ivar label: for the panel.
    :ivar sides: what stands for ``*`` on the left and on the right.
    :ivar middle: slot -> chain; :ivar paired: slot without its side -> chain with ``*`` for the side.
    :ivar marks: names that only this kind of rig has; each one found speaks for the preset.
    :ivar exact: slot -> chain of names as they are, with spaces and all; in place of the two tables.
    :ivar controls: bones are controls of a rig with constraints, not the bones that deform.
    :ivar follows: bone -> control that it moves with by constraints, whatever its parent is.
    :ivar copies: control -> mapped bone whose place and turn it takes too (IK controls beside FK ones).
    :ivar poles: control that an elbow or knee looks at -> ``elbow`` or ``knee``.
    :ivar properties: ``bone:property`` -> value that makes the rig obey the controls above.
    """

    key: str
    label: str
    sides: tuple[str, str]
    middle: dict[str, str]
    paired: dict[str, str]
    marks: tuple[str, ...] = ()
    controls: bool = False
    follows: dict[str, str] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    properties: dict[str, float] = field(default_factory=dict)
    exact: dict[str, tuple[str, ...]] = field(default_factory=dict)
    poles: dict[str, str] = field(default_factory=dict)

    def both_sides(self, table: dict[str, Any]) -> dict[str, Any]:
        """A table of names with ``*`` written out for left and right."""
        result: dict[str, Any] = {}
        for key, value in table.items():
            for token in self.sides if "*" in key else ("",):
                result[key.replace("*", token)] = value.replace("*", token) if isinstance(value, str) else value
        return result

    def pole_slots(self) -> dict[str, str]:
        """Pole control -> slot, sides filled in."""
        return {control.replace("*", token): f"{side}_{part}" for control, part in self.poles.items()
                for side, token in zip(SIDES, self.sides, strict=True)}

    def slots(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        """Slot -> chain of alternatives, sides filled in, in the order of :data:`.slots.SLOTS`."""
        if self.exact:
            return {slot: tuple((bone,) for bone in self.exact[slot]) for slot in SLOTS if slot in self.exact}
        table = dict(self.middle)
        for stem, chain in self.paired.items():
            for side, token in zip(SIDES, self.sides, strict=True):
                table[f"{side}_{stem}"] = chain.replace("*", token)
        unknown = set(table) - set(SLOTS)
        if unknown:
            raise ValueError(f"preset {self.key} names unknown slots {sorted(unknown)}")
        return {slot: tuple(tuple(bone.split("|")) for bone in table[slot].split()) for slot in SLOTS if slot in table}


def fingers(pattern: str, names: tuple[str, str, str, str, str], numbers: tuple[str, str, str] = ("1", "2", "3")) -> dict[str, str]:
    """Finger entries of a table: ``pattern`` with ``{f}`` and ``{n}`` for thumb, index, middle, ring, pinky, 1 to 3."""
    slots = ("thumb", "index", "middle", "ring", "pinky")
    return {f"{slot}{i + 1}": pattern.format(f=name, n=number)
            for slot, name in zip(slots, names, strict=True) for i, number in enumerate(numbers)}
