# SPDX-License-Identifier: Apache-2.0
"""A photograph and a short performance for films."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shared import rotations as rot
from shared.motion import Motion
from shared.skeleton import JOINT_INDEX


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """(512, 512, 3) uint8: the portrait of Eileen Collins (NASA, public domain) that scikit-image carries."""
    data = pytest.importorskip("skimage.data")
    return np.asarray(data.astronaut())


@pytest.fixture(scope="session")
def photo_path(astronaut: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The portrait at half size."""
    from PIL import Image

    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(astronaut).resize((256, 256), Image.Resampling.LANCZOS).save(path)
    return path


@pytest.fixture()
def performance() -> Motion:
    """Half a second of swaying and speaking at 20 frames per second."""
    motion = Motion.rest(10, 20.0)
    time = np.arange(10) / 20
    for side, sign in (("left", -1), ("right", 1)):
        motion.rotations[:, JOINT_INDEX[f"{side}_shoulder"]] = rot.axis_angle_to_quat(
            np.outer(np.full(10, sign * 1.3), (0, 0, 1.0)))
    lean = np.sin(time * 2 * np.pi * 2) * 0.15
    motion.rotations[:, JOINT_INDEX["spine1"]] = rot.axis_angle_to_quat(np.outer(lean, (0, 0, 1.0)))
    motion.rotations[:, JOINT_INDEX["head"]] = rot.yaw_quat(np.sin(time * 2 * np.pi * 2) * 0.5)
    motion.face = {"jawOpen": np.linspace(0, 1, 10).astype(np.float32), "eyeBlinkLeft": np.zeros(10, np.float32)}
    return motion
