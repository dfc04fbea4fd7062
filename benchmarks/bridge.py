# SPDX-License-Identifier: Apache-2.0
"""What the bridge takes: time of a performance, memory, and what the wire adds."""

from __future__ import annotations

import io
import os
import tempfile
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from bridge_server.cli.client import Client, connect
from bridge_server.cli.launch import launch
from shared import rotations
from shared.face_curves import ARKIT
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.timeline import Direction

from .results import Result, best

__all__ = ["Instant", "measure"]

SPEECH: Final = Path(__file__).resolve().parent.parent / "examples/speech.wav"
SECONDS: Final = 10.0


class Instant:
    """A generator that has its answer ready, so that only the way there and back is measured."""

    def __init__(self, weights: str, device: str) -> None:
        frames = int(SECONDS * 30)
        rng = np.random.default_rng(0)
        q = rotations.normalise(rng.normal(size=(frames, 55, 4)))
        self.motion = Motion(30.0, q.astype(np.float32), rng.normal(size=(frames, 3)).astype(np.float32),
                             face={name: rng.random(frames, dtype=np.float32) for name in ARKIT})

    def describe(self) -> dict[str, Any]:
        """See :class:`bridge_server.motion.generator.Generator`."""
        return {"name": "instant", "weights": "none", "licence": "Apache-2.0", "device": "cpu", "non_commercial": False}

    def perform(self, request: MotionRequest, audio: Any, report: Any, chunk: Any = None) -> Motion:
        """The same motion every time."""
        return self.motion


@contextmanager
def bridge(*arguments: str) -> Iterator[tuple[Client, psutil.Process]]:
    """A bridge of its own with a connected client."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        record, process = launch(Path(folder), extra=arguments, parent_pid=os.getpid())
        try:
            with connect(Path(folder)) as client:
                yield client, psutil.Process(record.pid)
        finally:
            process.terminate()
            process.wait(20)


def speech(seconds: float) -> np.ndarray:
    """The first seconds of the example speech, as the bytes of a WAV file."""
    with wave.open(str(SPEECH)) as source:
        frames = source.readframes(int(seconds * source.getframerate()))
        file = io.BytesIO()
        with wave.open(file, "wb") as target:
            target.setparams(source.getparams())
            target.writeframes(frames)
    return np.frombuffer(file.getvalue(), dtype=np.uint8)


def resident(process: psutil.Process) -> float:
    """Resident memory of a process and its children, GB (10^9 bytes)."""
    return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)]) / 1e9


def measure() -> list[Result]:
    """Results of the bridge."""
    asked = MotionRequest(duration=SECONDS, audio=speech(SECONDS), audio_name="speech.wav", directions=[
        Direction(0.0, 4.0, "a person walks forward"), Direction(5.0, 8.0, "a person waves hello")])
    with bridge() as (client, process):
        client.perform(asked, seconds=600)  # the first request also loads what is loaded late

        def generate() -> float:
            since = time.perf_counter()
            motion = client.perform(asked, seconds=600)
            if abs(motion.duration - SECONDS) > 0.05:
                raise RuntimeError(f"{motion.duration} s came back")
            return time.perf_counter() - since

        seconds = best(generate, 4)
        memory = resident(process)
    with bridge("--generator", "benchmarks.bridge:Instant") as (client, _):
        empty = MotionRequest(duration=SECONDS)
        for _ in range(5):
            client.perform(empty, seconds=60)

        def round_trip() -> float:
            since = time.perf_counter()
            client.perform(empty, seconds=60)
            return (time.perf_counter() - since) * 1e3

        wire = best(round_trip, 50)
    return [Result.of("generate_10s_seconds", seconds, "s", 4.0), Result.of("bridge_rss_gb", memory, "GB", 1.5),
            Result.of("wire_10s_result_ms", wire, "ms", 5.0)]
