# SPDX-License-Identifier: Apache-2.0
"""Faces: how much faster than the speech itself, on one core, and how long a transcript of twenty minutes takes."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from collections.abc import Iterator

import numpy as np

from bridge_server.audio.sound import Audio
from bridge_server.face import espeak, perform
from bridge_server.face.acoustics import RATE
from bridge_server.face.training.speakers import from_espeak
from bridge_server.face.training.texts import TEST_SENTENCES
from shared.errors import UnderstudyError

from .results import Result, best

__all__ = ["measure"]

SECONDS = 60.0
TARGET = 10.0


@contextmanager
def _one_core() -> Iterator[None]:
    """This process on one of its cores; threads of numerical libraries share it then."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _speech() -> tuple[Audio, str]:
    """A minute of a synthetic voice, and what it says."""
    parts: list[np.ndarray] = []
    said: list[str] = []
    while sum(len(p) for p in parts) < SECONDS * RATE:
        text = TEST_SENTENCES["en"][len(said) % len(TEST_SENTENCES["en"])]
        parts += [from_espeak(text, "en-us").samples, np.zeros(RATE // 3, np.float32)]
        said.append(text)
    return Audio(np.concatenate(parts)), " ".join(said)


def measure() -> list[Result]:
    """``face_realtime_factor`` without a transcript and ``face_realtime_factor_transcript`` with one: seconds of speech performed
    per second of processor time, the best of three.

    :raises UnderstudyError: ``unsupported`` without espeak-ng.
    """
    if not espeak.available():
        raise UnderstudyError("unsupported", "The face's speed is measured on espeak-ng's voice, which is not installed.",
                              "Install espeak-ng, or measure other groups.")
    audio, text = _speech()
    times = np.arange(int(audio.duration * 30)) / 30

    def spent(transcript: str | None) -> float:
        began = time.process_time()
        perform(audio, times, 0, transcript)
        return time.process_time() - began

    with _one_core():
        spent(None)
        heard, aligned = best(lambda: spent(None), 3), best(lambda: spent(text), 3)
    return [Result.of("face_realtime_factor", audio.duration / heard, "times real time", TARGET),
            Result.of("face_realtime_factor_transcript", audio.duration / aligned, "times real time", TARGET)]
