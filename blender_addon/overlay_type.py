# SPDX-License-Identifier: GPL-3.0-or-later
"""Typing the words of a direction in its strip.

Letters come one by one here, as keyboards with dead keys give them too; scripts that are composed in a window of the system's
cannot be typed this way, and Tab opens the dialog for them.
"""

from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from . import cast, directions, overlay
from .core.line_edit import LineEdit
from .overlay_mouse import OverStrips, item_of, select_only, shortest

__all__ = ["CLASSES"]

_HELP = "Type the words · Enter: keep · Esc: as before · Tab: dialog, with part and strength"


class UNDERSTUDY_OT_strip_type(OverStrips, bpy.types.Operator):
    """Type the words of the direction under the mouse, in its strip; on an empty place of the board, of a new one"""

    bl_idname = "understudy.strip_type"
    bl_label = "Type Direction"
    bl_options = {"UNDO", "BLOCKING"}

    identity: StringProperty(options={"HIDDEN", "SKIP_SAVE"})
    fresh: BoolProperty(options={"HIDDEN", "SKIP_SAVE"}, description="It was drawn just now: Esc takes it away again")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Begin in the given strip, or in the one under the mouse."""
        character = cast.active(context)
        if not self.identity:
            board = overlay.board_of(context, character)
            hit, lane = board.at(event.mouse_region_x, event.mouse_region_y), board.lane_at(event.mouse_region_y)
            if lane is None:
                return {"PASS_THROUGH"}
            self.fresh = hit is None
            self.identity = hit.uuid if hit is not None else self._new(context, lane, board.to_frame(event.mouse_region_x))
        item = item_of(character.understudy, self.identity)
        if item is None:
            return {"CANCELLED"}
        select_only(character.understudy, self.identity)
        overlay.typing = (self.identity, LineEdit.begin(item.text))
        context.workspace.status_text_set(_HELP)
        context.window_manager.modal_handler_add(self)
        context.area.tag_redraw()
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Every key goes to the line."""
        character = cast.active(context)
        item = item_of(character.understudy, self.identity) if character is not None else None
        if item is None or overlay.typing is None:
            return self._end(context, {"CANCELLED"})
        line = overlay.typing[1]
        if event.type in ("ESC", "RIGHTMOUSE"):
            if self.fresh:
                strips = character.understudy.directions
                strips.remove(list(strips).index(item))
            return self._end(context, {"CANCELLED"})
        if event.type in ("RET", "NUMPAD_ENTER", "TAB") and event.value == "PRESS":
            item.text = line.text
            done = self._end(context, {"FINISHED"})
            if event.type == "TAB":
                operators: Any = bpy.ops
                operators.understudy.strip_edit("INVOKE_DEFAULT", identity=self.identity)
            return done
        if event.type == "LEFTMOUSE" and event.value == "PRESS":
            # a click anywhere else ends it, and does there what it does
            hit = overlay.board_of(context, character).at(event.mouse_region_x, event.mouse_region_y) if context.area else None
            if hit is None or hit.uuid != self.identity:
                item.text = line.text
                return self._end(context, {"FINISHED", "PASS_THROUGH"})
        elif event.value in ("PRESS", "DOUBLE_CLICK"):
            self._key(context, event, line)
        if context.area:
            context.area.tag_redraw()
        return {"RUNNING_MODAL"}

    def _new(self, context: bpy.types.Context, lane: str, frame: float) -> str:
        """A strip of the usual length from a frame on, or as long as there is room in its lane; returns its uuid."""
        items = cast.active(context).understudy.directions
        start = float(round(frame))
        end = start + round(directions.SECONDS_OF_A_NEW_ONE * cast.fps(context.scene))
        end = min([end, *(d.start for d in items if d.part == lane and d.start > start)])
        return str(directions.new(items, "", lane, start, max(end, start + shortest(context))).uuid)

    def _key(self, context: bpy.types.Context, event: bpy.types.Event, line: LineEdit) -> None:
        command = event.ctrl or event.oskey
        if event.type in ("BACK_SPACE", "DEL"):
            line.erase(forward=event.type == "DEL", word=command)
        elif event.type in ("LEFT_ARROW", "RIGHT_ARROW"):
            line.move(forward=event.type == "RIGHT_ARROW", word=command)
        elif event.type in ("HOME", "END"):
            line.go(0 if event.type == "HOME" else len(line.text))
        elif command and event.type == "A":
            line.select_all()
        elif command and event.type == "V":
            line.insert(context.window_manager.clipboard)
        elif command and event.type in ("C", "X"):
            context.window_manager.clipboard = line.text
            if event.type == "X":
                line.select_all()
                line.erase()
        elif event.unicode and not command:
            line.insert(event.unicode)

    def _end(self, context: bpy.types.Context, outcome: set[str]) -> set[str]:
        overlay.typing = None
        context.workspace.status_text_set(None)
        if context.area:
            context.area.tag_redraw()
        return outcome

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender ends the operator, as when a file is loaded."""
        self._end(context, {"CANCELLED"})


CLASSES = (UNDERSTUDY_OT_strip_type,)
