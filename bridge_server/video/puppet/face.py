# SPDX-License-Identifier: Apache-2.0
"""The face of the photograph moved by ARKit curves: jaw, lips, lids and brows, as one backward map and a little paint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np

from bridge_server.video.person import Person
from bridge_server.video.puppet.mouth import Mouth

__all__ = ["FaceWarp"]

# how far full curves move things, in distances of the eyes
_JAW: Final = 0.42
_LID: Final = 0.15
_BROW: Final = 0.09
_INSIDE: Final = np.array([66, 28, 30], np.float32)
_TONGUE: Final = np.array([150, 74, 76], np.float32)
_TEETH: Final = np.array([214, 206, 196], np.float32)


class FaceWarp:
    """Made once for a photograph; then one patch of pixels for each frame of curves.

    :ivar box: (left, top, right, bottom) of the patch in the picture.
    """

    def __init__(self, pixels: np.ndarray, person: Person, mouth: Mouth) -> None:
        """:param pixels: (H, W, 3) uint8 RGB."""
        self._unit, self._mouth = person.unit, mouth
        height, width = pixels.shape[:2]
        middle = person.eyes.mean(0)
        down = person.down
        across = np.array([down[1], -down[0]])
        corners = middle + person.unit * np.array([x * across + y * down for x in (-1.5, 1.5) for y in (-0.9, 2.2)])
        low, high = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
        left, top = max(int(low[0]), 0), max(int(low[1]), 0)
        self.box = (left, top, min(int(high[0]), width), min(int(high[1]), height))
        self._pixels = pixels[self.box[1]: self.box[3], self.box[0]: self.box[2]].copy()
        columns, rows = np.meshgrid(np.arange(self.box[0], self.box[2]), np.arange(self.box[1], self.box[3]))
        delta = np.stack((columns, rows), -1) - middle
        self._u = (delta @ across / person.unit).astype(np.float32)
        self._v = (delta @ down / person.unit).astype(np.float32)
        self._across, self._down = across.astype(np.float32), down.astype(np.float32)
        self._columns, self._rows = columns.astype(np.float32), rows.astype(np.float32)
        self._grey = bool((pixels.max(-1).astype(int) - pixels.min(-1)).mean() < 3)
        # the same light on the inside of the mouth as on the face
        self._light = float(np.clip(np.median(self._pixels) / 150.0, 0.4, 1.15))

    def patch(self, curves: Mapping[str, float]) -> np.ndarray:
        """(h, w, 3) uint8: the pixels of :attr:`box` with the face as the curves say; missing curves are 0."""
        def get(*names: str) -> float:
            return float(np.mean([np.clip(curves.get(name, 0.0), 0.0, 1.0) for name in names]))

        u, v, m = self._u, self._v, self._mouth
        shift_u, shift_v = np.zeros_like(u), np.zeros_like(v)  # output minus source, in face units
        # lips narrower or wider
        narrow = 0.20 * get("mouthPucker") + 0.12 * get("mouthFunnel")
        wide = 0.10 * get("mouthStretchLeft", "mouthStretchRight") + 0.08 * get("mouthSmileLeft", "mouthSmileRight")
        near = np.exp(-(((u - m.x) / 0.62) ** 2 + ((v - m.y) / 0.38) ** 2) ** 1.5)
        shift_u += (wide - narrow) * (u - m.x) * near
        side = 0.10 * (get("mouthLeft") - get("mouthRight") + get("jawLeft") - get("jawRight"))
        shift_u += side * near
        corner = (u - m.x) ** 2 / m.half**2 * near
        shift_v -= corner * (0.06 * get("mouthSmileLeft", "mouthSmileRight") - 0.07 * get("mouthFrownLeft", "mouthFrownRight"))
        # the jaw: below the line everything goes down, less towards cheeks and neck
        closing = get("mouthClose")
        lower, upper = get("mouthLowerDownLeft", "mouthLowerDownRight"), get("mouthUpperUpLeft", "mouthUpperUpRight")
        jaw = max(_JAW * (get("jawOpen") - closing), 0.0) + 0.05 * lower * (1 - closing) + 0.03 * get("mouthFunnel")
        lift = (0.05 * upper + 0.02 * get("mouthFunnel")) * (1 - closing)
        half = m.half * (1 + 0.9 * (wide - narrow))
        line = m.y - m.bend * np.clip(u - m.x, -half, half) ** 2
        # narrow lips part in a round, wide ones in a slit; the ends close softly
        round_ = np.clip(1 - ((u - m.x) / half) ** 2, 0, 1) ** 0.85
        skirt = np.exp(-np.abs((u - m.x) / (1.45 * half)) ** 3)
        opened, raised = jaw * round_, lift * round_
        below = v - line
        # chin and lower cheeks follow a little less than the lip; the neck stays
        source = v.copy()
        drop = np.maximum(round_, 0.75 * skirt * np.clip(below / 0.3, 0, 1)) * jaw
        for _ in range(3):
            depth = source - line
            share = np.where(depth < 0.75, 1 - 0.22 * np.clip(depth / 0.75, 0, 1), 0.78 * np.clip((1.25 - depth) / 0.5, 0, 1))
            source = v - drop * share * np.clip(1 + depth / 0.10, 0, 1)
        lowered = np.where(below > opened * 0.999, v - np.maximum(source, line), 0.0)
        shift_v += np.where(below > 0, lowered, 0.0)
        shift_v -= np.where(below <= 0, raised * np.exp(-np.clip(-below / 0.22, 0, 9) ** 2), 0.0)
        self._brows_and_lids(get, shift_v)
        x = self._columns - self._unit * (shift_u * self._across[0] + shift_v * self._down[0]) - self.box[0]
        y = self._rows - self._unit * (shift_u * self._across[1] + shift_v * self._down[1]) - self.box[1]
        out = cv2.remap(self._pixels, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        if opened.max() + raised.max() > 0.012:
            out = self._inside(out, below + raised, opened + raised)
        return self._lashes(out, get)

    def _brows_and_lids(self, get: object, shift_v: np.ndarray) -> None:
        u, v = self._u, self._v
        for sign, side in ((-1.0, "Right"), (1.0, "Left")):
            # the person's right eye is on the left of the picture
            brow = np.exp(-(((u - sign * 0.52) / 0.36) ** 2 + ((v + 0.36) / 0.20) ** 2))
            up = get("browInnerUp", f"browOuterUp{side}") - get(f"browDown{side}")  # type: ignore[operator]
            shift_v -= _BROW * up * brow
            blink = min(get(f"eyeBlink{side}") + 0.25 * get(f"eyeSquint{side}"), 1.0)  # type: ignore[operator]
            if blink < 0.02:
                continue
            x = (u - sign * 0.5) / 0.27
            open_ = _LID * 0.68 * np.sqrt(np.clip(1 - x**2, 0, 1))  # half height of the eye here
            edge = -open_ + 1.85 * open_ * blink
            roof = -1.5 * _LID
            # skin from above the eye is stretched down to the lid's edge
            t = np.clip((v - roof) / np.maximum(edge - roof, 1e-3), 0, 1)
            lid = (v > roof) & (v < edge) & (np.abs(x) < 1)
            shift_v[lid] += (v - (roof + t * (-open_ - roof)))[lid]

    def _lashes(self, out: np.ndarray, get: object) -> np.ndarray:
        for sign, side in ((-1.0, "Right"), (1.0, "Left")):
            blink = get(f"eyeBlink{side}")  # type: ignore[operator]
            if blink < 0.35:
                continue
            x = (self._u - sign * 0.5) / 0.25
            open_ = _LID * 0.68 * np.sqrt(np.clip(1 - x**2, 0, 1))
            edge = -open_ + 1.85 * open_ * blink
            line = np.clip(1 - np.abs(self._v - edge) / 0.028, 0, 1) * (np.abs(x) < 1) * min((blink - 0.35) / 0.3, 1) * 0.6
            out = (out * (1 - 0.75 * line[..., None])).astype(np.uint8)
        return out

    def _inside(self, out: np.ndarray, below: np.ndarray, opened: np.ndarray) -> np.ndarray:
        """Paint what an open mouth shows between the lips: dark, upper teeth under the upper lip, the tongue at the bottom."""
        pixel = 1.0 / self._unit
        amount = np.clip((below + 0.5 * pixel) / pixel, 0, 1) * np.clip((opened - below + 0.5 * pixel) / pixel, 0, 1)
        amount = amount * (opened > 0.5 * pixel)
        t = np.clip(below / np.maximum(opened, 1e-4), 0, 1)[..., None]
        paint = np.broadcast_to(_INSIDE, (*t.shape[:2], 3)) * (0.75 + 0.25 * t)
        tongue = np.clip((t - 0.62) / 0.3, 0, 1) * np.clip(opened[..., None] / 0.22, 0, 1) * 0.75
        paint = paint * (1 - tongue) + _TONGUE * tongue
        if not self._mouth.teeth:
            height = np.minimum(0.09, 0.38 * opened)
            teeth = np.clip((height - below) / (1.5 * pixel), 0, 1) * np.clip((opened - 0.06) / 0.08, 0, 1) * 0.85
            paint = paint * (1 - teeth[..., None]) + _TEETH * teeth[..., None]
        paint = paint * self._light
        if self._grey:
            paint = np.repeat(paint.mean(-1, keepdims=True), 3, -1)
        # a shadow under the lip
        alpha = amount[..., None].astype(np.float32)
        return np.clip(out * (1 - alpha) + paint * alpha + 0.5, 0, 255).astype(np.uint8)
