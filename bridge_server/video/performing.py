# SPDX-License-Identifier: Apache-2.0
"""What a worker does with a job of kind ``film``: look at a photograph, or make the film and send it back."""

from __future__ import annotations

import logging
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.motion.generator import Report
from bridge_server.pose_track.camera import Camera
from bridge_server.pose_track.performer import Joints
from bridge_server.video import renderers
from bridge_server.video.film import FilmRequest, FilmResult, make_film
from bridge_server.video.photo import load_photo
from bridge_server.video.provenance import signing_from
from shared.errors import UnderstudyError
from shared.films import Film, FilmOrder
from shared.protocol import Message
from shared.state import state_dir

__all__ = ["film", "film_for", "look"]

_log = logging.getLogger("understudy.worker")

Chunk = Callable[[int, dict[str, Any], dict[str, np.ndarray]], None]

PREVIEW_SIDE: Final = 256
PREVIEW_SECONDS: Final = 0.5
KEPT_FOLDERS: Final = 8
"""Unfinished films that are kept to be continued."""
MAX_RESULT: Final = (1 << 30) - (1 << 20)
"""A message carries 1 GiB."""


def film(message: Message, report: Report, chunk: Chunk) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Body and buffers of the ``result`` of a ``submit`` of kind ``film``.

    :raises UnderstudyError: with a sentence for the user.
    """
    order = FilmOrder.from_message(message)
    if order.action == "look":
        return look(order, report)
    return film_for(order, state_dir() / "films", report, chunk).to_body()


def look(order: FilmOrder, report: Report) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Where the body's points are in a photograph, as far as can be told here."""
    from bridge_server.video.place import place

    with _folder(order, state_dir() / "films") as folder:
        report("looking at the photograph", 0.1)
        return place(load_photo(_written(folder, order.photo, order.photo_name, "photograph"))).to_body()


def _key(order: FilmOrder) -> str:
    """Changes with anything that was ordered."""
    message = order.to_message("0")
    digest = sha256(repr(sorted(message.body["request"].items())).encode())
    for name, array in message.buffers.items():
        digest.update(name.encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:32]


@contextmanager
def _folder(order: FilmOrder, root: Path) -> Iterator[Path]:
    """A folder for one order, where an interrupted film finds what it had drawn; removed after success."""
    folder = root / _key(order)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _tidy(root, folder)
        yield folder
    except OSError as error:
        raise UnderstudyError("file_invalid", f"The bridge cannot keep a film's files in {root} ({error.strerror or error}).",
                              "Check the free space of the bridge's state folder.") from error
    if not any(p.name.endswith(".parts") for p in folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)


def _tidy(root: Path, own: Path) -> None:
    folders = sorted((p for p in root.iterdir() if p.is_dir() and p != own), key=lambda p: p.stat().st_mtime)
    for old in folders[: max(len(folders) - KEPT_FOLDERS + 1, 0)]:
        shutil.rmtree(old, ignore_errors=True)


def _written(folder: Path, content: np.ndarray | None, name: str, fallback: str) -> Path:
    """A file with the bytes of a buffer. Only the suffix of the client's name is used for the path: its own may be anything."""
    suffix = Path(name.replace("\\", "/")).suffix.lower()
    suffix = suffix if suffix.isascii() and suffix[1:].isalnum() and len(suffix) < 8 else ""
    path = folder / f"{fallback}{suffix}"
    assert content is not None
    path.write_bytes(content.tobytes())
    return path


def _request(order: FilmOrder, folder: Path) -> FilmRequest:
    assert order.positions is not None and order.turns is not None
    face = {} if order.face is None else {n: order.face[:, i] for i, n in enumerate(order.face_names)}
    extra = {} if order.known is None else {"known": np.asarray(order.known, bool)}
    joints = Joints(order.performance_fps, order.positions.astype(np.float64), order.turns.astype(np.float64), face,
                    offsets=order.rest_offsets(), metadata=dict(order.facts), floor=order.floor, **extra)
    photo = _written(folder, order.photo, order.photo_name, "photograph")
    camera = None
    if order.framing == "scene":
        assert order.view is not None and order.projection is not None
        camera = Camera(order.camera_width, order.camera_height, order.view, order.projection)
    points = None if order.points is None else (order.points[:, :2].astype(np.float64), order.points[:, 2].astype(np.float64))
    if points is not None:
        points = (points[0] * load_photo(photo).scale, points[1])
    size = None if order.width is None or order.height is None else (order.width, order.height)
    part = None if order.part_start is None or order.part_end is None else (order.part_start, order.part_end)
    return FilmRequest(
        joints, photo, folder / {"mp4": "film.mp4", "mov": "film.mov", "png": "film"}[order.format],
        None if order.audio is None else _written(folder, order.audio, order.audio_name, "speech"), points, camera,
        "half" if order.framing == "scene" else order.framing,  # type: ignore[arg-type]
        size, order.fps, seed=order.seed, permission=order.permission, mark=order.mark, audio_start=order.audio_start, part=part,
        quality=order.quality, driving=None if order.driving is None else _written(folder, order.driving, order.driving_name, "driving"),
        signing=signing_from(), names={"photograph": order.photo_name, "sound": order.audio_name})


class _Previews:
    """Shows a small picture of what is drawn, now and then."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk, self._last = chunk, 0.0

    def __call__(self, number: int, frame: np.ndarray) -> None:
        now = time.monotonic()
        if now - self._last < PREVIEW_SECONDS:
            return
        self._last = now
        step = max(-(-max(frame.shape[:2]) // PREVIEW_SIDE), 1)
        self._chunk(number, {"kind": "preview"}, {"preview": np.ascontiguousarray(frame[::step, ::step])})


def film_for(order: FilmOrder, root: Path, report: Report, chunk: Chunk) -> Film:
    """Make the film of an order under ``root``; what an interrupted order had drawn there is used.

    :raises UnderstudyError: what is wrong with it, before any long work.
    """
    renderer = renderers.load(order.renderer)
    with _folder(order, root) as folder:
        request = _request(order, folder)
        if request.out.is_dir() and not (request.out / "key.txt").is_file():
            shutil.rmtree(request.out)
        result = make_film(request, renderer, report, _Previews(chunk))
        return _film(order, result)


def _film(order: FilmOrder, result: FilmResult) -> Film:
    path = result.path
    if order.format == "png":
        path = _zipped(path)
    if path.stat().st_size > MAX_RESULT:
        raise UnderstudyError("request_too_large", f"The film has {path.stat().st_size / 1e9:.1f} GB, more than can be sent.",
                              "Film in parts, or as mp4.")
    return Film(np.fromfile(path, np.uint8), order.format, result.frames, result.first, result.fps, result.track.width,
                result.track.height, tuple(result.notes), result.facts, result.signed)


def _zipped(folder: Path) -> Path:
    """The pictures and the file of facts; stored as they are, since pictures do not shrink further."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted((*folder.glob("[0-9]*.png"), folder / "film.json")):
            archive.write(file, file.name)
    return path
