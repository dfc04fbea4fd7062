# SPDX-License-Identifier: Apache-2.0
"""A limb that the photograph shows whole: its own layer, a triangulated sheet bent by linear blend skinning."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

__all__ = ["Limb", "claim", "limb_mask", "rasterise"]

_SHIFT: Final = 4


def limb_mask(outline: np.ndarray, joints: np.ndarray, radius: tuple[float, float, float], tip: float) -> np.ndarray:
    """(H, W) bool: the part of a person's outline that belongs to a limb.

    :param joints: (3, 2) such as shoulder, elbow, wrist. :param radius: pixels at each of them.
    :param tip: how far the hand or foot goes on beyond the last joint, pixels.
    """
    mask = np.zeros(outline.shape, np.uint8)
    last = joints[2] - joints[1]
    end = joints[2] + last / max(float(np.linalg.norm(last)), 1e-6) * tip
    knots = [*joints, end]
    widths = [*radius, max(radius[2] * 1.15, 1.0)]
    for (a, b), (ra, rb) in zip(zip(knots, knots[1:], strict=False), zip(widths, widths[1:], strict=False), strict=True):
        for t in np.linspace(0, 1, 24):
            centre, r = a + t * (b - a), ra + t * (rb - ra)
            cv2.circle(mask, (int(centre[0]), int(centre[1])), max(int(round(r)), 1), 1, -1)
    return (mask > 0) & outline


def claim(free: np.ndarray, masks: dict[str, np.ndarray], joints: dict[str, np.ndarray], reach: float) -> dict[str, np.ndarray]:
    """Masks with the pixels of ``free`` (H, W) added to the limb whose bones are nearest, within ``reach`` pixels.

    Fingers, sleeves and calves stick out of any capsule; what nobody claimed would stay behind in the air.
    """
    if not masks:
        return masks
    rows, columns = np.nonzero(free & ~np.any(list(masks.values()), axis=0))
    points = np.stack((columns, rows), -1).astype(np.float64)
    distances = []
    for name in masks:
        a, b, c = joints[name]
        best = np.full(len(points), np.inf)
        for start, end in ((a, b), (b, c + 0.5 * (c - b))):
            along = end - start
            t = np.clip((points - start) @ along / max(float(along @ along), 1e-6), 0, 1)
            # what lies before a limb's beginning is the trunk's
            far = np.where((t > 0.1) | (start is not a), 0.0, np.inf)
            best = np.minimum(best, np.linalg.norm(points - start - t[:, None] * along, axis=-1) + far)
        distances.append(best)
    nearest = np.argmin(distances, axis=0)
    near = np.min(distances, axis=0) < reach
    out = {}
    for n, (name, mask) in enumerate(masks.items()):
        out[name] = mask.copy()
        mine = near & (nearest == n)
        out[name][rows[mine], columns[mine]] = True
    return out


def rasterise(target: np.ndarray, source: np.ndarray, triangles: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Which source pixel each pixel of the picture shows.

    :param target: (V, 2) vertices in the picture. :param source: (V, 2) in the photograph. :param triangles: (F, 3).
    :returns: (left, top, x, y, covered): the corner of the touched box and, over it, source x and y (float32) and a bool mask.
    """
    low = np.clip(np.floor(target.min(0)).astype(int) - 1, 0, None)
    high = np.minimum(np.ceil(target.max(0)).astype(int) + 2, size)
    width, height = np.maximum(high - low, 0)
    if width == 0 or height == 0:
        empty = np.zeros((0, 0), np.float32)
        return int(low[0]), int(low[1]), empty, empty, empty.astype(bool)
    corners = (target - low)[triangles]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    was = source[triangles]
    before = (was[:, 1, 0] - was[:, 0, 0]) * (was[:, 2, 1] - was[:, 0, 1]) - (was[:, 2, 0] - was[:, 0, 0]) * (was[:, 1, 1] - was[:, 0, 1])
    # in the inside of a sharp bend triangles turn over; their neighbours cover the place
    good = area * np.sign(before) > 1e-3
    # affine maps from the picture to the photograph, one for each triangle
    forward = np.concatenate((corners, np.ones((*corners.shape[:2], 1))), -1)
    inverse = np.zeros((len(triangles), 3, 2))
    inverse[good] = np.linalg.solve(forward[good], source[triangles][good])
    which = np.full((int(height), int(width)), -1, np.int32)
    fixed = np.rint(corners * (1 << _SHIFT)).astype(np.int32)
    for n in np.flatnonzero(good):
        cv2.fillConvexPoly(which, fixed[n], int(n), lineType=cv2.LINE_8, shift=_SHIFT)
    covered = which >= 0
    rows, columns = np.nonzero(covered)
    m = inverse[which[rows, columns]]
    x, y = np.full(which.shape, -10.0, np.float32), np.full(which.shape, -10.0, np.float32)
    x[rows, columns] = columns * m[:, 0, 0] + rows * m[:, 1, 0] + m[:, 2, 0]
    y[rows, columns] = columns * m[:, 0, 1] + rows * m[:, 1, 1] + m[:, 2, 1]
    return int(low[0]), int(low[1]), x, y, covered


class Limb:
    """Three bones (upper, lower, hand or foot) over a sheet of triangles.

    :param rgba: (H, W, 4) uint8, the limb's pixels; alpha is its soft outline. :param joints: (3, 2) in the photograph.
    """

    def __init__(self, rgba: np.ndarray, joints: np.ndarray, spacing: float) -> None:
        self.rgba, self._joints = rgba, joints.astype(np.float64)
        rows, columns = np.nonzero(rgba[..., 3] > 0)
        self.empty = len(rows) < 30
        if self.empty:
            return
        margin = spacing
        xs = np.arange(columns.min() - margin, columns.max() + 2 * margin, spacing)
        ys = np.arange(rows.min() - margin, rows.max() + 2 * margin, spacing)
        gx, gy = np.meshgrid(xs, ys)
        grid = np.stack((gx, gy), -1).reshape(-1, 2)
        wide = cv2.dilate((rgba[..., 3] > 0).astype(np.uint8), np.ones((int(2 * spacing) | 1,) * 2))
        index = np.arange(len(grid)).reshape(gx.shape)
        quads = np.stack((index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]), -1).reshape(-1, 4)
        centre = np.rint(grid[quads].mean(1)).astype(int)
        inside = ((centre >= 0) & (centre < (rgba.shape[1], rgba.shape[0]))).all(-1)
        keep = np.zeros(len(quads), bool)
        keep[inside] = wide[centre[inside, 1], centre[inside, 0]] > 0
        quads = quads[keep]
        used, flat = np.unique(quads, return_inverse=True)
        quads = flat.reshape(quads.shape)
        self._vertices = grid[used]
        self._triangles = np.concatenate((quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]))
        self._weights = self._skin(self._vertices)
        # where a bend folds the sheet over itself the later triangle is seen: the forearm before the upper arm, and what is
        # painted before the empty margin
        middle = np.rint(self._vertices[self._triangles].mean(1)).astype(int)
        middle = np.clip(middle, 0, (rgba.shape[1] - 1, rgba.shape[0] - 1))
        painted = rgba[middle[:, 1], middle[:, 0], 3] > 0
        outer = self._weights[self._triangles, 1:].sum(-1).mean(-1)
        self._triangles = self._triangles[np.lexsort((outer, painted))]

    def _skin(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) weights of the bones: by how far along the limb a vertex is, mixed near elbow and wrist."""
        a, b, c = self._joints
        first, second = float(np.linalg.norm(b - a)), float(np.linalg.norm(c - b))
        u, v = (b - a) / first, (c - b) / second
        # the elbow's plane is the bisector of both bones, the wrist's is straight across
        across = u + v
        across = across / max(float(np.linalg.norm(across)), 1e-6)
        past_elbow = (vertices - b) @ across / (0.22 * min(first, second)) * 0.5 + 0.5
        past_wrist = (vertices - c) @ v / (0.12 * second) * 0.5 + 0.5
        elbow, wrist = np.clip(past_elbow, 0, 1), np.clip(past_wrist, 0, 1)
        return np.stack((1 - elbow, elbow * (1 - wrist), elbow * wrist), -1)

    def place(self, joints: np.ndarray, hand: float) -> np.ndarray:
        """(V, 2) vertices with the limb's joints at (3, 2) and the hand turned by radians against the forearm."""
        moved = np.zeros((3, *self._vertices.shape))
        for k in range(3):
            old = self._joints[min(k, 1) + 1] - self._joints[min(k, 1)]
            new = joints[min(k, 1) + 1] - joints[min(k, 1)]
            length = float(np.linalg.norm(old))
            turn = np.arctan2(new[1], new[0]) - np.arctan2(old[1], old[0]) + (hand if k == 2 else 0.0)
            along = old / length
            # hands and feet keep their size, bones are shortened along themselves only
            stretch = 1.0 if k == 2 else float(np.linalg.norm(new)) / length
            rel = self._vertices - self._joints[k]
            rel = rel + np.outer(rel @ along, along) * (stretch - 1)
            cos, sin = np.cos(turn), np.sin(turn)
            moved[k] = joints[k] + np.stack((cos * rel[:, 0] - sin * rel[:, 1], sin * rel[:, 0] + cos * rel[:, 1]), -1)
        return np.einsum("vk,kvc->vc", self._weights, moved)

    def draw(self, canvas: np.ndarray, joints: np.ndarray, hand: float) -> None:
        """Lay the limb over the canvas (H, W, 3) uint8, in place."""
        if self.empty:
            return
        left, top, x, y, covered = rasterise(self.place(joints, hand), self._vertices, self._triangles,
                                             (canvas.shape[1], canvas.shape[0]))
        if not covered.any():
            return
        layer = cv2.remap(self.rgba, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0))
        part = canvas[top: top + layer.shape[0], left: left + layer.shape[1]]
        alpha = (layer[..., 3:].astype(np.uint16) * covered[..., None])
        part[:] = ((layer[..., :3] * alpha + part * (255 - alpha) + 127) // 255).astype(np.uint8)
