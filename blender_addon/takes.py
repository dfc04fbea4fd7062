# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes: each performance in an action of its own, side by side, with the artist's own animation kept."""

import json
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import BoolProperty, CollectionProperty, IntProperty, PointerProperty, StringProperty

from . import cast, compat
from .shared.errors import UnderstudyError

if TYPE_CHECKING:
    from .shared.motion import Motion

__all__ = [
    "CLASSES", "Take", "add_take", "assign", "current", "draw", "forget_own", "motion_of",
    "remember_own", "remember_own_parts", "show",
]

MOTION_KEY = "understudy_motion"
FACTS_KEY = "understudy_take"


class TakePart(bpy.types.PropertyGroup):
    """The animation of one shape key block."""

    key: PointerProperty(type=bpy.types.Key)
    action: PointerProperty(type=bpy.types.Action)
    slot: StringProperty()


class Take(bpy.types.PropertyGroup):
    """One performance, or (as ``own``) what was assigned before the first one."""

    action: PointerProperty(type=bpy.types.Action)
    slot: StringProperty()
    seed: IntProperty()
    kept: BoolProperty(name="Kept", description="Is not discarded together with the other takes")
    parts: CollectionProperty(type=TakePart)


def _clear(take: Any) -> None:
    take.action, take.slot = None, ""
    take.parts.clear()


def remember_own(character: Any, keys: list[Any]) -> None:
    """Before the first take: keep what the artist has assigned, so that it can be put back."""
    settings = character.understudy
    if settings.own_stored:
        known = {part.key for part in settings.own.parts}
    else:
        _clear(settings.own)
        data = character.animation_data
        settings.own.action = data.action if data else None
        settings.own.slot = compat.assigned_slot(character)
        settings.own_stored = True
        known = set()
    for key in keys:
        if key not in known:
            part = settings.own.parts.add()
            part.key = key
            part.action = key.animation_data.action if key.animation_data else None
            part.slot = compat.assigned_slot(key)


def remember_own_parts(character: Any, formers: list[tuple[Any, Any, str]]) -> None:
    """The same for shape key blocks that were not there before: block, what was assigned to it, slot."""
    parts = character.understudy.own.parts
    for key, action, slot in formers:
        if all(part.key != key for part in parts):
            part = parts.add()
            part.key, part.action, part.slot = key, action, slot


def forget_own(character: Any) -> None:
    """The inverse of :func:`remember_own`, where no take came of it."""
    if not character.understudy.takes:
        _clear(character.understudy.own)
        character.understudy.own_stored = False


def add_take(character: Any, body: "compat.ActionTarget | compat.SlotOf",
             faces: "list[tuple[Any, compat.ActionTarget]] | list[tuple[Any, compat.SlotOf]]", motion: "Motion",
             facts: dict[str, Any], content: bytes | None = None) -> Any:
    """Enter a written take into the character's list, with its motion and facts kept on the action.

    :param content: the bytes of the motion, where they have been made already.
    """
    settings = character.understudy
    action = body.action
    compat.store_bytes(action, MOTION_KEY, motion.to_bytes() if content is None else content)
    action[FACTS_KEY] = json.dumps(facts)
    take = settings.takes.add()
    take.name = action.name
    take.action = action
    take.slot = body.slot.identifier if body.slot else ""
    take.seed = int(facts.get("seed", 0)) % 2**31
    for key, target in faces:
        part = take.parts.add()
        part.key, part.action = key, target.action
        part.slot = target.slot.identifier if target.slot else ""
    return take


def assign(character: Any, take: Any) -> None:
    """Put a take (or ``own``) onto the rig and its faces."""
    compat.assign_action(character, take.action, take.slot)
    for part in take.parts:
        if part.key is not None:
            compat.assign_action(part.key, part.action, part.slot)


def show(character: Any, index: int) -> None:
    """Show a take by its place in the list; -1 is the artist's own animation."""
    settings = character.understudy
    index = max(-1, min(index, len(settings.takes) - 1))
    settings.take_index = index
    assign(character, settings.own if index < 0 else settings.takes[index])


def current(character: Any) -> Any:
    """The take that is shown, or None."""
    settings = character.understudy
    return settings.takes[settings.take_index] if 0 <= settings.take_index < len(settings.takes) else None


def motion_of(action: Any) -> "Motion":
    """The motion that a take was made from. :raises UnderstudyError: ``not_found`` or ``file_invalid``."""
    from .shared.motion import Motion

    content = action.get(MOTION_KEY) if action is not None else None
    if not isinstance(content, bytes):
        raise UnderstudyError("not_found", "There is no take to work with.", "Press Perform first.")
    return Motion.from_bytes(content, f"The take {action.name}")


def facts_of(action: Any) -> dict[str, Any]:
    """Seed, directions, start frame and the like of a take; empty where there are none."""
    try:
        return dict(json.loads(action[FACTS_KEY]))
    except (KeyError, ValueError, TypeError):
        return {}


class _OnTakes:
    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether the character has takes."""
        character = cast.active(context)
        if character is None:
            cls.poll_message_set(cast.NO_CHARACTER)  # type: ignore[attr-defined]
            return False
        if not character.understudy.takes:
            cls.poll_message_set("There is no take yet: press Perform")  # type: ignore[attr-defined]
            return False
        return True


class UNDERSTUDY_OT_take_step(_OnTakes, bpy.types.Operator):
    """Show the take before or after; before the first one comes your own animation"""

    bl_idname = "understudy.take_step"
    bl_label = "Step Through Takes"
    bl_options = {"REGISTER", "UNDO"}

    step: IntProperty(name="Step", default=1)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Assign the neighbour."""
        character = cast.active(context)
        show(character, character.understudy.take_index + self.step)
        return {"FINISHED"}


class UNDERSTUDY_OT_take_keep(_OnTakes, bpy.types.Operator):
    """Keep the shown take and discard the others that are not kept"""

    bl_idname = "understudy.take_keep"
    bl_label = "Keep"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Mark the take, remove the rest."""
        character = cast.active(context)
        settings = character.understudy
        take = current(character)
        if take is None:
            self.report({"WARNING"}, "Your own animation is shown; step to a take first")
            return {"CANCELLED"}
        take.kept = True
        for index in reversed(range(len(settings.takes))):
            if index != settings.take_index and not settings.takes[index].kept:
                discard(character, index)
        return {"FINISHED"}


class UNDERSTUDY_OT_take_discard(_OnTakes, bpy.types.Operator):
    """Delete the shown take; with the last one, your own animation comes back"""

    bl_idname = "understudy.take_discard"
    bl_label = "Discard"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove it and show its neighbour."""
        character = cast.active(context)
        settings = character.understudy
        if current(character) is None:
            self.report({"WARNING"}, "Your own animation is shown; it is not discarded")
            return {"CANCELLED"}
        index = settings.take_index
        discard(character, index)
        show(character, min(index, len(settings.takes) - 1))
        return {"FINISHED"}


def discard(character: Any, index: int) -> None:
    """Remove a take and its actions; the index of the shown one follows."""
    settings = character.understudy
    take = settings.takes[index]
    actions = {take.action, *(part.action for part in take.parts)} - {None}
    settings.takes.remove(index)
    if settings.take_index > index:
        settings.take_index -= 1
    for action in actions:
        bpy.data.actions.remove(action)


def draw(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """The row of takes."""
    settings = character.understudy
    if not settings.takes:
        return
    row = layout.row(align=True)
    row.operator("understudy.take_step", text="", icon="TRIA_LEFT").step = -1
    take = current(character)
    text = "Your own" if take is None else f"Take {settings.take_index + 1} / {len(settings.takes)}  ·  seed {take.seed}"
    row.label(text=text)
    row.operator("understudy.take_step", text="", icon="TRIA_RIGHT").step = 1
    row.separator()
    row.operator("understudy.take_keep", text="Keep", depress=bool(take and take.kept))
    row.operator("understudy.take_discard", text="Discard")


CLASSES = (TakePart, Take, UNDERSTUDY_OT_take_step, UNDERSTUDY_OT_take_keep, UNDERSTUDY_OT_take_discard)
