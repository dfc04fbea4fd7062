# SPDX-License-Identifier: Apache-2.0
"""A generator for the real bridge that needs no weights: the double's motion, made in steps that can be cancelled."""

from __future__ import annotations

import time
from typing import Any

from bridge_server.audio.sound import Audio
from bridge_server.motion.generator import Chunk, Report
from shared.motion import Motion
from shared.requests import MotionRequest

from .bridge_double import edited, performance


class TinyGenerator:
    """Takes about ``steps`` x 20 ms; a direction that says "slowly" makes it fifty times that."""

    def __init__(self, weights: str, device: str) -> None:
        self.device = device

    def perform(self, request: MotionRequest, audio: Audio | None, report: Report, chunk: Chunk | None = None) -> Motion:
        if audio is not None and request.duration is None:
            request.duration = audio.duration
        elif request.duration is None and request.edit is None:
            request.duration = max(d.end for d in request.directions)
        slow = any("slowly" in d.text for d in request.directions)
        for n in range(500 if slow else 10):
            report("body", min(n / 10, 0.9))
            time.sleep(0.02)
        motion = performance(request) if request.edit is None else edited(request)
        if chunk is not None:
            chunk(0, motion.slice(0, 10))
        return motion

    def describe(self) -> dict[str, Any]:
        return {"name": "tiny", "weights": "none", "licence": "none", "device": self.device, "non_commercial": False}
