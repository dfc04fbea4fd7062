# SPDX-License-Identifier: Apache-2.0
"""Writing AMASS SMPL-X (stage II) npz files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .. import rotations as rot
from ..motion import Motion
from .smpl import REST_PELVIS

__all__ = ["write_amass"]

_TO_Z_UP = rot.axis_angle_to_quat(np.array([np.pi / 2, 0.0, 0.0]))


def write_amass(motion: Motion, path: str | Path, rest_pelvis: np.ndarray | None = None) -> None:
    """Write the keys of an AMASS SMPL-X file, Z up, hands absolute; the file appears only when complete.

    All of ``poses`` and its parts (``root_orient``, ``pose_body``, ``pose_hand``, ``pose_jaw``, ``pose_eye``) are there,
    so that readers of either find what they look for. Expression coefficients go under ``expressions``, as BEAT2 names
    them; face curves and contacts have no place in the format and are left out.

    :param rest_pelvis: (3,) metres, the rest pelvis of the body that will wear the motion.
    """
    frames = len(motion)
    pelvis = motion.translation.astype(np.float64)
    quaternions = motion.rotations.astype(np.float64)
    quaternions[:, 0] = rot.mul(_TO_Z_UP, quaternions[:, 0])
    trans = rot.rotate(_TO_Z_UP, pelvis) - (np.array(REST_PELVIS["smplx"]) if rest_pelvis is None else rest_pelvis)
    poses = rot.quat_to_axis_angle(quaternions).reshape(frames, 165)
    betas = np.array(motion.metadata.get("betas", []), dtype=np.float64)[:16]
    arrays: dict[str, Any] = {
        "gender": np.array(str(motion.metadata.get("gender", "neutral"))), "surface_model_type": np.array("smplx"),
        "mocap_frame_rate": np.array(float(motion.fps)), "mocap_time_length": np.array(motion.duration),
        "trans": trans, "poses": poses, "betas": np.pad(betas, (0, 16 - len(betas))), "num_betas": np.array(16),
        "root_orient": poses[:, :3], "pose_body": poses[:, 3:66], "pose_hand": poses[:, 75:],
        "pose_jaw": poses[:, 66:69], "pose_eye": poses[:, 69:75],
    }
    if motion.expression.shape[1]:
        arrays["expressions"] = motion.expression.astype(np.float64)
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    temporary.replace(path)
