# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes: each performance in an action of its own, side by side, with the artist's own animation kept."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import BoolProperty, CollectionProperty, IntProperty, PointerProperty, StringProperty

from . import cast, compat, take_tracks, translations
from .shared.errors import UnderstudyError

if TYPE_CHECKING:
    from .shared.motion import Motion

__all__ = [
    "CLASSES", "PLACES", "UNFINISHED", "Take", "add_take", "assigned", "current", "draw", "facts_of", "forget_own", "motion_bytes",
    "motion_of", "name_of_next", "remember_own", "remember_own_parts", "show", "show_again",
]

MOTION_KEY = "understudy_motion"
FACTS_KEY = "understudy_take"
UNFINISHED = "understudy_unfinished"
"""Custom property of actions that are still being written."""
PLACES = [
    ("ACTION", "Action", "The shown take is the action of the rig and its faces"),
    ("NLA", "NLA Tracks", "Each take lies on an NLA track of its own, above yours; the shown one is heard"),
]


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


def _blocks(character: Any) -> list[Any]:
    """The character and the shape key blocks that its takes animate."""
    found = [character]
    for take in (character.understudy.own, *character.understudy.takes):
        found += [part.key for part in take.parts if part.key is not None and part.key not in found]
    return found


def _is_of_a_take(character: Any, action: Any) -> bool:
    known = {take.action for take in character.understudy.takes}
    known |= {part.action for take in character.understudy.takes for part in take.parts}
    return action in known or UNFINISHED in action


def _own_entry(character: Any, block: Any) -> Any:
    """Where the artist's own action of a data-block is remembered."""
    own = character.understudy.own
    if block == character:
        return own
    found = next((part for part in own.parts if part.key == block), None)
    if found is None:
        found = own.parts.add()
        found.key = block
    return found


def remember_own(character: Any, keys: Sequence[Any] = ()) -> None:
    """Keep what the artist has assigned, so that it can be put back; takes and unfinished actions do not count.

    An action that is no longer the artist's own one, because another has been assigned since, gets a fake user: nothing is
    lost by stepping through takes.
    """
    settings = character.understudy
    if not settings.own_stored:
        _clear(settings.own)
    for block in dict.fromkeys((*_blocks(character), *keys)):
        action = block.animation_data.action if block.animation_data else None
        entry = _own_entry(character, block)
        if action is None or action == entry.action or _is_of_a_take(character, action):
            continue
        if entry.action is not None:
            entry.action.use_fake_user = True
        entry.action, entry.slot = action, compat.assigned_slot(block)
    settings.own_stored = True


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
    compat.store_bytes(action, MOTION_KEY, motion.to_bytes(compressed=False) if content is None else content)
    action[FACTS_KEY] = json.dumps({**facts, "frames": len(motion)})
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


def _assign(character: Any, take: Any) -> None:
    """Put the actions of a take (or ``own``) onto the rig and its faces."""
    slots = {part.key: (part.action, part.slot) for part in take.parts if part.key is not None}
    slots[character] = (take.action, take.slot)
    for block in _blocks(character):
        action, slot = slots.get(block, (None, ""))
        # a face that a take says nothing about keeps what it has, unless that is another take's
        present = block.animation_data.action if block.animation_data else None
        if block in slots or (present is not None and _is_of_a_take(character, present)):
            compat.assign_action(block, action, slot)


def _actions_on(character: Any, block: Any, take: Any) -> tuple[Any, str]:
    """The action of a take for one data-block, and its slot."""
    if block == character:
        return take.action, take.slot
    part = next((p for p in take.parts if p.key == block), None)
    return (part.action, part.slot) if part is not None else (None, "")


def _show_tracks(character: Any, take: Any) -> None:
    """Let the strips of one take be heard (None: of none)."""
    settings = character.understudy
    for block in _blocks(character):
        action, slot = _actions_on(character, block, take) if take is not None else (None, "")
        if action is not None:
            take_tracks.lay(block, action, slot, take.name)
        take_tracks.only(block, action, [_actions_on(character, block, each)[0] for each in settings.takes])


def _lift_tracks(character: Any, gone: Iterable[Any]) -> None:
    gone = list(gone)
    for block in _blocks(character):
        take_tracks.lift(block, gone)


def show(character: Any, index: int) -> None:
    """Show a take by its place in the list; -1 is the artist's own animation."""
    settings = character.understudy
    remember_own(character)
    index = max(-1, min(index, len(settings.takes) - 1))
    settings.take_index = index
    take = settings.takes[index] if index >= 0 else None
    if settings.take_place == "NLA":
        _show_tracks(character, take)
        # an action that is assigned lies over the whole NLA, so the artist's own one steps aside while a take is shown
        for block in _blocks(character):
            action, slot = _actions_on(character, block, settings.own) if take is None else (None, "")
            compat.assign_action(block, action, slot)
    else:
        _assign(character, settings.own if take is None else take)


def show_again(self: Any, context: bpy.types.Context) -> None:
    """After the choice where takes lie was changed."""
    character = self.id_data
    settings = character.understudy
    if settings.take_place == "ACTION":
        _lift_tracks(character, {a for each in settings.takes for a in (each.action, *(part.action for part in each.parts))})
    if settings.takes:
        show(character, character.understudy.take_index)


@contextmanager
def assigned(character: Any) -> Iterator[None]:
    """With the shown take as the action of the rig and its faces, wherever takes lie otherwise; for exporters."""
    settings = character.understudy
    take = current(character)
    if take is None or settings.take_place != "NLA":
        yield
        return
    for block in _blocks(character):
        take_tracks.only(block, None, [_actions_on(character, block, each)[0] for each in settings.takes])
    _assign(character, take)
    try:
        yield
    finally:
        show(character, settings.take_index)


def name_of_next(character: Any) -> str:
    """What the next take's action is called."""
    return f"{character.name} take {len(character.understudy.takes) + 1}"


def current(character: Any) -> Any:
    """The take that is shown, or None."""
    settings = character.understudy
    return settings.takes[settings.take_index] if 0 <= settings.take_index < len(settings.takes) else None


def motion_bytes(action: Any) -> bytes:
    """The bytes of the motion that a take was made from. :raises UnderstudyError: ``not_found``."""
    content = action.get(MOTION_KEY) if action is not None else None
    if not isinstance(content, bytes):
        raise UnderstudyError("not_found", "There is no take to work with.", "Press Perform first.")
    return content


def motion_of(action: Any) -> "Motion":
    """The motion that a take was made from. :raises UnderstudyError: ``not_found`` or ``file_invalid``."""
    from .shared.motion import Motion

    content = motion_bytes(action)
    return Motion.from_bytes(content, f"The take {action.name}")


def facts_of(action: Any) -> dict[str, Any]:
    """Seed, directions, start frame and the like of a take; empty where there are none."""
    try:
        return dict(json.loads(action[FACTS_KEY]))
    except (KeyError, ValueError, TypeError):
        return {}


class _OnTakes(cast.OnCharacter):
    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether the character has takes."""
        if not super().poll(context):
            return False
        if not cast.active(context).understudy.takes:
            cls.poll_message_set("There is no take yet: press Perform")  # type: ignore[attr-defined]
            return False
        return True


class OnShownTake:
    """Mix-in for operators on the take that is shown."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether one is shown."""
        character = cast.active(context)
        if character is None or current(character) is None:
            cls.poll_message_set("No take is shown: press Perform first")  # type: ignore[attr-defined]
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
    _lift_tracks(character, actions)
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
    row.label(text=translations.sentence(text), translate=False)
    row.operator("understudy.take_step", text="", icon="TRIA_RIGHT").step = 1
    row.separator()
    row.operator("understudy.take_keep", text="Keep", depress=bool(take and take.kept))
    row.operator("understudy.take_discard", text="Discard")
    place = layout.row()
    place.label(text="Takes as")
    place.row().prop(settings, "take_place", expand=True)


CLASSES = (TakePart, Take, UNDERSTUDY_OT_take_step, UNDERSTUDY_OT_take_keep, UNDERSTUDY_OT_take_discard)
