# SPDX-License-Identifier: GPL-3.0-or-later
"""Implicit surfaces in numpy: smooth unions on a rectilinear grid, and their quads by surface nets.

A field is negative inside. Values are distances near the surface only, which is all that blending needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["Field", "profile", "smooth_mesh", "surface_nets"]

_FAR = np.float32(1.0)


def profile(at: np.ndarray, keys: Sequence[float], values: Sequence[float]) -> np.ndarray:
    """A smooth curve through (keys, values), keys ascending, sampled at (N,): cubic Hermite with finite slopes."""
    k, v = np.asarray(keys, dtype=float), np.asarray(values, dtype=float)
    slope = np.gradient(v, k)
    at = np.clip(at, k[0], k[-1])
    i = np.clip(np.searchsorted(k, at, side="right") - 1, 0, len(k) - 2)
    h = k[i + 1] - k[i]
    t = (at - k[i]) / h
    return ((2 * t**3 - 3 * t**2 + 1) * v[i] + (t**3 - 2 * t**2 + t) * h * slope[i]
            + (-2 * t**3 + 3 * t**2) * v[i + 1] + (t**3 - t**2) * h * slope[i + 1])


class Field:
    """A scalar field on a rectilinear grid.

    :param axes: three ascending coordinate arrays, metres.
    """

    def __init__(self, axes: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        self.axes = tuple(np.asarray(a, dtype=np.float32) for a in axes)
        self.values = np.full([len(a) for a in self.axes], _FAR, dtype=np.float32)

    def box(
        self, low: Sequence[float] | np.ndarray, high: Sequence[float] | np.ndarray
    ) -> tuple[tuple[slice, slice, slice], tuple[np.ndarray, ...]]:
        """Index slices and broadcastable coordinates of the grid inside a box."""
        i, j, k = (slice(int(np.searchsorted(a, lo)), int(np.searchsorted(a, hi, side="right")))
                   for a, lo, hi in zip(self.axes, low, high, strict=True))
        x, y, z = (a[p] for a, p in zip(self.axes, (i, j, k), strict=True))
        return (i, j, k), (x[:, None, None], y[None, :, None], z[None, None, :])

    def join(self, parts: tuple[slice, slice, slice], distance: np.ndarray, blend: float) -> None:
        """Smooth union with a distance given on a box (polynomial smooth minimum of radius ``blend``)."""
        old = self.values[parts]
        h = np.maximum(blend - np.abs(old - distance), 0.0) / blend
        self.values[parts] = np.minimum(old, distance) - h * h * (blend * 0.25)

    def carve(self, parts: tuple[slice, slice, slice], distance: np.ndarray, blend: float) -> None:
        """Smooth difference: take a distance given on a box away."""
        old = self.values[parts]
        h = np.maximum(blend - np.abs(old + distance), 0.0) / blend
        self.values[parts] = np.maximum(old, -distance) + h * h * (blend * 0.25)

    def tube(
        self, axis: int, keys: Sequence[float], first: Sequence[float], second: Sequence[float],
        first_centre: Sequence[float] | float = 0.0, second_centre: Sequence[float] | float = 0.0, *,
        blend: float = 0.02, power: float = 2.0, side: float = 1.0, caps: tuple[float, float] | None = None,
    ) -> None:
        """A limb along a grid axis: elliptic sections whose half sizes and centres are curves of the coordinate.

        :param axis: 0 for x, 1 for y, 2 for z; the other two in ascending order are ``first`` and ``second``.
        :param side: -1 mirrors a tube along x.
        :param caps: how far the rounded ends reach beyond the first and the last key; by default their half size.
        """
        margin = max(0.03, 1.2 * blend)
        others = [i for i in range(3) if i != axis]
        width, depth = max(first), max(second)
        low, high = [0.0] * 3, [0.0] * 3
        low[axis], high[axis] = (keys[0], keys[-1]) if side > 0 else (-keys[-1], -keys[0])
        for i, centre, size in ((others[0], first_centre, width), (others[1], second_centre, depth)):
            centres = np.atleast_1d(centre)
            low[i], high[i] = float(centres.min()) - size - margin, float(centres.max()) + size + margin
        caps = caps or (min(first[0], second[0]), min(first[-1], second[-1]))
        low[axis] -= margin + max(caps)
        high[axis] += margin + max(caps)
        parts, coordinates = self.box(low, high)
        s = coordinates[axis] * side

        def curve(v: Sequence[float] | float) -> np.ndarray:
            if isinstance(v, (int, float)):
                return np.asarray(v, dtype=np.float32)
            return profile(s.ravel(), keys, v).astype(np.float32).reshape(s.shape)

        a, b = np.maximum(curve(first), 1e-3), np.maximum(curve(second), 1e-3)
        u, w = (coordinates[others[0]] - curve(first_centre)) / a, (coordinates[others[1]] - curve(second_centre)) / b
        section = (np.abs(u) ** power + np.abs(w) ** power) ** np.float32(1.0 / power)
        beyond = np.maximum(np.maximum((keys[0] - s) / caps[0], (s - keys[-1]) / caps[1]), 0.0)
        section = np.sqrt(section**2 + beyond**2)
        self.join(parts, (section - 1.0) * np.minimum(a, b), blend)

    def ellipsoid(self, centre: Sequence[float], radii: Sequence[float], blend: float, carve: bool = False) -> None:
        """Add or take away an ellipsoid."""
        c, r = np.asarray(centre, dtype=np.float32), np.asarray(radii, dtype=np.float32)
        margin = max(0.03, 1.2 * blend)
        parts, (x, y, z) = self.box(c - r - margin, c + r + margin)
        k0 = np.sqrt(((x - c[0]) / r[0]) ** 2 + ((y - c[1]) / r[1]) ** 2 + ((z - c[2]) / r[2]) ** 2)
        k1 = np.sqrt(((x - c[0]) / r[0] ** 2) ** 2 + ((y - c[1]) / r[1] ** 2) ** 2 + ((z - c[2]) / r[2] ** 2) ** 2)
        distance = k0 * (k0 - 1.0) / np.maximum(k1, 1e-6)
        (self.carve if carve else self.join)(parts, distance, blend)

    def capsule(self, start: Sequence[float], end: Sequence[float], radius: tuple[float, float], blend: float,
                carve: bool = False) -> None:
        """Add or take away a rod whose radius runs from one end's to the other's."""
        a, b = np.asarray(start, dtype=np.float32), np.asarray(end, dtype=np.float32)
        margin = max(radius) + max(0.03, 1.2 * blend)
        parts, (x, y, z) = self.box(np.minimum(a, b) - margin, np.maximum(a, b) + margin)
        d = b - a
        t = np.clip(((x - a[0]) * d[0] + (y - a[1]) * d[1] + (z - a[2]) * d[2]) / float(d @ d), 0.0, 1.0)
        distance = np.sqrt((x - a[0] - t * d[0]) ** 2 + (y - a[1] - t * d[1]) ** 2 + (z - a[2] - t * d[2]) ** 2)
        (self.carve if carve else self.join)(parts, distance - (radius[0] + (radius[1] - radius[0]) * t), blend)


_CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
_EDGES = [(a, b) for a in range(8) for b in range(a + 1, 8) if np.abs(_CORNERS[a] - _CORNERS[b]).sum() == 1]


def surface_nets(field: Field) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and quads (F, 4), facing outwards, of the zero surface (Gibson's surface nets)."""
    values = field.values
    inside = values < 0
    shape = np.array(values.shape) - 1
    count = np.zeros(shape, dtype=np.uint8)
    for i, j, k in _CORNERS:
        count += inside[i : i + shape[0], j : j + shape[1], k : k + shape[2]]
    cells = np.argwhere((count > 0) & (count < 8))
    number = np.full(shape, -1, dtype=np.int64)
    number[tuple(cells.T)] = np.arange(len(cells))
    corner_index = cells[:, None] + _CORNERS[None]
    corner_value = values[corner_index[..., 0], corner_index[..., 1], corner_index[..., 2]]
    corner_place = np.stack([field.axes[c][corner_index[..., c]] for c in range(3)], axis=-1)
    total, weight = np.zeros((len(cells), 3)), np.zeros(len(cells))
    for a, b in _EDGES:
        va, vb = corner_value[:, a], corner_value[:, b]
        crossing = (va < 0) != (vb < 0)
        t = np.where(crossing, va / np.where(crossing, va - vb, 1.0), 0.0)
        point = corner_place[:, a] + t[:, None] * (corner_place[:, b] - corner_place[:, a])
        total += np.where(crossing[:, None], point, 0.0)
        weight += crossing
    vertices = total / np.maximum(weight, 1)[:, None]
    quads = []
    for axis in range(3):
        lower = [slice(None)] * 3
        upper = [slice(None)] * 3
        lower[axis], upper[axis] = slice(0, -1), slice(1, None)
        first, second = inside[tuple(lower)], inside[tuple(upper)]
        edges = np.argwhere(first != second)
        u, v = [c for c in range(3) if c != axis]
        edges = edges[(edges[:, u] > 0) & (edges[:, v] > 0) & (edges[:, u] < shape[u]) & (edges[:, v] < shape[v])]
        leaving = first[tuple(edges.T)]
        ring = []
        for du, dv in ((-1, -1), (0, -1), (0, 0), (-1, 0)):
            cell = edges.copy()
            cell[:, u] += du
            cell[:, v] += dv
            ring.append(number[tuple(cell.T)])
        quad = np.stack(ring, axis=1)
        # the ring runs about +axis for axes 0 and 2, about -axis for 1
        flip = leaving == (axis == 1)
        quads.append(np.where(flip[:, None], quad[:, ::-1], quad))
    return vertices, np.concatenate(quads)


def smooth_mesh(vertices: np.ndarray, quads: np.ndarray, rounds: int, strength: float = 0.5) -> np.ndarray:
    """Taubin smoothing (a step in, a smaller step out), so that nothing shrinks."""
    edges = np.unique(np.sort(np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)]), axis=1), axis=0)
    degree = np.bincount(edges.ravel(), minlength=len(vertices))[:, None]
    result = vertices.copy()
    for step in range(2 * rounds):
        mean = np.zeros_like(result)
        for c in range(3):
            mean[:, c] = (np.bincount(edges[:, 0], result[edges[:, 1], c], len(result))
                          + np.bincount(edges[:, 1], result[edges[:, 0], c], len(result)))
        mean /= np.maximum(degree, 1)
        result += (strength if step % 2 == 0 else -strength * 1.04) * (mean - result)
    return result
