# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where coordinates of ``shared`` (Y up) and of Blender (Z up) meet.

``shared``: right-handed, +Y up, +Z forward, the character's left hand on +X.
Blender: right-handed, +Z up, a character at rest looks along -Y, its left hand on +X.
One quarter turn about +X takes the first to the second: ``(x, y, z) -> (x, -z, y)``. The quarter turn of a
rotation's axis is the same permutation of the quaternion's vector part, its angle does not change.
"""

from __future__ import annotations

import numpy as np

__all__ = ["FORWARD", "LEFT", "UP", "quat_to_y_up", "quat_to_z_up", "vector_to_y_up", "vector_to_z_up"]

LEFT = np.array([1.0, 0.0, 0.0])
"""The character's left in Blender's axes."""
FORWARD = np.array([0.0, -1.0, 0.0])
"""Where a character at rest looks, in Blender's axes."""
UP = np.array([0.0, 0.0, 1.0])
"""Up in Blender's axes."""


def vector_to_z_up(v: np.ndarray) -> np.ndarray:
    """Vectors (…, 3) of ``shared`` in Blender's axes."""
    v = np.asarray(v)
    return np.stack((v[..., 0], -v[..., 2], v[..., 1]), axis=-1)


def vector_to_y_up(v: np.ndarray) -> np.ndarray:
    """The inverse of :func:`vector_to_z_up`."""
    v = np.asarray(v)
    return np.stack((v[..., 0], v[..., 2], -v[..., 1]), axis=-1)


def quat_to_z_up(q: np.ndarray) -> np.ndarray:
    """World rotations (…, 4) wxyz of ``shared`` in Blender's axes."""
    q = np.asarray(q)
    return np.stack((q[..., 0], q[..., 1], -q[..., 3], q[..., 2]), axis=-1)


def quat_to_y_up(q: np.ndarray) -> np.ndarray:
    """The inverse of :func:`quat_to_z_up`."""
    q = np.asarray(q)
    return np.stack((q[..., 0], q[..., 1], q[..., 3], -q[..., 2]), axis=-1)
