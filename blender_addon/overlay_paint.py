# SPDX-License-Identifier: GPL-3.0-or-later
"""The painting of the board: lanes, strips with their words, hatching, the speech's energy, frames still being made."""

from typing import Any

import blf
import bpy
import gpu
from gpu_extras.batch import batch_for_shader

from . import cast, locks, overlay, sound_energy, speech
from .core.board import LANES, Board, Strip, lane_gaps
from .core.desk import Job
from .core.line_edit import LineEdit

__all__ = ["hint", "paint"]

PAD = 4
HATCH_STEP = 9
NAME_PIXELS = 62
"""Width of the column with the lanes' names."""


class _Brush:
    """Filled boxes and lines in one colour, through the one shader that all versions have."""

    def __init__(self) -> None:
        self.shader = gpu.shader.from_builtin("UNIFORM_COLOR")

    def boxes(self, boxes: list[tuple[float, float, float, float]], colour: tuple[float, ...]) -> None:
        if not boxes:
            return
        points: list[tuple[float, float]] = []
        for left, bottom, right, top in boxes:
            points += [(left, bottom), (right, bottom), (right, top), (left, bottom), (right, top), (left, top)]
        self._draw("TRIS", points, colour)

    def lines(self, points: list[tuple[float, float]], colour: tuple[float, ...]) -> None:
        """Pairs of points."""
        if points:
            self._draw("LINES", points, colour)

    def _draw(self, kind: Any, points: list[tuple[float, float]], colour: tuple[float, ...]) -> None:
        # drawing text turns blending off
        gpu.state.blend_set("ALPHA")
        self.shader.uniform_float("color", colour)
        batch_for_shader(self.shader, kind, {"pos": points}).draw(self.shader)


def _outline(box: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    a, b, c, d = box
    return [(a, b), (c, b), (c, b), (c, d), (c, d), (a, d), (a, d), (a, b)]


def _hatch(left: float, bottom: float, right: float, top: float, step: float) -> list[tuple[float, float]]:
    """Diagonal lines that fill a box."""
    points = []
    height = top - bottom
    x = left - height
    while x < right:
        start, end = max(x, left), min(x + height, right)
        if end > start:
            points += [(start, bottom + start - x), (end, bottom + end - x)]
        x += step
    return points


def _text(words: str, box: tuple[float, float, float, float], size: float, colour: tuple[float, ...]) -> None:
    """Words inside a box, cut at its edge, with an ellipsis where they do not fit."""
    left, bottom, right, top = box
    room = right - left - 2 * PAD
    if room < size or not words:
        return
    blf.size(0, size)
    if blf.dimensions(0, words)[0] > room:
        low, high = 0, len(words)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if blf.dimensions(0, words[:middle] + "…")[0] <= room else (low, middle - 1)
        words = words[:low].rstrip() + "…" if low else ""
    blf.color(0, *colour)
    blf.position(0, left + PAD, bottom + (top - bottom - size * 0.72) / 2, 0)
    blf.draw(0, words)


def _strip(brush: _Brush, board: Board, strip: Strip, size: float, theme_text: tuple[float, ...], first: float) -> None:
    """One strip; its words begin at the pixel ``first`` at the earliest, so that they stay readable when it begins left of the view."""
    left, bottom, right, top = board.box(strip)
    box = (left, bottom + 1, max(right, left + 2), top - 1)
    strength = 0.85 if strip.enabled else 0.3
    brush.boxes([box], (*strip.colour, strength))
    if not strip.enabled:
        # not by colour alone: a muted strip is crossed out as well
        brush.lines([(box[0], (box[1] + box[3]) / 2), (box[2], (box[1] + box[3]) / 2)], (*theme_text, 0.6))
    brush.lines(_outline(box), (1.0, 1.0, 1.0, 0.95) if strip.selected else (0.0, 0.0, 0.0, 0.6))
    if strip.selected:
        grip = 2
        brush.boxes([(box[0], box[1], box[0] + grip, box[3]), (box[2] - grip, box[1], box[2], box[3])], (1.0, 1.0, 1.0, 0.95))
    luminance = 0.21 * strip.colour[0] + 0.72 * strip.colour[1] + 0.07 * strip.colour[2]
    ink = (0.0, 0.0, 0.0, 1.0) if luminance > 0.55 and strip.enabled else (1.0, 1.0, 1.0, 1.0)
    _text(strip.text or "(no words)", (max(box[0], first), *box[1:]), size, ink)


def _speech(brush: _Brush, context: bpy.types.Context, character: Any, board: Board) -> None:
    """The energy of the speech behind the lanes, a line for every other pixel."""
    rate, width = cast.fps(context.scene), context.region.width
    points = []
    for heard in sound_energy.heard_by(context, character):
        for x in range(int(max(board.to_x(heard.first), 0)), int(min(board.to_x(heard.last), width)), 2):
            energy = heard.at(board.to_frame(x), rate)
            points += [(x, board.base), (x, board.base + energy * (board.top - board.base))]
    brush.lines(points, (0.6, 0.8, 0.6, 0.22))


def _typed(brush: _Brush, board: Board, strip: Strip, line: LineEdit, size: float) -> None:
    """The line that is being typed, over its strip and as far beyond it as it needs."""
    blf.size(0, size)
    left, bottom, right, top = board.box(strip)
    width = blf.dimensions(0, line.text)[0]
    caret = left + PAD + blf.dimensions(0, line.text[:line.cursor])[0]
    brush.boxes([(left, bottom, max(right, left + width + 3 * PAD), top)], (0.08, 0.08, 0.08, 0.97))
    if line.all_selected:
        brush.boxes([(left + PAD, bottom + 2, left + PAD + width, top - 2)], (0.28, 0.45, 0.70, 1.0))
    blf.color(0, 1.0, 1.0, 1.0, 1.0)
    blf.position(0, left + PAD, bottom + (top - bottom - size * 0.72) / 2, 0)
    blf.draw(0, line.text)
    brush.boxes([(caret, bottom + 2, caret + 1.5, top - 2)], (0.4, 0.7, 1.0, 1.0))


def paint(context: bpy.types.Context, character: Any, board: Board, job: Job | None) -> None:
    """Paint everything into the region that is being drawn."""
    scale = context.preferences.system.ui_scale
    width = context.region.width
    brush = _Brush()
    text = tuple(context.preferences.themes[0].dopesheet_editor.space.text)
    gpu.state.blend_set("ALPHA")
    brush.boxes([(0, board.base, width, board.top)], (0.0, 0.0, 0.0, 0.25))
    _speech(brush, context, character, board)
    start, end = board.to_frame(0), board.to_frame(width)
    first, last = max(start, context.scene.frame_start), min(end, context.scene.frame_end + 1)
    for lane in LANES:
        y = board.lane_bottom(lane)
        brush.lines([(0, y), (width, y)], (*text, 0.15))
        for a, b in lane_gaps(board.strips, lane, first, last):
            box = (board.to_x(a), y, board.to_x(b), y + board.height_of(lane))
            brush.lines(_hatch(*box, HATCH_STEP * scale), (*text, 0.10))
    size = overlay.TEXT_PIXELS * scale
    names = NAME_PIXELS * scale
    for strip in board.strips:
        if strip.end >= start and strip.start <= end:
            _strip(brush, board, strip, size, text, names)
    brush.boxes([(0, board.base, names, board.top)], (0.0, 0.0, 0.0, 0.35))
    for lane in LANES:
        y, height = board.lane_bottom(lane), board.height_of(lane)
        _text(lane.replace("_", " "), (0, y, names, y + height), min(size * 0.9, height), (*text, 0.7))
    _padlocks(brush, character, board, scale)
    if overlay.typing is not None:
        typed = next((s for s in board.strips if s.uuid == overlay.typing[0]), None)
        if typed is not None:
            _typed(brush, board, typed, overlay.typing[1], size)
    if job is not None:
        _coming(brush, context, character, board, job, text)
    if overlay.box_corners is not None:
        x0, y0, x1, y1 = overlay.box_corners
        box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        brush.boxes([box], (1.0, 1.0, 1.0, 0.08))
        brush.lines(_outline(box), (1.0, 1.0, 1.0, 0.8))
    gpu.state.blend_set("NONE")


def hint(context: bpy.types.Context) -> None:
    """In an editor that is too low for lanes: how to see them."""
    scale = context.preferences.system.ui_scale
    words = bpy.app.translations.pgettext_iface("Directions: drag this editor's upper edge up")
    size = overlay.TEXT_PIXELS * scale
    blf.size(0, size)
    left, bottom = (context.region.width - blf.dimensions(0, words)[0]) / 2, 9 * scale
    gpu.state.blend_set("ALPHA")
    _Brush().boxes([(left - 2 * PAD, bottom, context.region.width - left + 2 * PAD, bottom + size + 2 * scale)], (0.0, 0.0, 0.0, 0.6))
    gpu.state.blend_set("NONE")
    blf.color(0, 1.0, 1.0, 1.0, 0.9)
    blf.position(0, left, bottom + 3 * scale, 0)
    blf.draw(0, words)


def _padlocks(brush: _Brush, character: Any, board: Board, scale: float) -> None:
    """What is locked of the take: a bar along the upper edge of the part's lane, a padlock at its beginning."""
    colour = (1.0, 0.85, 0.3, 0.95 if character.understudy.keep_hand_set else 0.35)
    size = 5 * scale
    room = -1e9
    for locked in locks.of(character):
        lane = locked.part if locked.part in LANES else LANES[0]
        left, right = board.to_x(locked.first), board.to_x(locked.last)
        top = board.lane_bottom(lane) + board.height_of(lane)
        brush.boxes([(left - 1, top - 2, max(right, left) + 1, top)], colour)
        if left - room < 2 * size:
            continue  # locked frames side by side share one padlock
        room = left
        box = (left - size / 2, top - size - 3, left + size / 2, top - 3)
        shackle = (left - size / 3, top - 3, left + size / 3, top + size / 2)
        brush.boxes([box], colour)
        brush.lines(_outline(shackle)[2:], colour)


def _coming(brush: _Brush, context: bpy.types.Context, character: Any, board: Board, job: Job, text: tuple[float, ...]) -> None:
    """A line over the frames that are final already, hatching over those still being made."""
    first = speech.origin(context, character)
    seconds = job.request.duration or max((d.end for d in job.request.directions), default=0.0)
    last = first + max(seconds * job.request.fps, job.final_frames)
    made = first + job.final_frames
    top = board.top
    brush.boxes([(board.to_x(first), top, board.to_x(made), top + 3)], (0.4, 0.8, 0.4, 0.9))
    brush.lines(_hatch(board.to_x(made), top, board.to_x(last), top + 6, 6), (*text, 0.7))
