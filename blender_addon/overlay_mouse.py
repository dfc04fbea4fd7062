# SPDX-License-Identifier: GPL-3.0-or-later
"""The strips under the mouse: select and drag, box select, draw a new one.

Every operator lets an event through that does not concern a strip, so that the editors work as before.
"""

from typing import Any

import bpy
from bpy.props import BoolProperty

from . import cast, directions, overlay

__all__ = ["CLASSES", "OverStrips", "item_of", "select_only", "selected", "shortest"]

SNAP_PIXELS = 8.0


def item_of(settings: Any, identity: str) -> Any:
    """The direction with a uuid, or None."""
    return next((d for d in settings.directions if d.uuid == identity), None)


def select_only(settings: Any, identity: str | None) -> None:
    """Select one direction (None: no one) and make it the active one."""
    for n, item in enumerate(settings.directions):
        item.selected = item.uuid == identity
        if item.selected:
            settings.direction_index = n


def selected(settings: Any) -> list[Any]:
    """The selected directions, or the active one where none is selected."""
    found = [d for d in settings.directions if d.selected]
    if not found and 0 <= settings.direction_index < len(settings.directions):
        found = [settings.directions[settings.direction_index]]
    return found


def shortest(context: bpy.types.Context) -> float:
    """Frames that a strip must keep."""
    from .shared.timeline import MIN_SECONDS

    return max(1.0, MIN_SECONDS * cast.fps(context.scene))


class OverStrips:
    """For operators that act where the mouse is."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether strips are shown in this editor."""
        reason = "" if overlay.visible(context) else "No directions are shown in this editor"
        if cast.active(context) is None:
            reason = cast.NO_CHARACTER
        if reason:
            cls.poll_message_set(reason)  # type: ignore[attr-defined]
        return not reason


class UNDERSTUDY_OT_strip_drag(OverStrips, bpy.types.Operator):
    """Select a direction, move it, or drag one of its edges"""

    bl_idname = "understudy.strip_drag"
    bl_label = "Move Direction"
    bl_options = {"UNDO", "BLOCKING"}

    extend: BoolProperty(name="Extend", options={"SKIP_SAVE"}, description="Add to the selection")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Take hold of what is under the mouse."""
        character = cast.active(context)
        settings = character.understudy
        board = overlay.board_of(context, character)
        x, y = event.mouse_region_x, event.mouse_region_y
        hit = board.at(x, y)
        self._before = overlay.strips_of(character)
        if hit is None:
            if not board.contains(y) or not any(d.selected for d in settings.directions):
                return {"PASS_THROUGH"}
            select_only(settings, None)
            context.area.tag_redraw()
            # the editor would make another step of undo of the same click
            return {"FINISHED"}
        item = item_of(settings, hit.uuid)
        if self.extend:
            item.selected = not item.selected
        elif not item.selected:
            select_only(settings, hit.uuid)
        if item.selected:
            settings.direction_index = list(settings.directions).index(item)
        self._hit = hit
        self._from = board.to_frame(x)
        self._pixels = (x, y)
        self._strips = overlay.strips_of(character)
        self._moved = False
        context.window_manager.modal_handler_add(self)
        context.area.tag_redraw()
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Follow the mouse until it lets go; Esc and the right button put everything back."""
        character = cast.active(context)
        if character is None:
            return {"CANCELLED"}
        if event.type == "MOUSEMOVE":
            # a click with an unsteady hand is no drag
            if self._moved or max(abs(event.mouse_region_x - self._pixels[0]), abs(event.mouse_region_y - self._pixels[1])) > 3:
                self._moved = True
                self._move(context, character, event)
        elif event.type in ("RIGHTMOUSE", "ESC"):
            _lay(character, self._before)
            context.area.tag_redraw()
            return {"CANCELLED"}
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
            if not self._moved and not self.extend:
                # of several, a click without a drag means this one
                select_only(character.understudy, self._hit.uuid)
                context.area.tag_redraw()
            return {"FINISHED"} if overlay.strips_of(character) != self._before else {"CANCELLED"}
        return {"RUNNING_MODAL"}

    def _move(self, context: bpy.types.Context, character: Any, event: bpy.types.Event) -> None:
        from .core.board import drag

        board = overlay.board_of(context, character)
        x = event.mouse_region_x
        reach = 0.0 if event.ctrl else abs(board.to_frame(x + SNAP_PIXELS) - board.to_frame(x))
        targets = [float(context.scene.frame_current), cast.origin(context, character)]
        targets += (edge for word in character.understudy_face.words for edge in (word.start, word.end))
        lane = board.lane_at(event.mouse_region_y) if self._hit.zone == "body" else None
        moved = drag(self._strips, self._hit.zone, self._hit.uuid, board.to_frame(x) - self._from, targets=targets,
                     reach=reach, shortest=shortest(context), lane=lane)
        _lay(character, moved)
        context.area.tag_redraw()


def _lay(character: Any, strips: list[Any]) -> None:
    """Give the directions the places of strips, and select those that are selected there."""
    places = {s.uuid: s for s in strips}
    for item in character.understudy.directions:
        strip = places.get(item.uuid)
        if strip is not None:
            item.start, item.end, item.selected = strip.start, strip.end, strip.selected
            if item.part != strip.part:
                item.part = strip.part


class UNDERSTUDY_OT_strip_box(OverStrips, bpy.types.Operator):
    """Select directions by drawing a box"""

    bl_idname = "understudy.strip_box"
    bl_label = "Box Select Directions"
    bl_options = {"UNDO", "BLOCKING"}

    _corner: tuple[float, float] | None = None

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Begin where the mouse is on the board, otherwise leave the key to the editor."""
        board = overlay.board_of(context, cast.active(context))
        if not board.contains(event.mouse_region_y):
            return {"PASS_THROUGH"}
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Press, draw, let go."""
        here = (event.mouse_region_x, event.mouse_region_y)
        if event.type in ("ESC", "RIGHTMOUSE"):
            return self._end(context, {"CANCELLED"})
        if event.type == "LEFTMOUSE" and event.value == "PRESS":
            self._corner = here
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE" and self._corner is not None:
            character = cast.active(context)
            found = overlay.board_of(context, character).inside(*self._corner, *here)
            for item in character.understudy.directions:
                item.selected = item.uuid in found or (event.shift and item.selected)
            return self._end(context, {"FINISHED"})
        if self._corner is not None:
            overlay.box_corners = (*self._corner, *here)
            context.area.tag_redraw()
        return {"RUNNING_MODAL"}

    def _end(self, context: bpy.types.Context, outcome: set[str]) -> set[str]:
        overlay.box_corners = None
        context.area.tag_redraw()
        return outcome


class UNDERSTUDY_OT_strip_draw(OverStrips, bpy.types.Operator):
    """Drag out a new direction where the board is empty, then type its words"""

    bl_idname = "understudy.strip_draw"
    bl_label = "Draw Direction"
    bl_options = {"UNDO", "BLOCKING"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Begin on an empty place of the board."""
        character = cast.active(context)
        board = overlay.board_of(context, character)
        lane = board.lane_at(event.mouse_region_y)
        if lane is None or board.at(event.mouse_region_x, event.mouse_region_y) is not None:
            return {"PASS_THROUGH"}
        start = float(round(board.to_frame(event.mouse_region_x)))
        item = directions.new(character.understudy.directions, "", lane, start, start + shortest(context))
        select_only(character.understudy, item.uuid)
        self._identity, self._start = item.uuid, start
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Stretch until the mouse lets go."""
        settings = cast.active(context).understudy
        item = item_of(settings, self._identity)
        if item is None:
            return {"CANCELLED"}
        if event.type in ("ESC", "RIGHTMOUSE"):
            settings.directions.remove(list(settings.directions).index(item))
            context.area.tag_redraw()
            return {"CANCELLED"}
        if event.type == "MOUSEMOVE":
            frame = float(round(overlay.board_of(context, cast.active(context)).to_frame(event.mouse_region_x)))
            low, high = min(frame, self._start), max(frame, self._start)
            item.start, item.end = low, max(high, low + shortest(context))
            context.area.tag_redraw()
        if event.type == "LEFTMOUSE" and event.value == "RELEASE":
            operators: Any = bpy.ops
            operators.understudy.strip_type("INVOKE_DEFAULT", identity=self._identity, fresh=True)
            # drawing and typing are one step of undo, which the typing makes
            return {"CANCELLED"}
        return {"RUNNING_MODAL"}


CLASSES = (UNDERSTUDY_OT_strip_drag, UNDERSTUDY_OT_strip_box, UNDERSTUDY_OT_strip_draw)
