# SPDX-License-Identifier: Apache-2.0
"""Films: the embedded renderer over ten seconds."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from bridge_server.video import renderers
from bridge_server.video.film import FilmRequest, make_film
from shared import rotations as rot
from shared.motion import Motion
from shared.skeleton import JOINT_INDEX

from .results import Result

__all__ = ["measure"]

SECONDS, FPS, SIDE = 10.0, 25.0, 512


def performance() -> Motion:
    """Ten seconds of swaying, nodding and speaking."""
    frames = int(SECONDS * 30)
    motion, time_ = Motion.rest(frames, 30.0), np.arange(frames) / 30
    for joint, axis, size, rate in (("spine1", (0, 0, 1), 0.1, 0.4), ("head", (1, 0, 0), 0.15, 0.9), ("neck", (0, 1, 0), 0.3, 0.3)):
        motion.rotations[:, JOINT_INDEX[joint]] = rot.axis_angle_to_quat(
            np.outer(size * np.sin(2 * np.pi * rate * time_), np.array(axis, float)))
    motion.face = {"jawOpen": (0.3 + 0.3 * np.sin(2 * np.pi * 4 * time_)).astype(np.float32)}
    return motion


def measure() -> list[Result]:
    """``puppet_10s_seconds``: from the photograph on disk to the finished file, without the start of Python."""
    from PIL import Image
    from skimage import data

    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "portrait.png"
        Image.fromarray(data.astronaut()).save(photo)
        request = FilmRequest(performance(), photo, Path(folder) / "film.mp4", size=(SIDE, SIDE), fps=FPS)
        began = time.monotonic()
        make_film(request, renderers.load("puppet"), lambda stage, fraction: None)
        return [Result.of("puppet_10s_seconds", time.monotonic() - began, "s", 60.0)]
