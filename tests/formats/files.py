# SPDX-License-Identifier: Apache-2.0
"""Files in the layouts that other projects publish, written from numbers that the tests know."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np

PELVIS = {"smplx": np.array([0.0, -0.35, 0.01]), "smplh": np.array([0.0, -0.23, 0.03])}


def poses(frames: int, joints: int, seed: int = 0, z_up: bool = False) -> np.ndarray:
    """(T, joints, 3) smooth axis-angle vectors of somebody who stands; in a Z-up file the root stands by x90."""
    g = np.random.default_rng(seed)
    vectors = g.normal(0, 0.25, (1, joints, 3)) + g.normal(0, 0.02, (frames, joints, 3)).cumsum(0)
    vectors[:, 0] = [np.pi / 2, 0, 0] if z_up else 0
    return vectors


def path_of(frames: int, z_up: bool = False) -> np.ndarray:
    """(T, 3) a straight walk at the height of the pelvis."""
    t = np.arange(frames) / 30
    return np.stack((0.3 * t, -t, 0.9 + 0 * t) if z_up else (0.3 * t, 1.3 + 0 * t, t), axis=1)


def amass_smplh(path: Path, frames: int = 24, fps: float = 120.0, seed: int = 0) -> dict[str, np.ndarray]:
    """AMASS, first release: SMPL-H, 52 joints."""
    arrays = dict(trans=path_of(frames, True), gender=np.array("female"), mocap_framerate=np.array(fps),
                  betas=np.linspace(0, 1, 16), dmpls=np.zeros((frames, 8)),
                  poses=poses(frames, 52, seed, True).reshape(frames, 156))
    np.savez(path, **arrays)
    return arrays


def amass_smplx(path: Path, frames: int = 24, fps: float = 120.0, seed: int = 0) -> dict[str, Any]:
    """AMASS stage II: SMPL-X, with the two object arrays that the published files carry."""
    p = poses(frames, 55, seed, True).reshape(frames, 165)
    arrays: dict[str, Any] = dict(
        gender=np.array("male"), surface_model_type=np.array("smplx"), mocap_frame_rate=np.array(fps),
        mocap_time_length=np.array(frames / fps), markers_latent=np.zeros((5, 3)),
        latent_labels=np.array(["A", "B", None], dtype=object), markers_latent_vids=np.array({"A": 1}, dtype=object),
        trans=path_of(frames, True), poses=p, betas=np.linspace(-1, 1, 16), num_betas=np.array(16), root_orient=p[:, :3],
        pose_body=p[:, 3:66], pose_hand=p[:, 75:], pose_jaw=p[:, 66:69], pose_eye=p[:, 69:75])
    np.savez(path, **arrays)
    return arrays


def beat2(path: Path, frames: int = 60, seed: int = 0) -> dict[str, np.ndarray]:
    """BEAT2 and EMAGE: hands as offsets from the mean hand."""
    g = np.random.default_rng(seed)
    arrays = dict(betas=g.normal(0, 1, 300).astype(np.float32),
                  poses=poses(frames, 55, seed).reshape(frames, 165).astype(np.float32),
                  expressions=g.normal(0, 1, (frames, 100)), trans=path_of(frames), model=np.array("smplx2020"),
                  gender=np.array("neutral"), mocap_frame_rate=np.array(30, dtype=np.int32))
    np.savez(path, **arrays)
    return arrays


def hy_motion(path: Path, frames: int = 24, seed: int = 0) -> dict[str, np.ndarray]:
    """HY-Motion: an array for the gender, no rate."""
    p = poses(frames, 52, seed).reshape(frames, 156)
    arrays = dict(gender=np.array(["neutral"]), Rh=p[:, :3], trans=path_of(frames), poses=p, betas=np.zeros((1, 16)))
    np.savez(path, **arrays)
    return arrays


def meshcapade(path: Path, frames: int = 24, z_up: bool = True, seed: int = 0) -> dict[str, np.ndarray]:
    """What Meshcapade's add-on imports."""
    arrays = dict(trans=path_of(frames, z_up), gender=np.array("neutral"), betas=np.zeros(10),
                  poses=poses(frames, 55, seed, z_up).reshape(frames, 165), fps=np.array(60.0))
    np.savez(path, **arrays)
    return arrays


def wav(path: Path, seconds: float, rate: int = 16_000) -> None:
    """A tone, 16 bit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = (8000 * np.sin(2 * np.pi * 220 * np.arange(int(seconds * rate)) / rate)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(tone.tobytes())
