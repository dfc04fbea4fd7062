# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of the speech: from a file as they are, or mixed down from the sequencer."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import cast, compat, sequence
from .shared.errors import UnderstudyError

__all__ = ["check_file", "file_seconds", "read"]

MAX_FILE_BYTES = 900 << 20
"""A message carries 1 GB."""


def file_seconds(path: Path) -> float | None:
    """Length of a sound file, or None where this Blender cannot tell.

    :raises UnderstudyError: ``audio_unreadable`` or ``audio_empty``.
    """
    aud = compat.sound_module()
    if aud is None:
        return None
    try:
        sound = aud.Sound(str(path))
        rate, frames = float(sound.specs[0]), int(sound.length)
    except aud.error as error:
        raise UnderstudyError("audio_unreadable", f"{path.name} cannot be read as sound.",
                              "Choose a sound file such as WAV, FLAC, MP3 or OGG.") from error
    if rate <= 0:
        raise UnderstudyError("audio_unreadable", f"{path.name} holds no sound.", "Choose another sound file.")
    # a negative length is aud's way to say that it does not know
    return frames / rate if frames > 0 else None


def check_file(path: Path) -> None:
    """:raises UnderstudyError: where the file is missing, empty, or too large to send."""
    if not path.is_file():
        raise UnderstudyError("audio_missing", f"There is no sound file {path}.", "Choose the speech again.")
    size = path.stat().st_size
    if size == 0:
        raise UnderstudyError("audio_empty", f"{path.name} is empty.", "Choose another sound file.")
    if size > MAX_FILE_BYTES:
        raise UnderstudyError("audio_too_long", f"{path.name} has {size >> 20} MB; at most {MAX_FILE_BYTES >> 20} MB are sent.",
                              "Cut the speech into parts, or save it as FLAC or MP3.")


def _read_file(path: Path) -> np.ndarray:
    check_file(path)
    try:
        return np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise UnderstudyError("audio_unreadable", f"{path.name} cannot be read ({error.strerror or error}).",
                              "Check the file's permissions, or choose another.") from error


@contextmanager
def _only(scene: Any, first: int, last: int, wanted: list[Any]) -> Iterator[None]:
    """For the mixdown: the scene's range, and every sound but ``wanted`` muted; all put back afterwards."""
    names = {s.name for s in wanted}
    before = (scene.frame_start, scene.frame_end, scene.use_preview_range)
    muted = [s.name for s in sequence.sound_strips(scene) if not s.mute and s.name not in names]
    try:
        scene.use_preview_range = False
        scene.frame_start, scene.frame_end = first, last
        for name in muted:
            compat.strips(scene)[name].mute = True
        yield
    finally:
        for name in muted:
            compat.strips(scene)[name].mute = False
        scene.frame_start, scene.frame_end = min(before[0], scene.frame_end), before[1]
        scene.frame_start, scene.frame_end, scene.use_preview_range = before


def _mixdown(context: bpy.types.Context, character: Any) -> tuple[np.ndarray, float]:
    """The sequencer's sound from the scene's first frame to the end of its last sound, and its seconds."""
    if not compat.has_sound():
        raise UnderstudyError("unsupported", "This Blender was built without sound, so its sequencer has no speech.",
                              "Choose the speech as a file.")
    from .shared.requests import MAX_SECONDS

    scene = compat.sequencer_scene(context)
    wanted = sequence.heard(context, character)
    end = max((compat.strip_range(s)[1] for s in wanted), default=0.0)
    first = context.scene.frame_start
    if end <= first:
        raise UnderstudyError("audio_missing", "There is no sound in the sequencer after the scene's first frame.",
                              "Add a sound strip, unmute it, or choose the speech as a file.")
    seconds = (end - first) / cast.fps(scene)
    if seconds > MAX_SECONDS:
        raise UnderstudyError("audio_too_long", f"The sequencer's sound lasts {seconds / 60:.0f} minutes; "
                              f"at most {MAX_SECONDS / 60:.0f} are performed at once.", "Perform the shot in parts.")
    with tempfile.TemporaryDirectory(prefix="understudy-") as folder:
        path = Path(folder) / "speech.wav"
        with _only(scene, first, int(np.ceil(end)) - 1, wanted), context.temp_override(scene=scene):
            try:
                written = compat.mixdown(path)
            except RuntimeError as error:
                raise UnderstudyError("audio_unreadable", f"Blender could not mix the sequencer's sound ({error}).",
                                      "Check that the sound strips' files are there.") from error
        if not written:
            raise UnderstudyError(
                "audio_unreadable", "Blender did not write the sequencer's mixed sound.",
                "Open the file again first: without a window this Blender mixes once per opened file." if bpy.app.background
                else "Wait until Blender has finished what it is doing, then try again.")
        return _read_file(path), seconds


def read(context: bpy.types.Context, character: Any) -> tuple[np.ndarray | None, str, float | None]:
    """The speech of a character: bytes of a sound file (N,) uint8 or None, its name, its seconds where known.

    :raises UnderstudyError: ``audio_missing``, ``audio_empty``, ``audio_unreadable``, ``audio_too_long``.
    """
    settings = character.understudy
    from .shared.requests import MAX_SECONDS

    if settings.sound_source == "NONE":
        return None, "", None
    if settings.sound_source == "SEQUENCER":
        content, mixed_seconds = _mixdown(context, character)
        return content, "sequencer.wav", mixed_seconds
    if not settings.sound_path:
        raise UnderstudyError("audio_missing", "No speech is chosen.",
                              "Choose a sound file, or set Speech to No Speech to perform the directions alone.")
    path = Path(bpy.path.abspath(settings.sound_path))
    check_file(path)
    seconds = file_seconds(path)
    if seconds is not None and seconds > MAX_SECONDS:
        raise UnderstudyError("audio_too_long", f"{path.name} lasts {seconds / 60:.0f} minutes; "
                              f"at most {MAX_SECONDS / 60:.0f} are performed at once.", "Perform the shot in parts.")
    return _read_file(path), path.name, seconds
