# SPDX-License-Identifier: GPL-3.0-or-later
"""How loud the speech is over time, for the background of the strips; read once per file, on a thread."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

from . import cast, compat, sequence, speech

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["RATE", "Heard", "forget", "heard_by", "of_file"]

RATE = 50.0
"""Values per second."""
LONGEST_SECONDS = 1800.0
_BLOCK_SECONDS = 10.0
_REDRAW_SECONDS = 0.3

_kept: "dict[tuple[str, float], Future[np.ndarray | None]]" = {}
_pool: "ThreadPoolExecutor | None" = None


@dataclass(frozen=True)
class Heard:
    """A sound on the scene's frames: its content is taken from ``origin`` on, and it is heard from ``first`` to ``last``.

    :ivar energy: (N,) in [0, 1], :data:`RATE` values a second.
    :ivar speed: how many times faster than recorded it plays; :ivar skipped: seconds of it that come before ``origin``.
    :ivar volume: how loud it is at a frame, 1 being as recorded.
    """

    origin: float
    first: float
    last: float
    energy: np.ndarray
    speed: float = 1.0
    skipped: float = 0.0
    volume: Callable[[float], float] | None = None

    def at(self, frame: float, fps: float) -> float:
        """Energy in [0, 1] at a frame, as it is mixed down."""
        n = int(((frame - self.origin) * self.speed / fps + self.skipped) * RATE)
        if not (self.first <= frame < self.last and 0 <= n < len(self.energy)):
            return 0.0
        return min(float(self.energy[n]) * (self.volume(frame) if self.volume is not None else 1.0), 1.0)


def heard_by(context: bpy.types.Context, character: Any) -> list[Heard]:
    """The speech of a character, as far as it has been read; what is still being read follows with a later redraw."""
    settings, rate = character.understudy, cast.fps(context.scene)
    found = []
    if settings.sound_source == "FILE" and settings.sound_path:
        energy = _read(Path(bpy.path.abspath(settings.sound_path)))
        if energy is not None:
            origin = speech.origin(context, character)
            found.append(Heard(origin, origin, origin + len(energy) / RATE * rate, energy))
    elif settings.sound_source == "SEQUENCER":
        scene = compat.sequencer_scene(context)
        for strip in speech.heard(context, character):
            energy = _read(Path(bpy.path.abspath(strip.sound.filepath))) if strip.sound is not None else None
            if energy is not None:
                course = sequence.played(strip, len(energy) / RATE * rate)
                found.append(Heard(
                    course.frame, *compat.strip_range(strip), energy, course.speed,
                    course.content / rate + sequence.skipped(strip, rate), sequence.volume(scene, strip)))
    return found


def _read(path: Path) -> np.ndarray | None:
    global _pool
    try:
        key = (str(path), path.stat().st_mtime)
    except OSError:
        return None
    if key not in _kept:
        from concurrent.futures import ThreadPoolExecutor

        _pool = _pool or ThreadPoolExecutor(1, "understudy-sound")
        _kept[key] = _pool.submit(of_file, path)
        if not bpy.app.background and not bpy.app.timers.is_registered(_redraw_when_read):
            bpy.app.timers.register(_redraw_when_read, first_interval=_REDRAW_SECONDS)
    if bpy.app.background:
        return _kept[key].result()
    return _kept[key].result() if _kept[key].done() else None


def _redraw_when_read() -> float | None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "DOPESHEET_EDITOR":
                area.tag_redraw()
    return None if all(future.done() for future in _kept.values()) else _REDRAW_SECONDS


def of_file(path: Path) -> np.ndarray | None:
    """Energy (N,) in [0, 1], the loudest value being 1; None for what is no sound or cannot be read here.

    Blender's own reader is used where its module is there; without it, WAV files are read all the same.
    """
    import wave

    try:
        energy = _by_blender(path) if compat.sound_module() is not None else _of_wav(path)
    except (OSError, EOFError, ValueError, wave.Error):
        return None
    return None if energy is None or not len(energy) else energy / max(float(energy.max()), 1e-9)


def _levels(samples: np.ndarray, rate: float) -> np.ndarray:
    size = max(int(rate / RATE), 1)
    blocks = samples[: len(samples) // size * size].reshape(-1, size)
    return np.sqrt(np.mean(np.square(blocks, dtype=np.float64), axis=1))


def _by_blender(path: Path) -> np.ndarray | None:
    aud = compat.sound_module()
    try:
        sound = aud.Sound(str(path))
        rate = float(sound.specs[0])
        seconds = sound.length / rate
        if not 0 < seconds <= LONGEST_SECONDS:
            return None
        # in blocks, so that the interface has its turn between them
        parts = [np.asarray(sound.limit(t, min(t + _BLOCK_SECONDS, seconds)).data()).mean(axis=1)
                 for t in np.arange(0.0, seconds, _BLOCK_SECONDS)]
    except aud.error:
        return None
    return _levels(np.concatenate(parts), rate)


def _of_wav(path: Path) -> np.ndarray | None:
    import wave

    with wave.open(str(path), "rb") as file:
        rate, width = file.getframerate(), file.getsampwidth()
        if width != 2 or not 0 < file.getnframes() / rate <= LONGEST_SECONDS:
            return None
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
    return _levels(samples.mean(axis=1), rate)


def forget() -> None:
    """Drop what was read, and end the thread."""
    global _pool
    if bpy.app.timers.is_registered(_redraw_when_read):
        bpy.app.timers.unregister(_redraw_when_read)
    if _pool is not None:
        _pool.shutdown(wait=False, cancel_futures=True)
        _pool = None
    _kept.clear()
