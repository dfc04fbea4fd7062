# SPDX-License-Identifier: Apache-2.0
"""Where the mouth of a photograph is: the line at which it opens."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from bridge_server.video.person import Person

__all__ = ["Mouth", "find_mouth"]


@dataclass(frozen=True)
class Mouth:
    """In face coordinates: x along the eyes, y from the eyes down, both in distances of the eyes, (0, 0) between the eyes.

    :ivar x: of the middle. :ivar y: of the line in the middle. :ivar half: half width.
    :ivar bend: y of the line is ``y - bend * (x - self.x)**2``; positive where the corners are higher, as in a smile.
    :ivar teeth: whether teeth show above the line.
    """

    x: float
    y: float
    half: float
    bend: float
    teeth: bool


def find_mouth(pixels: np.ndarray, person: Person) -> Mouth:
    """The line between the lips, or between teeth and lower lip.

    Lips are redder than skin and teeth (Lab a*), the line between closed lips is dark; a parabola that has redder pixels below
    than above, or is darker than both sides, is looked for where mouths are. Grey pictures go by darkness alone.
    """
    unit, down = person.unit, person.down
    across = np.array([down[1], -down[0]])
    steps = 0.025
    xs, ys = np.arange(-0.6, 0.601, steps), np.arange(0.6, 1.551, steps)
    grid = person.eyes.mean(0) + unit * (xs[None, :, None] * across + ys[:, None, None] * down)
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab = cv2.GaussianBlur(lab, (0, 0), max(0.02 * unit, 0.5))
    patch = cv2.remap(lab, grid[..., 0].astype(np.float32), grid[..., 1].astype(np.float32), cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)
    light, red = patch[..., 0] / 255.0, (patch[..., 1] - 128) / 40.0
    best, found = -np.inf, (0.0, 1.05, 0.0)
    columns = np.arange(-0.3, 0.301, steps)

    def row(values: np.ndarray, middle: float, y: float, bend: float) -> np.ndarray:
        i = (y - bend * columns**2 - ys[0]) / steps
        j = (middle + columns - xs[0]) / steps
        low = np.clip(np.floor(i).astype(int), 0, len(ys) - 2)
        part = np.clip(i - low, 0, 1)
        jj = np.clip(np.rint(j).astype(int), 0, len(xs) - 1)
        return (1 - part) * values[low, jj] + part * values[low + 1, jj]

    for middle in (-0.05, 0.0, 0.05):
        for y in np.arange(0.8, 1.36, steps):
            for bend in (-0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
                here = row(light, middle, y, bend)
                dark = np.minimum(row(light, middle, y - 0.09, bend), row(light, middle, y + 0.09, bend)) - here
                redder = row(red, middle, y + 0.07, bend) - row(red, middle, y - 0.06, bend)
                lip = row(red, middle, y + 0.08, bend) - row(red, middle, y + 0.32, bend)
                score = 2.0 * float(dark.mean()) + 0.8 * float(redder.mean()) + 0.6 * float(lip.mean())
                score -= 1.5 * abs(y - 1.05) ** 2 + 0.8 * abs(middle) + 0.03 * abs(bend)
                if score > best:
                    best, found = score, (middle, float(y), bend)
    middle, y, bend = found
    above = float(row(light, middle, y - 0.07, bend)[8:-8].mean())
    skin = float(np.median(light[: len(ys) // 4]))
    pale = float(row(red, middle, y - 0.07, bend)[8:-8].mean()) < float(row(red, middle, y + 0.08, bend)[8:-8].mean()) - 0.08
    teeth = bool(pale and above > 0.85 * skin)
    # teeth show in a smile, whose corners are high even where the lip's edge is too faint to tell
    return Mouth(middle, y, 0.42, max(bend, 0.5) if teeth else bend, teeth)
