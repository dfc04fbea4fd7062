# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done with the selected strips, from menus, keys and scripts; and the key map of the board.

What is done here can be done in the list of the panel as well.
"""

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from . import cast, directions, overlay
from .overlay_mouse import OverStrips, item_of, select_only, selected, shortest

__all__ = ["CLASSES", "KEYS"]


class UNDERSTUDY_OT_strip_edit(cast.OnCharacter, bpy.types.Operator):
    """Type the words of a direction, and set its part and strength"""

    bl_idname = "understudy.strip_edit"
    bl_label = "Edit Direction"
    bl_options = {"REGISTER", "UNDO"}

    identity: StringProperty(options={"HIDDEN", "SKIP_SAVE"})
    text: StringProperty(name="Words")
    part: EnumProperty(name="Part", items=directions.PARTS)
    strength: FloatProperty(name="Strength", default=1.0, min=0.0, max=2.0)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        """Open the dialog for the strip under the mouse, or for the given one."""
        character = cast.active(context)
        if not self.identity:
            if not overlay.visible(context):
                return {"PASS_THROUGH"}
            hit = overlay.board_of(context, character).at(event.mouse_region_x, event.mouse_region_y)
            if hit is None:
                return {"PASS_THROUGH"}
            self.identity = hit.uuid
        item = item_of(character.understudy, self.identity)
        if item is None:
            return {"CANCELLED"}
        self.text, self.part, self.strength = item.text, item.part, item.strength
        return context.window_manager.invoke_props_dialog(self, width=400)

    def draw(self, context: bpy.types.Context) -> None:
        """The dialog."""
        layout: Any = self.layout
        layout.activate_init = True
        layout.prop(self, "text")
        layout.prop(self, "part")
        layout.prop(self, "strength", slider=True)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write what was typed."""
        item = item_of(cast.active(context).understudy, self.identity)
        if item is None:
            self.report({"ERROR"}, "This direction is gone")
            return {"CANCELLED"}
        item.text, item.part, item.strength = self.text, self.part, self.strength
        return {"FINISHED"}


ACTIONS = [
    ("SPLIT", "Split", "Cut the selected directions at the current frame"),
    ("DUPLICATE", "Duplicate", "Copy the selected directions to the time after them"),
    ("DELETE", "Delete", "Delete the selected directions"),
    ("MUTE", "Mute", "Perform the selected directions, or do not"),
    ("SEED", "New Seed", "Another performance of the same words"),
    ("EARLIER", "Earlier", "Move the selected directions one frame back"),
    ("LATER", "Later", "Move the selected directions one frame on"),
    ("SELECT_ALL", "Select All", "Select all directions, or none where all are"),
]


class UNDERSTUDY_OT_strips(bpy.types.Operator):
    """Work on the selected directions"""

    bl_idname = "understudy.strips"
    bl_label = "Directions"
    # without REGISTER: the panel to adjust the last operation would lie over the strips
    bl_options = {"UNDO"}

    action: EnumProperty(name="Action", items=ACTIONS)
    here_only: BoolProperty(options={"HIDDEN", "SKIP_SAVE"}, description="Only with the mouse on the board")
    frame: IntProperty(name="Frame", default=-1, options={"SKIP_SAVE"}, description="To split at; -1: the current one")
    far: BoolProperty(name="Ten Frames", options={"SKIP_SAVE"}, description="Move by ten frames at once")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether the character has directions."""
        character = cast.active(context)
        if character is None:
            cls.poll_message_set(cast.NO_CHARACTER)
            return False
        if not character.understudy.directions:
            cls.poll_message_set("There is no direction yet")
            return False
        return True

    @classmethod
    def description(cls, context: bpy.types.Context, properties: Any) -> str:
        """The tooltip of the action."""
        return next((text for key, _, text in ACTIONS if key == properties.action), "")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """From a key: only where the mouse is on the board, so that the editors keep their own keys elsewhere."""
        if self.here_only:
            if not overlay.visible(context):
                return {"PASS_THROUGH"}
            if not overlay.board_of(context, cast.active(context)).contains(event.mouse_region_y):
                return {"PASS_THROUGH"}
        return self.execute(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Do it."""
        settings = cast.active(context).understudy
        # a key acts on what is seen to be selected, never on the list's active row
        items = [d for d in settings.directions if d.selected] if self.here_only else selected(settings)
        chosen = [d.uuid for d in items]
        if self.action == "SELECT_ALL":
            everything = all(d.selected for d in settings.directions)
            for item in settings.directions:
                item.selected = not everything
        elif not chosen:
            self.report({"INFO"}, "No direction is selected")
            return {"CANCELLED"}
        elif self.action == "SPLIT":
            return self._split(context, settings, chosen)
        elif self.action == "DUPLICATE":
            self._duplicate(settings, chosen)
        elif self.action == "DELETE":
            for n in reversed(range(len(settings.directions))):
                if settings.directions[n].uuid in chosen:
                    settings.directions.remove(n)
            settings.direction_index = max(0, min(settings.direction_index, len(settings.directions) - 1))
        else:
            items = [item_of(settings, identity) for identity in chosen]
            step = {"EARLIER": -1.0, "LATER": 1.0}.get(self.action, 0.0) * (10 if self.far else 1)
            performing = any(item.enabled for item in items)
            for item in items:
                if step:
                    item.start, item.end = item.start + step, item.end + step
                elif self.action == "MUTE":
                    item.enabled = not performing
                else:
                    item.use_seed, item.seed = True, (item.seed + 1) % 2**31
        _redraw(context)
        return {"FINISHED"}

    def _split(self, context: bpy.types.Context, settings: Any, chosen: list[str]) -> set[str]:
        frame = context.scene.frame_current if self.frame < 0 else self.frame
        room = shortest(context)
        cut = [i for i in chosen if (d := item_of(settings, i)).start + room <= frame <= d.end - room]
        if not cut:
            self.report({"INFO"}, f"No selected direction can be cut at frame {frame}")
            return {"CANCELLED"}
        for identity in cut:
            index = next(n for n, d in enumerate(settings.directions) if d.uuid == identity)
            second = directions.duplicate(settings.directions, index, 0.0)
            first = settings.directions[index]
            first.end, second.start, second.selected = frame, frame, first.selected
        _redraw(context)
        return {"FINISHED"}

    def _duplicate(self, settings: Any, chosen: list[str]) -> None:
        items = [item_of(settings, identity) for identity in chosen]
        shift = max(d.end for d in items) - min(d.start for d in items)
        copies = [directions.duplicate(settings.directions, next(n for n, d in enumerate(settings.directions)
                                                                 if d.uuid == identity), shift).uuid for identity in chosen]
        for item in settings.directions:
            item.selected = item.uuid in copies


def _redraw(context: bpy.types.Context) -> None:
    for area in context.screen.areas if context.screen else ():
        area.tag_redraw()


class UNDERSTUDY_MT_strip(bpy.types.Menu):
    """What can be done with a direction."""

    bl_label = "Direction"

    def draw(self, context: bpy.types.Context) -> None:
        """The context menu."""
        layout: Any = self.layout
        settings = cast.active(context).understudy
        items = selected(settings)
        layout.operator_context = "INVOKE_DEFAULT"
        if len(items) == 1:
            if context.area is not None and context.area.type == "DOPESHEET_EDITOR":
                layout.operator("understudy.strip_type", icon="TEXT").identity = items[0].uuid
            layout.operator("understudy.strip_edit", icon="GREASEPENCIL").identity = items[0].uuid
        for action, icon in (("DUPLICATE", "DUPLICATE"), ("SPLIT", "SNAP_MIDPOINT"), ("MUTE", "HIDE_ON"),
                             ("SEED", "FILE_REFRESH"), ("DELETE", "X")):
            label = next(name for key, name, _ in ACTIONS if key == action)
            layout.operator("understudy.strips", text=label, icon=icon).action = action
        layout.separator()
        if items:
            layout.prop(items[0], "part")
            layout.prop(items[0], "colour", text="")
        layout.separator()
        if len(items) == 1:
            layout.operator("understudy.perform_strip", icon="FILE_REFRESH").identity = items[0].uuid
        layout.operator("understudy.perform", icon="PLAY")


class UNDERSTUDY_OT_strip_menu(OverStrips, bpy.types.Operator):
    """Open the menu of the direction under the mouse"""

    bl_idname = "understudy.strip_menu"
    bl_label = "Direction Menu"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Select it, unless it is selected already together with others."""
        character = cast.active(context)
        hit = overlay.board_of(context, character).at(event.mouse_region_x, event.mouse_region_y)
        if hit is None:
            return {"PASS_THROUGH"}
        if not item_of(character.understudy, hit.uuid).selected:
            select_only(character.understudy, hit.uuid)
        bpy.ops.wm.call_menu(name="UNDERSTUDY_MT_strip")
        return {"FINISHED"}


KEYS: tuple[tuple[str, str, str, dict[str, bool], dict[str, Any]], ...] = (
    ("understudy.strip_drag", "LEFTMOUSE", "PRESS", {}, {}),
    ("understudy.strip_drag", "LEFTMOUSE", "PRESS", {"shift": True}, {"extend": True}),
    ("understudy.strip_type", "LEFTMOUSE", "DOUBLE_CLICK", {}, {}),
    ("understudy.strip_edit", "LEFTMOUSE", "DOUBLE_CLICK", {"ctrl": True}, {}),
    ("understudy.strip_draw", "LEFTMOUSE", "PRESS", {"alt": True}, {}),
    ("understudy.strip_menu", "RIGHTMOUSE", "PRESS", {}, {}),
    ("understudy.strip_box", "B", "PRESS", {}, {}),
    ("understudy.strips", "K", "PRESS", {}, {"action": "SPLIT", "here_only": True}),
    ("understudy.strips", "D", "PRESS", {"ctrl": True}, {"action": "DUPLICATE", "here_only": True}),
    ("understudy.strips", "D", "PRESS", {"shift": True}, {"action": "DUPLICATE", "here_only": True}),
    ("understudy.strips", "X", "PRESS", {}, {"action": "DELETE", "here_only": True}),
    ("understudy.strips", "DEL", "PRESS", {}, {"action": "DELETE", "here_only": True}),
    ("understudy.strips", "H", "PRESS", {}, {"action": "MUTE", "here_only": True}),
    ("understudy.strips", "A", "PRESS", {}, {"action": "SELECT_ALL", "here_only": True}),
    ("understudy.strips", "LEFT_ARROW", "PRESS", {"alt": True}, {"action": "EARLIER", "here_only": True}),
    ("understudy.strips", "RIGHT_ARROW", "PRESS", {"alt": True}, {"action": "LATER", "here_only": True}),
    ("understudy.strips", "LEFT_ARROW", "PRESS", {"alt": True, "shift": True}, {"action": "EARLIER", "here_only": True, "far": True}),
    ("understudy.strips", "RIGHT_ARROW", "PRESS", {"alt": True, "shift": True}, {"action": "LATER", "here_only": True, "far": True}),
)
"""Operator, key, event, modifiers, properties; in the Dope Sheet's key map, which the Timeline shares."""

CLASSES = (
    UNDERSTUDY_OT_strip_edit, UNDERSTUDY_OT_strips, UNDERSTUDY_MT_strip, UNDERSTUDY_OT_strip_menu,
)
