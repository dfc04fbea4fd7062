# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of a body on a photograph: their names, how they hang together, and which one is under the mouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ..shared import rotations as rot
from ..shared.films import BODY_LIMBS, BODY_NAMES, POINT_COUNT, standing_figure
from ..shared.skeleton import JOINT_INDEX

__all__ = ["LABELS", "LIMBS", "NAMES", "NEEDED", "Point", "fitted", "missing", "moved", "nearest", "of_joints", "shown_at", "standing",
           "to_array"]

NAMES: Final = BODY_NAMES
"""The first 18 points of a pose track; of hands and feet nothing is placed by hand."""
LIMBS: Final = BODY_LIMBS
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


def standing(size: tuple[int, int]) -> list[Point]:
    """A figure to drag from, for a picture of (width, height)."""
    return [Point(float(x), float(y)) for x, y, _ in standing_figure(*size)[: len(NAMES)]]


def of_joints(positions: np.ndarray, turns: np.ndarray, projection: np.ndarray | None = None) -> np.ndarray:
    """(18, 2) points of one frame for the overlay, y down; NaN for those that are no joints (nose, ears).

    :param positions: (55, 3) metres, +Y up. :param turns: (55, 4). :param projection: (4, 4) to clip space with +Y up; without one
        the performer is seen from the front without perspective.
    """
    out = np.full((len(NAMES), 2), np.nan)
    if projection is None:
        facing = float(rot.heading(turns[0]))
        across = np.array([np.cos(facing), 0.0, -np.sin(facing)])
        flat = np.stack((positions @ across, -positions[:, 1]), -1)
    else:
        clip = np.concatenate((positions, np.ones((len(positions), 1))), 1) @ projection.T
        flat = clip[:, :2] / np.where(np.abs(clip[:, 3:]) > 1e-6, clip[:, 3:], np.nan) * (1.0, -1.0)
    for n, name in enumerate(NAMES):
        if name in JOINT_INDEX and name != "neck":
            out[n] = flat[JOINT_INDEX[name]]
    # as detectors have it, the neck is the middle of the shoulders
    out[1] = (out[2] + out[5]) / 2
    return out


def fitted(flat: np.ndarray, points: Sequence[Point], aspect: float = 1.0) -> np.ndarray | None:
    """A pose (18, 2) moved onto placed points by one scale and one offset, as renderers align it; None with too few points.

    :param aspect: how much wider a unit of ``flat`` is along x than along y.
    """
    wanted = np.array([(p.x, p.y) for p in points])
    use = np.array([p.shown for p in points]) & np.isfinite(flat).all(1)
    # arms hang differently in the photograph, and say nothing about its scale
    use[[NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("elbow", "wrist")]] = False
    flat = flat * (aspect, 1.0)
    if use.sum() < 2 or np.ptp(flat[use, 1]) < 1e-9:
        return None
    scale, low = np.polyfit(flat[use, 1], wanted[use, 1], 1)
    if scale <= 0:
        return None
    left = float(np.mean(wanted[use, 0] - flat[use, 0] * scale))
    return np.asarray(flat * scale + (left, low))
