# SPDX-License-Identifier: Apache-2.0
"""Key points found in pictures by DWPose's two networks, where the user has their files.

``yolox_l.onnx`` finds people, ``dw-ll_ucoco_384.onnx`` their 133 points of COCO-WholeBody, as DWPose publishes them. They are looked
for in ``$UNDERSTUDY_DWPOSE`` and in ``models/dwpose`` of the state folder, and run by onnxruntime. Nothing is fetched.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.pose_track.layout import BODY, FEET, LEFT_HAND, POINT_COUNT, RIGHT_HAND
from bridge_server.pose_track.track import PoseTrack
from shared.errors import UnderstudyError
from shared.state import state_dir

__all__ = ["PEOPLE_FILE", "POSE_FILE", "Detector", "detect_track", "find_detector", "points_of_wholebody"]

PEOPLE_FILE: Final = "yolox_l.onnx"
POSE_FILE: Final = "dw-ll_ucoco_384.onnx"
_PERSON_SCORE: Final = 0.3
_OVERLAP: Final = 0.45
_POSE_SIZE: Final = (288, 384)
_PADDING: Final = 1.25
_MEAN: Final = np.array([123.675, 116.28, 103.53], np.float32)
_STD: Final = np.array([58.395, 57.12, 57.375], np.float32)
# OpenPose's body18 without the neck, from COCO's 17 points
_BODY_FROM_COCO: Final = {0: 0, 2: 6, 3: 8, 4: 10, 5: 5, 6: 7, 7: 9, 8: 12, 9: 14, 10: 16, 11: 11, 12: 13, 13: 15, 14: 2, 15: 1,
                          16: 4, 17: 3}


def points_of_wholebody(points: np.ndarray, score: np.ndarray) -> np.ndarray:
    """(66, 3) x, y and confidence in the order of :mod:`.layout`, from COCO-WholeBody's (133, 2) and (133,).

    As DWPose does: the neck is the middle of the shoulders, and is seen where both are.
    """
    out = np.zeros((POINT_COUNT, 3))
    for ours, theirs in _BODY_FROM_COCO.items():
        out[ours] = *points[theirs], score[theirs]
    out[1, :2] = (points[5] + points[6]) / 2
    out[1, 2] = min(score[5], score[6]) if min(score[5], score[6]) > 0.3 else 0.0
    for where, first, count in ((FEET, 17, 6), (LEFT_HAND, 91, 21), (RIGHT_HAND, 112, 21)):
        out[where, :2], out[where, 2] = points[first: first + count], score[first: first + count]
    return out


@dataclass
class Detector:
    """The two networks, loaded."""

    people_net: Any
    pose_net: Any
    name: str = "dwpose"

    def people(self, picture: np.ndarray) -> list[np.ndarray]:
        """(66, 3) x, y in pixels and confidence for each person in a (H, W, 3) uint8 RGB picture, the surest first."""
        return [self._pose(picture, box) for box in self._boxes(picture)]

    def _boxes(self, picture: np.ndarray) -> list[np.ndarray]:
        """Corners (4,) of people, by YOLOX's own preparation: BGR, padded with 114, not normalised."""
        import cv2

        height, width = self.people_net.get_inputs()[0].shape[2:]
        scale = min(height / picture.shape[0], width / picture.shape[1])
        canvas = np.full((height, width, 3), 114, np.uint8)
        small = cv2.resize(picture[..., ::-1], (int(picture.shape[1] * scale), int(picture.shape[0] * scale)))
        canvas[: small.shape[0], : small.shape[1]] = small
        inputs = {self.people_net.get_inputs()[0].name: canvas.transpose(2, 0, 1)[None].astype(np.float32)}
        raw = self.people_net.run(None, inputs)[0][0]
        cells, strides = [], []
        for step in (8, 16, 32):
            y, x = np.mgrid[: height // step, : width // step]
            cells.append(np.stack((x, y), -1).reshape(-1, 2))
            strides.append(np.full((cells[-1].shape[0], 1), step))
        cell, stride = np.concatenate(cells), np.concatenate(strides)
        centre, size = (raw[:, :2] + cell) * stride, np.exp(raw[:, 2:4]) * stride
        score = raw[:, 4] * raw[:, 5]
        corners = np.concatenate((centre - size / 2, centre + size / 2), 1) / scale
        return [corners[i] for i in _unique(corners, score)]

    def _pose(self, picture: np.ndarray, box: np.ndarray) -> np.ndarray:
        """RTMPose's own preparation and its decoding of two rows of probabilities for each point."""
        import cv2

        middle, size = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * _PADDING
        width, height = _POSE_SIZE
        size = np.array([max(size[0], size[1] * width / height), max(size[1], size[0] * height / width)])
        scale = width / size[0]
        matrix = np.array([[scale, 0, width / 2 - scale * middle[0]], [0, scale, height / 2 - scale * middle[1]]])
        patch = (cv2.warpAffine(picture, matrix, _POSE_SIZE, flags=cv2.INTER_LINEAR).astype(np.float32) - _MEAN) / _STD
        across, down = self.pose_net.run(None, {self.pose_net.get_inputs()[0].name: patch.transpose(2, 0, 1)[None].astype(np.float32)})[:2]
        place = np.stack((across[0].argmax(-1), down[0].argmax(-1)), -1) / (across.shape[-1] / width)
        score = np.minimum(across[0].max(-1), down[0].max(-1))
        points = (place - (width / 2, height / 2)) / scale + middle
        return points_of_wholebody(points, np.clip(score, 0, 1))


def _unique(corners: np.ndarray, score: np.ndarray) -> list[int]:
    """Indices of sure boxes that do not overlap a surer one."""
    kept: list[int] = []
    area = np.prod(np.maximum(corners[:, 2:] - corners[:, :2], 0), axis=1)
    for i in np.argsort(-score):
        if score[i] < _PERSON_SCORE:
            break
        for j in kept:
            both = np.prod(np.maximum(np.minimum(corners[i, 2:], corners[j, 2:]) - np.maximum(corners[i, :2], corners[j, :2]), 0))
            if both > _OVERLAP * (area[i] + area[j] - both):
                break
        else:
            kept.append(int(i))
    return kept


def find_detector() -> Detector | None:
    """The detector, or None where its files or onnxruntime are missing. :raises UnderstudyError: ``weights_invalid``."""
    if find_spec("onnxruntime") is None or find_spec("cv2") is None:
        return None
    places = [state_dir() / "models" / "dwpose"]
    if chosen := os.environ.get("UNDERSTUDY_DWPOSE"):
        places.insert(0, Path(chosen))
    folder = next((p for p in places if (p / PEOPLE_FILE).is_file() and (p / POSE_FILE).is_file()), None)
    if folder is None:
        return None
    import onnxruntime

    try:
        nets = [onnxruntime.InferenceSession(str(folder / name), providers=onnxruntime.get_available_providers())
                for name in (PEOPLE_FILE, POSE_FILE)]
    except Exception as error:  # onnxruntime has a class of its own for every way in which a file can be bad
        raise UnderstudyError("weights_invalid", f"The detector in {folder} cannot be loaded ({str(error)[:200]}).",
                              "Download its two files again, or remove them.") from error
    return Detector(*nets)


def detect_track(frames: Iterable[np.ndarray], fps: float, detector: Detector) -> PoseTrack:
    """Key points of the surest person in each frame (H, W, 3) uint8; a frame without one has confidence 0."""
    found, size = [], (0, 0)
    for frame in frames:
        size = frame.shape[1], frame.shape[0]
        people = detector.people(frame)
        found.append(people[0] if people else np.zeros((POINT_COUNT, 3)))
    if not found:
        raise UnderstudyError("file_invalid", "The film has no pictures.", "Choose another film.")
    points = np.stack(found)
    ears = np.linalg.norm(points[:, BODY][:, 16, :2] - points[:, BODY][:, 17, :2], axis=-1)
    return PoseTrack(fps, size[0], size[1], points[..., :2], points[..., 2], np.zeros(points.shape[:2]),
                     points[:, [0, 14, 15], :2].mean(1), float(np.median(ears)) * 1.6)
