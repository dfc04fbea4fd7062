# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of recognising a rig: bones by slot, and a sentence for everything that was left out."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field

from ...shared.errors import UnderstudyError
from .slots import CORE, LABELS, SLOTS, TWIST

__all__ = ["Mapping"]


@dataclass(frozen=True)
class Mapping:
    """Which bones play which part.

    :ivar preset: key of the preset, ``structure`` for the fallback, ``user`` for hand-made ones.
    :ivar label: what the panel calls the rig ("Mixamo").
    :ivar slots: slot of :data:`.slots.SLOTS` -> chain of bone names from the root outwards; only filled ones.
    :ivar bone_count: bones of the rig.
    :ivar score: 0 to 1, how well the preset fits.
    :ivar missing: slot -> sentence, for slots that a body has and the rig does not.
    :ivar unmapped: bone -> sentence, for bones that follow their parent.
    :ivar warnings: sentences about doubtful matches.
    :ivar follows: bone -> control that it moves with by constraints; :ivar copies: control -> bone whose place it takes;
    :ivar poles: pole control -> elbow or knee slot; :ivar properties: ``bone:property`` -> value. All four as in
        :class:`.preset.Preset`, for rigs with controls.
    """

    preset: str
    label: str
    slots: MappingType[str, tuple[str, ...]]
    bone_count: int = 0
    score: float = 1.0
    missing: MappingType[str, str] = field(default_factory=dict)
    unmapped: MappingType[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    follows: MappingType[str, str] = field(default_factory=dict)
    copies: MappingType[str, str] = field(default_factory=dict)
    properties: MappingType[str, float] = field(default_factory=dict)
    poles: MappingType[str, str] = field(default_factory=dict)

    def bones(self, slot: str) -> tuple[str, ...]:
        """The chain in a slot, empty when there is none."""
        return tuple(self.slots.get(slot, ()))

    def first(self, slot: str) -> str | None:
        """The chain's first bone, whose head is the joint."""
        chain = self.bones(slot)
        return chain[0] if chain else None

    @property
    def mapped_bones(self) -> tuple[str, ...]:
        """All bones in slots, in slot order."""
        return tuple(bone for slot in SLOTS for bone in self.bones(slot))

    @property
    def summary(self) -> str:
        """As in "Mixamo · 52/52 bones"."""
        return f"{self.label} · {len(self.mapped_bones)}/{self.bone_count} bones"

    @property
    def missing_core(self) -> tuple[str, ...]:
        """Slots of :data:`.slots.CORE` that are empty."""
        return tuple(slot for slot in CORE if not self.bones(slot))

    def check(self) -> None:
        """:raises UnderstudyError: ``rig_unknown`` when too little of a body is mapped to perform."""
        lacking = [slot for slot in self.missing_core if slot not in ("head", "spine", "left_wrist", "right_wrist",
                                                                     "left_ankle", "right_ankle")]
        if lacking:
            names = ", ".join(LABELS[slot] for slot in lacking[:4]) + (" and more" if len(lacking) > 4 else "")
            raise UnderstudyError("rig_unknown", f"The rig's bones for {names} were not recognised.",
                                  "Open the bone map and choose these bones, or load a preset for this rig.")

    def with_slots(self, slots: MappingType[str, tuple[str, ...]], **changes: object) -> Mapping:
        """A copy with other slots; empty ones are dropped."""
        kept = {slot: tuple(slots[slot]) for slot in SLOTS if slots.get(slot)}
        values = {"preset": self.preset, "label": self.label, "bone_count": self.bone_count, "score": self.score,
                  "missing": self.missing, "unmapped": self.unmapped, "warnings": self.warnings, "follows": self.follows,
                  "copies": self.copies, "properties": self.properties, "poles": self.poles, **changes}
        return Mapping(slots=kept, **values)  # type: ignore[arg-type]

    @property
    def twist_slots(self) -> tuple[str, ...]:
        """The filled twist slots."""
        return tuple(slot for slot in TWIST if self.bones(slot))
