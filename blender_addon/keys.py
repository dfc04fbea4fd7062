# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves into actions, fast: one call into Blender per curve and none per key."""

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np

from . import compat
from .core.channels import Channel

__all__ = ["write_channels"]


def _enum(property_name: str, identifier: str) -> int:
    found: Any = bpy.types.Keyframe.bl_rna.properties[property_name]
    return int(found.enum_items[identifier].value)


def write_channels(target: compat.ActionTarget, frames: np.ndarray, channels: Sequence[Channel]) -> int:
    """Write dense, linear keys of type GENERATED.

    :param target: an empty place in a new action.
    :param frames: (T,) frame numbers, ascending.
    :param channels: curves with T values each.
    :returns: how many keys were written.
    """
    count = len(frames)
    points = np.empty((count, 2), dtype=np.float32)
    points[:, 0] = frames
    linear = np.full(count, _enum("interpolation", "LINEAR"), dtype=np.int32)
    generated = np.full(count, _enum("type", "GENERATED"), dtype=np.int32)
    for channel in channels:
        points[:, 1] = channel.values
        curve = target.new_curve(channel.data_path, channel.index, channel.group)
        _fill(curve, points, linear, generated)
    return count * len(channels)


def _fill(curve: Any, points: np.ndarray, interpolation: np.ndarray, kinds: np.ndarray) -> None:
    keys = curve.keyframe_points
    keys.add(len(points))
    keys.foreach_set("co", points.ravel())
    keys.foreach_set("interpolation", interpolation)
    keys.foreach_set("type", kinds)
    curve.update()
