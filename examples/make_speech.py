# SPDX-License-Identifier: Apache-2.0
"""Makes ``speech.wav``, the speech of the demo, with espeak-ng.

Run ``python examples/make_speech.py``. The sentences stand at fixed times, so that the directions in
``directions.json`` meet them; between them are the pauses in which a performer acts without words.
Needs espeak-ng (1.51 made the file in the repository) on the PATH; nothing else beyond Python.
"""

from __future__ import annotations

import array
import io
import subprocess
import sys
import wave
from pathlib import Path

RATE = 22_050
"""What espeak-ng synthesises at, samples per second."""
SECONDS = 18.0
VOICE = ("-v", "en-us+m3", "-s", "158", "-p", "46", "-a", "90")
SENTENCES: tuple[tuple[float, str], ...] = (
    # seconds, text
    (1.2, "One moment, I am on my way."),
    (4.3, "Hello, and welcome! My name is Understudy."),
    (8.2, "Give me a voice, and a few words on the timeline."),
    (11.3, "I listen, I learn my part, and I play it for you."),
    (14.9, "And if you like it, I could jump for joy!"),
)


def say(text: str) -> array.array[int]:
    """One sentence as 16-bit samples at :data:`RATE`.

    :raises FileNotFoundError: when espeak-ng is not installed.
    """
    result = subprocess.run(["espeak-ng", *VOICE, "--stdout", text], check=True, capture_output=True)
    # espeak-ng streams its WAV with an unknown length, so the samples are read to the end of the data instead
    with wave.open(io.BytesIO(result.stdout)) as file:
        if file.getframerate() != RATE or file.getsampwidth() != 2 or file.getnchannels() != 1:
            raise ValueError(f"espeak-ng spoke in another format than 16 bit mono at {RATE} Hz")
    samples = array.array("h")
    data = result.stdout[result.stdout.index(b"data") + 8 :]
    samples.frombytes(data[: len(data) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    # without the silence that espeak-ng appends to a sentence
    last = max(i for i, s in enumerate(samples) if abs(s) > 100)
    return samples[: last + RATE // 20]


def make(path: Path) -> None:
    """Write the speech to ``path``."""
    track = array.array("h", bytes(2 * int(SECONDS * RATE)))
    end = 0
    for start, text in SENTENCES:
        spoken = say(text)
        first = int(start * RATE)
        if first < end or first + len(spoken) > len(track):
            raise ValueError(f"{text!r} does not fit at {start} s")
        end = first + len(spoken)
        track[first:end] = spoken
        print(f"{start:5.1f} - {end / RATE:5.1f}  {text}")
    if sys.byteorder == "big":
        track.byteswap()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(track.tobytes())


if __name__ == "__main__":
    make(Path(__file__).with_name("speech.wav"))
