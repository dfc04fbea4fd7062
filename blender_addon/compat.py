# SPDX-License-Identifier: GPL-3.0-or-later
"""Every difference between Blender 4.2 and 5.2 that the add-on meets, and nothing else.

Features are tested for, versions are not compared, so that a build between two releases works too.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import bpy

__all__ = [
    "ActionTarget", "SlotOf", "action_curves", "action_of", "action_targets", "assign_action", "assigned_slot",
    "curves_with_slots", "existing_target", "has_slots", "has_sound", "new_action", "new_text_strip", "sequencer_scene", "session_uid",
    "set_strip_slot", "slot_of", "sound_module", "sound_offset", "store_bytes", "strip_start", "strips", "window_override",
]


def has_slots() -> bool:
    """Whether one action can animate several data-blocks (4.4 and later)."""
    return "slots" in bpy.types.Action.bl_rna.properties


def has_sound() -> bool:
    """Whether this Blender was built with sound (the 4.2 wheel was not)."""
    # Debian's build has sound without the Python module aud, so that importing it tells nothing
    options: Any = bpy.app.build_options
    return bool(options.audaspace)


def sound_module() -> Any:
    """Blender's module ``aud``, or None where it is not there."""
    try:
        import aud
    except ImportError:
        return None
    return aud


_STILL_SECONDS = 5.0


def mixdown(path: Path) -> bool:
    """Write the sequencer's sound to a WAV file, and wait until it is complete; whether it was.

    From 5.2 on the operator returns at once and a job of Blender's writes the file. Without a window such a job never ends, and no
    second one begins before another file is opened; then nothing is written.
    """
    bpy.ops.sound.mixdown(filepath=str(path), container="WAV", codec="PCM", format="S16", mixrate=48000)
    size, since = -1, time.monotonic()
    while time.monotonic() - since < _STILL_SECONDS:
        content = path.stat().st_size if path.is_file() else 0
        if content >= 44:
            with path.open("rb") as file:
                # the length in the heading is written last
                if int.from_bytes(file.read(8)[4:], "little") == content - 8:
                    return True
        if content != size:
            size, since = content, time.monotonic()
        time.sleep(0.01)
    return False


def session_uid(block: Any) -> int:
    """A number that names a data-block until the file is closed, whatever it is renamed to."""
    return int(block.session_uid)


def action_of(uid: int) -> Any:
    """The action with a session uid. :raises LookupError: where it is gone."""
    found = next((a for a in bpy.data.actions if session_uid(a) == uid), None)
    if found is None:
        raise LookupError("the action is gone")
    return found


class ActionTarget:
    """Where the curves of one data-block go: a slot of a shared action, or (4.2, 4.3) an action of its own.

    :ivar action: the action that holds the curves.
    :ivar slot: the slot, or None before 4.4.
    """

    def __init__(self, action: Any, slot: Any, curves: Any, groups: Any) -> None:
        self.action = action
        self.slot = slot
        self.curves = curves
        self._groups = groups
        parameters = curves.bl_rna.functions["new"].parameters if hasattr(curves, "bl_rna") else {}
        self._group_argument = next((n for n in ("group_name", "action_group") if n in parameters), "")

    def new_curve(self, data_path: str, index: int, group: str) -> Any:
        """A new F-curve in the named channel group."""
        if self._group_argument and group:
            return self.curves.new(data_path, index=index, **{self._group_argument: group})
        curve = self.curves.new(data_path, index=index)
        if group:
            curve.group = self._groups.get(group) or self._groups.new(group)
        return curve


def new_action(name: str) -> Any:
    """An empty action that survives saving although nothing may use it yet."""
    action = bpy.data.actions.new(name)
    action.use_fake_user = True
    return action


def action_targets(action: Any, block: Any, id_type: str) -> ActionTarget:
    """Make room for a data-block's curves.

    :param block: the object or shape key block that will be animated.
    :param id_type: "OBJECT" or "KEY".
    """
    if has_slots():
        layer = action.layers[0] if action.layers else action.layers.new("Layer")
        strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
        slot = action.slots.new(id_type=id_type, name=block.name)
        bag = strip.channelbag(slot, ensure=True)
        return ActionTarget(action, slot, bag.fcurves, bag.groups)
    if id_type != "OBJECT":
        action = new_action(f"{action.name} {block.name}")
    return ActionTarget(action, None, action.fcurves, action.groups)


def existing_target(action: Any, slot_identifier: str) -> ActionTarget:
    """The place that :func:`action_targets` has made before."""
    if not has_slots():
        return ActionTarget(action, None, action.fcurves, action.groups)
    slot = action.slots[slot_identifier]
    bag = action.layers[0].strips[0].channelbag(slot, ensure=True)
    return ActionTarget(action, slot, bag.fcurves, bag.groups)


def action_curves(action: Any, slot_identifier: str = "") -> list[Any]:
    """The F-curves of an action, of one slot where a slot is named."""
    if not has_slots():
        return list(action.fcurves)
    return [curve for layer in action.layers for strip in layer.strips for bag in strip.channelbags
            if not slot_identifier or bag.slot.identifier == slot_identifier for curve in bag.fcurves]


def store_bytes(block: Any, key: str, content: bytes) -> None:
    """A custom property of bytes. Over an existing one Blender would keep only what is before the first zero."""
    if key in block:
        del block[key]
    block[key] = content


class SlotOf(NamedTuple):
    """An action and the slot (None before 4.4) that a data-block uses of it."""

    action: Any
    slot: Any


def slot_of(action: Any, identifier: str) -> SlotOf:
    """The named slot of an action."""
    return SlotOf(action, action.slots.get(identifier) if has_slots() and identifier else None)


def curves_with_slots(action: Any) -> list[tuple[str, Any]]:
    """Slot identifier ("" before 4.4) and F-curve, of all curves of an action."""
    if not has_slots():
        return [("", curve) for curve in action.fcurves]
    return [(str(bag.slot.identifier), curve) for layer in action.layers for strip in layer.strips
            for bag in strip.channelbags for curve in bag.fcurves]


def assigned_slot(block: Any) -> str:
    """The identifier of the slot in use on a data-block, or ""."""
    data = block.animation_data
    if data is None or not has_slots() or data.action_slot is None:
        return ""
    return str(data.action_slot.identifier)


def assign_action(block: Any, action: Any, slot_identifier: str = "") -> None:
    """Use an action (or None) on a data-block, and the right slot of it."""
    data = block.animation_data or (block.animation_data_create() if action is not None else None)
    if data is None:
        return
    if data.use_tweak_mode:
        data.use_tweak_mode = False  # while a strip of the NLA is tweaked, the action cannot be changed
    data.action = action
    if action is not None and has_slots() and slot_identifier:
        # an action that is assigned without its slot animates nothing, in silence
        data.action_slot = action.slots.get(slot_identifier)


def set_strip_slot(strip: Any, slot_identifier: str) -> None:
    """Choose the slot that an NLA strip plays; nothing before 4.4, where an action has none."""
    if has_slots() and slot_identifier:
        strip.action_slot = strip.action.slots.get(slot_identifier)


def sequencer_scene(context: Any) -> Any:
    """The scene whose sequencer the artist sees; from 5.0 on the workspace can name another than the active one."""
    workspace = getattr(context, "workspace", None)
    return getattr(workspace, "sequencer_scene", None) or context.scene


def strips(scene: Any, *, create: bool = False) -> Any:
    """The sequencer's strips; an empty tuple where there is no sequencer and ``create`` is not set."""
    editor = scene.sequence_editor
    if editor is None:
        if not create:
            return ()
        editor = scene.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def new_text_strip(scene: Any, name: str, channel: int, start: int, length: int) -> Any:
    """A text strip in the sequencer; before 5.0 its end was asked for instead of its length."""
    collection = strips(scene, create=True)
    lasts = {"length": length} if "length" in collection.bl_rna.functions["new_effect"].parameters else {"frame_end": start + length}
    return collection.new_effect(name=name, type="TEXT", channel=channel, frame_start=start, **lasts)


def strip_start(strip: Any) -> float:
    """The frame at which the strip's content begins, trimmed or not."""
    return float(strip.content_start if hasattr(strip, "content_start") else strip.frame_start)


def sound_offset(strip: Any) -> float:
    """Seconds by which a sound begins later than its strip; earlier releases do not have it."""
    return float(getattr(strip, "sound_offset", 0.0))


def strip_range(strip: Any) -> tuple[float, float]:
    """The frames from which and up to which the strip is heard or seen."""
    if hasattr(strip, "left_handle") and hasattr(strip, "right_handle"):
        return float(strip.left_handle), float(strip.right_handle)
    return float(strip.frame_final_start), float(strip.frame_final_end)


@contextmanager
def window_override() -> Iterator[None]:
    """A context with a window, for operators called from a timer, where there may be none."""
    if bpy.context.window is None and bpy.context.window_manager.windows:
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
            yield
    else:
        yield
