# SPDX-License-Identifier: Apache-2.0
"""HumanML3D's ``new_joint_vecs``: (T, 263) features at 20 frames per second.

Layout: [0] half the root's turn per frame about +Y; [1:3] the root's step in x and z in its own heading; [3] the root's
height; [4:67] 21 joint positions; [67:193] 21 rotations; [193:259] 22 joint velocities; [259:263] contacts of left
ankle, left foot, right ankle, right foot. The rotations come from the data set's own skeleton fitting and are not SMPL
poses, so the motion is rebuilt from the positions.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from .. import rotations as rot
from ..motion import Motion
from ..skeleton import JOINT_INDEX, rest_positions
from .arrays import finite, invalid
from .positions import rotations_from_positions

__all__ = ["FPS", "WIDTH", "motion_from_features", "motion_from_positions", "positions_from_features"]

FPS: Final = 20.0
WIDTH: Final = 263


def positions_from_features(x: np.ndarray) -> np.ndarray:
    """World positions (T, 22, 3), metres, +Y up, from features (T, 263) that are not normalised."""
    x = np.asarray(x, dtype=np.float64)
    half = np.concatenate(([0.0], np.cumsum(x[:-1, 0])))
    # the data set stores the rotation from the world into the heading frame; its inverse leads back
    back = rot.yaw_quat(-2 * half)
    step = np.zeros((len(x), 3))
    step[1:, [0, 2]] = x[:-1, 1:3]
    root = np.cumsum(rot.rotate(back, step), axis=0)
    root[:, 1] = x[:, 3]
    local = x[:, 4:67].reshape(len(x), 21, 3)
    joints = rot.rotate(np.broadcast_to(back[:, None], (len(x), 21, 4)), local)
    joints[..., [0, 2]] += root[:, None, [0, 2]]
    return np.concatenate((root[:, None], joints), axis=1)


def motion_from_positions(positions: np.ndarray, fps: float, contacts: np.ndarray | None = None) -> Motion:
    """A Motion from positions (T, >= 22, 3) in SMPL order, +Y up, whose lowest joints stand at height 0.

    The size is brought to the neutral skeleton by the legs.
    """
    local, pelvis, scale = rotations_from_positions(positions)
    # the data set's floor is where its lowest joint is; ours is under the sole
    pelvis[:, 1] += rest_positions()[JOINT_INDEX["left_foot"], 1]
    rest = {} if contacts is None else {"contacts": contacts.astype(np.float32)}
    return Motion.from_body(fps, local.astype(np.float32), pelvis.astype(np.float32), metadata={"leg_scale": round(scale, 5)},
                            **rest)


def motion_from_features(x: np.ndarray, name: str, fps: float | None = None) -> Motion:
    """A Motion of HumanML3D features (T, 263) as they are stored. :raises UnderstudyError: ``file_invalid``."""
    if x.ndim != 2 or x.shape[1] != WIDTH or not len(x):
        raise invalid(name, f"its array has shape {x.shape} where (frames, {WIDTH}) is expected")
    if x.dtype.kind not in "fiu":
        raise invalid(name, "it holds no numbers")
    x = finite(x.astype(np.float64), "it", name)
    positions = positions_from_features(x)
    thigh = np.linalg.norm(positions[:, JOINT_INDEX["left_knee"]] - positions[:, JOINT_INDEX["left_hip"]], axis=-1)
    # normalised features give bones of no sensible and no constant length
    if not 0.2 < np.median(thigh) < 0.8 or thigh.std() > 0.25 * thigh.mean():
        raise invalid(name, "its features are normalised (its thigh is not of one length between 0.2 and 0.8 m)",
                      "Undo the normalisation: features * Std.npy + Mean.npy.")
    motion = motion_from_positions(positions, FPS if fps is None else fps, np.clip(x[:, 259:], 0, 1))
    motion.metadata.update(source=name, format="humanml3d")
    return motion
