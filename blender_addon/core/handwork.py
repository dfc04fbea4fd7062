# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping what an artist has set: new values are bent so that they go through given ones, and changed keys are told apart.

A *pin* is a sample whose value is given. The difference at a pin fades out over ``reach`` samples, or up to the next
pin where that is nearer, so that every pin is met exactly.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from ..shared import rotations as rot
from .channels import EULER_ORDERS, to_axis_angle, to_euler

__all__ = ["from_rotation", "marks", "pack_marks", "pin_rotations", "pin_values", "spread", "to_rotation", "unpack_marks"]


def spread(count: int, pins: Sequence[int], reach: int) -> np.ndarray:
    """Weights (T, P): 1 at a pin's own sample, smoothly to 0 at its neighbours and beyond ``reach``.

    :param pins: P sample numbers, ascending; they may lie outside [0, T).
    """
    weights = np.zeros((count, len(pins)))
    at = np.arange(count)
    for n, pin in enumerate(pins):
        before = min(reach, pin - pins[n - 1]) if n else reach
        after = min(reach, pins[n + 1] - pin) if n + 1 < len(pins) else reach
        far = np.clip(np.where(at < pin, (pin - at) / max(before, 1), (at - pin) / max(after, 1)), 0.0, 1.0)
        weights[:, n] = 1.0 - far * far * (3.0 - 2.0 * far)
    return weights


def pin_values(samples: np.ndarray, pins: Sequence[int], wanted: np.ndarray, reach: int) -> np.ndarray:
    """Samples (T, D) bent to be ``wanted`` (P, D) at the pins, all of which lie in [0, T)."""
    return samples + spread(len(samples), pins, reach) @ (wanted - samples[list(pins)])


def pin_rotations(quaternions: np.ndarray, pins: Sequence[int], wanted: np.ndarray, reach: int) -> np.ndarray:
    """The same for unit quaternions (T, 4); the correction is a turn, added up as rotation vectors."""
    gap = rot.mul(wanted, rot.conjugate(quaternions[list(pins)]))
    turn = spread(len(quaternions), pins, reach) @ rot.quat_to_axis_angle(rot.normalise(gap))
    return rot.mul(rot.axis_angle_to_quat(turn), quaternions)


def to_rotation(kind: str, mode: str, values: np.ndarray) -> np.ndarray:
    """Channel values (T, 3 or 4) as unit quaternions (T, 4).

    :param kind: ``rotation_quaternion``, ``rotation_axis_angle`` or ``rotation_euler``.
    :param mode: Blender's order of Euler angles.
    """
    values = np.asarray(values, dtype=np.float64)
    if kind == "rotation_quaternion":
        return rot.normalise(values)
    if kind == "rotation_axis_angle":
        length = np.maximum(np.linalg.norm(values[:, 1:], axis=1, keepdims=True), 1e-12)
        return rot.axis_angle_to_quat(values[:, 1:] / length * values[:, :1])
    result = rot.identity(len(values))
    for axis in EULER_ORDERS[mode][:3]:
        vector = np.zeros((len(values), 3))
        vector[:, axis] = values[:, axis]
        result = rot.mul(rot.axis_angle_to_quat(vector), result)
    return result


def from_rotation(kind: str, mode: str, quaternions: np.ndarray, near: np.ndarray | None) -> np.ndarray:
    """The inverse of :func:`to_rotation`, without jumps; of the many triples the one that goes on from ``near`` (3 or 4)."""
    if kind == "rotation_quaternion":
        q = rot.continuous(quaternions)
        return -q if near is not None and np.dot(q[0], near) < 0 else q
    if kind == "rotation_axis_angle":
        return to_axis_angle(quaternions)
    angles = to_euler(quaternions, mode)
    if near is None:
        return angles
    middle = EULER_ORDERS[mode][1]
    other = angles + np.pi
    other[:, middle] = np.pi - angles[:, middle]
    found = [a + 2 * np.pi * np.round((near - a[0]) / (2 * np.pi)) for a in (angles, other)]
    return min(found, key=lambda a: float(np.abs(a[0] - near).sum()))


_MIX: Final = np.uint32(2654435761)


def marks(values: np.ndarray) -> np.ndarray:
    """A mark of 16 bits (K,) per float32 key value, to tell later whether someone has changed it."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits * _MIX) >> np.uint32(16)).astype(np.uint16)


def pack_marks(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Frames and marks of each curve in one block: the length of a JSON table, the table, the arrays."""
    table: list[list[str | int]] = []
    parts: list[bytes] = []
    places: dict[bytes, int] = {}
    size = 0
    for name, (frames, found) in curves.items():
        raw = np.ascontiguousarray(frames, dtype=np.float32).tobytes()
        if raw not in places:
            # most curves have keys at the same frames
            places[raw] = size
            parts.append(raw)
            size += len(raw)
        table.append([name, len(frames), places[raw], size])
        parts.append(np.ascontiguousarray(found, dtype=np.uint16).tobytes() + b"\0\0" * (len(found) % 2))
        size += len(parts[-1])
    head = json.dumps(table).encode()
    # marks are as good as random: they would take time to compress and become no smaller
    return zlib.compress(struct.pack("<I", len(head)) + head + b"".join(parts), 0)


def unpack_marks(block: bytes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The inverse of :func:`pack_marks`; empty for a block that cannot be read."""
    try:
        data = zlib.decompress(block)
        size, = struct.unpack_from("<I", data)
        table = json.loads(data[4:4 + size])
        body = data[4 + size:]
        return {name: (np.frombuffer(body, np.float32, count, at), np.frombuffer(body, np.uint16, count, place))
                for name, count, at, place in table}
    except (zlib.error, struct.error, ValueError, TypeError):
        return {}
