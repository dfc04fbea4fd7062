# SPDX-License-Identifier: GPL-3.0-or-later
"""The lane of words and phonemes over the Timeline and the Dope Sheet: drawn, dragged, edited by the mouse.

It stands on top of the directions. Every operator lets an event through that does not concern a word.
"""

from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import BoolProperty

from .. import cast, overlay
from ..overlay_mouse import OverStrips
from . import words

if TYPE_CHECKING:
    from ..core.words_lane import Lane

__all__ = ["CLASSES", "KEYS", "WordsWindow", "add_handler", "lane_of", "remove_handler"]

WORD_PIXELS = 17
PHONE_PIXELS = 12
GAP_PIXELS = 9
TEXT_PIXELS = 11
PHONE_TEXT_PIXELS = 9
EDGE_PIXELS = 6
_HANDLER = "understudy_words_overlay"


class WordsWindow(bpy.types.PropertyGroup):
    """What belongs to the session's windows."""

    show: BoolProperty(name="Show Words", default=True, description="Draw words and sounds over the Timeline and the Dope Sheet")


def lane_of(context: bpy.types.Context) -> "Lane | None":
    """The lane over the context's region, or None where it is not shown."""
    from ..core.words_lane import Lane

    character = cast.active(context)
    manager: Any = context.window_manager
    if character is None or not len(character.understudy_face.words) or not manager.understudy_words.show or not overlay.visible(context):
        return None
    board, scale = overlay.board_of(context, character), context.preferences.system.ui_scale
    return Lane(words.lane_words(character), board.to_x, board.to_frame, board.top + GAP_PIXELS * scale,
                (WORD_PIXELS + PHONE_PIXELS) * scale, EDGE_PIXELS * scale)


def _boxes(boxes: list[tuple[float, float, float, float]], colour: tuple[float, ...]) -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    points: list[tuple[float, float]] = []
    for a, b, c, d in boxes:
        points += [(a, b), (c, b), (c, d), (a, b), (c, d), (a, d)]
    if points:
        shader = gpu.shader.from_builtin("UNIFORM_COLOR")
        # drawing text turns blending off
        gpu.state.blend_set("ALPHA")
        shader.uniform_float("color", colour)
        batch_for_shader(shader, "TRIS", {"pos": points}).draw(shader)


def _label(text: str, box: tuple[float, float, float, float], size: float, colour: tuple[float, ...]) -> None:
    """A text in the middle of a box, left out where it does not fit."""
    import blf

    blf.size(0, size)
    width = blf.dimensions(0, text)[0]
    if not text or width > box[2] - box[0] - 2:
        return
    blf.color(0, *colour)
    blf.position(0, (box[0] + box[2] - width) / 2, box[1] + (box[3] - box[1] - size * 0.72) / 2, 0)
    blf.draw(0, text)


def _draw() -> None:
    """Called by Blender for every redraw of the editor."""
    context = bpy.context
    lane = lane_of(context)
    if lane is None:
        return
    import gpu

    from ..core.words_lane import phones_of

    character = cast.active(context)
    scale, width = context.preferences.system.ui_scale, context.region.width
    theme: Any = context.preferences.themes[0]
    ink = (*tuple(theme.dopesheet_editor.space.text)[:3], 1.0)
    middle, top = lane.base + PHONE_PIXELS * scale, lane.top
    shown = [w for w in lane.words if lane.to_x(w.end) > 0 and lane.to_x(w.start) < width]
    stale = words.stale_range(context, character)
    gpu.state.blend_set("ALPHA")
    _boxes([(0, lane.base, width, top)], (0.0, 0.0, 0.0, 0.25))
    if stale is not None:
        start = words.take_start(character)
        rate = cast.fps(context.scene)
        # not by colour alone: a bar under the lane marks where the face does not follow the words yet
        _boxes([(lane.to_x(start + stale[0] * rate), lane.base - 3 * scale, lane.to_x(start + stale[1] * rate), lane.base)],
               (0.95, 0.65, 0.2, 0.9))
    for chosen in (False, True):
        boxes = [(lane.to_x(w.start), middle + 1, max(lane.to_x(w.end) - 1, lane.to_x(w.start) + 1), top - 1)
                 for w in shown if w.selected == chosen]
        _boxes(boxes, (*ink[:3], 0.30) if chosen else (*ink[:3], 0.12))
    edges = [x for w in shown for x in (lane.to_x(w.start), lane.to_x(w.end))]
    _boxes([(x - 0.5, middle, x + 0.5, top) for x in edges], (*ink[:3], 0.5))
    for w in shown:
        _label(w.text or "·", (lane.to_x(w.start), middle, lane.to_x(w.end), top), TEXT_PIXELS * scale, ink)
        for first, last, name in phones_of(w):
            left, right = lane.to_x(first), lane.to_x(last)
            _boxes([(left - 0.5, lane.base, left + 0.5, middle - 2)], (*ink[:3], 0.25))
            _label(name, (left, lane.base, right, middle), PHONE_TEXT_PIXELS * scale, (*ink[:3], 0.75))
    gpu.state.blend_set("NONE")


def _over(context: bpy.types.Context, event: bpy.types.Event) -> Any:
    """The lane and what of it is under the mouse."""
    lane = lane_of(context)
    return lane, lane.at(event.mouse_region_x, event.mouse_region_y) if lane is not None else None


class UNDERSTUDY_OT_word_drag(OverStrips, bpy.types.Operator):
    """Select a word, move it, or drag one of its edges (Ctrl: without its neighbour)"""

    bl_idname = "understudy.word_drag"
    bl_label = "Move Word"
    bl_options = {"UNDO", "BLOCKING"}

    extend: BoolProperty(name="Extend", options={"SKIP_SAVE"}, description="Add to the selection")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Take hold of what is under the mouse."""
        lane, hit = _over(context, event)
        if hit is None:
            return {"PASS_THROUGH"}
        settings = cast.active(context).understudy_face
        self._before = words.lane_words(cast.active(context))
        for n, item in enumerate(settings.words):
            if item.uuid == hit.uuid:
                settings.word_index = n
                item.selected = not item.selected if self.extend else True
            elif not self.extend:
                item.selected = False
        self._hit, self._pixels, self._moved = hit, event.mouse_region_x, False
        self._from = lane.to_frame(event.mouse_region_x)
        self._words = words.lane_words(cast.active(context))
        context.window_manager.modal_handler_add(self)
        context.area.tag_redraw()
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Follow the mouse until it lets go; Esc and the right button put everything back."""
        from ..core.words_lane import drag

        character = cast.active(context)
        if character is None:
            return {"CANCELLED"}
        if event.type == "MOUSEMOVE":
            if self._moved or abs(event.mouse_region_x - self._pixels) > 3:
                self._moved = True
                delta = overlay.board_of(context, character).to_frame(event.mouse_region_x) - self._from
                words.lay(character, drag(self._words, self._hit.zone, self._hit.uuid, delta, first=cast.origin(context, character),
                                          shortest=words.shortest(context), alone=event.ctrl))
                context.area.tag_redraw()
        elif event.type in ("RIGHTMOUSE", "ESC"):
            words.lay(character, self._before)
            context.area.tag_redraw()
            return {"CANCELLED"}
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
            return {"FINISHED"} if words.lane_words(character) != self._before else {"CANCELLED"}
        return {"RUNNING_MODAL"}


class UNDERSTUDY_OT_word_open(OverStrips, bpy.types.Operator):
    """Replace the word under the mouse, or give it other times"""

    bl_idname = "understudy.word_open"
    bl_label = "Edit Word Here"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the dialog of the word under the mouse."""
        _, hit = _over(context, event)
        if hit is None:
            return {"PASS_THROUGH"}
        operators: Any = bpy.ops
        operators.understudy.word_edit("INVOKE_DEFAULT", identity=hit.uuid)
        return {"FINISHED"}


class UNDERSTUDY_MT_word(bpy.types.Menu):
    """What can be done with a word."""

    bl_label = "Word"

    def draw(self, context: bpy.types.Context) -> None:
        """The context menu."""
        layout: Any = self.layout
        layout.operator_context = "INVOKE_DEFAULT"
        layout.operator("understudy.word_edit", icon="GREASEPENCIL")
        for action, label, icon in (("SPLIT", "Split", "SNAP_MIDPOINT"), ("MERGE", "Join", "AUTOMERGE_ON"), ("DELETE", "Delete", "X"),
                                    ("RESET", "As Performed", "LOOP_BACK")):
            layout.operator("understudy.words", text=label, icon=icon).action = action
        layout.separator()
        layout.operator("understudy.perform_words", icon="FILE_REFRESH")


class UNDERSTUDY_OT_word_menu(OverStrips, bpy.types.Operator):
    """Open the menu of the word under the mouse"""

    bl_idname = "understudy.word_menu"
    bl_label = "Word Menu"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Select it, unless it is selected already together with others."""
        _, hit = _over(context, event)
        if hit is None:
            return {"PASS_THROUGH"}
        settings = cast.active(context).understudy_face
        item = next(w for w in settings.words if w.uuid == hit.uuid)
        if not item.selected:
            for n, other in enumerate(settings.words):
                other.selected = other.uuid == hit.uuid
                settings.word_index = n if other.selected else settings.word_index
        bpy.ops.wm.call_menu(name="UNDERSTUDY_MT_word")
        return {"FINISHED"}


KEYS: tuple[tuple[str, str, str, dict[str, bool], dict[str, Any]], ...] = (
    ("understudy.word_drag", "LEFTMOUSE", "PRESS", {}, {}),
    ("understudy.word_drag", "LEFTMOUSE", "PRESS", {"ctrl": True}, {}),
    ("understudy.word_drag", "LEFTMOUSE", "PRESS", {"shift": True}, {"extend": True}),
    ("understudy.word_open", "LEFTMOUSE", "DOUBLE_CLICK", {}, {}),
    ("understudy.word_menu", "RIGHTMOUSE", "PRESS", {}, {}),
    ("understudy.words", "K", "PRESS", {}, {"action": "SPLIT", "here_only": True}),
    ("understudy.words", "J", "PRESS", {}, {"action": "MERGE", "here_only": True}),
    ("understudy.words", "X", "PRESS", {}, {"action": "DELETE", "here_only": True}),
    ("understudy.words", "DEL", "PRESS", {}, {"action": "DELETE", "here_only": True}),
    ("understudy.words", "A", "PRESS", {}, {"action": "SELECT_ALL", "here_only": True}),
)
"""As in :data:`.overlay_ops.KEYS`."""


def add_handler() -> None:
    """Draw from now on."""
    remove_handler()
    if bpy.app.background:
        return
    bpy.app.driver_namespace[_HANDLER] = bpy.types.SpaceDopeSheetEditor.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")


def remove_handler() -> None:
    """Draw no more."""
    handle = bpy.app.driver_namespace.pop(_HANDLER, None)
    if handle is not None:
        bpy.types.SpaceDopeSheetEditor.draw_handler_remove(handle, "WINDOW")


CLASSES = (
    WordsWindow, UNDERSTUDY_OT_word_drag, UNDERSTUDY_OT_word_open, UNDERSTUDY_MT_word, UNDERSTUDY_OT_word_menu,
)
