# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves into actions, fast: one call into Blender per curve and none per key."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import bpy
import numpy as np

from . import compat
from .core.channels import Channel
from .core.simplify import SparseKeys, simplify

__all__ = ["ENUM_TYPE", "CurveKeys", "Curves", "dense_keys", "enum_value", "grow", "sparse_keys", "write_keys"]

ENUM_TYPE = np.uint8
"""What arrays of a key's enums are made of: as Blender keeps them, so that it copies them, nine times faster than number by number."""


@cache
def enum_value(property_name: str, identifier: str) -> int:
    """The number of an enum item of a key."""
    found: Any = bpy.types.Keyframe.bl_rna.properties[property_name]
    return int(found.enum_items[identifier].value)


def _same(keys: Any, property_name: str, identifier: str) -> None:
    """Give all keys one enum item."""
    keys.foreach_set(property_name, np.full(len(keys), enum_value(property_name, identifier), dtype=ENUM_TYPE))


@dataclass(frozen=True)
class CurveKeys:
    """The keys of one curve to be.

    :ivar frames: (K,) frame numbers, ascending; :ivar values: (K,) values at them.
    :ivar sparse: handles of few keys, or None for one linear key per frame; :ivar component: which column of ``sparse`` it is.
    """

    channel: Channel
    frames: np.ndarray
    values: np.ndarray
    sparse: SparseKeys | None = None
    component: int = 0


def dense_keys(frames: np.ndarray, channels: Sequence[Channel]) -> list[CurveKeys]:
    """One key on each of the frames (T,), for curves with T values each."""
    return [CurveKeys(channel, frames, channel.values) for channel in channels]


def sparse_keys(frames: np.ndarray, channels: Sequence[Channel], limit: Callable[[Channel], float]) -> list[CurveKeys]:
    """As few Bézier keys as a limit allows, all components of one property at the same frames; without Blender, for any thread.

    :param limit: for a channel, the largest distance between the curve and the samples, in the property's units over
        all its components together.
    """
    properties: dict[str, list[Channel]] = {}
    for channel in channels:
        properties.setdefault(channel.data_path, []).append(channel)
    result: list[CurveKeys] = []
    for size in sorted({len(parts) for parts in properties.values()}):
        alike = [parts for parts in properties.values() if len(parts) == size]
        samples = np.stack([np.stack([c.values for c in parts], axis=-1) for parts in alike])
        for parts, sparse in zip(alike, simplify(samples, np.array([limit(parts[0]) for parts in alike])), strict=True):
            at = frames[sparse.index]
            result += [CurveKeys(channel, at, sparse.values[:, n], sparse, n) for n, channel in enumerate(parts)]
    return result


def write_keys(target: compat.ActionTarget, row: CurveKeys) -> None:
    """Make the curve in a new action, with keys of type GENERATED."""
    curve = target.new_curve(row.channel.data_path, row.channel.index, row.channel.group)
    count = len(row.frames)
    points = np.empty((count, 2), dtype=np.float32)
    points[:, 0], points[:, 1] = row.frames, row.values
    keys = curve.keyframe_points
    keys.add(count)
    keys.foreach_set("co", points.ravel())
    if row.sparse is not None:
        _set_handles(keys, row.frames, row.sparse, row.component)
    if row.sparse is None:  # new keys are BEZIER
        _same(keys, "interpolation", "LINEAR")
    _same(keys, "type", "GENERATED")
    curve.update()


def _set_handles(keys: Any, at: np.ndarray, sparse: SparseKeys, n: int) -> None:
    span = np.diff(at) / 3 if len(at) > 1 else np.zeros(0)
    edge = span[-1:] if len(span) else np.ones(1)
    before, after = np.concatenate((span[:1] if len(span) else edge, span)), np.concatenate((span, edge))
    for name, x, y in (("handle_left", at - before, sparse.left), ("handle_right", at + after, sparse.right)):
        keys.foreach_set(name, np.stack((x, y[:, n]), axis=-1).astype(np.float32).ravel())
    kind = np.where(sparse.aligned, enum_value("handle_left_type", "ALIGNED"), enum_value("handle_left_type", "FREE")).astype(ENUM_TYPE)
    keys.foreach_set("handle_left_type", kind)
    keys.foreach_set("handle_right_type", kind)


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
    _same(curve.keyframe_points, "interpolation", "LINEAR")
    _same(curve.keyframe_points, "type", "GENERATED")
    curve.update()

