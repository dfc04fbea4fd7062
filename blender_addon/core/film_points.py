# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of a body on a photograph: their names, how they hang together, and which one is under the mouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ..shared.films import POINT_COUNT

__all__ = ["LABELS", "LIMBS", "NAMES", "NEEDED", "Point", "missing", "moved", "nearest", "shown_at", "to_array"]

NAMES: Final = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)
"""The first 18 points of a pose track; of hands and feet nothing is placed by hand. Left is the person's left."""
LIMBS: Final = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0), (0, 14),
    (14, 16), (0, 15), (15, 17),
)
LABELS: Final = tuple(name.replace("_", " ").capitalize() for name in NAMES)
NEEDED: Final = ("right_eye", "left_eye", "neck", "right_shoulder", "left_shoulder")
"""Without these no film can be made from placed points."""


@dataclass(frozen=True)
class Point:
    """One point, in pixels of the picture from its upper left corner; ``shown``: the photograph shows it."""

    x: float
    y: float
    shown: bool = True


def nearest(points: Sequence[Point], x: float, y: float, reach: float, shown_only: bool = False) -> int | None:
    """Index of the point within ``reach`` of a place; shown ones win over others at the same distance."""
    best: tuple[float, int] | None = None
    for n, point in enumerate(points):
        if shown_only and not point.shown:
            continue
        distance = float(np.hypot(point.x - x, point.y - y)) + (0.0 if point.shown else 0.25 * reach)
        if distance <= reach and (best is None or distance < best[0]):
            best = (distance, n)
    return None if best is None else best[1]


def moved(points: Sequence[Point], index: int, x: float, y: float, size: tuple[int, int]) -> list[Point]:
    """The points with one of them dragged to a place, kept within the picture; what is dragged is shown."""
    out = list(points)
    out[index] = Point(float(np.clip(x, 0, size[0])), float(np.clip(y, 0, size[1])), True)
    # the neck is the middle of the shoulders until it is moved itself
    if NAMES[index].endswith("shoulder"):
        before = points[NAMES.index("neck")]
        right, left = (points[NAMES.index(f"{side}_shoulder")] for side in ("right", "left"))
        if abs(before.x - (right.x + left.x) / 2) < 0.5 and abs(before.y - (right.y + left.y) / 2) < 0.5:
            right, left = (out[NAMES.index(f"{side}_shoulder")] for side in ("right", "left"))
            out[NAMES.index("neck")] = replace(before, x=(right.x + left.x) / 2, y=(right.y + left.y) / 2)
    return out


def shown_at(points: Sequence[Point], index: int, shown: bool) -> list[Point]:
    """The points with one marked as shown in the picture, or not."""
    return [replace(p, shown=shown) if n == index else p for n, p in enumerate(points)]


def missing(points: Sequence[Point]) -> list[str]:
    """Labels of points that a film needs and that are not shown."""
    return [LABELS[NAMES.index(name)] for name in NEEDED if not points[NAMES.index(name)].shown]


def to_array(points: Sequence[Point]) -> np.ndarray:
    """(66, 3) x, y and confidence, as a film is ordered."""
    out = np.zeros((POINT_COUNT, 3), np.float32)
    for n, point in enumerate(points):
        out[n] = point.x, point.y, float(point.shown)
    return out
