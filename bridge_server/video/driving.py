# SPDX-License-Identifier: Apache-2.0
"""Films that drive a film: of the performing character, or of its face."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from bridge_server.pose_track.track import PoseTrack
from bridge_server.video.puppet.face import FaceWarp
from bridge_server.video.puppet.mouth import find_mouth
from bridge_server.video.staging import Stage, face_box
from shared.errors import UnderstudyError

__all__ = ["face_of_driving", "face_of_photo", "read_film", "resampled"]


def _decoded(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    """(seconds from the first frame, (H, W, 3) uint8 RGB)."""
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no film {path}.", "Check the path.")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UnderstudyError("file_invalid", f"{path.name} has no pictures.", "Choose a film.")
            stream = container.streams.video[0]
            rate, first = float(stream.average_rate or 25), None
            for number, frame in enumerate(container.decode(stream)):
                time = number / rate if frame.time is None else float(frame.time)
                first = time if first is None else first
                yield time - first, frame.to_ndarray(format="rgb24")
    except av.error.FFmpegError as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be read as a film ({error.strerror or error}).",
                              "Choose another file.") from error


def read_film(path: Path, frames: int, fps: float) -> Iterator[np.ndarray]:
    """``frames`` pictures (H, W, 3) uint8 at ``fps``, the nearest ones in time.

    :raises UnderstudyError: ``file_missing``, ``file_invalid``, or ``request_invalid`` where the film ends more than half a second
        early; a shorter lack is filled with the last picture.
    """
    wanted, last, last_time = 0, None, 0.0
    for time, picture in _decoded(path):
        while last is not None and wanted < frames and wanted / fps <= (last_time + time) / 2:
            yield last
            wanted += 1
        last, last_time = picture, time
    if last is None:
        raise UnderstudyError("file_invalid", f"{path.name} has no pictures.", "Choose a film.")
    if (frames - 1) / fps - last_time > 0.5 + 1 / fps:
        raise UnderstudyError("request_invalid", f"{path.name} has {last_time:.1f} s, and the film needs {frames / fps:.1f} s.",
                              "Render the performing character over the same range as the film.")
    for _ in range(wanted, frames):
        yield last


def face_of_driving(path: Path, track: PoseTrack, size: int, room: float = 1.3) -> Iterator[np.ndarray]:
    """The face in a film of the performing character from the track's camera: (size, size, 3) for each of its frames.

    The square has a fixed size and follows the middle of the face, so that a nod stays a nod.
    """
    for number, picture in enumerate(read_film(path, len(track), track.fps)):
        height, width = picture.shape[:2]
        scale = np.array([width / track.width, height / track.height])
        side = int(np.clip(track.face_size * room * scale.mean(), 16, min(width, height)))
        corner = np.rint(track.face_centre[number] * scale - side / 2).astype(int)
        left, top = int(np.clip(corner[0], 0, width - side)), int(np.clip(corner[1], 0, height - side))
        yield cv2.resize(picture[top: top + side, left: left + side], (size, size), interpolation=cv2.INTER_AREA)


def face_of_photo(stage: Stage, curves: dict[str, np.ndarray], frames: int, size: int) -> Iterator[np.ndarray]:
    """The photograph's face, moved by the face curves: (size, size, 3) for each frame."""
    warp = FaceWarp(stage.photo.pixels, stage.person, find_mouth(stage.photo.pixels, stage.person))
    x0, y0, x1, y1 = warp.box
    left, top, side = face_box(stage.person, stage.photo.size)
    for n in range(frames):
        picture = stage.photo.pixels.copy()
        picture[y0:y1, x0:x1] = warp.patch({name: float(c[min(n, len(c) - 1)]) for name, c in curves.items() if len(c)})
        yield cv2.resize(picture[top: top + side, left: left + side], (size, size), interpolation=cv2.INTER_CUBIC)


def resampled(pictures: np.ndarray, own_fps: float, frames: int, fps: float) -> np.ndarray:
    """The nearest pictures in time at another rate."""
    index = np.rint(np.arange(frames) / fps * own_fps).astype(int)
    return pictures[np.clip(index, 0, len(pictures) - 1)]
