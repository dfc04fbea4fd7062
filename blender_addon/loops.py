# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes that loop: a key on the frame after the last, where the first pose comes again, and Blender's Cycles on the curves.

A way through the room goes on with every round: curves that end elsewhere than they began repeat with an offset.
"""

from typing import Any

import numpy as np

from .core.handwork import from_rotation, to_rotation
from .shared.motion import Motion

__all__ = ["close", "closed", "is_closed", "reopen"]

_RETURNS = 0.6
"""Metres: a loop whose end is nearer than this to its beginning comes back to the same place, as the bridge has it."""
_OFFSET = 1e-4


def closed(motion: Motion) -> Motion:
    """The motion with its first pose once more at its end, where the way has led by then."""
    count = len(motion)
    result = motion.take(np.append(np.arange(count), 0))
    path = np.array(result.translation)
    way = (path[count - 1] - path[0]) * (1, 0, 1)
    if count > 1 and np.linalg.norm(way) > _RETURNS:
        path[-1] = path[0] + way + (path[count - 1] - path[count - 2]) * (1, 0, 1)
    result.translation = path
    return result


def is_closed(curve: Any) -> bool:
    """Whether a curve repeats."""
    return any(modifier.type == "CYCLES" for modifier in curve.modifiers)


def close(curves: list[Any], new: np.ndarray, start: float, mode: str) -> list[float]:
    """Set the key after the last frame and let the D curves of one property repeat. Returns the values (D,) there.

    :param new: (T + 1, D) values of the closed motion; :param start: frame of the first sample.
    :param mode: the rotation mode of what is animated.
    """
    frame = start + len(new) - 1
    first = np.array([[c.evaluate(start) for c in curves]])
    last = np.array([c.evaluate(frame - 1) for c in curves])
    kind = str(curves[0].data_path).rpartition(".")[2]
    if kind.startswith("rotation"):
        wanted = from_rotation(kind, mode, to_rotation(kind, mode, first), last)[0]
        offset = np.zeros(len(wanted))
    else:
        offset = new[-1] - new[0]
        wanted = first[0] + offset
    for curve, value, way in zip(curves, wanted, offset, strict=True):
        reopen(curve, frame)
        key = curve.keyframe_points.insert(frame, float(value), options={"FAST"})
        key.type, key.interpolation = "GENERATED", curve.keyframe_points[0].interpolation
        curve.update()
        cycles = curve.modifiers.new("CYCLES")
        cycles.mode_before = cycles.mode_after = "REPEAT_OFFSET" if abs(way) > _OFFSET else "REPEAT"
    return [float(np.float32(value)) for value in wanted]


def reopen(curve: Any, end: float) -> None:
    """Take the repeating away, and generated keys from the frame ``end`` on."""
    for modifier in [m for m in curve.modifiers if m.type == "CYCLES"]:
        curve.modifiers.remove(modifier)
    points = curve.keyframe_points
    while len(points) > 1 and points[-1].co[0] >= end - 0.01 and points[-1].type == "GENERATED":
        points.remove(points[-1], fast=True)
