# SPDX-License-Identifier: GPL-3.0-or-later
"""The strips of directions as a board of lanes: where each one is, what is under the mouse, how a drag moves it.

Positions along the board are frames; across it are pixels from the bottom of the region.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Literal

__all__ = ["LANES", "Board", "Hit", "Strip", "Zone", "drag", "gaps", "lane_gaps", "snap", "split"]

LANES: Final = ("full", "upper", "lower", "left_arm", "right_arm", "head")
"""Order from top to bottom; a lane without strips is thin, and takes strips all the same."""

_WITHIN: Final = {"full": (), "upper": ("full",), "lower": ("full",), "left_arm": ("upper", "full"),
                  "right_arm": ("upper", "full"), "head": ("upper", "full")}
"""Lanes whose strips direct this part of the body as well."""

Zone = Literal["start", "end", "body"]


@dataclass(frozen=True)
class Strip:
    """What the board needs to know of a direction. Times are frames."""

    uuid: str
    start: float
    end: float
    part: str = "full"
    text: str = ""
    selected: bool = False
    enabled: bool = True
    colour: tuple[float, float, float] = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Hit:
    """What is under a point: a strip and which part of it."""

    uuid: str
    zone: Zone


@dataclass(frozen=True)
class Board:
    """Strips laid out over a region.

    :ivar to_x: pixels from the left for a frame; :ivar to_frame: the inverse.
    :ivar base: pixels of the lowest lane's bottom; :ivar lane_height: pixels of a lane with strips.
    :ivar edge: pixels from a strip's end that count as its edge.
    :ivar empty_height: pixels of a lane without strips. Lanes are stacked from the bottom, so that a strip that is dragged into an
        empty lane, which grows then while the one it left shrinks, stays under the mouse.
    """

    strips: Sequence[Strip]
    to_x: Callable[[float], float]
    to_frame: Callable[[float], float]
    base: float
    lane_height: float
    edge: float = 6.0
    empty_height: float = 8.0

    @cached_property
    def _bottoms(self) -> dict[str, float]:
        """Lower edge of each lane, from the lowest one up."""
        used, y, found = {s.part for s in self.strips}, self.base, {}
        for lane in reversed(LANES):
            found[lane] = y
            y += self.lane_height if lane in used else self.empty_height
        return found

    @cached_property
    def top(self) -> float:
        """Pixels of the board's upper edge."""
        return self._bottoms[LANES[0]] + self.height_of(LANES[0])

    def height_of(self, lane: str) -> float:
        """Pixels from a lane's lower edge to its upper one."""
        return self.lane_height if any(s.part == lane for s in self.strips) else self.empty_height

    def contains(self, y: float) -> bool:
        """Whether a height lies on the board."""
        return self.base <= y < self.top

    def lane_bottom(self, lane: str) -> float:
        """Pixels of a lane's lower edge."""
        return self._bottoms[lane]

    def lane_at(self, y: float) -> str | None:
        """The lane at a height."""
        if not self.contains(y):
            return None
        return [lane for lane, bottom in self._bottoms.items() if bottom <= y][-1]

    def box(self, strip: Strip) -> tuple[float, float, float, float]:
        """Left, bottom, right, top of a strip in pixels."""
        bottom = self.lane_bottom(strip.part)
        return self.to_x(strip.start), bottom, self.to_x(strip.end), bottom + self.height_of(strip.part)

    def at(self, x: float, y: float) -> Hit | None:
        """What is at a point. Edges reach a little outside; where strips overlap, the one drawn last wins."""
        lane = self.lane_at(y)
        best: Hit | None = None
        for strip in self.strips:
            if strip.part != lane:
                continue
            left, _, right, _ = self.box(strip)
            if not left - self.edge / 2 <= x <= right + self.edge / 2:
                continue
            # a strip of few pixels is all body in its middle third, or it could never be moved
            reach = min(self.edge, (right - left) / 3)
            zone: Zone = "start" if x < left + reach else "end" if x > right - reach else "body"
            best = Hit(strip.uuid, zone)
        return best

    def inside(self, x0: float, y0: float, x1: float, y1: float) -> list[str]:
        """The strips that a box drawn from corner to corner touches."""
        left, right, bottom, top = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
        found = []
        for strip in self.strips:
            a, b, c, d = self.box(strip)
            if a < right and c > left and b < top and d > bottom:
                found.append(strip.uuid)
        return found


def snap(frame: float, targets: Iterable[float], reach: float) -> float:
    """The nearest target within ``reach`` frames, or the nearest whole frame."""
    near = [t for t in targets if abs(t - frame) <= reach]
    return min(near, key=lambda t: abs(t - frame)) if near else float(round(frame))


def drag(strips: Sequence[Strip], zone: Zone, held: str, delta: float, *, targets: Iterable[float] = (), reach: float = 0.0,
         shortest: float = 6.0, lane: str | None = None) -> list[Strip]:
    """The selected strips after a drag by ``delta`` frames from where they were.

    :param strips: all strips as they were when the drag began.
    :param zone: which part of the strip ``held`` the mouse took.
    :param targets: frames that the held strip's edges snap to, within ``reach`` frames; otherwise whole frames.
    :param shortest: frames that a strip must keep.
    :param lane: the lane that the mouse is over: the held strip moves into it (body only).
    """
    anchor = next(s for s in strips if s.uuid == held)
    moved = {s.uuid for s in strips if s.selected} | {held}
    others = list(targets)
    for s in strips:
        if s.uuid not in moved:
            others += (s.start, s.end)
    if zone == "body":
        start, end = anchor.start + delta, anchor.end + delta
        # a strip snaps with either end: the one that is nearer to something decides
        pulls = [t - edge for edge in (start, end) for t in others if abs(t - edge) <= reach]
        pull = min(pulls, key=abs) if pulls else round(start) - start
        shift = delta + pull
        return [replace(s, start=s.start + shift, end=s.end + shift,
                        part=lane if lane and s.uuid == held and lane in LANES else s.part) if s.uuid in moved else s
                for s in strips]
    edge = anchor.start if zone == "start" else anchor.end
    shift = snap(edge + delta, others, reach) - edge
    result = []
    for s in strips:
        if s.uuid not in moved:
            result.append(s)
        elif zone == "start":
            result.append(replace(s, start=min(s.start + shift, s.end - shortest)))
        else:
            result.append(replace(s, end=max(s.end + shift, s.start + shortest)))
    return result


def split(strip: Strip, frame: float, shortest: float = 6.0) -> tuple[Strip, Strip] | None:
    """Both halves of a strip, the second without a uuid; None where one of them would be too short."""
    if not strip.start + shortest <= frame <= strip.end - shortest:
        return None
    return replace(strip, end=frame), replace(strip, start=frame, uuid="")


def gaps(strips: Iterable[Strip], start: float, end: float) -> list[tuple[float, float]]:
    """Stretches of a range that no enabled strip covers."""
    free, at = [], start
    for s in sorted((s for s in strips if s.enabled), key=lambda s: s.start):
        if s.start > at:
            free.append((at, min(s.start, end)))
        at = max(at, s.end)
        if at >= end:
            return free
    if at < end:
        free.append((at, end))
    return free


def lane_gaps(strips: Iterable[Strip], lane: str, start: float, end: float) -> list[tuple[float, float]]:
    """Stretches of a range in which nothing directs a lane's part of the body, be it there or as part of a larger one."""
    return gaps([s for s in strips if s.part == lane or s.part in _WITHIN[lane]], start, end)
