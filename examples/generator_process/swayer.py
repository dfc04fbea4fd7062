# SPDX-License-Identifier: Apache-2.0
"""A motion generator for a process of its own. It needs numpy and pyzmq; the bridge brings the rest.

It stands, breathes, shifts its weight now and then, and sways and raises its forearms with the loudness of the speech. Directions
are not understood, which the metadata say. docs/generators.md explains each part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from understudy_generator import Speech, serve_generator

from shared import rotations as rot
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.skeleton import JOINT_INDEX

BLOCK_SECONDS = 2.0


def loudness(audio: Speech | None, times: np.ndarray) -> np.ndarray:
    """(T,) in [0, 1]: how loud it is about each time, against the recording's own loud parts."""
    if audio is None or not len(audio.samples):
        return np.zeros(len(times))
    width = int(0.15 * audio.rate)
    energy = np.convolve(audio.samples.astype(float) ** 2, np.hanning(width) / width, "same")
    here = np.interp(times, np.arange(len(energy)) / audio.rate, np.sqrt(energy), right=0.0)
    return np.clip(here / max(np.quantile(here, 0.95), 1e-6), 0, 1)


class Swayer:
    """Made once by the bridge, with the weights and the device that the user chose; this one needs neither."""

    def __init__(self, weights: str, device: str) -> None:
        pass

    def describe(self) -> dict[str, Any]:
        return {"name": "swayer", "weights": "none", "licence": "Apache-2.0", "non_commercial": False, "device": "cpu"}

    def perform(self, request: MotionRequest, audio: Speech | None, report: Any, chunk: Any = None) -> Motion:
        seconds = request.duration or (audio.duration if audio else max((d.end for d in request.directions), default=4.0))
        frames = max(1, round(seconds * request.fps))
        times = np.arange(frames) / request.fps
        loud = loudness(audio, times)
        rng = np.random.default_rng(request.seed)
        motion = Motion.rest(frames, request.fps)
        motion.metadata = {"seed": request.seed, "generator": self.describe()}
        if request.directions:
            motion.metadata["warnings"] = ["The generator swayer does not understand directions; it followed the speech alone."]
        block = max(1, round(BLOCK_SECONDS * request.fps))
        phase = rng.uniform(0, 2 * np.pi, 4)
        for start in range(0, frames, block):
            # every block asks whether the user has cancelled
            report("swaying", start / frames)
            span = slice(start, min(start + block, frames))
            self._pose(motion, span, times[span], loud[span] * request.amplitude, phase)
            if chunk is not None:
                chunk(start, motion.slice(span.start, span.stop))
        report("swaying", 1.0)
        return motion

    @staticmethod
    def _pose(motion: Motion, span: slice, t: np.ndarray, loud: np.ndarray, phase: np.ndarray) -> None:
        def turn(joint: str, x: np.ndarray | float = 0.0, y: np.ndarray | float = 0.0, z: np.ndarray | float = 0.0) -> None:
            vector = np.stack([np.broadcast_to(v, t.shape) for v in (x, y, z)], 1)
            motion.rotations[span, JOINT_INDEX[joint]] = rot.axis_angle_to_quat(vector)

        breath = np.sin(2 * np.pi * 0.25 * t + phase[0])
        sway = np.sin(2 * np.pi * 0.11 * t + phase[1])
        nod = np.sin(2 * np.pi * 0.8 * t + phase[2]) * loud
        turn("spine1", x=0.01 * breath, z=0.02 * sway)
        turn("spine3", x=0.015 * breath + 0.03 * nod, y=0.06 * sway)
        turn("head", x=0.08 * nod, y=-0.05 * sway)
        for side, sign in (("left", 1.0), ("right", -1.0)):
            beat = loud * (0.7 + 0.3 * np.sin(2 * np.pi * 1.1 * t + phase[3]))
            turn(f"{side}_shoulder", z=-sign * 1.25, y=-sign * 0.25 * beat)
            turn(f"{side}_elbow", y=-sign * (0.25 + 1.1 * beat))
        # only the trunk is turned, so the feet stand still
        motion.contacts[span] = 1.0


if __name__ == "__main__":
    serve_generator(Swayer)
