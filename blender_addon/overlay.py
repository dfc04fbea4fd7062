# SPDX-License-Identifier: GPL-3.0-or-later
"""The strips drawn over the Timeline and the Dope Sheet."""

import logging
from typing import TYPE_CHECKING, Any

import bpy

from . import cast, session

if TYPE_CHECKING:
    from .core.board import Board
    from .core.line_edit import LineEdit

__all__ = ["add_handler", "board_of", "remove_handler"]

_log = logging.getLogger("understudy.overlay")

LANE_PIXELS = 18
EMPTY_PIXELS = (4, 11)
"""Height of a lane without strips, at least and at most."""
BASE_PIXELS = 20  # above the scroll bar
MARKER_PIXELS = 44
"""Where there are markers, clicks on so much of the region's lower end go to them before any add-on hears of it."""
SCRUB_PIXELS = 24
WORDS_PIXELS = 40
LOWEST_PIXELS = 80
EDGE_PIXELS = 7
TEXT_PIXELS = 11
_HANDLER = "understudy_overlay"

box_corners: tuple[float, float, float, float] | None = None
"""The box of a box selection that is going on, in pixels of the region."""


typing: "tuple[str, LineEdit] | None" = None
"""The strip whose words are being typed, and the line."""


def strips_of(character: Any) -> list[Any]:
    """The directions of a character as the board takes them."""
    from .core.board import Strip

    return [Strip(d.uuid, d.start, d.end, d.part, d.text, d.selected, d.enabled, tuple(d.colour))
            for d in character.understudy.directions]


def board_of(context: bpy.types.Context, character: Any) -> "Board":
    """The board over the context's region."""
    from .core.board import Board

    view: Any = context.region.view2d
    space: Any = context.space_data
    scene: Any = context.scene
    scale = context.preferences.system.ui_scale
    base = MARKER_PIXELS if scene.timeline_markers and space.show_markers else BASE_PIXELS
    # with three lanes in use: were those counted that are, lanes would change their height under a strip that is dragged
    room = context.region.height / scale - SCRUB_PIXELS - base - 3 * LANE_PIXELS
    if len(character.understudy_face.words):
        room -= WORDS_PIXELS
    empty = min(max(room / 3, EMPTY_PIXELS[0]), EMPTY_PIXELS[1])
    return Board(
        strips_of(character), lambda frame: view.view_to_region(frame, 0.0, clip=False)[0],
        lambda x: view.region_to_view(x, 0.0)[0], base * scale, LANE_PIXELS * scale, EDGE_PIXELS * scale, empty * scale)


def visible(context: bpy.types.Context) -> bool:
    """Whether the overlay is shown in the context's editor, and takes the mouse there."""
    return _concerned(context) and _high_enough(context)


def _concerned(context: bpy.types.Context) -> bool:
    """Whether this editor is to show strips: of a chosen character, or of one that has been worked with."""
    space: Any = context.space_data
    if space is None or space.type != "DOPESHEET_EDITOR" or space.mode not in ("TIMELINE", "DOPESHEET", "ACTION"):
        return False
    scene: Any = context.scene
    character, manager = cast.active(context), context.window_manager
    if character is None or not manager.understudy.show_strips:
        return False
    settings = character.understudy
    return bool(scene.understudy.character == character or settings.directions or settings.takes or settings.sound_source != "NONE")


def _high_enough(context: bpy.types.Context) -> bool:
    """Blender's own layout has a Timeline so low that no lane would be whole."""
    return bool(context.region.height >= LOWEST_PIXELS * context.preferences.system.ui_scale)


def _draw() -> None:
    """Called by Blender for every redraw of the editor."""
    context = bpy.context
    if not _concerned(context):
        return
    from . import overlay_paint

    character = cast.active(context)
    if _high_enough(context):
        overlay_paint.paint(context, character, board_of(context, character), session.job_of(character))
    else:
        overlay_paint.hint(context)


def add_handler() -> None:
    """Draw from now on. The handle is parked where a reload of this module finds it."""
    remove_handler()
    if bpy.app.background:
        return
    handle = bpy.types.SpaceDopeSheetEditor.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")
    bpy.app.driver_namespace[_HANDLER] = handle


def remove_handler() -> None:
    """Draw no more."""
    global typing
    typing = None
    handle = bpy.app.driver_namespace.pop(_HANDLER, None)
    if handle is not None:
        bpy.types.SpaceDopeSheetEditor.draw_handler_remove(handle, "WINDOW")
