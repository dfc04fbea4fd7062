# SPDX-License-Identifier: Apache-2.0
"""One film, from a performance, a photograph and speech to a file that says what it was made from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.motion.generator import Report
from bridge_server.pose_track.camera import NEAR, Camera, Framing
from bridge_server.pose_track.layout import INDEX
from bridge_server.pose_track.performer import Joints
from bridge_server.pose_track.project import camera_for, track_of
from bridge_server.pose_track.track import PoseTrack
from bridge_server.video import encode
from bridge_server.video.photo import Photo, load_photo
from bridge_server.video.provenance import Signing, describe, metadata_of, picture_text, sign
from bridge_server.video.renderers import QUALITIES, Description, Renderer, Scene
from shared import __version__
from shared.errors import UnderstudyError
from shared.motion import Motion

__all__ = ["FilmRequest", "FilmResult", "Preview", "cut", "make_film"]

SEGMENT_SECONDS: Final = 2.0
MAX_SIDE: Final = 4096
Preview = Callable[[int, np.ndarray], None]
"""Is shown frames (H, W, 3) uint8 by their number as they are drawn."""


@dataclass
class FilmRequest:
    """What to film.

    :ivar motion: the performance. :ivar photo: picture of the person. :ivar out: ``.mp4``, ``.mov``, or a folder for PNG.
    :ivar audio: the speech. :ivar audio_start: seconds into it at the performance's first frame; may be negative.
    :ivar points: (66, 2) and (66,), points placed on the photograph.
    :ivar camera: of the scene, one matrix for each frame of the motion or one for all; None for a virtual one.
    :ivar size: (width, height), None for the photograph's shape with a short side of 512.
    :ivar start: seconds into the performance. :ivar seconds: length, None for all of the rest.
    :ivar part: seconds (from, to) within the film that are drawn, so that a stretch can be drawn again; None for all.
    :ivar permission: who allows the use of the photograph, in the user's words. :ivar mark: write a visible mark.
    :ivar quality: one of :data:`~bridge_server.video.renderers.QUALITIES`.
    :ivar driving: film of the performing character, for renderers that take one.
    :ivar signing: certificate and key for content credentials; None for plain metadata.
    :ivar names: how the user calls the "photograph" and the "sound", where the files are copies.
    """

    motion: Motion | Joints
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
    audio_start: float = 0.0
    part: tuple[float, float] | None = None
    quality: str = "normal"
    driving: Path | None = None
    signing: Signing | None = None
    names: dict[str, str] = field(default_factory=dict)


@dataclass
class FilmResult:
    """:ivar frames: drawn. :ivar first: number of the first drawn frame in the whole film.
    :ivar resumed: segments that an interrupted film had left and that were used. :ivar signed: whether it has content credentials."""

    path: Path
    frames: int
    fps: float
    track: PoseTrack
    resumed: int = 0
    notes: list[str] = field(default_factory=list)
    first: int = 0
    signed: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


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


def cut(request: FilmRequest) -> tuple[Joints, Camera | None]:
    """The asked range at the film's rate."""
    performance, camera = request.motion, request.camera
    if not 1 <= request.fps <= 120:
        raise UnderstudyError("request_invalid", f"A film cannot have {request.fps:g} frames per second.", "Choose 1 to 120.")
    if len(performance) < 2:
        raise UnderstudyError("request_invalid", "The performance has no frames.", "Perform first.")
    whole = performance.duration
    seconds = whole - request.start if request.seconds is None else request.seconds
    if request.start < 0 or seconds <= 0 or request.start + seconds > whole + 0.5 / request.fps + 1e-6:
        raise UnderstudyError("request_invalid", f"The range from {request.start:g} s for {seconds:g} s does not lie within the "
                              f"performance of {whole:.2f} s.", "Choose a range within it.")
    joints = performance if isinstance(performance, Joints) else Joints.of(performance)
    time = np.arange(max(int(round(seconds * request.fps)), 1)) / request.fps + request.start
    if camera is not None and max(len(camera.view), len(camera.projection)) > 1:
        nearest = np.clip(np.rint(time * joints.fps).astype(int), 0, len(joints) - 1)
        camera = Camera(camera.width, camera.height, camera.view[nearest % len(camera.view)],
                        camera.projection[nearest % len(camera.projection)])
    return joints.at(time, request.fps), camera


def _range(request: FilmRequest, frames: int) -> tuple[int, int]:
    """Numbers of the first frame that is drawn and of the one after the last."""
    if request.part is None:
        return 0, frames
    first, last = (int(round(second * request.fps)) for second in request.part)
    if not 0 <= first < last or first >= frames:
        raise UnderstudyError("request_invalid", f"There is nothing to draw from {request.part[0]:g} s to {request.part[1]:g} s of a "
                              f"film of {frames / request.fps:.2f} s.", "Choose a range within the film.")
    return first, min(last, frames)


def _memory(facts: Description, width: int, height: int) -> None:
    """Refuse a film that this machine cannot hold, before any work. Graphics memory is the renderer's own affair."""
    import psutil

    if facts.cost is None or facts.device != "cpu":
        return
    need, free = facts.cost.memory(width, height), psutil.virtual_memory().available / 1e9
    if need > free:
        raise UnderstudyError("out_of_memory", f"A film of {width}x{height} by {facts.name} needs about {need:.1f} GB of memory, and "
                              f"{free:.1f} GB are free.", "Choose a smaller film, or close other programs.", retryable=False)


def _marked(frame: np.ndarray) -> np.ndarray:
    import cv2

    scale = frame.shape[0] / 900
    out = frame.copy()
    left, low = int(14 * scale) + 4, frame.shape[0] - int(14 * scale) - 4
    # white with a shadow, to be read on any picture
    for colour, shift in (((0, 0, 0), 1), ((255, 255, 255), 0)):
        cv2.putText(out, "generated", (left + shift, low + shift), cv2.FONT_HERSHEY_SIMPLEX, max(scale, 0.4), colour, 1, cv2.LINE_AA)
    return out


def _key(scene: Scene, renderer: str, request: FilmRequest, span: tuple[int, int]) -> str:
    """Changes with anything that changes a picture, so that an interrupted film is only continued by the same film."""
    digest = sha256(f"{__version__} {renderer} {scene.width} {scene.height} {scene.seed} {scene.quality} {request.mark} {request.fps} "
                    f"{span}".encode())
    for part in (scene.track.points, scene.track.confidence, *(scene.face[n] for n in sorted(scene.face)),
                 *(scene.points or ())):
        digest.update(np.ascontiguousarray(part, np.float32).tobytes())
    digest.update(scene.photo.digest.encode())
    for path in (scene.audio, scene.driving):
        digest.update(b"-" if path is None else sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def make_film(request: FilmRequest, renderer: Renderer, report: Report, preview: Preview | None = None) -> FilmResult:
    """Make the film and the file of facts beside it.

    A cancelled or interrupted film leaves its finished segments in ``<out>.parts``; the same request continues there.

    :raises UnderstudyError: what is wrong with the request, before any long work; ``cancelled`` from ``report``.
    """
    facts = type(renderer).describe()
    kind = encode.format_of(request.out)
    if request.quality not in QUALITIES:
        raise UnderstudyError("request_invalid", f"There is no quality {request.quality!r}.", f"Choose one of {', '.join(QUALITIES)}.")
    if not request.out.parent.is_dir():
        raise UnderstudyError("file_missing", f"There is no folder {request.out.parent}.", "Make it, or choose another place.")
    if request.signing is not None:
        request.signing.check()
    photo = load_photo(request.photo)
    width, height = _size(request, photo.size)
    _memory(facts, width, height)
    joints, camera = cut(request)
    first, last = _range(request, len(joints))
    notes: list[str] = []
    sound = _sound(request, first, last, notes)
    scene = _scene(request, joints, camera, photo, (width, height))
    notes += renderer.prepare(scene, report)
    provenance = describe(request, facts, photo.digest, (first, last))
    drawn = _Drawn(renderer, report, request.mark, preview)
    span = (first, last)
    name = f"{facts.name} {renderer.key()}" if hasattr(renderer, "key") else facts.name
    if kind == "png":
        resumed = _pictures(request, drawn, scene, name, span, picture_text(provenance))
    else:
        resumed = _movie(request, drawn, scene, name, kind, span, sound, metadata_of(request.out.stem, provenance))
    signed = request.signing is not None and sign(request, provenance, report)
    beside = request.out / "film.json" if kind == "png" else request.out.with_suffix(request.out.suffix + ".json")
    made = {**provenance, "content_credentials": signed}
    beside.write_text(json.dumps(made, indent=1), encoding="utf-8")
    report("done", 1.0)
    return FilmResult(request.out, last - first, request.fps, scene.track, resumed, notes, first, signed, made)


def _sound(request: FilmRequest, first: int, last: int, notes: list[str]) -> np.ndarray | None:
    if request.audio is None:
        return None
    seconds = (last - first) / request.fps
    sound = encode.read_sound(request.audio, request.audio_start + request.start + first / request.fps, seconds)
    missing = seconds - sound.shape[1] / encode.SOUND_RATE
    if missing > 0.05:
        notes.append(f"The performance is {missing:.1f} s longer than the sound; the end of the film is silent.")
    return sound


def _scene(request: FilmRequest, joints: Joints, camera: Camera | None, photo: Photo, size: tuple[int, int]) -> Scene:
    if camera is None:
        camera = camera_for(joints, request.framing, *size)
    track = track_of(joints, camera)
    behind = track.depth[:, INDEX["neck"]] <= NEAR
    if behind.any() and not camera.orthographic:
        raise UnderstudyError("request_invalid", f"The performer is behind the camera in {int(behind.sum())} of {len(track)} frames.",
                              "Move the camera, or use one of the framings.")
    return Scene(track, joints.face, photo, request.points, *size, request.seed, request.quality, request.audio,
                 request.audio_start + request.start, request.driving)


@dataclass
class _Drawn:
    """Frames of a renderer as they are to be written."""

    renderer: Renderer
    report: Report
    mark: bool
    preview: Preview | None

    def frames(self, start: int, stop: int) -> Iterator[np.ndarray]:
        for number, frame in enumerate(self.renderer.frames(start, stop, self.report), start):
            frame = _marked(frame) if self.mark else frame
            if self.preview is not None:
                self.preview(number, frame)
            yield frame

    def keep_in(self, folder: Path) -> None:
        """Tell the renderer where it may keep what it has done of an unfinished film."""
        if hasattr(self.renderer, "keep_in"):
            self.renderer.keep_in(folder)


def _fresh(folder: Path, key: str) -> None:
    """An empty folder, or what the same film left in it."""
    note = folder / "key.txt"
    if folder.is_dir() and not (note.is_file() and note.read_text(encoding="utf-8") == key):
        shutil.rmtree(folder)
    folder.mkdir(exist_ok=True)
    note.write_text(key, encoding="utf-8")


def _movie(request: FilmRequest, drawn: _Drawn, scene: Scene, name: str, kind: str, span: tuple[int, int],
           sound: np.ndarray | None, metadata: dict[str, str]) -> int:
    parts = request.out.with_name(request.out.name + ".parts")
    _fresh(parts, _key(scene, name, request, span))
    drawn.keep_in(parts)
    length = max(int(SEGMENT_SECONDS * request.fps), 1)
    segments, resumed = [], 0
    for number, start in enumerate(range(*span, length)):
        path = parts / f"segment{number:05d}{kind}"
        segments.append(path)
        if path.is_file():
            resumed += 1
            continue
        encode.write_segment(path, drawn.frames(start, min(start + length, span[1])), request.fps, kind)
    drawn.report("joining", 0.99)
    encode.join(segments, request.out, request.fps, kind, sound, metadata, (span[1] - span[0]) / request.fps)
    shutil.rmtree(parts)
    return resumed


def _pictures(request: FilmRequest, drawn: _Drawn, scene: Scene, name: str, span: tuple[int, int],
              text: dict[str, str]) -> int:
    """Pictures are numbered from 1 as frames of the whole film, so that those of a part replace their former selves."""
    key, note = _key(scene, name, request, span), request.out / "key.txt"
    if request.out.is_dir() and any(request.out.iterdir()) and not (note.is_file() and note.read_text(encoding="utf-8") == key):
        raise UnderstudyError("request_invalid", f"The folder {request.out} already has other files.",
                              "Choose an empty folder for the pictures.")
    _fresh(request.out, key)
    there = [(request.out / f"{n + 1:06d}.png").is_file() for n in range(*span)]
    first = span[0] + (there.index(False) if False in there else len(there))
    unfinished = request.out / "unfinished"
    unfinished.mkdir(exist_ok=True)
    drawn.keep_in(unfinished)
    encode.write_png(request.out, first, drawn.frames(first, span[1]), text)
    shutil.rmtree(unfinished)
    return sum(there)
