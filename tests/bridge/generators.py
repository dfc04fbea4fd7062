# SPDX-License-Identifier: Apache-2.0
"""Motion generators for tests: they keep the protocol of a real one and do one thing each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bridge_server.audio.sound import Audio
from bridge_server.motion.generator import Chunk, Report
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.requests import MotionRequest


def _length(request: MotionRequest, audio: Audio | None) -> float:
    if request.duration is not None:
        return request.duration
    return audio.duration if audio is not None else max(d.end for d in request.directions)


class Walker:
    """Walks at 1 m/s in a straight line; ``seed`` sets the height, so that results can be told apart."""

    def __init__(self, weights: str, device: str) -> None:
        self.weights, self.device = weights, device

    def describe(self) -> dict[str, Any]:
        return {
            "name": type(self).__name__,
            "weights": self.weights,
            "licence": "CC0-1.0",
            "device": self.device,
            "non_commercial": False,
        }

    def perform(
        self, request: MotionRequest, audio: Audio | None, report: Report, chunk: Chunk | None = None
    ) -> Motion:
        frames = round(_length(request, audio) * request.fps)
        self.work(request, report)
        motion = Motion.rest(frames, request.fps)
        motion.translation[:, 2] = motion.times
        motion.translation[:, 1] = request.seed
        motion.face = {"jawOpen": np.linspace(0, 1, frames, dtype=np.float32)}
        motion.metadata = {
            "seed": request.seed,
            "directions": [d.text for d in request.directions],
            "pid": os.getpid(),
            "audio_seconds": audio.duration if audio else None,
        }
        if chunk is not None:
            half = frames // 2
            chunk(0, motion.slice(0, half))
            chunk(half, motion.slice(half, frames))
        report("finishing", 1.0)
        return motion

    def work(self, request: MotionRequest, report: Report) -> None:
        report("walking", 0.5)


class Slow(Walker):
    """Takes as many seconds as the first direction says ("2.5 seconds of work"), reporting every 20 ms."""

    def work(self, request: MotionRequest, report: Report) -> None:
        seconds = float(request.directions[0].text.split()[0]) if request.directions else 0.0
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            report("walking", 1 - left / seconds)
            time.sleep(min(left, 0.02))


class Moody(Slow):
    """Does what the first direction says: die, die once, raise, crash, nan, memory, deaf, or work."""

    def __init__(self, weights: str, device: str) -> None:
        super().__init__(weights, device)
        self.small = False

    def shrink(self) -> bool:
        self.small = True
        return True

    def work(self, request: MotionRequest, report: Report) -> None:
        text = request.directions[0].text if request.directions else ""
        report("walking", 0.1)
        once = Path(os.environ["UNDERSTUDY_TEST_ONCE"]) if "once" in text else None
        if text.startswith("die") and (once is None or not once.exists()):
            if once is not None:
                once.touch()
            os._exit(9)
        if text.startswith("raise"):
            raise UnderstudyError("unsupported", "This is not supported.", "Do something else.")
        if text.startswith("crash"):
            raise RuntimeError("something broke inside")
        if text.startswith("always out of memory") or (text.startswith("out of memory") and not self.small):
            raise MemoryError("tried to allocate 12.5 GiB")
        if text.startswith("deaf"):
            time.sleep(float(text.split()[1]))
        if text[:1].isdigit():
            super().work(request, report)


class Torch(Walker):
    """Calls a torch module over and over without ever reporting, as a model does inside one step."""

    def __init__(self, weights: str, device: str) -> None:
        import torch

        super().__init__(weights, device)
        self.layer = torch.nn.Linear(4, 4)
        self.torch = torch

    def work(self, request: MotionRequest, report: Report) -> None:
        until = time.monotonic() + float(request.directions[0].text.split()[0])
        while time.monotonic() < until:
            self.layer(self.torch.zeros(4))
            time.sleep(0.005)


class Greedy(Walker):
    """Runs out of a device's memory as torch does, unless its windows are small and the performance is short."""

    def __init__(self, weights: str, device: str) -> None:
        import torch

        super().__init__(weights, device)
        self.torch = torch
        self.window, self.tries = 8, 0

    def shrink(self) -> bool:
        self.window //= 2
        return True

    def work(self, request: MotionRequest, report: Report) -> None:
        report("walking", 0.5)
        self.tries += 1
        if (request.duration or 0.0) * self.window > 40:
            if "numpy" in request.transcript:
                np.zeros(1 << 46)  # 512 TB: the real thing, on any machine
            raise self.torch.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 12.50 GiB. GPU 0 has a total capacity of 7.79 GiB of which 3.13 GiB is free."
            )
        request.directions[0].text += f" in windows of {self.window}"


class Estimating(Greedy):
    """Knows how much it needs: a sixth of what is free here for each second."""

    def memory_needed(self, seconds: float) -> int:
        return int(seconds * psutil.virtual_memory().available / 6)


class Echo(Walker):
    """Gives back the take that it is to edit, so that only the way there and back is left."""

    def perform(
        self, request: MotionRequest, audio: Audio | None, report: Report, chunk: Chunk | None = None
    ) -> Motion:
        assert request.edit is not None
        return request.edit.base


class NotANumber(Walker):
    """Gives a motion with a hole."""

    def perform(
        self, request: MotionRequest, audio: Audio | None, report: Report, chunk: Chunk | None = None
    ) -> Motion:
        motion = super().perform(request, audio, report)
        motion.translation[1] = np.nan
        return motion


def missing_weights(weights: str, device: str) -> Walker:
    raise UnderstudyError("weights_missing", f"There are no weights named {weights!r}.", "Choose starter.")


def dies_at_start(weights: str, device: str) -> Walker:
    print("the native library is not there", flush=True)
    os._exit(7)


FACTORIES: dict[str, Callable[..., Walker]] = {c.__name__: c for c in (Walker, Slow, Moody, Torch, NotANumber)}
