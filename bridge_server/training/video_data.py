# SPDX-License-Identifier: Apache-2.0
"""Videos to learn from: pictures, DWPose key points, speech and a reference picture, by files of the same name.

For a clip ``NAME``: ``NAME.mp4`` (or .mov, .mkv, .webm), ``NAME.npz`` with DWPose's points for each frame, and where there are such
``NAME.wav`` (else the film's own sound), ``NAME-reference.png`` with its points ``NAME-reference.npz`` (else a frame of the film) and
``NAME.json`` with ``emotion``, ``split`` (``train`` or ``val``), ``licence`` and ``non_commercial``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.pose_track.files import read_dwpose
from bridge_server.pose_track.layout import LEFT_HAND, RIGHT_HAND
from bridge_server.pose_track.track import PoseTrack
from shared.errors import UnderstudyError

__all__ = ["VideoClip", "blinks_of_points", "crop_box", "cropped", "read_clips", "region_weights"]

_FILMS: Final = (".mp4", ".mov", ".mkv", ".webm")
_FACE_134: Final = slice(24, 92)
# the six points of each eye within the 68 of a face
_EYES: Final = (slice(36, 42), slice(42, 48))


@dataclass
class VideoClip:
    """:ivar pictures: (T, H, W, 3) uint8. :ivar track: of the same frames and size. :ivar sound: file with the speech, or None.
    :ivar reference: a picture of the person (H, W, 3) uint8 and its points, one frame; or None.
    :ivar blink: (T,) in [0, 1]. :ivar facts: the JSON file's content.
    """

    name: str
    pictures: np.ndarray
    track: PoseTrack
    sound: Path | None
    reference: tuple[np.ndarray, PoseTrack] | None
    blink: np.ndarray
    facts: dict[str, Any] = field(default_factory=dict)


def blinks_of_points(faces: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(T,) in [0, 1] from the 68 face points (T, 68, 2): how far the lids are closed against the clip's own open eye.

    The openness of an eye is the distance of its lids over that of its corners (Soukupova and Cech 2016). 0 where no face was detected.
    """
    seen = scores[:, 36:48].min(-1) > 0.3
    if not seen.any():
        return np.zeros(len(faces), np.float32)
    ratios = []
    for eye in _EYES:
        p = faces[:, eye]
        lids = np.linalg.norm(p[:, 1] - p[:, 5], axis=-1) + np.linalg.norm(p[:, 2] - p[:, 4], axis=-1)
        ratios.append(lids / np.maximum(2 * np.linalg.norm(p[:, 0] - p[:, 3], axis=-1), 1e-6))
    openness = np.mean(ratios, 0)
    full = float(np.percentile(openness[seen], 80))
    # a closed eye still shows a fifth of its open distance in detectors' points
    closed = np.clip((1 - openness / max(full, 1e-6)) / 0.8, 0, 1)
    return np.where(seen, closed, 0.0).astype(np.float32)


def _pictures(path: Path, count: int) -> Iterator[np.ndarray]:
    import av

    try:
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number >= count:
                    return
                yield frame.to_ndarray(format="rgb24")
    except (av.error.FFmpegError, IndexError) as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be read as a film ({error}).", "Convert it, or leave it out.") from error


def _has_sound(path: Path) -> bool:
    import av

    with av.open(str(path)) as container:
        return bool(container.streams.audio)


def read_clips(folder: Path, cache: Path, longest_side: int, split: str, *, non_commercial: bool = False) -> list[VideoClip]:
    """All clips of a split; pictures are reduced once to ``longest_side`` and kept in ``cache`` as arrays that are mapped, not read.

    :raises UnderstudyError: ``file_missing`` for a folder without clips, ``file_invalid`` where points and pictures do not agree,
        ``unsupported`` for clips that may not be used for this.
    """
    films = sorted(p for p in folder.iterdir() if p.suffix.lower() in _FILMS) if folder.is_dir() else []
    if not films:
        raise UnderstudyError("file_missing", f"There are no films in {folder}.", "Put NAME.mp4 with NAME.npz (DWPose) there.")
    without = [p.name for p in films if not p.with_suffix(".npz").is_file()]
    if without:
        raise UnderstudyError("file_missing", f"{', '.join(without[:3])} {'have' if len(without) > 1 else 'has'} no DWPose points.",
                              "Put the points beside each film as NAME.npz.")
    clips = []
    for film in films:
        facts = _facts(film.with_suffix(".json"))
        if facts.get("split", "train") != split:
            continue
        if facts.get("non_commercial") and not non_commercial:
            raise UnderstudyError("unsupported", f"{film.stem} is for non-commercial use, and this recipe is not.",
                                  "Leave the clip out, or set non_commercial = true in the recipe.")
        clips.append(_clip(film, facts, cache, longest_side))
    if not clips:
        raise UnderstudyError("file_missing", f"There are no clips of the split {split!r} in {folder}.", "Set split in NAME.json of some.")
    return clips


def _facts(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content
    except ValueError as error:
        raise UnderstudyError("file_invalid", f"{path.name} is not valid JSON ({error}).", "Correct the file.") from error


def _clip(film: Path, facts: dict[str, Any], cache: Path, longest_side: int) -> VideoClip:
    import cv2

    track = read_dwpose(film.with_suffix(".npz"))
    status = film.stat()
    kept = cache / f"{film.stem}-{longest_side}-{status.st_size}-{status.st_mtime_ns}.npy"
    if not kept.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        frames = list(_pictures(film, len(track)))
        if len(frames) < len(track):
            raise UnderstudyError("file_invalid", f"{film.name} has {len(frames)} frames and its points {len(track)}.",
                                  "Detect the points again, one for each frame.")
        scale = min(1.0, longest_side / max(frames[0].shape[:2]))
        if scale < 1:
            frames = [cv2.resize(f, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for f in frames]
        temporary = kept.with_suffix(".part")
        with temporary.open("wb") as file:
            np.save(file, np.stack(frames))
        temporary.replace(kept)
    pictures = np.load(kept, mmap_mode="r", allow_pickle=False)
    with np.load(film.with_suffix(".npz"), allow_pickle=False) as z:
        blink = blinks_of_points(np.asarray(z["keypoints"], np.float64)[:, _FACE_134] * (track.width, track.height),
                                 np.asarray(z["scores"])[:, _FACE_134])
    reference = None
    own = film.with_name(f"{film.stem}-reference.png")
    if own.is_file():
        from bridge_server.video.photo import load_photo

        photo = load_photo(own)
        reference = photo.pixels, read_dwpose(own.with_suffix(".npz")).take(slice(0, 1)).scaled(*photo.size)
    sound = film.with_suffix(".wav")
    if not sound.is_file():
        sound = film if _has_sound(film) else None  # type: ignore[assignment]
    return VideoClip(film.stem, pictures, track.scaled(pictures.shape[2], pictures.shape[1]), sound, reference, blink, facts)


def crop_box(
    track: PoseTrack, frames: list[int], shape: tuple[int, int], scale: float, at: tuple[float, float]
) -> tuple[int, int, int, int]:
    """(left, top, width, height) of a crop of ``shape`` = (width, height)'s proportions that holds the face of all frames.

    :param scale: 1 for the largest crop that fits, less for closer framings; a face limits how close.
    :param at: place of the crop in [0, 1] by [0, 1] of what is possible.
    """
    full = min(track.width / shape[0], track.height / shape[1])
    centre = track.face_centre[frames]
    spread = np.ptp(centre, axis=0) + max(track.face_size, 1.0) * 1.2
    least = float(np.max(spread / np.array(shape)))
    factor = float(np.clip(full * scale, min(least, full), full))
    size = np.array([shape[0] * factor, shape[1] * factor])
    room = np.array([track.width, track.height]) - size
    half = np.minimum(spread, size) / 2
    middle = (centre.min(0) + centre.max(0)) / 2
    low, high = np.clip(middle + half - size, 0, room), np.clip(middle - half, 0, room)
    low, high = np.minimum(low, high), np.maximum(low, high)
    corner = low + (high - low) * np.array(at)
    return int(corner[0]), int(corner[1]), max(int(size[0]), 1), max(int(size[1]), 1)


def cropped(pictures: np.ndarray, track: PoseTrack, box: tuple[int, int, int, int], shape: tuple[int, int]) -> tuple[np.ndarray, PoseTrack]:
    """Pictures (n, h, w, 3) uint8 and the track of a crop, both at ``shape`` = (width, height)."""
    import cv2

    left, top, width, height = box
    parts = [cv2.resize(np.asarray(p)[top: top + height, left: left + width], shape, interpolation=cv2.INTER_AREA) for p in pictures]
    scale = np.array([shape[0] / width, shape[1] / height])
    points = (track.points - (left, top)) * scale
    inside = ((points >= 0) & (points < shape)).all(-1)
    moved = replace(track, width=shape[0], height=shape[1], points=points, confidence=np.where(inside, track.confidence, 0.0),
                    face_centre=(track.face_centre - (left, top)) * scale, face_size=track.face_size * float(scale.min()))
    return np.stack(parts), moved


def region_weights(track: PoseTrack, frame: int, hands: float, head: float, threshold: float = 0.6) -> np.ndarray:
    """(H / 8, W / 8) float32, 1 and more: the loss counts more on hands that a detector is sure of, and on the head.

    After MimicMotion's regional loss: blurred hands have low confidence and would teach blurred hands.
    """
    out = np.ones((track.height // 8, track.width // 8), np.float32)
    for part in (LEFT_HAND, RIGHT_HAND):
        if hands > 1 and track.confidence[frame, part].min() >= threshold:
            low, high = track.points[frame, part].min(0), track.points[frame, part].max(0)
            room = 0.15 * float((high - low).max())
            _raise(out, low - room, high + room, hands)
    if head > 1:
        half = track.face_size / 2
        _raise(out, track.face_centre[frame] - half, track.face_centre[frame] + half, head)
    return out


def _raise(weights: np.ndarray, low: np.ndarray, high: np.ndarray, value: float) -> None:
    (left, top), (right, bottom) = np.floor(low / 8).astype(int).clip(0), np.ceil(high / 8).astype(int).clip(0)
    place = weights[top:bottom, left:right]
    place[:] = np.maximum(place, value)
