# SPDX-License-Identifier: Apache-2.0
"""The built-in generator through the bridge: speed on the CPU, the first frames of a long take, growth with length."""

from __future__ import annotations

import contextlib
import io
import threading
import time
import wave
from typing import Final

import numpy as np
import psutil

from shared.errors import UnderstudyError
from shared.protocol import new_id
from shared.requests import MotionRequest
from shared.timeline import Direction

from .bridge import SPEECH, bridge, resident
from .results import Result, best

__all__ = ["measure"]

SHORT, STREAMED, LONG = 10.0, 60.0, 600.0
SETTLE: Final = 0.05


class _Enough(Exception):
    """The first frames are there; the rest need not be waited for."""


def speech(seconds: float) -> np.ndarray:
    """The example speech over and over, as the bytes of a WAV file."""
    with wave.open(str(SPEECH)) as source:
        parameters, once = source.getparams(), source.readframes(source.getnframes())
    wanted = int(seconds * parameters.framerate) * parameters.sampwidth * parameters.nchannels
    file = io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setparams(parameters)
        target.writeframes((once * (wanted // len(once) + 1))[:wanted])
    return np.frombuffer(file.getvalue(), dtype=np.uint8)


def request(seconds: float) -> MotionRequest:
    """Speech with a direction every twenty seconds."""
    strips = [Direction(t, t + 4.0, text) for n, t in enumerate(np.arange(0.0, seconds - 5, 20.0).tolist())
              for text in [("a person walks forward", "a person waves hello")[n % 2]]]
    return MotionRequest(duration=seconds, audio=speech(seconds), audio_name="speech.wav", directions=strips)


class Peak:
    """The most memory that a process and its children take while it is looked at, GB."""

    def __init__(self, process: psutil.Process) -> None:
        self.before = self.most = resident(process)
        self._process, self._done = process, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(SETTLE):
            self.most = max(self.most, resident(self._process))


def measure() -> list[Result]:
    """``generate_10s_cpu_realtime_factor``: seconds of motion a second, warm, from the submit to the received result, at least 8.
    ``first_chunk_seconds``: from the submit of a minute to its first frames; ``first_chunk_600s_seconds``: of ten minutes, whose sound
    takes longer to send and decode. ``generate_600s_vs_10s_ratio``: time of ten minutes against
    that of ten seconds, 60 if it grew with length alone.
    """
    with bridge("--device", "cpu") as (client, process):
        short, streamed, endless = request(SHORT), request(STREAMED), request(LONG)
        client.perform(short, seconds=600)  # the first request also loads what is loaded late

        def generate() -> float:
            since = time.perf_counter()
            client.perform(short, seconds=600)
            return time.perf_counter() - since

        def first_chunk(asked: MotionRequest) -> float:
            arrived: list[float] = []

            def part(*_: object) -> None:
                arrived.append(time.perf_counter())
                if asked is endless:
                    raise _Enough

            job, since = new_id(), time.perf_counter()
            try:
                client.perform(asked, part=part, id=job, seconds=600)
            except _Enough:
                client.cancel(job)
                with contextlib.suppress(UnderstudyError):
                    client.wait(job, seconds=600)
            return arrived[0] - since

        ten = best(generate, 5)
        chunk = best(lambda: first_chunk(streamed), 3)
        late = best(lambda: first_chunk(endless), 3)
        with Peak(process) as short_peak:
            ten = min(ten, best(generate, 2))
        with Peak(process) as peak:
            since = time.perf_counter()
            client.perform(request(LONG), seconds=3600)
            long = time.perf_counter() - since
    print(f"  memory of bridge and worker: {peak.before:.2f} GB before, {short_peak.most:.2f} GB at most with 10 s, "
          f"{peak.most:.2f} GB at most with 600 s: {(peak.most - short_peak.most) * 1e3:.0f} MB more")
    return [Result.of("generate_10s_cpu_realtime_factor", SHORT / ten, "x", 8.0), Result.of("first_chunk_seconds", chunk, "s", 1.5),
            Result.of("first_chunk_600s_seconds", late, "s", 1.5),
            Result.of("generate_600s_vs_10s_ratio", long / ten, "x", 65.0)]
