# SPDX-License-Identifier: Apache-2.0
"""Tiny weights, a portrait and a short performance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="diffusers is not installed")
pytest.importorskip("cv2", reason="OpenCV is not installed")

from bridge_server.pose_track.project import camera_for, track_of  # noqa: E402
from bridge_server.video.person import find_person  # noqa: E402
from bridge_server.video.photo import load_photo  # noqa: E402
from bridge_server.video.renderers import Scene  # noqa: E402
from shared import rotations as rot  # noqa: E402
from shared.motion import Motion  # noqa: E402
from shared.skeleton import JOINT_INDEX  # noqa: E402

from .tiny import mimicmotion_file, svd_folder  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def versa_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete folder for ``versa`` without face layers; not to be changed."""
    folder = tmp_path_factory.mktemp("versa")
    svd_folder(folder / "svd")
    mimicmotion_file(folder / "MimicMotion_1-1.pth")
    return folder


@pytest.fixture(scope="session")
def photo_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-image's portrait of Eileen Collins (NASA, public domain)."""
    from PIL import Image
    from skimage import data

    path = tmp_path_factory.mktemp("photo") / "portrait.png"
    Image.fromarray(data.astronaut()).resize((256, 256), Image.Resampling.LANCZOS).save(path)
    return path


@pytest.fixture(scope="session")
def performance() -> Motion:
    """Half a second at 20 frames per second: swaying, speaking, one blink."""
    motion = Motion.rest(10, 20.0)
    time = np.arange(10) / 20
    for side, sign in (("left", -1), ("right", 1)):
        motion.rotations[:, JOINT_INDEX[f"{side}_shoulder"]] = rot.axis_angle_to_quat(np.outer(np.full(10, sign * 1.3), (0, 0, 1.0)))
    motion.rotations[:, JOINT_INDEX["spine1"]] = rot.axis_angle_to_quat(np.outer(np.sin(time * 12) * 0.15, (0, 0, 1.0)))
    blink = np.clip(1 - np.abs(np.arange(10) - 5) / 2, 0, 1).astype(np.float32)
    motion.face = {"jawOpen": np.linspace(0, 1, 10).astype(np.float32), "eyeBlinkLeft": blink, "eyeBlinkRight": blink}
    return motion


@pytest.fixture(scope="session")
def scene(performance: Motion, photo_path: Path) -> Scene:
    """The performance before a virtual camera, 64x64; the portrait's points are found once."""
    photo = load_photo(photo_path)
    person = find_person(photo)
    track = track_of(performance, camera_for(performance, "half", 64, 64))
    return Scene(track, performance.face, photo, (person.points, person.confidence), 64, 64)
