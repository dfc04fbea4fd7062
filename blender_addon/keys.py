# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves into actions, fast: one call into Blender per curve and none per key."""

from collections.abc import Callable, Sequence
from typing import Any

import bpy
import numpy as np

from . import compat
from .core.channels import Channel
from .core.simplify import SparseKeys, simplify

__all__ = ["Curves", "grow", "write_channels", "write_sparse"]


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


class Curves:
    """The curves of one data-block in an action, found by path."""

    def __init__(self, target: compat.ActionTarget) -> None:
        self.target = target
        self.known = {(c.data_path, c.array_index): c for c in target.curves}

    def curve(self, channel: Channel) -> Any:
        """The channel's curve, made where there is none."""
        key = (channel.data_path, channel.index)
        if key not in self.known:
            self.known[key] = self.target.new_curve(channel.data_path, channel.index, channel.group)
        return self.known[key]


def grow(curves: Curves, frames: np.ndarray, channel: Channel) -> None:
    """Write dense keys over those of an earlier, shorter state of the channel."""
    curve = curves.curve(channel)
    points = np.stack((frames, channel.values), axis=1).astype(np.float32)
    count = len(points)
    missing = count - len(curve.keyframe_points)
    if missing > 0:
        curve.keyframe_points.add(missing)
    curve.keyframe_points.foreach_set("co", points.ravel())
    curve.keyframe_points.foreach_set("interpolation", np.full(count, _enum("interpolation", "LINEAR"), dtype=np.int32))
    curve.keyframe_points.foreach_set("type", np.full(count, _enum("type", "GENERATED"), dtype=np.int32))
    curve.update()


def write_sparse(target: compat.ActionTarget, frames: np.ndarray, channels: Sequence[Channel],
                 limit: Callable[[Channel], float]) -> int:
    """Write as few Bézier keys as a limit allows, all components of one property at the same frames.

    :param limit: for a channel, the largest distance between the curve and the samples, in the property's units over
        all its components together.
    :returns: how many keys were written.
    """
    properties: dict[str, list[Channel]] = {}
    for channel in channels:
        properties.setdefault(channel.data_path, []).append(channel)
    count = 0
    for size in sorted({len(parts) for parts in properties.values()}):
        alike = [parts for parts in properties.values() if len(parts) == size]
        samples = np.stack([np.stack([c.values for c in parts], axis=-1) for parts in alike])
        for parts, sparse in zip(alike, simplify(samples, np.array([limit(parts[0]) for parts in alike])), strict=True):
            for n, channel in enumerate(parts):
                _fill_sparse(target.new_curve(channel.data_path, channel.index, channel.group), frames, sparse, n)
            count += size * len(sparse.index)
    return count


def _fill_sparse(curve: Any, frames: np.ndarray, sparse: SparseKeys, n: int) -> None:
    at = frames[sparse.index]
    span = np.diff(at) / 3 if len(at) > 1 else np.zeros(0)
    edge = span[-1:] if len(span) else np.ones(1)
    before, after = np.concatenate((span[:1] if len(span) else edge, span)), np.concatenate((span, edge))
    keys = curve.keyframe_points
    keys.add(len(at))
    for name, x, y in (("co", at, sparse.values), ("handle_left", at - before, sparse.left),
                       ("handle_right", at + after, sparse.right)):
        keys.foreach_set(name, np.stack((x, y[:, n]), axis=-1).astype(np.float32).ravel())
    kind = np.where(sparse.aligned, _enum("handle_left_type", "ALIGNED"), _enum("handle_left_type", "FREE")).astype(np.int32)
    keys.foreach_set("handle_left_type", kind)
    keys.foreach_set("handle_right_type", kind)
    keys.foreach_set("interpolation", np.full(len(at), _enum("interpolation", "BEZIER"), dtype=np.int32))
    keys.foreach_set("type", np.full(len(at), _enum("type", "GENERATED"), dtype=np.int32))
    curve.update()
