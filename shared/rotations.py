# SPDX-License-Identifier: Apache-2.0
"""Rotations as numpy arrays: unit quaternions **wxyz**, matrices, axis-angle vectors, 6D.

All functions work on any number of leading dimensions and return float64 unless the input is
float32. Rotations act on column vectors: ``v_world = R @ v_local``.

6D is the first two **columns** of the matrix, concatenated, c0 then c1 (Zhou et al., "On the
Continuity of Rotation Representations in Neural Networks", CVPR 2019). Other projects store rows
or interleaved columns; convert at the door.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = [
    "angle_between", "axis_angle_to_quat", "conjugate", "continuous", "from_two_vectors", "heading", "identity",
    "matrix_to_quat", "matrix_to_six_d", "mul", "mul_parts", "normalise", "quat_to_axis_angle", "quat_to_matrix", "quat_to_six_d",
    "rotate", "six_d_to_matrix", "six_d_to_quat", "slerp", "yaw_quat",
]


def _float(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x)
    return x if x.dtype in (np.float32, np.float64) else x.astype(np.float64)


def identity(*shape: int) -> np.ndarray:
    """Unit quaternions (\\*shape, 4)."""
    q = np.zeros((*shape, 4))
    q[..., 0] = 1.0
    return q


def normalise(q: np.ndarray) -> np.ndarray:
    """(…, 4) scaled to unit length; a zero quaternion becomes the identity."""
    q = _float(q)
    n = np.sqrt(np.einsum("...k,...k->...", q, q))[..., None]
    if (n > 1e-12).all():
        return q / n
    unit = np.zeros_like(q)
    unit[..., 0] = 1.0
    return np.where(n > 1e-12, q / np.maximum(n, 1e-12), unit)


def mul_parts(a: Iterable[np.ndarray], b: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """:func:`mul` of quaternions whose components w, x, y, z are arrays of their own, which is faster where these lie side by side."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def mul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product (…, 4): the rotation ``b`` followed by ``a``."""
    a, b = _float(a), _float(b)
    out = np.empty(np.broadcast_shapes(a.shape, b.shape), np.result_type(a, b))
    parts = mul_parts([a[..., k] for k in range(4)], [b[..., k] for k in range(4)])
    out[..., 0], out[..., 1], out[..., 2], out[..., 3] = parts
    return out


def conjugate(q: np.ndarray) -> np.ndarray:
    """The inverse rotation of unit quaternions (…, 4)."""
    q = _float(q)
    return q * np.array([1, -1, -1, -1], dtype=q.dtype)


def rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Vectors (…, 3) turned by unit quaternions (…, 4)."""
    q, v = _float(q), _float(v)
    w, u = q[..., :1], q[..., 1:]
    t = 2.0 * _cross(u, v)
    return v + w * t + _cross(u, t)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The vector product (…, 3); ``numpy.cross`` spends most of its time on small arrays with their axes."""
    ax, ay, az = (a[..., k] for k in range(3))
    bx, by, bz = (b[..., k] for k in range(3))
    out = np.empty(np.broadcast_shapes(a.shape, b.shape), np.result_type(a, b))
    out[..., 0], out[..., 1], out[..., 2] = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    return out


def quat_to_matrix(q: np.ndarray) -> np.ndarray:
    """Unit quaternions (…, 4) to matrices (…, 3, 3)."""
    q = _float(q)
    w, x, y, z = np.moveaxis(q, -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def matrix_to_quat(m: np.ndarray) -> np.ndarray:
    """Rotation matrices (…, 3, 3) to unit quaternions (…, 4) with w >= 0.

    The largest of the four components is computed first (Shepperd's method), so no case is
    ill-conditioned.
    """
    m = _float(m)
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = np.stack((1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22), axis=-1)
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    candidates = np.stack(
        (
            np.stack((squares[..., 0], a, b, c), axis=-1),
            np.stack((a, squares[..., 1], d, e), axis=-1),
            np.stack((b, d, squares[..., 2], f), axis=-1),
            np.stack((c, e, f, squares[..., 3]), axis=-1),
        ),
        axis=-2,
    )
    best = np.argmax(squares, axis=-1)
    q = normalise(np.take_along_axis(candidates, best[..., None, None], axis=-2)[..., 0, :])
    return np.where(q[..., :1] < 0, -q, q)


def axis_angle_to_quat(v: np.ndarray) -> np.ndarray:
    """Rotation vectors (…, 3), radians, to unit quaternions (…, 4)."""
    v = _float(v)
    angle = np.linalg.norm(v, axis=-1, keepdims=True)
    # sin(x/2)/x tends to 1/2; np.sinc is sin(pi x)/(pi x) and exact at 0
    return np.concatenate((np.cos(angle / 2), 0.5 * np.sinc(angle / (2 * np.pi)) * v), axis=-1).astype(v.dtype)


def quat_to_axis_angle(q: np.ndarray) -> np.ndarray:
    """Unit quaternions (…, 4) to rotation vectors (…, 3) of length at most pi."""
    q = _float(q)
    q = np.where(q[..., :1] < 0, -q, q)
    s = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(s, q[..., :1])
    return q[..., 1:] * np.where(s > 1e-9, angle / np.maximum(s, 1e-9), 2.0)


def matrix_to_six_d(m: np.ndarray) -> np.ndarray:
    """Matrices (…, 3, 3) to 6D (…, 6): column 0 then column 1."""
    return np.concatenate((m[..., :, 0], m[..., :, 1]), axis=-1)


def six_d_to_matrix(d: np.ndarray) -> np.ndarray:
    """6D (…, 6), column 0 then column 1, to matrices (…, 3, 3) by Gram-Schmidt."""
    d = _float(d)
    a, b = d[..., :3], d[..., 3:]
    c0 = a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-8)
    b = b - np.sum(c0 * b, axis=-1, keepdims=True) * c0
    c1 = b / np.maximum(np.linalg.norm(b, axis=-1, keepdims=True), 1e-8)
    return np.stack((c0, c1, _cross(c0, c1)), axis=-1)


def quat_to_six_d(q: np.ndarray) -> np.ndarray:
    """Unit quaternions (…, 4) to 6D (…, 6), column 0 then column 1."""
    return matrix_to_six_d(quat_to_matrix(q))


def six_d_to_quat(d: np.ndarray) -> np.ndarray:
    """6D (…, 6), column 0 then column 1, to unit quaternions (…, 4)."""
    return matrix_to_quat(six_d_to_matrix(d))


def continuous(q: np.ndarray, axis: int = 0) -> np.ndarray:
    """The same rotations with signs chosen so that neighbours along ``axis`` have a dot product >= 0."""
    q = np.moveaxis(_float(q), axis, 0)
    if len(q) < 2:
        return np.moveaxis(q.copy(), 0, axis)
    opposite = np.einsum("...k,...k->...", q[1:], q[:-1]) < 0
    if not opposite.any():
        return np.moveaxis(q.copy(), 0, axis)
    flips = np.where(opposite, -1.0, 1.0)
    signs = np.concatenate((np.ones_like(flips[:1]), np.cumprod(flips, axis=0)))[..., None]
    return np.moveaxis((q * signs).astype(q.dtype), 0, axis)


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray | float) -> np.ndarray:
    """Spherical interpolation (…, 4) along the shorter arc; ``t`` in [0, 1] broadcasts over (…)."""
    a, b = _float(a), _float(b)
    t = np.asarray(t, dtype=np.float64)[..., None]
    dot = np.sum(a * b, axis=-1, keepdims=True)
    b = np.where(dot < 0, -b, b)
    dot = np.clip(np.abs(dot), 0.0, 1.0)
    theta = np.arccos(dot)
    sin = np.sin(theta)
    near = sin < 1e-6
    safe = np.where(near, 1.0, sin)
    wa = np.where(near, 1 - t, np.sin((1 - t) * theta) / safe)
    wb = np.where(near, t, np.sin(t * theta) / safe)
    return normalise(wa * a + wb * b).astype(np.result_type(a, b))


def angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle (…) in radians between unit quaternions (…, 4)."""
    d = mul(conjugate(a), b)
    return 2 * np.arctan2(np.linalg.norm(d[..., 1:], axis=-1), np.abs(d[..., 0]))


def yaw_quat(angle: np.ndarray | float) -> np.ndarray:
    """Quaternions (…, 4) that turn by ``angle`` (…) radians about +Y; positive turns +Z towards +X (to the left)."""
    half = np.asarray(angle, dtype=np.float64) / 2
    zero = np.zeros_like(half)
    return np.stack((np.cos(half), zero, np.sin(half), zero), axis=-1)


def heading(q: np.ndarray) -> np.ndarray:
    """Angle (…) about +Y of where +Z points after ``q`` (…, 4), radians in (-pi, pi]."""
    f = rotate(q, np.broadcast_to(np.array([0.0, 0.0, 1.0]), (*np.shape(q)[:-1], 3)))
    return np.arctan2(f[..., 0], f[..., 2])


def from_two_vectors(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Shortest rotations (…, 4) that take directions ``a`` (…, 3) to ``b`` (…, 3); opposite ones turn by pi."""
    a, b = _float(a), _float(b)
    a = a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-12)
    b = b / np.maximum(np.linalg.norm(b, axis=-1, keepdims=True), 1e-12)
    w = 1 + np.sum(a * b, axis=-1, keepdims=True)
    v = _cross(a, b)
    # opposite directions: any axis at right angles will do
    other = np.where(np.abs(a[..., :1]) < 0.9, np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]))
    perpendicular = _cross(a, other)
    opposite = w < 1e-8
    return normalise(np.where(opposite, np.concatenate((np.zeros_like(w), perpendicular), -1), np.concatenate((w, v), -1)))
