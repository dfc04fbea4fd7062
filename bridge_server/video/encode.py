# SPDX-License-Identifier: Apache-2.0
"""Pictures and sound to files, segment by segment: H.264 with AAC, ProRes with PCM, or numbered PNG files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from shared.errors import UnderstudyError

__all__ = ["FORMATS", "format_of", "join", "read_sound", "write_png", "write_segment"]

FORMATS: Final = {".mp4": ("libx264", "yuv420p", "aac"), ".mov": ("prores_ks", "yuv422p10le", "pcm_s16le")}
SOUND_RATE: Final = 48_000


def format_of(out: Path) -> str:
    """``.mp4``, ``.mov`` or ``png`` (a path without suffix: a folder of pictures). :raises UnderstudyError: ``unsupported``."""
    if out.suffix.lower() in FORMATS:
        return out.suffix.lower()
    if out.suffix == "":
        return "png"
    raise UnderstudyError("unsupported", f"A film cannot be written as {out.suffix}.",
                          "End the name with .mp4 (H.264) or .mov (ProRes), or give a folder for PNG pictures.")


def _rate(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)


def write_segment(path: Path, frames: Iterable[np.ndarray], fps: float, kind: str) -> None:
    """Encode (H, W, 3) uint8 RGB pictures. The file appears whole or not at all.

    Segments of one film have the same settings and no frames that look into a neighbour, so they can be joined without
    encoding again.
    """
    temporary = path.with_name("part-" + path.name)
    codec, layout, _ = FORMATS[kind]
    try:
        with av.open(str(temporary), "w") as container:
            stream: Any = None
            for frame in frames:
                if stream is None:
                    stream = container.add_stream(codec, rate=_rate(fps))
                    stream.width, stream.height, stream.pix_fmt = frame.shape[1], frame.shape[0], layout
                    stream.thread_count = 2
                    if codec == "libx264":
                        stream.options = {"crf": "17", "preset": "veryfast", "bf": "0"}
                    else:
                        stream.options = {"profile": "3"}
                for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                    container.mux(packet)
            if stream is not None:
                for packet in stream.encode():
                    container.mux(packet)
    except (av.error.FFmpegError, OSError) as error:
        temporary.unlink(missing_ok=True)
        raise UnderstudyError("file_invalid", f"{path.name} cannot be written ({error}).",
                              "Check the free space, and choose another place for the film.") from error
    except BaseException:
        # cancelled: an unfinished segment is worth nothing
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(path)


def read_sound(path: Path, start: float, seconds: float) -> np.ndarray:
    """(channels, N) float32 at 48 kHz: the part of a sound file that a film of ``seconds`` from ``start`` needs, or less.

    Before the sound begins (``start`` below 0) there is silence.

    :raises UnderstudyError: ``file_missing``, ``audio_missing`` or ``audio_unreadable``.
    """
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no sound file {path}.", "Check the path.")
    need = max(round((start + seconds) * SOUND_RATE), 0)
    parts: list[np.ndarray] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise UnderstudyError("audio_missing", f"{path.name} has no audio track.", "Choose another file.")
            stream = container.streams.audio[0]
            layout = "mono" if stream.channels == 1 else "stereo"
            resampler = av.AudioResampler(format="fltp", layout=layout, rate=SOUND_RATE)
            total = 0
            for frame in container.decode(stream):
                for piece in resampler.resample(frame):
                    parts.append(piece.to_ndarray())
                    total += parts[-1].shape[1]
                if total >= need:
                    break
            for piece in resampler.resample(None):
                parts.append(piece.to_ndarray())
    except av.error.FFmpegError as error:
        raise UnderstudyError("audio_unreadable", f"{path.name} cannot be read as sound ({error.strerror or error}).",
                              "Choose a sound file such as WAV, FLAC, MP3 or M4A.") from error
    sound = np.concatenate(parts, 1) if parts else np.zeros((1, 0), np.float32)
    silence = np.zeros((len(sound), min(max(-round(start * SOUND_RATE), 0), round(seconds * SOUND_RATE))), np.float32)
    return np.concatenate((silence, sound[:, max(round(start * SOUND_RATE), 0): need]), 1)


def join(segments: Iterable[Path], out: Path, fps: float, kind: str, sound: np.ndarray | None,
         metadata: Mapping[str, str], seconds: float) -> None:
    """Put segments one after the other without encoding them again, add the sound, and name the file's makers.

    :param sound: (channels, N) at 48 kHz, padded with silence to ``seconds``; None for a silent film.
    """
    segments = list(segments)
    temporary = out.with_name("part-" + out.name)
    try:
        with av.open(str(temporary), "w", options={"movflags": "+faststart+use_metadata_tags"}) as container:
            for key, value in metadata.items():
                container.metadata[key] = value
            with av.open(str(segments[0])) as first:
                stream = container.add_stream_from_template(first.streams.video[0])
            voice: Any = None if sound is None else container.add_stream(FORMATS[kind][2], rate=SOUND_RATE)
            if voice is not None and sound is not None:
                voice.layout = "mono" if len(sound) == 1 else "stereo"
            tick = 1 / _rate(fps)
            begun = 0
            for path in segments:
                last = begun
                with av.open(str(path)) as segment:
                    source = segment.streams.video[0]
                    for packet in segment.demux(source):
                        if packet.dts is None:
                            continue
                        number = begun + round(float((packet.pts or 0) * packet.time_base / tick))
                        packet.stream = stream
                        packet.time_base = Fraction(tick)
                        packet.pts = packet.dts = number
                        packet.duration = 1
                        last = max(last, number + 1)
                        container.mux(packet)
                begun = last
            if voice is not None and sound is not None:
                _add_sound(container, voice, sound, round(seconds * SOUND_RATE))
    except (av.error.FFmpegError, OSError) as error:
        temporary.unlink(missing_ok=True)
        raise UnderstudyError("file_invalid", f"{out} cannot be written ({error}).",
                              "Check the free space, and choose another place for the film.") from error
    temporary.replace(out)


def _add_sound(container: Any, stream: Any, sound: np.ndarray, samples: int) -> None:
    padded = np.zeros((len(sound), samples), np.float32)
    padded[:, : min(samples, sound.shape[1])] = sound[:, :samples]
    whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(padded), format="fltp",
                                       layout="mono" if len(sound) == 1 else "stereo")
    whole.sample_rate, whole.pts, whole.time_base = SOUND_RATE, 0, Fraction(1, SOUND_RATE)
    resampler = av.AudioResampler(format=stream.format.name, layout=stream.layout.name, rate=SOUND_RATE,
                                  frame_size=stream.codec_context.frame_size or 1024)
    for piece in (*resampler.resample(whole), *resampler.resample(None)):
        for packet in stream.encode(piece):
            container.mux(packet)
    for packet in stream.encode(None):
        container.mux(packet)


def write_png(folder: Path, first: int, frames: Iterable[np.ndarray], text: Mapping[str, str] | None = None) -> None:
    """``000001.png`` and so on, the first picture being number ``first + 1``; each appears whole or not at all.

    :param text: chunks of text that each picture carries, by keyword.
    """
    from PIL import Image, PngImagePlugin

    chunks = PngImagePlugin.PngInfo()
    for keyword, content in (text or {}).items():
        chunks.add_text(keyword, content)
    for number, frame in enumerate(frames, first + 1):
        path = folder / f"{number:06d}.png"
        temporary = folder / f"part-{path.name}"
        Image.fromarray(frame).save(temporary, format="PNG", compress_level=3, pnginfo=chunks)
        shutil.move(temporary, path)
