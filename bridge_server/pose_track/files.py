# SPDX-License-Identifier: Apache-2.0
"""Pose tracks in other programs' files: OpenPose JSON and DWPose npz, to write and to read."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.pose_track.layout import BODY, FEET, LEFT_HAND, POINT_COUNT, RIGHT_HAND
from bridge_server.pose_track.track import PoseTrack
from shared.errors import UnderstudyError

__all__ = ["dwpose_134", "read_dwpose", "read_openpose", "read_points", "write_dwpose", "write_openpose"]

_FACE_134: Final = slice(24, 92)
_LEFT_134: Final = slice(92, 113)
_RIGHT_134: Final = slice(113, 134)


def _bad(path: Path, why: object, what: str) -> UnderstudyError:
    return UnderstudyError("file_invalid", f"{path.name} cannot be read as {what} ({why}).",
                           "Choose another file, or make it again with the program that wrote it.")


def dwpose_134(track: PoseTrack) -> tuple[np.ndarray, np.ndarray]:
    """(T, 134, 2) in units of the picture's sides and (T, 134) scores; the 68 points of the face are absent (score 0, -1)."""
    points = np.full((len(track), 134, 2), -1.0, np.float32)
    score = np.zeros((len(track), 134), np.float32)
    for ours, theirs in ((slice(0, 24), slice(0, 24)), (LEFT_HAND, _LEFT_134), (RIGHT_HAND, _RIGHT_134)):
        points[:, theirs] = track.points[:, ours] / (track.width, track.height)
        score[:, theirs] = track.confidence[:, ours]
    return points, score


def write_dwpose(track: PoseTrack, path: str | Path) -> None:
    """DWPose's arrays in one npz without pickle.

    Keys: ``keypoints`` (T, 134, 2) in units of the picture's sides, ``scores`` (T, 134), ``bodies`` (T, 18, 2),
    ``body_scores`` (T, 18), ``hands`` (T, 2, 21, 2) left then right, ``hands_scores`` (T, 2, 21), ``faces`` (T, 68, 2),
    ``faces_scores`` (T, 68), ``width``, ``height``, ``fps``.
    """
    points, score = dwpose_134(track)
    hands = np.stack((points[:, _LEFT_134], points[:, _RIGHT_134]), 1)
    hand_scores = np.stack((score[:, _LEFT_134], score[:, _RIGHT_134]), 1)
    with Path(path).open("wb") as file:
        np.savez_compressed(file, keypoints=points, scores=score, bodies=points[:, BODY], body_scores=score[:, BODY],
                            hands=hands, hands_scores=hand_scores, faces=points[:, _FACE_134], faces_scores=score[:, _FACE_134],
                            width=np.array(track.width), height=np.array(track.height), fps=np.array(track.fps))


def read_dwpose(path: str | Path) -> PoseTrack:
    """What :func:`write_dwpose` wrote, or any npz with ``keypoints`` (T, 134, 2) and ``scores``; one in pixels is recognised.

    :raises UnderstudyError: ``file_missing`` or ``file_invalid``.
    """
    path = Path(path)
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no file {path}.", "Check the path.")
    try:
        with np.load(path, allow_pickle=False) as z:
            keypoints, scores = np.asarray(z["keypoints"], np.float64), np.asarray(z["scores"], np.float64)
            fps = float(z["fps"]) if "fps" in z else 25.0
            if keypoints.ndim != 3 or keypoints.shape[1:] != (134, 2) or scores.shape != keypoints.shape[:2]:
                raise ValueError(f"keypoints are {keypoints.shape} and scores {scores.shape}")
            unit = float(np.abs(keypoints).max(initial=0)) <= 8
            if "width" not in z and unit:
                raise ValueError("the points are relative and the picture's size is not given")
            size = (int(z["width"]), int(z["height"])) if "width" in z else tuple(
                int(np.ceil(v)) + 1 for v in keypoints.reshape(-1, 2).max(0))
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise _bad(path, error, "DWPose key points") from error
    points, confidence = np.zeros((len(keypoints), POINT_COUNT, 2)), np.zeros((len(keypoints), POINT_COUNT))
    for ours, theirs in ((slice(0, 24), slice(0, 24)), (LEFT_HAND, _LEFT_134), (RIGHT_HAND, _RIGHT_134)):
        points[:, ours] = keypoints[:, theirs] * (size if unit else (1, 1))
        confidence[:, ours] = np.clip(scores[:, theirs], 0, 1)
    return _track(points, confidence, fps, size)


def _track(points: np.ndarray, confidence: np.ndarray, fps: float, size: tuple[int, ...]) -> PoseTrack:
    centre = points[:, [0, 14, 15]].mean(1)
    ears = np.linalg.norm(points[:, 16] - points[:, 17], axis=-1)
    return PoseTrack(fps, size[0], size[1], points, confidence, np.zeros(confidence.shape), centre,
                     float(np.median(ears)) * 1.6 if len(points) else 0.0)


def _triples(points: np.ndarray, confidence: np.ndarray) -> list[float]:
    shown = np.where(confidence[:, None] > 0, np.concatenate((points, confidence[:, None]), 1), 0.0)
    return [round(float(v), 4) for v in shown.reshape(-1)]


def write_openpose(track: PoseTrack, folder: str | Path, name: str = "pose") -> list[Path]:
    """One JSON for each frame, as OpenPose names and fills them: pixels, and zeros for what is not there.

    ``pose_keypoints_2d`` is COCO's body18, ``foot_keypoints_2d`` the six points of the feet (an addition that readers skip).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for frame in range(len(track)):
        def part(which: slice, frame: int = frame) -> list[float]:
            return _triples(track.points[frame, which], track.confidence[frame, which])

        person: dict[str, Any] = {
            "person_id": [-1], "pose_keypoints_2d": part(BODY), "foot_keypoints_2d": part(FEET), "face_keypoints_2d": [],
            "hand_left_keypoints_2d": part(LEFT_HAND), "hand_right_keypoints_2d": part(RIGHT_HAND),
            "pose_keypoints_3d": [], "face_keypoints_3d": [], "hand_left_keypoints_3d": [], "hand_right_keypoints_3d": [],
        }
        content = {"version": 1.3, "canvas_width": track.width, "canvas_height": track.height, "people": [person]}
        paths.append(folder / f"{name}_{frame:012d}_keypoints.json")
        paths[-1].write_text(json.dumps(content), encoding="utf-8")
    return paths


def read_points(path: str | Path) -> tuple[np.ndarray, np.ndarray, tuple[int, int] | None]:
    """One person's points from an OpenPose JSON: body18 or BODY_25, hands where given.

    :returns: (66, 2) pixels, (66,) confidence, and the picture's (width, height) where the file says it.
    :raises UnderstudyError: ``file_missing`` or ``file_invalid``; also for no person or several.
    """
    path = Path(path)
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no file {path}.", "Check the path.")
    points, confidence = np.zeros((POINT_COUNT, 2)), np.zeros(POINT_COUNT)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        people = content["people"]
        if len(people) != 1:
            raise ValueError(f"it has {len(people)} people, not one")
        body = np.asarray(people[0]["pose_keypoints_2d"], np.float64).reshape(-1, 3)
        if len(body) == 25:
            feet = body[19:25]
            body = np.delete(body, 8, 0)[:18]
        elif len(body) == 18:
            feet = np.asarray(people[0].get("foot_keypoints_2d") or np.zeros(18), np.float64).reshape(-1, 3)
        else:
            raise ValueError(f"its body has {len(body)} points, not 18 or 25")
        parts = [(BODY, body), (FEET, feet)]
        for key, where in (("hand_left_keypoints_2d", LEFT_HAND), ("hand_right_keypoints_2d", RIGHT_HAND)):
            parts.append((where, np.asarray(people[0].get(key) or np.zeros(63), np.float64).reshape(-1, 3)))
        for where, values in parts:
            points[where], confidence[where] = values[:, :2], values[:, 2]
        size = (int(content["canvas_width"]), int(content["canvas_height"])) if "canvas_width" in content else None
    except (KeyError, TypeError, ValueError, OSError, IndexError, AttributeError) as error:
        raise _bad(path, error, "OpenPose key points") from error
    if not np.isfinite(points).all():
        raise _bad(path, "a coordinate is not a number", "OpenPose key points")
    return points, np.clip(confidence, 0, 1), size


def read_openpose(folder: str | Path, fps: float, size: tuple[int, int] | None = None) -> PoseTrack:
    """The frames of a folder in the order of their names. :raises UnderstudyError: as :func:`read_points`."""
    paths = sorted(Path(folder).glob("*_keypoints.json"))
    if not paths:
        raise UnderstudyError("file_missing", f"{folder} has no files that end in _keypoints.json.", "Choose another folder.")
    frames = [read_points(path) for path in paths]
    size = size or frames[0][2]
    if size is None:
        raise _bad(paths[0], "it does not say how large the picture is", "OpenPose key points")
    return _track(np.stack([f[0] for f in frames]), np.stack([f[1] for f in frames]), fps, size)
