# SPDX-License-Identifier: Apache-2.0
"""The ``puppet``: layers of the photograph, moved along the pose track."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Final

import cv2
import numpy as np

from bridge_server.motion.generator import Report
from bridge_server.pose_track.layout import INDEX
from bridge_server.video.person import Person, find_person, person_from_points
from bridge_server.video.photo import Photo
from bridge_server.video.puppet.cutout import fill, outline, soft
from bridge_server.video.puppet.drive import CHAINS, Drive, drive, whole_limbs
from bridge_server.video.puppet.face import FaceWarp
from bridge_server.video.puppet.limb import Limb, claim, limb_mask
from bridge_server.video.puppet.mouth import find_mouth
from bridge_server.video.puppet.trunk import Trunk
from bridge_server.video.renderers import Cost, Description, Scene

__all__ = ["PuppetRenderer", "fit_photo"]

COST: Final = Cost(start_seconds=2.0, frame_seconds=0.004, megapixel_seconds=0.09, memory_gb=0.25, memory_gb_per_megapixel=0.6)
"""Measured with one photograph at 512x512 and 1024x1024 on a common desktop processor."""
_PACKAGES: Final = {"cv2": "opencv-python-headless", "skimage": "scikit-image"}


def fit_photo(photo: Photo, points: np.ndarray, eyes: np.ndarray, width: int, height: int) -> tuple[Photo, float, np.ndarray]:
    """The photograph at the film's size: scaled to cover it, and cut around the face where the shapes differ.

    :param points: (66, 2). :param eyes: (2, 2).
    :returns: the picture, the scale, and the offset (2,) so that ``p * scale + offset`` takes points along.
    """
    scale = max(width / photo.size[0], height / photo.size[1])
    size = (max(round(photo.size[0] * scale), width), max(round(photo.size[1] * scale), height))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    pixels = cv2.resize(photo.pixels, size, interpolation=how)
    alpha = None if photo.alpha is None else cv2.resize(photo.alpha, size, interpolation=cv2.INTER_AREA)
    centre = eyes.mean(0) * scale
    left = int(np.clip(centre[0] - width / 2, 0, size[0] - width))
    top = int(np.clip(centre[1] - height * 0.35, 0, size[1] - height))
    cut = (slice(top, top + height), slice(left, left + width))
    fitted = replace(photo, pixels=np.ascontiguousarray(pixels[cut]), alpha=None if alpha is None else alpha[cut].copy())
    return fitted, scale, np.array([-left, -top], dtype=np.float64)


@dataclass
class _Prepared:
    background: np.ndarray
    colours: np.ndarray
    alpha: np.ndarray
    face: FaceWarp
    trunk: Trunk
    drive: Drive
    limbs: dict[str, Limb]
    joints: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]


class PuppetRenderer:
    """Moves the photograph itself. Made to judge timing and framing before a GPU is spent; it does not look real."""

    def __init__(self) -> None:
        self._ready: _Prepared | None = None
        self._share = 0.1

    @classmethod
    def describe(cls) -> Description:
        """What it needs."""
        missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
        return Description(
            "puppet", "the photograph moved like a puppet, to judge timing and framing", "Needs OpenCV and scikit-image "
            "(pip install 'understudy[film]'); runs on any processor.", not missing,
            f"{' and '.join(missing)} is not installed." if missing else "", "Apache-2.0", cost=COST)

    def prepare(self, scene: Scene, report: Report) -> list[str]:
        """Find the person, cut them out, and fill what was behind.

        :raises UnderstudyError: ``unsupported`` for no person or several, ``request_invalid`` for unusable points.
        """
        notes = list(scene.photo.notes)
        self._share = COST.start_seconds / COST.seconds(scene.width, scene.height, len(scene.track))
        report("looking at the photograph", 0.01)
        person = find_person(scene.photo) if scene.points is None else person_from_points(scene.photo, *scene.points)
        photo, scale, offset = fit_photo(scene.photo, person.points, person.eyes, scene.width, scene.height)
        points = person.points * scale + offset
        inside = ((points >= 0) & (points < (scene.width, scene.height))).all(-1)
        person = Person(person.eyes * scale + offset, points, np.where(inside, person.confidence, 0.0), person.placed)
        moves = drive(scene.track, person, photo.size)
        report("cutting out the person", 0.2 * self._share)
        shape = outline(photo.pixels, person, photo.alpha)
        report("filling the background", 0.6 * self._share)
        self._ready = self._layers(photo, person, shape, moves, dict(scene.face))
        arms = [side for side in ("left", "right") if f"{side}_arm" not in moves.limbs]
        if arms:
            notes.append(f"The photograph does not show {' and '.join(arms)} arm{'s' * (len(arms) == 2)} whole (or no points "
                         "were placed on it), so it only follows the body.")
        if not scene.face:
            notes.append("The performance has no face curves, so the mouth does not move.")
        return notes

    def _layers(self, photo: Photo, person: Person, shape: np.ndarray, moves: Drive, curves: dict[str, np.ndarray]) -> _Prepared:
        unit = person.unit
        wide = max(int(0.16 * unit), 3)
        grown = cv2.dilate(shape.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wide + 1,) * 2)) > 0
        background = photo.pixels if grown.all() else fill(photo.pixels, ~grown)
        limbs, joints, body = {}, {}, shape.copy()
        masks = {}
        for name in moves.limbs:
            chain = person.points[[INDEX[n] for n in CHAINS[name]]]
            joints[name] = chain
            thick = (0.95, 0.75, 0.55) if "arm" in name else (1.25, 1.0, 0.8)
            # generous: the outline bounds a limb anyway where it is free
            lengths = np.linalg.norm(np.diff(chain, axis=0), axis=-1).sum()
            radius = tuple(min(r * unit, 0.2 * lengths) for r in thick)
            beyond = (0.45 if "arm" in name else 0.3) * float(np.linalg.norm(chain[2] - chain[1])) + 0.4 * unit
            masks[name] = limb_mask(shape, chain, (radius[0], radius[1], radius[2]), beyond)
        trunk_area = self._trunk_area(person, shape.shape)
        masks = claim(shape & ~trunk_area, masks, joints, 3.0 * unit)
        legs = np.zeros_like(shape)
        for name, mask in masks.items():
            body &= ~(mask & ~trunk_area)
            legs |= mask & ("leg" in name)
        known = shape.copy()
        for mask in masks.values():
            known &= ~mask
        # what a limb covered of the trunk, and what goes on under the soft rims, takes the colours around it
        inner = cv2.erode(known.astype(np.uint8), np.ones((3, 3))) > 0
        colours = fill(photo.pixels, inner if inner.any() else shape)
        keep = known[..., None]
        colours = np.where(keep, photo.pixels, colours)
        for name, mask in masks.items():
            inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3))) > 0
            paint = np.where(mask[..., None], photo.pixels, fill(photo.pixels, inner if inner.any() else mask))
            limbs[name] = Limb(np.dstack((paint, soft(mask, 1.0))), joints[name], max(0.35 * unit, 5.0))
        face = FaceWarp(colours, person, find_mouth(photo.pixels, person))
        alpha = soft(body, 1.1)
        if legs.any():
            # the trunk ends on the thighs, not at an edge: it fades out where a leg lies under it
            fade = cv2.GaussianBlur((trunk_area | ~legs).astype(np.float32), (0, 0), max(0.3 * unit, 1.0))
            alpha = (alpha * np.clip(2 * fade - 0.55, 0, 1)).astype(np.uint8)
        return _Prepared(background, np.ascontiguousarray(colours), alpha, face,
                         Trunk(person, photo.size, moves), moves, limbs, joints, curves)

    @staticmethod
    def _trunk_area(person: Person, shape: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: shoulders to hips, without arms and legs; also the head."""
        mask = np.zeros(shape, np.uint8)
        at = {n: person.points[INDEX[n]] for n in ("left_shoulder", "right_shoulder", "left_hip", "right_hip", "neck")}
        hips = all(person.confidence[INDEX[n]] >= 0.3 for n in ("left_hip", "right_hip"))
        grow = 0.35 * person.unit
        right, left = at["right_shoulder"], at["left_shoulder"]
        sign = 1.0 if left[0] >= right[0] else -1.0
        low_right = at["right_hip"] if hips else np.array([right[0], shape[0] + 10.0])
        low_left = at["left_hip"] if hips else np.array([left[0], shape[0] + 10.0])
        polygon = [right + (-sign * 0.2 * grow, -grow), left + (sign * 0.2 * grow, -grow), low_left + (sign * 1.6 * grow, grow),
                   low_right + (-sign * 1.6 * grow, grow)]
        cv2.fillPoly(mask, [np.rint(np.array(polygon)).astype(np.int32)], 1)
        # the slope from neck to shoulder moves with the trunk
        slope = [right + (-sign * 0.2 * grow, -grow), at["neck"] + (0, -3.0 * person.unit), left + (sign * 0.2 * grow, -grow)]
        cv2.fillPoly(mask, [np.rint(np.array(slope)).astype(np.int32)], 1)
        head = person.eyes.mean(0) + 0.4 * person.unit * person.down
        cv2.ellipse(mask, (int(head[0]), int(head[1])), (int(1.9 * person.unit), int(2.6 * person.unit)), 0, 0, 360, 1, -1)
        return mask > 0

    def frames(self, start: int, stop: int, report: Report) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 RGB."""
        if self._ready is None:
            raise RuntimeError("prepare() has not been called")
        for frame in range(start, stop):
            report("drawing", self._share + (1 - self._share) * frame / max(len(self._ready.drive), 1))
            yield self._frame(frame)

    def _frame(self, frame: int) -> np.ndarray:
        r = self._ready
        assert r is not None
        left, top, right, bottom = r.face.box
        sheet = r.colours.copy()
        sheet[top:bottom, left:right] = r.face.patch({n: float(c[min(frame, len(c) - 1)]) for n, c in r.curves.items() if len(c)})
        out = r.background.copy()
        self._limbs(out, frame, False)
        x, y = r.trunk.maps(frame)
        colour = cv2.remap(sheet, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.remap(r.alpha, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[..., None]
        mixed = cv2.multiply(colour, cv2.merge([alpha] * 3), scale=1 / 255)
        rest = cv2.multiply(out, cv2.merge([255 - alpha] * 3), scale=1 / 255)
        out = cv2.add(mixed, rest)
        self._limbs(out, frame, True)
        return out

    def _limbs(self, canvas: np.ndarray, frame: int, before: bool) -> None:
        r = self._ready
        assert r is not None
        # legs hang behind the trunk, arms are where the performer has them
        for name in sorted(r.limbs, key=lambda n: "arm" in n):
            in_front = bool(r.drive.front[name][frame]) and "arm" in name
            if in_front != before:
                continue
            root = r.trunk.at(r.joints[name][:1], frame)[0]
            r.limbs[name].draw(canvas, root + r.drive.limbs[name][frame], float(r.drive.hand[name][frame]) if name in r.drive.hand else 0.0)
