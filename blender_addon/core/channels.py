# SPDX-License-Identifier: GPL-3.0-or-later
"""From rotations to the numbers of F-curves: quaternions, Euler angles in any order, axis and angle.

Follows Blender's conventions: "XYZ" turns about X first; Euler angles in radians.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ..shared import rotations as rot

__all__ = ["EULER_ORDERS", "Channel", "escaped", "rotation_channels", "to_axis_angle", "to_euler"]

EULER_ORDERS: Final[dict[str, tuple[int, int, int, bool]]] = {
    # the axes in order of turning, and whether they are an odd permutation
    "XYZ": (0, 1, 2, False), "XZY": (0, 2, 1, True), "YXZ": (1, 0, 2, True),
    "YZX": (1, 2, 0, False), "ZXY": (2, 0, 1, False), "ZYX": (2, 1, 0, True),
}


@dataclass(frozen=True)
class Channel:
    """One F-curve to be: values (T,), in Blender's units."""

    data_path: str
    index: int
    group: str
    values: np.ndarray


def escaped(name: str) -> str:
    """A name as it stands between quotes in a data path, as ``bpy.utils.escape_identifier`` writes it."""
    return name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")


def to_euler(quaternions: np.ndarray, order: str) -> np.ndarray:
    """Unit quaternions (T, …, 4) to Euler angles (T, …, 3) for x, y, z, without jumps along T.

    Of the two triples that stand for one rotation the one nearer to the frame before is taken, and full turns are
    added so that no angle steps by more than pi. The first frame is the triple whose middle angle lies within ±90°.
    """
    i, j, k, odd = EULER_ORDERS[order]
    m = rot.quat_to_matrix(rot.normalise(np.asarray(quaternions, dtype=np.float64)))
    cos_middle = np.hypot(m[..., i, i], m[..., j, i])
    degenerate = cos_middle < 1e-7
    first = np.where(degenerate, np.arctan2(-m[..., j, k], m[..., j, j]), np.arctan2(m[..., k, j], m[..., k, k]))
    middle = np.arctan2(-m[..., k, i], cos_middle)
    last = np.where(degenerate, 0.0, np.arctan2(m[..., j, i], m[..., i, i]))
    angles = np.stack((first, middle, last), axis=-1)
    if odd:
        angles = -angles
    other = angles + np.pi
    other[..., 1] = np.pi - angles[..., 1]
    if len(angles) > 1:
        # staying with one of the two triples costs the same for both, and so does changing between them;
        # so every step can be judged alone, and the choice at t is the parity of the changes up to t
        stay = np.abs(_wrapped(angles[1:] - angles[:-1])).sum(axis=-1)
        change = np.abs(_wrapped(other[1:] - angles[:-1])).sum(axis=-1)
        swapped = np.cumsum(change < stay - 1e-9, axis=0) % 2 == 1
        angles[1:][swapped] = other[1:][swapped]
        angles = np.unwrap(angles, axis=0)
    result = np.empty_like(angles)
    result[..., i], result[..., j], result[..., k] = angles[..., 0], angles[..., 1], angles[..., 2]
    return result


def _wrapped(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def to_axis_angle(quaternions: np.ndarray) -> np.ndarray:
    """Unit quaternions (T, …, 4) to angle, x, y, z (T, …, 4), with the axis kept on one side along T."""
    q = rot.continuous(np.asarray(quaternions, dtype=np.float64))
    length = np.linalg.norm(q[..., 1:], axis=-1)
    axis = np.where(length[..., None] > 1e-9, q[..., 1:] / np.maximum(length, 1e-9)[..., None], (0.0, 1.0, 0.0))
    angle = 2 * np.arctan2(length, q[..., 0])
    if len(q) > 1:
        flips = np.where(np.sum(axis[1:] * axis[:-1], axis=-1) < 0, -1.0, 1.0)
        signs = np.concatenate((np.ones_like(flips[:1]), np.cumprod(flips, axis=0)))
        axis, angle = axis * signs[..., None], np.unwrap(angle * signs, axis=0)
    return np.concatenate((angle[..., None], axis), axis=-1)


def rotation_channels(path: str, group: str, mode: str, quaternions: np.ndarray) -> list[Channel]:
    """The F-curves of one bone or object.

    :param path: data path of the bone with a trailing dot, or "" for an object.
    :param mode: Blender's ``rotation_mode``.
    :param quaternions: (T, 4) unit quaternions wxyz.
    """
    if mode == "QUATERNION":
        name, values = "rotation_quaternion", rot.continuous(quaternions)
    elif mode == "AXIS_ANGLE":
        name, values = "rotation_axis_angle", to_axis_angle(quaternions)
    else:
        name, values = "rotation_euler", to_euler(quaternions, mode)
    return [Channel(f"{path}{name}", n, group, values[:, n]) for n in range(values.shape[1])]
