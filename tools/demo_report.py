# SPDX-License-Identifier: Apache-2.0
"""What the demo shows: progress in the terminal, the contact sheet, the summary."""

from __future__ import annotations

import shutil
import sys
import time
import wave
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from shared import timeline
from shared.errors import UnderstudyError
from shared.motion import Motion

__all__ = ["Progress", "caption", "contact_sheet", "cut_speech", "ensure_sound", "print_summary"]

PICTURES: Final = 12
COLUMNS: Final = 6
CELL: Final = (330, 300)
"""Pixels of one picture; the camera follows the character, so the sides of the film are cut off."""
SPEECH_ALONE: Final = "speech alone"


class Progress:
    """One line per stage, redrawn in a terminal, and the seconds that each stage took."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self._name = ""
        self._since = time.monotonic()
        self._tenth = -1
        self._live = sys.stdout.isatty()

    def stage(self, name: str) -> None:
        """Begin a stage; the one before is closed."""
        if name == self._name:
            return
        self._close()
        self._name, self._since, self._tenth = name, time.monotonic(), -1
        self._show(0.0, None)

    def update(self, name: str, fraction: float, eta: float | None = None) -> None:
        """How far a stage is; without a terminal every tenth is a line."""
        self.stage(name)
        tenth = int(fraction * 10)
        if self._live or tenth > max(self._tenth, 0):
            self._tenth = tenth
            self._show(fraction, eta)

    def note(self, text: str) -> None:
        """A sentence on a line of its own."""
        print(f"{chr(13) if self._live else ''}{text:<78}", flush=True)

    def done(self) -> None:
        """Close the last stage."""
        self._close()
        self._name = ""

    def _close(self) -> None:
        if self._name:
            seconds = time.monotonic() - self._since
            self.times[self._name] = self.times.get(self._name, 0.0) + seconds
            if self._live:
                print(f"\r{self._name:<28} {seconds:6.1f} s{'':44}", flush=True)

    def _show(self, fraction: float, eta: float | None) -> None:
        left = f"  {eta:.0f} s left" if eta is not None and eta >= 1 else ""
        if self._live:
            bar = "█" * round(fraction * 30)
            print(f"\r{self._name:<28} {bar:░<30} {fraction:4.0%}{left:<12}", end="", flush=True)
        else:
            print(f"{self._name:<28} {fraction:4.0%}{left}", flush=True)


def caption(directions: Iterable[timeline.Direction], seconds: float) -> str:
    """What the performer is asked to do at a time; a part of the body is named when it is not all of it."""
    active = timeline.active_at(directions, seconds)
    return ", ".join(d.text if d.part == "full" else f"{d.text} ({d.part.replace('_', ' ')})" for d in active) or SPEECH_ALONE


def _frames(film: Path, times: Sequence[float]) -> list[Image.Image]:
    """The film's pictures at the given times, in order."""
    found: list[Image.Image] = []
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        last: Image.Image | None = None
        for frame in container.decode(stream):
            while len(found) < len(times) and frame.time is not None and frame.time + 1e-6 >= times[len(found)]:
                found.append(frame.to_image())
            last = frame
            if len(found) == len(times):
                break
        if last is None:
            raise UnderstudyError("file_invalid", f"{film.name} has no pictures.", "Run the demo again.")
        while len(found) < len(times):
            found.append(last.to_image())  # type: ignore[attr-defined]
    return found


def _wrap(text: str, font: Any, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line][:2]


def contact_sheet(film: Path, directions: list[timeline.Direction], duration: float, path: Path) -> None:
    """Twelve pictures, evenly spaced, with the time and the active direction under each."""
    times = [(n + 0.5) * duration / PICTURES for n in range(PICTURES)]
    pictures = _frames(film, times)
    (width, height), margin, words_height = CELL, 8, 62
    font, small = ImageFont.load_default(16), ImageFont.load_default(15)
    rows = -(-PICTURES // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (width + margin) + margin, rows * (height + words_height) + margin), (30, 32, 36))
    draw = ImageDraw.Draw(sheet)
    for n, (picture, seconds) in enumerate(zip(pictures, times, strict=True)):
        x, y = margin + n % COLUMNS * (width + margin), margin + n // COLUMNS * (height + words_height)
        sheet.paste(ImageOps.fit(picture, CELL, Image.Resampling.LANCZOS), (x, y))
        draw.text((x + 2, y + height + 4), f"{int(seconds // 60)}:{seconds % 60:05.2f}", font=font, fill=(240, 200, 90))
        words = caption(directions, seconds)
        for k, line in enumerate(_wrap(words, small, width - 74)):
            colour = (150, 155, 165) if words == SPEECH_ALONE else (235, 235, 235)
            draw.text((x + 72, y + height + 4 + 20 * k), line, font=small, fill=colour)
    sheet.save(path)


def cut_speech(source: Path, target: Path, seconds: float) -> None:
    """The first seconds of a sound file as 48 kHz mono WAV.

    :raises UnderstudyError: ``audio_unreadable``.
    """
    try:
        with av.open(str(source)) as sound:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000)
            parts = [piece.to_ndarray()[0] for frame in sound.decode(audio=0) for piece in resampler.resample(frame)]
    except (av.FFmpegError, IndexError) as error:
        raise UnderstudyError("audio_unreadable", f"{source.name} cannot be read as sound.",
                              "Choose a sound file such as WAV, FLAC, MP3 or OGG.") from error
    samples = np.concatenate(parts)[: round(seconds * 48_000)] if parts else np.zeros(0, np.int16)
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(samples.astype("<i2").tobytes())


def ensure_sound(film: Path, speech: Path) -> None:
    """Add the speech as AAC where Blender was built without sound (the 4.2 module is); otherwise leave the film alone."""
    with av.open(str(film)) as container:
        if container.streams.audio:
            return
    part = film.with_suffix(".part.mp4")
    with av.open(str(film)) as source, av.open(str(speech)) as sound, av.open(str(part), "w") as target:
        video_in = source.streams.video[0]
        video_out = target.add_stream_from_template(video_in)
        audio_out = target.add_stream("aac", rate=48_000)
        end = float((video_in.duration or 0) * (video_in.time_base or 0))
        for packet in source.demux(video_in):
            if packet.dts is not None:
                packet.stream = video_out
                target.mux(packet)
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=48_000)
        for frame in sound.decode(audio=0):
            if end and frame.time is not None and frame.time >= end:
                break
            for piece in resampler.resample(frame):
                target.mux(audio_out.encode(piece))
        target.mux(audio_out.encode(None))
    shutil.move(part, film)


def print_summary(motion: Motion, directions: list[timeline.Direction], times: dict[str, float], files: list[Path],
                  facts: dict[str, Any]) -> None:
    """Seconds of motion, time per stage, where the files are."""
    travel = float(np.linalg.norm(np.diff(motion.translation[:, [0, 2]], axis=0), axis=1).sum())
    print(f"\n{motion.duration:.1f} s of motion at {motion.fps:g} fps, {len(directions)} directions, "
          f"{travel:.1f} m walked, on {facts.get('character', 'the character')} in {facts['blender']}")
    if (licence := motion.metadata.get("licence")) or motion.metadata.get("weights"):
        print(f"made with the weights {motion.metadata.get('weights', '?')}" + (f" ({licence})" if licence else ""))
    for warning in motion.metadata.get("warnings", []):
        print(f"note: {warning}")
    print()
    for name, seconds in times.items():
        print(f"  {name:<34} {seconds:6.1f} s")
    print(f"  {'in all':<34} {sum(times.values()):6.1f} s\n")
    for file in files:
        size = file.stat().st_size
        print(f"  {_shown(file)}  ({size / 1e6:.1f} MB)" if size > 1e5 else f"  {_shown(file)}")
    print()


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
