# SPDX-License-Identifier: Apache-2.0
"""What a worker does with a job: decode the speech, perform, check the result; films are handed on."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from bridge_server.audio.decode import decode
from bridge_server.memory import too_little
from bridge_server.motion import generator as generators
from shared import timeline
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.protocol import Message
from shared.requests import MotionRequest, motion_to_buffers

__all__ = ["MotionPerformer", "choose_device"]

DECODE_SHARE = 0.03
"""Part of the progress bar that decoding takes."""


def choose_device(name: str) -> str:
    """``auto`` becomes the best device that this machine has.

    :raises UnderstudyError: ``unsupported`` for a device that is not there.
    """
    if name == "cpu":
        return name
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    if (name.startswith("cuda") and not cuda) or (name == "mps" and not mps):
        raise UnderstudyError(
            "unsupported",
            f"There is no device {name!r} that torch {torch.__version__} can use here.",
            "Use --device cpu, or install the torch build for your device (see the README).",
        )
    return name


class MotionPerformer:
    """Keeps one generator loaded and performs requests with it.

    :param generator: name for :func:`bridge_server.motion.generator.load`.
    :param weights: weights to load at start; a request that names others loads those.
    :param device: as :func:`choose_device` takes it.
    """

    def __init__(self, generator: str = generators.DEFAULT, weights: str = "starter", device: str = "auto") -> None:
        self._name, self._weights, self._wanted = generator, weights, device
        self._generator: generators.Generator | None = None
        self._loaded = ""
        self._seconds: float | None = None

    def load(self) -> dict[str, Any]:
        """See :class:`bridge_server.service.worker.Performer`."""
        return self._ensure(self._weights).describe()

    def facts(self) -> dict[str, Any]:
        """What else can be done here: films, by these renderers, and faces, by these routes. Takes a moment, and never raises."""
        from bridge_server.face.routes import available
        from bridge_server.video.renderers import describe_all

        return {"renderers": [item.to_json() for item in describe_all()], "faces": available()}

    def _ensure(self, weights: str) -> generators.Generator:
        if self._generator is None or self._loaded != weights:
            self.unload()
            self._generator = generators.load(self._name, weights, choose_device(self._wanted))
            self._loaded = weights
        return self._generator

    def unload(self) -> None:
        """Drop the model and give its memory back."""
        self._generator = None
        self._free()

    @staticmethod
    def _free() -> None:
        gc.collect()
        if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def shrink(self, error: BaseException) -> bool:
        """Ask the generator for smaller windows, where it has a ``shrink() -> bool``; free what is cached anyway."""
        self._free()
        shrink = getattr(self._generator, "shrink", None)
        return bool(shrink()) if callable(shrink) else True

    def too_little_memory(self, message: Message, detail: str) -> UnderstudyError:
        """The figure that would fit: by the generator's own estimate, where it has a ``memory_needed(seconds) -> int`` (bytes
        above the loaded model, at the smallest windows that it can use; must not fall as the seconds grow).
        """
        self._free()
        generator = self._generator
        device = str(generator.describe().get("device", "cpu")) if generator is not None else "cpu"
        needed = getattr(generator, "memory_needed", None)
        return too_little(detail, device, self._seconds, needed if callable(needed) else None)

    def perform(
        self,
        message: Message,
        report: Callable[[str, float], None],
        chunk: Callable[[int, dict[str, Any], dict[str, np.ndarray]], None],
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The performance of a ``submit`` of kind ``motion``, or the film of one of kind ``film``.

        :raises UnderstudyError: with a sentence for the user.
        """
        if message.body["kind"] == "film":
            from bridge_server.video.performing import film

            return film(message, report, chunk)
        if message.body["kind"] in ("speech", "face"):
            from bridge_server.face import jobs

            return jobs.perform(message, report)
        request = MotionRequest.from_message(message)
        self._seconds = request.duration or max((d.end for d in request.directions if d.enabled), default=None)
        self._seconds = request.duration or max((d.end for d in request.directions if d.enabled), default=None)
        if self._generator is None or self._loaded != request.weights:
            report("loading model", 0.0)
        generator = self._ensure(request.weights)
        warnings: list[str] = []
        audio, share = None, 0.0
        if request.audio is not None:
            report("decoding speech", 0.0)
            share = DECODE_SHARE
            audio, warnings = decode(
                request.audio,
                request.audio_name or "The audio",
                lambda fraction: report("decoding speech", share * fraction),
            )
            if request.duration is None:
                self._seconds = audio.duration
                timeline.check(request.directions, audio.duration)

        def forward_report(stage: str, fraction: float) -> None:
            report(stage, share + (1 - share) * fraction)

        def forward_chunk(first_frame: int, part: Motion) -> None:
            chunk(first_frame, *motion_to_buffers(part))

        motion = generator.perform(request, audio, forward_report, forward_chunk)
        _check(motion)
        if warnings:
            motion.metadata["warnings"] = [*motion.metadata.get("warnings", []), *warnings]
        return motion_to_buffers(motion)


def _check(motion: Motion) -> None:
    """A result with a hole in it must not reach anybody's keys."""
    for name in ("rotations", "translation", "expression", "contacts"):
        if not np.isfinite(getattr(motion, name)).all():
            raise UnderstudyError(
                "internal",
                f"The generator made {name} that are not numbers.",
                "Perform again with another seed, and report it with the log file.",
            )
