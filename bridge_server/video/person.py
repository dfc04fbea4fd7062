# SPDX-License-Identifier: Apache-2.0
"""Finding the one person of a photograph: the face by a cascade, the body by proportion, or both from placed points.

The cascade is the LBP detector for frontal faces that scikit-image carries. Points that the user placed, or a detector wrote
as OpenPose JSON, always win.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from bridge_server.pose_track.layout import INDEX, POINT_COUNT
from bridge_server.video.photo import Photo
from shared.errors import UnderstudyError

__all__ = ["Person", "find_person", "person_from_points"]

SEARCH_SIDE: Final = 480
"""The face is looked for in a copy of this size."""
THRESHOLD: Final = 0.3


@dataclass(frozen=True)
class Person:
    """The person of a photograph, in its pixels.

    :ivar eyes: (2, 2) the eye on the left of the picture, then the other one.
    :ivar points: (66, 2), as in :mod:`bridge_server.pose_track.layout`. :ivar confidence: (66,); 0 where a point is not shown.
    :ivar placed: whether the points were given rather than estimated.
    """

    eyes: np.ndarray
    points: np.ndarray
    confidence: np.ndarray
    placed: bool

    @property
    def unit(self) -> float:
        """Distance of the eyes in pixels: 6.3 cm of an adult."""
        return float(np.linalg.norm(self.eyes[1] - self.eyes[0]))

    @property
    def down(self) -> np.ndarray:
        """(2,) unit vector from the eyes to the chin."""
        across = (self.eyes[1] - self.eyes[0]) / self.unit
        return np.array([-across[1], across[0]])

    @property
    def face(self) -> np.ndarray:
        """(2,) middle of the face."""
        return self.eyes.mean(0) + 0.45 * self.unit * self.down


def _cascade(grey: np.ndarray) -> list[tuple[float, float, float]]:
    """Boxes as (x, y, side) of what looks like a face."""
    from skimage import data
    from skimage.feature import Cascade

    detector = Cascade(data.lbp_frontal_face_cascade_filename())
    smallest = max(24, min(grey.shape) // 14)
    found = detector.detect_multi_scale(img=np.repeat(grey[..., None], 3, 2), scale_factor=1.15, step_ratio=1,
                                        min_size=(smallest, smallest), max_size=(min(grey.shape), min(grey.shape)))
    return [(float(b["c"]), float(b["r"]), float(b["width"])) for b in found]


def _groups(boxes: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Overlapping boxes merged to their mean."""
    groups: list[list[tuple[float, float, float]]] = []
    for box in sorted(boxes, key=lambda b: -b[2]):
        for group in groups:
            x, y, side = np.mean(group, axis=0)
            if np.hypot(box[0] + box[2] / 2 - x - side / 2, box[1] + box[2] / 2 - y - side / 2) < 0.5 * max(side, box[2]):
                group.append(box)
                break
        else:
            groups.append([box])
    return [tuple(float(v) for v in np.mean(group, axis=0)) for group in groups]  # type: ignore[misc]


def _eyes_in(grey: np.ndarray, box: tuple[float, float, float]) -> tuple[np.ndarray, float]:
    """Eyes (2, 2) within a face box, and how clearly they are dark spots beside a bright bridge and above bright cheeks."""
    x, y, side = box
    soft = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), side * 0.025)
    # spread of brightness in the box makes the score independent of exposure
    inside = soft[int(max(y, 0)): int(y + side), int(max(x, 0)): int(x + side)]
    spread = float(inside.std()) + 1e-3
    cx = x + side * np.linspace(0.32, 0.68, 25)[:, None, None, None]
    cy = y + side * np.linspace(0.22, 0.52, 21)[None, :, None, None]
    half = side * np.linspace(0.17, 0.27, 8)[None, None, :, None]
    tilt = np.linspace(-0.25, 0.25, 9)[None, None, None, :]
    ox, oy = half * np.cos(tilt), half * np.sin(tilt)

    def look(px: np.ndarray, py: np.ndarray) -> np.ndarray:
        px, py = np.broadcast_arrays(px, py)
        column = np.clip(np.rint(px), 0, soft.shape[1] - 1).astype(int)
        return soft[np.clip(np.rint(py), 0, soft.shape[0] - 1).astype(int), column] / spread

    left, right = look(cx - ox, cy - oy), look(cx + ox, cy + oy)
    bridge = look(cx + 0 * ox, cy + 0 * oy)
    # below the eyes by two thirds of their half distance, along the face's own down
    cheeks = np.minimum(look(cx - ox - 0.85 * oy, cy - oy + 0.85 * ox), look(cx + ox - 0.85 * oy, cy + oy + 0.85 * ox))
    score = np.minimum(bridge, cheeks) - np.maximum(left, right) + 0.3 * (cheeks - (left + right) / 2)
    # straight, centred and of usual width unless the picture says otherwise
    score = score - 0.8 * np.abs(tilt) - 1.5 * np.abs((cx - x) / side - 0.5) - 2.0 * np.abs(half / side - 0.22)
    best = np.unravel_index(int(np.argmax(score)), score.shape)
    c = np.array([cx[best[0], 0, 0, 0], cy[0, best[1], 0, 0]])
    a, h = tilt[0, 0, 0, best[3]], half[0, 0, best[2], 0]
    step = h * np.array([np.cos(a), np.sin(a)])
    return np.stack((c - step, c + step)), float(score[best])


def _skin(pixels: np.ndarray, box: tuple[float, float, float]) -> float:
    """Share of a box's middle that has the hue of skin of any tone."""
    x, y, side = (int(v) for v in box)
    part = pixels[max(y + side // 5, 0): y + 4 * side // 5, max(x + side // 5, 0): x + 4 * side // 5]
    if part.size == 0:
        return 0.0
    ycc = cv2.cvtColor(part, cv2.COLOR_RGB2YCrCb).astype(int)
    return float(((ycc[..., 1] > 134) & (ycc[..., 1] < 180) & (ycc[..., 2] > 77) & (ycc[..., 2] < 128)).mean())


def find_person(photo: Photo) -> Person:
    """The person, or a clear error for none or several.

    :raises UnderstudyError: ``unsupported`` where there is not exactly one face of a person who looks at the camera.
    """
    scale = min(1.0, SEARCH_SIDE / max(photo.size))
    small = cv2.resize(photo.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else photo.pixels
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    faces = []
    for box in _groups(_cascade(grey)):
        eyes, clear = _eyes_in(grey, box)
        if clear > 0.55 and (photo.grey or _skin(small, box) > 0.4):
            faces.append((box[2], eyes))
    if not faces:
        raise UnderstudyError("unsupported", "No face that looks at the camera was found in the photograph.",
                              "Choose a frontal photograph of one person, or give the points of the body.")
    faces.sort(key=lambda f: -f[0])
    if len(faces) > 1 and faces[1][0] > 0.5 * faces[0][0]:
        raise UnderstudyError("unsupported", f"{sum(f[0] > 0.5 * faces[0][0] for f in faces)} people were found in the photograph.",
                              "Cut the photograph to one person, or give the points of that person's body.")
    eyes = faces[0][1] / scale
    points, confidence = _by_proportion(eyes, photo.size)
    return Person(eyes, points, confidence, placed=False)


# where the points of a standing adult are, in distances of the eyes from the middle of the eyes: (to the side, down)
_STANDING: Final = {
    "nose": (0.0, 0.55), "neck": (0.0, 3.1), "shoulder": (2.9, 3.2), "elbow": (3.4, 7.4), "wrist": (3.6, 11.2),
    "hip": (1.4, 10.6), "knee": (1.5, 17.2), "ankle": (1.5, 23.4), "ear": (1.15, 0.2), "eye": (0.5, 0.0),
}


def _by_proportion(eyes: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    points, confidence = np.zeros((POINT_COUNT, 2)), np.zeros(POINT_COUNT)
    unit = float(np.linalg.norm(eyes[1] - eyes[0]))
    across = (eyes[1] - eyes[0]) / unit
    # a head may be tilted, the body below it is taken as upright
    for name, (side, down) in _STANDING.items():
        tilted = name in ("nose", "ear", "eye")
        right, low = (across, np.array([-across[1], across[0]])) if tilted else (np.array([1.0, 0.0]), np.array([0.0, 1.0]))
        # who looks at the camera has their right side on the left of the picture
        for full, sign in ([(name, 0)] if name in ("nose", "neck") else [(f"right_{name}", -1), (f"left_{name}", 1)]):
            points[INDEX[full]] = eyes.mean(0) + unit * (sign * side * right + down * low)
            confidence[INDEX[full]] = 0.5
    outside = ((points < 0) | (points >= size)).any(-1)
    confidence[outside] = 0.0
    # arms are anywhere: only a look at the picture or the user's points can say where
    for name in ("elbow", "wrist"):
        confidence[[INDEX[f"left_{name}"], INDEX[f"right_{name}"]]] = 0.0
    return points, confidence


def person_from_points(photo: Photo, points: np.ndarray, confidence: np.ndarray) -> Person:
    """A person whose points were placed or detected, (66, 2) in the photograph's pixels.

    :raises UnderstudyError: ``request_invalid`` where the eyes, the neck or the shoulders are missing or outside of the picture.
    """
    need = ("right_eye", "left_eye", "neck", "right_shoulder", "left_shoulder")
    confidence = np.where(((points < -0.5) | (points > np.array(photo.size))).any(-1), 0.0, confidence)
    missing = [name.replace("_", " ") for name in need if confidence[INDEX[name]] < THRESHOLD]
    if missing:
        raise UnderstudyError("request_invalid", f"The photograph's points lack {', '.join(missing)}.",
                              "Place these points on the photograph.")
    eyes = points[[INDEX["right_eye"], INDEX["left_eye"]]]
    eyes = eyes[np.argsort(eyes[:, 0])]
    if np.linalg.norm(eyes[1] - eyes[0]) < 4:
        raise UnderstudyError("unsupported", "The face in the photograph is too small or seen from the side.",
                              "Choose a larger, frontal photograph.")
    return Person(eyes.astype(np.float64), points.astype(np.float64), confidence, placed=True)
