# SPDX-License-Identifier: Apache-2.0
"""Trunk, head and cropped limbs as one sheet that bends smoothly; it cannot tear."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from bridge_server.pose_track.layout import INDEX
from bridge_server.video.person import Person
from bridge_server.video.puppet.drive import Drive

__all__ = ["Trunk"]

STEP: Final = 4
"""The sheet's movement is computed at every fourth pixel and interpolated."""


def _step(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


class Trunk:
    """Backward maps for each frame of a :class:`~.drive.Drive`.

    :param size: (width, height) of the picture. :param person: its person, in its pixels.
    """

    def __init__(self, person: Person, size: tuple[int, int], drive: Drive) -> None:
        self._size, self._drive, self._person = size, drive, person
        width, height = size
        columns, rows = (max(-(-n // STEP), 2) for n in size)
        self._x, self._y = np.meshgrid((np.arange(columns) + 0.5) * STEP - 0.5, (np.arange(rows) + 0.5) * STEP - 0.5)
        self._unit = person.unit
        self._neck = person.points[INDEX["neck"]].copy()
        chin = person.eyes.mean(0) + 1.75 * person.unit * person.down
        self._chin = chin
        hips = [INDEX["left_hip"], INDEX["right_hip"]]
        self._hip = person.points[hips].mean(0) if (person.confidence[hips] >= 0.3).all() else np.array([self._neck[0], height * 1.0])
        self._cropped = bool(self._hip[1] > height - 1.5 * person.unit or not (person.confidence[hips] >= 0.3).all())
        if self._cropped:
            self._hip = np.array([self._neck[0], max(height, self._neck[1] + 4 * person.unit)])

    def at(self, points: np.ndarray, frame: int) -> np.ndarray:
        """Where points (N, 2) of the photograph go, (N, 2)."""
        return points + self._movement(points[:, 0], points[:, 1], frame)

    def _movement(self, x: np.ndarray, y: np.ndarray, frame: int) -> np.ndarray:
        """(..., 2) by which the photograph's points (x, y) move."""
        d, unit = self._drive, self._unit
        # from the hips (or the lower rim, which is glued to the frame) to the neck
        rise = _step((self._hip[1] - y) / max(self._hip[1] - self._neck[1], 1.0))
        hips = np.zeros(2) if self._cropped else d.hips[frame]
        lean = d.lean[frame]
        dx, dy = x - self._neck[0], y - self._neck[1]
        out = np.empty((*np.shape(x), 2))
        # turned about the neck by small angles, faded towards the hips
        out[..., 0] = (1 - rise) * hips[0] + rise * (d.chest[frame, 0] - lean * np.clip(dy, -4 * unit, 3 * unit))
        out[..., 1] = (1 - rise) * hips[1] + rise * (d.chest[frame, 1] + lean * np.clip(dx, -3.2 * unit, 3.2 * unit))
        for side, angle in d.swing.items():
            shoulder = self._person.points[INDEX[f"{side}_shoulder"]]
            sx, sy = x - shoulder[0], y - shoulder[1]
            outer = 1.0 if shoulder[0] > self._neck[0] else -1.0
            near = np.exp(-((sx / (2.2 * unit)) ** 2)) * _step((sy + 1.2 * unit) / (2.0 * unit)) * rise
            near = near * _step((outer * sx + 1.8 * unit) / (2.4 * unit))
            out[..., 0] -= near * angle[frame] * np.clip(sy, -unit, 4 * unit)
            # a raised arm lifts its shoulder
            lift = np.exp(-((sx / (1.8 * unit)) ** 2) - (sy / (1.8 * unit)) ** 2)
            out[..., 1] -= lift * abs(angle[frame]) * 0.9 * unit * rise
        # the head moves as one piece from the chin up
        axis = self._person.down
        height = (self._chin[0] - x) * axis[0] + (self._chin[1] - y) * axis[1]
        head = _step((height + 1.1 * unit) / (1.1 * unit))
        turn = d.tilt[frame]
        px, py = x - self._chin[0], y - self._chin[1]
        out[..., 0] += head * (d.head[frame, 0] - turn * py)
        out[..., 1] += head * (d.head[frame, 1] + turn * px)
        # the face slides over the ball of the head: most in the middle, not at its rim
        middle = self._person.eyes.mean(0) + 0.3 * unit * axis
        u = ((x - middle[0]) * axis[1] - (y - middle[1]) * axis[0]) / (1.55 * unit)
        v = ((x - middle[0]) * axis[0] + (y - middle[1]) * axis[1]) / (1.95 * unit)
        ball = np.clip(1 - u * u - v * v, 0, 1)
        out += (ball * np.sqrt(ball))[..., None] * d.look[frame]
        return out

    def maps(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Where each pixel of the picture comes from: x and y, (H, W) float32."""
        # the movement is small against its extent, so walking back along it settles in a few steps
        x, y = self._x, self._y
        for _ in range(5):
            move = self._movement(x, y, frame)
            x, y = self._x - move[..., 0], self._y - move[..., 1]
        size = (self._x.shape[1] * STEP, self._x.shape[0] * STEP)
        shift = np.stack((x - self._x, y - self._y), -1).astype(np.float32)
        shift = cv2.resize(shift, size, interpolation=cv2.INTER_LINEAR)[: self._size[1], : self._size[0]]
        columns, rows = np.arange(self._size[0], dtype=np.float32), np.arange(self._size[1], dtype=np.float32)
        return shift[..., 0] + columns, shift[..., 1] + rows[:, None]
