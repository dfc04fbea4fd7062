# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions as they are kept with the character: strips on the scene's frames, edited as a list."""

import uuid
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, FloatVectorProperty, IntProperty, StringProperty

from . import cast

if TYPE_CHECKING:
    from .shared.timeline import Direction

__all__ = ["CLASSES", "DirectionItem", "OnCharacter", "PARTS", "activated", "draw", "from_seconds", "to_seconds"]

PARTS = [
    ("full", "Full Body", "The whole body"), ("upper", "Upper Body", "Everything above the hips"),
    ("lower", "Lower Body", "Hips and legs"), ("left_arm", "Left Arm", "Left arm and hand"),
    ("right_arm", "Right Arm", "Right arm and hand"), ("head", "Head", "Neck and head"),
]
COLOURS = {
    "full": (0.26, 0.46, 0.74), "upper": (0.55, 0.38, 0.70), "lower": (0.25, 0.58, 0.42),
    "left_arm": (0.74, 0.46, 0.24), "right_arm": (0.72, 0.32, 0.36), "head": (0.60, 0.56, 0.22),
}
SECONDS_OF_A_NEW_ONE = 3.0
WIDE_PIXELS = 300


def _refresh(self: Any, context: bpy.types.Context) -> None:
    for area in context.screen.areas if context.screen else ():
        if area.type == "DOPESHEET_EDITOR":
            area.tag_redraw()


def activated(self: Any, context: bpy.types.Context) -> None:
    """A direction that is chosen in the list is the selected one over the timeline as well."""
    item = _active(self)
    if item is not None and not item.selected:
        for other in self.directions:
            other.selected = other.uuid == item.uuid


class DirectionItem(bpy.types.PropertyGroup):
    """One strip; times are frames of the scene, and may lie between two."""

    uuid: StringProperty(options={"HIDDEN"})
    text: StringProperty(name="Direction", description="What the character does, in English", update=_refresh)
    start: FloatProperty(name="Start", description="Frame where it begins", precision=1, step=100, update=_refresh)
    end: FloatProperty(name="End", description="Frame where it ends", precision=1, step=100, update=_refresh)
    part: EnumProperty(name="Part", items=PARTS, description="What of the body obeys", update=_refresh)
    strength: FloatProperty(
        name="Strength", default=1.0, min=0.0, max=2.0, description="How strongly the words are followed")
    use_seed: BoolProperty(name="Own Seed", description="Keep this strip's own seed when the take's changes")
    seed: IntProperty(name="Seed", min=0, description="Another seed gives another performance of the same words")
    enabled: BoolProperty(name="Enabled", default=True, description="Perform this direction", update=_refresh)
    selected: BoolProperty(name="Selected", update=_refresh)
    reason: StringProperty(name="Reason", description="Why this direction was suggested; empty for your own")
    colour: FloatVectorProperty(
        name="Colour", subtype="COLOR", size=3, min=0.0, max=1.0, default=COLOURS["full"], update=_refresh)


def to_seconds(items: Any, origin: float, fps: float) -> "list[Direction]":
    """Strips as the bridge takes them, in seconds from ``origin`` (a frame)."""
    from .shared.timeline import Direction

    return [Direction((i.start - origin) / fps, (i.end - origin) / fps, i.text, i.part, i.strength,
                      i.seed if i.use_seed else None, i.enabled, i.uuid) for i in items]


def add(items: Any, direction: "Direction", origin: float, fps: float) -> Any:
    """Append a direction given in seconds; returns the new strip."""
    item = items.add()
    item.uuid = direction.uuid
    item.name = item.uuid
    item.text, item.part, item.strength, item.enabled = direction.text, direction.part, direction.strength, direction.enabled
    item.start, item.end = _on_frame(origin + direction.start * fps), _on_frame(origin + direction.end * fps)
    item.use_seed, item.seed = direction.seed is not None, (direction.seed or 0) % 2**31
    item.colour = COLOURS[direction.part]
    return item


def new(items: Any, text: str, part: str, start: float, end: float) -> Any:
    """Append a strip from frame to frame; returns it."""
    item = items.add()
    item.uuid = item.name = uuid.uuid4().hex
    item.text, item.part, item.start, item.end = text, part, start, end
    item.colour = COLOURS[part]
    return item


def _on_frame(frame: float) -> float:
    """Seconds that were meant as whole frames come back as whole frames in spite of rounding."""
    return round(frame) if abs(frame - round(frame)) < 1e-3 else frame


def from_seconds(items: Any, directions: "list[Direction]", origin: float, fps: float) -> None:
    """Put directions in the place of all strips."""
    items.clear()
    for direction in directions:
        add(items, direction, origin, fps)


class OnCharacter(cast.OnCharacter):
    """For operators that need a character, some of them a direction; the reason is shown on the greyed button."""

    needs_item = False

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is a character, and a direction where one is needed."""
        if not super().poll(context):
            return False
        if cls.needs_item and not cast.active(context).understudy.directions:
            cls.poll_message_set("There is no direction yet")  # type: ignore[attr-defined]
            return False
        return True


def _active(settings: Any) -> Any:
    index = settings.direction_index
    return settings.directions[index] if 0 <= index < len(settings.directions) else None


class UNDERSTUDY_OT_direction_add(OnCharacter, bpy.types.Operator):
    """Add a direction at the current frame"""

    bl_idname = "understudy.direction_add"
    bl_label = "Add Direction"
    bl_options = {"REGISTER", "UNDO"}

    text: StringProperty(name="Direction")
    part: EnumProperty(name="Part", items=PARTS)
    start: FloatProperty(name="Start", default=-1.0, options={"SKIP_SAVE"}, description="Frame; -1: the current one")
    end: FloatProperty(name="End", default=-1.0, options={"SKIP_SAVE"}, description="Frame; -1: three seconds after the start")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Append the strip and make it the active one."""
        settings = cast.active(context).understudy
        fps = cast.fps(context.scene)
        start = float(context.scene.frame_current) if self.start < 0 else self.start
        end = start + round(SECONDS_OF_A_NEW_ONE * fps) if self.end < 0 else self.end
        new(settings.directions, self.text, self.part, start, end)
        settings.direction_index = len(settings.directions) - 1
        return {"FINISHED"}


class UNDERSTUDY_OT_direction_remove(OnCharacter, bpy.types.Operator):
    """Delete the direction"""

    bl_idname = "understudy.direction_remove"
    bl_label = "Delete Direction"
    bl_options = {"REGISTER", "UNDO"}
    needs_item = True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove the active strip."""
        settings = cast.active(context).understudy
        settings.directions.remove(settings.direction_index)
        settings.direction_index = max(0, min(settings.direction_index, len(settings.directions) - 1))
        return {"FINISHED"}


class UNDERSTUDY_OT_direction_duplicate(OnCharacter, bpy.types.Operator):
    """Copy the direction to the time after it"""

    bl_idname = "understudy.direction_duplicate"
    bl_label = "Duplicate Direction"
    bl_options = {"REGISTER", "UNDO"}
    needs_item = True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Append a copy that begins where the original ends."""
        settings = cast.active(context).understudy
        old = _active(settings)
        if old is None:
            return {"CANCELLED"}
        duplicate(settings.directions, settings.direction_index, old.end - old.start)
        settings.direction_index = len(settings.directions) - 1
        return {"FINISHED"}


def duplicate(items: Any, index: int, shift: float) -> Any:
    """Append a copy of a strip, moved by ``shift`` frames; returns the copy."""
    item = items.add()
    old = items[index]  # fetched after add(), which may move the collection in memory
    for name in ("text", "part", "strength", "use_seed", "seed", "enabled", "colour"):
        setattr(item, name, getattr(old, name))
    item.uuid = item.name = uuid.uuid4().hex
    item.start, item.end = old.start + shift, old.end + shift
    return item


class UNDERSTUDY_OT_direction_clear(OnCharacter, bpy.types.Operator):
    """Delete all directions of the character"""

    bl_idname = "understudy.direction_clear"
    bl_label = "Delete All Directions"
    bl_options = {"REGISTER", "UNDO"}
    needs_item = True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Empty the list."""
        cast.active(context).understudy.directions.clear()
        return {"FINISHED"}


class UNDERSTUDY_UL_directions(bpy.types.UIList):
    """Colour, part, words and time of each strip."""

    def draw_item(self, context: bpy.types.Context, layout: Any, data: Any, item: Any, icon: int,
                  active_data: Any, active_property: str, index: int = 0, flt_flag: int = 0) -> None:
        """One row."""
        row = layout.row(align=True)
        row.active = item.enabled
        swatch = row.row(align=True)
        swatch.ui_units_x = 0.6
        swatch.prop(item, "colour", text="")
        row.prop(item, "text", text="", emboss=False, icon="OUTLINER_OB_LIGHT" if item.reason else "NONE")
        # in a narrow sidebar the words need the room; the times of the active one stand under the list
        if context.region.width > WIDE_PIXELS * context.preferences.system.ui_scale:
            times = row.row(align=True)
            times.ui_units_x = 3.4
            times.alignment = "RIGHT"
            times.label(text=f"{item.start:.0f}–{item.end:.0f}")
        row.prop(item, "selected", text="", icon="RESTRICT_SELECT_OFF" if item.selected else "RESTRICT_SELECT_ON", emboss=False)
        row.prop(item, "enabled", text="", icon="HIDE_OFF" if item.enabled else "HIDE_ON", emboss=False)

    def filter_items(self, context: bpy.types.Context, data: Any, propname: str) -> tuple[list[int], list[int]]:
        """Search by words; in the order of time."""
        items = getattr(data, propname)
        flags = bpy.types.UI_UL_list.filter_items_by_name(self.filter_name, self.bitflag_filter_item, items, "text") \
            if self.filter_name else []
        order = sorted(range(len(items)), key=lambda n: items[n].start)
        rank = [0] * len(order)
        for place, n in enumerate(order):
            rank[n] = place
        return flags, rank


def draw(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """The panel's content."""
    settings = character.understudy
    row = layout.row()
    row.template_list("UNDERSTUDY_UL_directions", "", settings, "directions", settings, "direction_index", rows=4)
    column = row.column(align=True)
    column.operator("understudy.direction_add", text="", icon="ADD")
    column.operator("understudy.direction_remove", text="", icon="REMOVE")
    column.operator("understudy.direction_duplicate", text="", icon="DUPLICATE")
    column.prop(context.window_manager.understudy, "show_strips", text="", icon="NLA")
    column.separator()
    column.menu("UNDERSTUDY_MT_directions", text="", icon="DOWNARROW_HLT")
    item = _active(settings)
    if item is None:
        return
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(item, "text", text="Words")
    times = column.row(align=True)
    times.prop(item, "start")
    times.prop(item, "end", text="")
    column.prop(item, "part")
    column.prop(item, "strength", slider=True)
    row = column.row(heading="Own Seed")
    row.prop(item, "use_seed", text="")
    sub = row.row()
    sub.active = item.use_seed
    sub.prop(item, "seed", text="")
    row = layout.row(align=True)
    for action, label, icon in (("SPLIT", "Split", "SNAP_MIDPOINT"), ("MUTE", "Mute", "HIDE_ON"), ("SEED", "New Seed", "FILE_REFRESH"),
                                ("EARLIER", "", "TRIA_LEFT"), ("LATER", "", "TRIA_RIGHT"), ("SELECT_ALL", "", "SELECT_EXTEND")):
        row.operator("understudy.strips", text=label, icon=icon).action = action


CLASSES = (
    DirectionItem, UNDERSTUDY_OT_direction_add, UNDERSTUDY_OT_direction_remove, UNDERSTUDY_OT_direction_duplicate,
    UNDERSTUDY_OT_direction_clear, UNDERSTUDY_UL_directions,
)
