# SPDX-License-Identifier: Apache-2.0
"""The built-in generator on a GPU: one clip of ten seconds end to end, and sixty-four of them side by side.

``python -m benchmarks.generator_gpu`` prints both figures; without a GPU it says so and is no failure. The first is what a worker
does between a decoded sound and a finished motion, face, clean-up and all. The second is the networks' part: drawing tokens
under guidance, all levels of them, and decoding them to features. What follows is numpy on the processor, for each performance by
itself, and is printed beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from shared.requests import MotionRequest
from shared.timeline import Direction

__all__ = ["main", "measure"]

SECONDS: Final = 10.0
BATCH: Final = 64
CLIP_MS: Final = 60.0
RATE: Final = 1000.0
"""Seconds of motion a second."""


def request(seconds: float, seed: int) -> MotionRequest:
    """Speech with a direction over its first part."""
    return MotionRequest(duration=seconds, directions=[Direction(0.0, 0.4 * seconds, "a person waves hello")], seed=seed)


def _times(work: Callable[[], object], times: int, device: str) -> list[float]:
    import torch

    found = []
    for _ in range(times):
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        found.append(time.perf_counter() - began)
    return sorted(found)


def measure(generator: Any, audio: Any, seconds: float = SECONDS, batch: int = BATCH, times: int = 5) -> dict[str, float]:
    """``clip_ms``: the middle of several, warm; ``batch_rate``: seconds of motion that ``batch`` performances take one second for;
    ``finish_ms``: of each of them on the processor afterwards; ``recorded``: 1 where steps were played from recordings."""
    from bridge_server.motion.decoding import Networks
    from bridge_server.motion.sampler import SampleOptions, draw_together

    device, net = generator.device, generator.networks
    quiet: Callable[[str, float], None] = lambda stage, fraction: None  # noqa: E731
    ask = request(seconds, 0)
    for _ in range(2):  # the first ones choose kernels and record
        generator.perform(ask, audio, quiet)
    out = {"clip_ms": 1e3 * _times(lambda: generator.perform(ask, audio, quiet), times, device)[times // 2]}
    networks = Networks(net.text, net.audio, net.residual, net.tokenizer)
    options = SampleOptions()

    def draw() -> list[Any]:
        begun = [generator.begin_body(request(seconds, n), audio, quiet) for n in range(batch)]
        for one, _, _ in begun:
            one.window_done = None
        return [one for one, _, _ in begun]

    def decode(draws: list[Any]) -> None:
        import torch

        tokens = draw_together(networks, draws, options, generator.player)
        for length in {len(t) for t in tokens}:
            networks.tokenizer.decode(torch.stack([t for t in tokens if len(t) == length]))

    decode(draw())
    ready = [draw() for _ in range(times)]
    spent = _times(lambda: decode(ready.pop()), times, device)[times // 2]
    out["batch_rate"] = batch * seconds / spent
    few = min(batch, 4)
    whole = _times(lambda: generator.perform_together([request(seconds, n) for n in range(few)], [audio] * few, quiet), 1, device)[0]
    out["finish_ms"] = 1e3 * max(0.0, whole / few - spent / batch)
    out["recorded"] = float(generator.player is not None and generator.player.works)
    return out


def main(given: list[str] | None = None) -> int:
    """:returns: 0, also where there is no GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generator_gpu", description=__doc__)
    parser.add_argument("--weights", default="starter")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    options = parser.parse_args(given)
    import torch

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("Nothing was measured: there is no CUDA GPU on this machine.")
        return 0
    from bridge_server.audio.decode import decode
    from bridge_server.audio.sound import Audio
    from bridge_server.motion.versa import VersaGenerator

    from .bridge import SPEECH

    audio, _ = decode(SPEECH.read_bytes(), SPEECH.name)
    audio = Audio(np.ascontiguousarray(audio.samples[:int(SECONDS * audio.rate)]), audio.rate)
    figures = measure(VersaGenerator(options.weights, options.device), audio, SECONDS, options.batch)
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device
    print(f"{name}, torch {torch.__version__}, weights {options.weights}, steps recorded: {'yes' if figures['recorded'] else 'no'}")
    print(f"clip of {SECONDS:g} s, end to end     {figures['clip_ms']:8.1f} ms    (goal: at most {CLIP_MS:g})")
    print(f"{options.batch} clips side by side      {figures['batch_rate']:8.0f} s of motion a second    (goal: at least {RATE:g})")
    print(f"finishing each on the CPU  {figures['finish_ms']:8.1f} ms")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
