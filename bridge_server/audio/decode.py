# SPDX-License-Identifier: Apache-2.0
"""Any audio or video file that FFmpeg reads, to mono samples at 16 kHz."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

import av
import numpy as np

from bridge_server.audio.sound import Audio
from shared.errors import UnderstudyError
from shared.requests import MAX_SECONDS

__all__ = ["RATE", "SILENCE", "decode"]

RATE: Final = 16_000
SILENCE: Final = 1e-4
"""Peak below which a recording counts as silent, about -80 dB of full scale."""
_FORMATS: Final = "Choose a sound file such as WAV, FLAC, MP3, OGG or M4A, or a video with sound."


def _too_long(name: str, seconds: float | None) -> UnderstudyError:
    length = "" if seconds is None else f" of {_clock(seconds)}"
    return UnderstudyError(
        "audio_too_long",
        f"{name} is longer{length} than the {_clock(MAX_SECONDS)} that one performance can have.",
        "Cut the sound into parts and perform them one after the other.",
    )


def _clock(seconds: float) -> str:
    total = round(seconds)
    return f"{total // 3600}:{total // 60 % 60:02d}:{total % 60:02d}"


def _unreadable(name: str, why: object) -> UnderstudyError:
    return UnderstudyError("audio_unreadable", f"{name} cannot be read as sound ({why}).", _FORMATS)


def decode(
    content: np.ndarray | bytes, name: str = "The audio", report: Callable[[float], None] | None = None
) -> tuple[Audio, list[str]]:
    """The first audio stream of a file.

    :param content: the file's bytes, (N,) uint8 or bytes.
    :param name: what to call it in a sentence.
    :param report: called with the fraction done, often; what it raises is let through.
    :returns: (samples, sentences about what is odd with them: silent, damaged).
    :raises UnderstudyError: ``audio_empty``, ``audio_missing``, ``audio_unreadable``, ``audio_invalid`` or
        ``audio_too_long``.
    """
    data = memoryview(content).cast("B")
    if not data.nbytes:
        raise UnderstudyError(
            "audio_empty", f"{name} is empty (0 bytes).", "Export the sound again, or choose another file."
        )
    warnings: list[str] = []
    try:
        with av.open(io.BytesIO(data), mode="r") as container:
            if not container.streams.audio:
                raise UnderstudyError("audio_missing", f"{name} has no audio track.", _FORMATS)
            stream = container.streams.audio[0]
            stated = _stated_seconds(container, stream)
            if stated is not None and stated > MAX_SECONDS + 1:
                raise _too_long(name, stated)
            parts, damaged = _samples(container, stream, name, stated, report)
    except av.error.FFmpegError as error:
        raise _unreadable(name, error.strerror or error) from error
    except (ValueError, EOFError) as error:
        raise _unreadable(name, error) from error
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if not len(samples):
        if damaged:
            raise _unreadable(name, f"all of its {damaged} packets are damaged")
        raise UnderstudyError(
            "audio_empty", f"{name} contains no sound (0 samples).", "Export the sound again, or choose another file."
        )
    if not np.isfinite(samples).all():
        count = int(np.size(samples) - np.count_nonzero(np.isfinite(samples)))
        raise UnderstudyError(
            "audio_invalid",
            f"{name} contains {count} samples that are not numbers (NaN or infinite).",
            "Export the sound again from the program that made it, for example as 16-bit WAV.",
        )
    if damaged:
        warnings.append(f"{name} is damaged in {damaged} places; what could be read was used.")
    peak = float(np.abs(samples).max())
    if peak > 1.0:
        samples /= peak  # a downmix of loud channels, or a float file beyond full scale: turned down, not clipped
    if peak < SILENCE:
        warnings.append(f"{name} is silent, so the performance follows the directions alone.")
    return Audio(samples, RATE), warnings


def _stated_seconds(container: av.container.InputContainer, stream: av.AudioStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base


def _samples(
    container: av.container.InputContainer,
    stream: av.AudioStream,
    name: str,
    stated: float | None,
    report: Callable[[float], None] | None,
) -> tuple[list[np.ndarray], int]:
    """Pieces (n,) float32 at :data:`RATE`, and how many packets could not be decoded."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    parts: list[np.ndarray] = []
    total = damaged = 0
    stream.thread_type = "NONE"  # sound decodes fast; frame threads only add latency and keep memory

    def take(frame: av.AudioFrame | None) -> None:
        nonlocal total
        for piece in resampler.resample(frame):
            samples = piece.to_ndarray().reshape(-1).astype(np.float32)
            parts.append(samples)
            total += len(samples)
        if total > (MAX_SECONDS + 1) * RATE:
            raise _too_long(name, stated if stated and stated > MAX_SECONDS else None)

    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            damaged += 1
            continue
        for frame in frames:
            take(frame)
        if report is not None:
            report(min(total / RATE / stated, 1.0) if stated else 0.0)
    if parts:
        take(None)
    return parts, damaged
