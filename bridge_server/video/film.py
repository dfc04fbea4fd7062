# SPDX-License-Identifier: Apache-2.0
"""One film, from a performance, a photograph and speech to a file that says what it was made from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.motion.generator import Report
from bridge_server.pose_track.camera import NEAR, Camera, Framing
from bridge_server.pose_track.layout import INDEX
from bridge_server.pose_track.project import camera_for, track_of
from bridge_server.pose_track.track import PoseTrack
from bridge_server.video import encode
from bridge_server.video.photo import load_photo
from bridge_server.video.renderers import Renderer, Scene
from shared import __version__
from shared.errors import UnderstudyError
from shared.motion import Motion

__all__ = ["FilmRequest", "FilmResult", "cut", "make_film"]

SEGMENT_SECONDS: Final = 2.0
MAX_SIDE: Final = 4096
# IPTC's term for media that was made by an algorithm from an existing picture
_SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


@dataclass
class FilmRequest:
    """What to film.

    :ivar motion: the performance. :ivar photo: picture of the person. :ivar out: ``.mp4``, ``.mov``, or a folder for PNG.
    :ivar audio: speech whose time 0 is the performance's. :ivar points: (66, 2) and (66,), points placed on the photograph.
    :ivar camera: of the scene, one matrix for each frame of the motion or one for all; None for a virtual one.
    :ivar size: (width, height), None for the photograph's shape with a short side of 512.
    :ivar start: seconds into the performance. :ivar seconds: length, None for all of the rest.
    :ivar permission: who allows the use of the photograph, in the user's words. :ivar mark: write a visible mark.
    """

    motion: Motion
    photo: Path
    out: Path
    audio: Path | None = None
    points: tuple[np.ndarray, np.ndarray] | None = None
    camera: Camera | None = None
    framing: Framing = "half"
    size: tuple[int, int] | None = None
    fps: float = 25.0
    start: float = 0.0
    seconds: float | None = None
    seed: int = 0
    permission: str = ""
    mark: bool = False


@dataclass
class FilmResult:
    """:ivar resumed: segments that an interrupted film had left and that were used."""

    path: Path
    frames: int
    fps: float
    track: PoseTrack
    resumed: int = 0
    notes: list[str] = field(default_factory=list)


def _size(request: FilmRequest, photo: tuple[int, int]) -> tuple[int, int]:
    if request.size is None:
        scale = 512 / min(photo)
        size = (round(photo[0] * scale), round(photo[1] * scale))
        if max(size) > 4 * 512:
            size = (min(size[0], 2048), min(size[1], 2048))
    else:
        size = request.size
    # H.264 with 4:2:0 needs even sides
    width, height = (max(int(n) // 2 * 2, 2) for n in size)
    if not (64 <= width <= MAX_SIDE and 64 <= height <= MAX_SIDE):
        raise UnderstudyError("request_invalid", f"A film of {size[0]}x{size[1]} pixels cannot be made.",
                              f"Choose sides between 64 and {MAX_SIDE} pixels.")
    return width, height


def cut(request: FilmRequest) -> tuple[Motion, Camera | None]:
    """The asked range at the film's rate."""
    motion, camera = request.motion, request.camera
    if not 1 <= request.fps <= 120:
        raise UnderstudyError("request_invalid", f"A film cannot have {request.fps:g} frames per second.", "Choose 1 to 120.")
    if len(motion) < 2:
        raise UnderstudyError("request_invalid", "The performance has no frames.", "Perform first.")
    seconds = motion.duration - request.start if request.seconds is None else request.seconds
    if request.start < 0 or seconds <= 0 or request.start + seconds > motion.duration + 0.5 / request.fps + 1e-6:
        raise UnderstudyError("request_invalid", f"The range from {request.start:g} s for {seconds:g} s does not lie within the "
                              f"performance of {motion.duration:.2f} s.", "Choose a range within it.")
    index = np.arange(max(int(round(seconds * request.fps)), 1)) / request.fps + request.start
    total = max(int(np.ceil((request.start + seconds) * request.fps)) + 1, 2)
    at_rate = motion.resample(request.fps, total)
    frames = np.minimum(np.rint(index * request.fps).astype(int), total - 1)
    if camera is not None and max(len(camera.view), len(camera.projection)) > 1:
        nearest = np.clip(np.rint(index * motion.fps).astype(int), 0, len(motion) - 1)
        camera = Camera(camera.width, camera.height, camera.view[nearest % len(camera.view)],
                        camera.projection[nearest % len(camera.projection)])
    return at_rate.take(frames), camera


def _provenance(request: FilmRequest, renderer: str, digest: str, frames: int) -> dict[str, Any]:
    source = {"name": request.photo.name, "sha256": digest}
    made: dict[str, Any] = {
        "made_with": f"Understudy {__version__}", "renderer": renderer, "digital_source_type": _SOURCE_TYPE,
        "statement": "This film was generated from a photograph and a synthetic performance.", "photograph": source,
        "permission": request.permission, "performance": {k: request.motion.metadata[k] for k in
                                                          ("generator", "seed", "directions", "audio") if k in request.motion.metadata},
        "frames": frames, "fps": request.fps, "start": request.start, "seed": request.seed,
    }
    if request.audio is not None:
        made["sound"] = {"name": request.audio.name, "sha256": sha256(request.audio.read_bytes()).hexdigest()}
    return made


def _marked(frame: np.ndarray) -> np.ndarray:
    import cv2

    scale = frame.shape[0] / 900
    out = frame.copy()
    left, low = int(14 * scale) + 4, frame.shape[0] - int(14 * scale) - 4
    # white with a shadow, to be read on any picture
    for colour, shift in (((0, 0, 0), 1), ((255, 255, 255), 0)):
        cv2.putText(out, "generated", (left + shift, low + shift), cv2.FONT_HERSHEY_SIMPLEX, max(scale, 0.4), colour, 1, cv2.LINE_AA)
    return out


def _key(scene: Scene, renderer: str, request: FilmRequest) -> str:
    """Changes with anything that changes a picture, so that an interrupted film is only continued by the same film."""
    digest = sha256(f"{__version__} {renderer} {scene.width} {scene.height} {scene.seed} {request.mark} {request.fps}".encode())
    for part in (scene.track.points, scene.track.confidence, *(scene.face[n] for n in sorted(scene.face)),
                 *(scene.points or ())):
        digest.update(np.ascontiguousarray(part, np.float32).tobytes())
    digest.update(scene.photo.digest.encode())
    return digest.hexdigest()


def make_film(request: FilmRequest, renderer: Renderer, report: Report) -> FilmResult:
    """Make the film and the file of facts beside it.

    A cancelled or interrupted film leaves its finished segments in ``<out>.parts``; the same request continues there.

    :raises UnderstudyError: what is wrong with the request, before any long work; ``cancelled`` from ``report``.
    """
    name = type(renderer).describe().name
    kind = encode.format_of(request.out)
    if not request.out.parent.is_dir():
        raise UnderstudyError("file_missing", f"There is no folder {request.out.parent}.", "Make it, or choose another place.")
    photo = load_photo(request.photo)
    width, height = _size(request, photo.size)
    motion, camera = cut(request)
    notes: list[str] = []
    sound = None
    seconds = len(motion) / request.fps
    if request.audio is not None:
        sound = encode.read_sound(request.audio, request.start, seconds)
        missing = seconds - sound.shape[1] / encode.SOUND_RATE
        if missing > 0.05:
            notes.append(f"The performance is {missing:.1f} s longer than the sound; the end of the film is silent.")
    if camera is None:
        camera = camera_for(motion, request.framing, width, height)
    track = track_of(motion, camera)
    behind = track.depth[:, INDEX["neck"]] <= NEAR
    if behind.any() and not camera.orthographic:
        raise UnderstudyError("request_invalid", f"The performer is behind the camera in {int(behind.sum())} of {len(track)} frames.",
                              "Move the camera, or use one of the framings.")
    scene = Scene(track, motion.face, photo, request.points, width, height, request.seed)
    notes += renderer.prepare(scene, report)
    provenance = _provenance(request, name, photo.digest, len(track))
    metadata = {"title": request.out.stem, "comment": json.dumps(provenance), "encoder_settings": f"Understudy {__version__}"}
    if kind == "png":
        resumed = _pictures(request, renderer, scene, name, report, len(track))
    else:
        resumed = _movie(request, renderer, scene, name, kind, report, len(track), sound, metadata)
    facts = request.out / "film.json" if kind == "png" else request.out.with_suffix(request.out.suffix + ".json")
    facts.write_text(json.dumps(provenance, indent=1), encoding="utf-8")
    report("done", 1.0)
    return FilmResult(request.out, len(track), request.fps, track, resumed, notes)


def _frames(renderer: Renderer, start: int, stop: int, report: Report, mark: bool) -> Iterator[np.ndarray]:
    for frame in renderer.frames(start, stop, report):
        yield _marked(frame) if mark else frame


def _fresh(folder: Path, key: str) -> None:
    """An empty folder, or what the same film left in it."""
    note = folder / "key.txt"
    if folder.is_dir() and not (note.is_file() and note.read_text(encoding="utf-8") == key):
        shutil.rmtree(folder)
    folder.mkdir(exist_ok=True)
    note.write_text(key, encoding="utf-8")


def _movie(request: FilmRequest, renderer: Renderer, scene: Scene, name: str, kind: str, report: Report, frames: int,
           sound: np.ndarray | None, metadata: dict[str, str]) -> int:
    parts = request.out.with_name(request.out.name + ".parts")
    _fresh(parts, _key(scene, name, request))
    length = max(int(SEGMENT_SECONDS * request.fps), 1)
    segments, resumed = [], 0
    for number, start in enumerate(range(0, frames, length)):
        path = parts / f"segment{number:05d}{kind}"
        segments.append(path)
        if path.is_file():
            resumed += 1
            continue
        stop = min(start + length, frames)
        encode.write_segment(path, _frames(renderer, start, stop, report, request.mark), request.fps, kind)
    report("joining", 0.99)
    encode.join(segments, request.out, request.fps, kind, sound, metadata, frames / request.fps)
    shutil.rmtree(parts)
    return resumed


def _pictures(request: FilmRequest, renderer: Renderer, scene: Scene, name: str, report: Report, frames: int) -> int:
    key, note = _key(scene, name, request), request.out / "key.txt"
    if request.out.is_dir() and any(request.out.iterdir()) and not (note.is_file() and note.read_text(encoding="utf-8") == key):
        raise UnderstudyError("request_invalid", f"The folder {request.out} already has other files.",
                              "Choose an empty folder for the pictures.")
    _fresh(request.out, key)
    done = sum((request.out / f"{n + 1:06d}.png").is_file() for n in range(frames))
    first = next((n for n in range(frames) if not (request.out / f"{n + 1:06d}.png").is_file()), frames)
    encode.write_png(request.out, first, _frames(renderer, first, frames, report, request.mark))
    return done
