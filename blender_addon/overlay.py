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
BASE_PIXELS = 20  # above the scroll bar
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
    scale = context.preferences.system.ui_scale
    return Board(
        strips_of(character), lambda frame: view.view_to_region(frame, 0.0, clip=False)[0],
        lambda x: view.region_to_view(x, 0.0)[0], BASE_PIXELS * scale, LANE_PIXELS * scale, EDGE_PIXELS * scale)


def visible(context: bpy.types.Context) -> bool:
    """Whether the overlay is shown in the context's editor."""
    space: Any = context.space_data
    if space is None or space.type != "DOPESHEET_EDITOR" or space.mode not in ("TIMELINE", "DOPESHEET", "ACTION"):
        return False
    return bool(context.window_manager.understudy.show_strips)


def _draw() -> None:
    """Called by Blender for every redraw of the editor."""
    context = bpy.context
    if not visible(context):
        return
    character = cast.active(context)
    if character is None:
        return
    settings = character.understudy
    if not (settings.directions or settings.takes or settings.sound_source != "NONE"):
        return
    from . import overlay_paint

    overlay_paint.paint(context, character, board_of(context, character), session.job_of(character))


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
