# SPDX-License-Identifier: Apache-2.0
"""From a performance to its pose track."""

from __future__ import annotations

import numpy as np

from bridge_server.pose_track.camera import Camera, Framing, before
from bridge_server.pose_track.landmarks import landmarks_of_joints
from bridge_server.pose_track.occlusion import visibility
from bridge_server.pose_track.track import PoseTrack
from shared import rotations as rot
from shared.kinematics import forward
from shared.motion import Motion
from shared.skeleton import END_POINTS, JOINT_INDEX, NEUTRAL_OFFSETS, rest_positions

__all__ = ["camera_for", "track_of"]

_FACE_METRES = 0.24
"""Side of the head mask: hair to chin of an adult with a little room."""


def _tall(offsets: np.ndarray) -> float:
    joint, offset = END_POINTS["head_top"]
    return float(rest_positions(offsets)[JOINT_INDEX[joint], 1] + offset[1])


def camera_for(
    motion: Motion, framing: Framing, width: int, height: int, *, offsets: np.ndarray = NEUTRAL_OFFSETS,
    azimuth: float = 0.0, elevation: float = 0.0,
) -> Camera:
    """A calm camera in front of the performer, for where the scene has none.

    It stands where the performer faces on average and follows the pelvis; azimuth and elevation are radians.

    :raises UnderstudyError: ``request_invalid`` for an unknown framing.
    """
    if len(motion) == 0:
        raise ValueError("the motion has no frames")
    facing = rot.heading(motion.rotations[:, 0].astype(np.float64))
    mean = float(np.arctan2(np.sin(facing).mean(), np.cos(facing).mean()))
    return before(motion.translation, mean, _tall(offsets), framing, width, height, motion.fps,
                  azimuth=azimuth, elevation=elevation)


def track_of(motion: Motion, camera: Camera, offsets: np.ndarray = NEUTRAL_OFFSETS, *, occlusion: bool = True) -> PoseTrack:
    """The pose track of a performance through a camera.

    :param camera: still, or with one matrix for each frame of the motion.
    :param offsets: (55, 3) rest offsets of the body that performs, metres.
    :param occlusion: lower the confidence of points that the body hides.
    :raises UnderstudyError: ``request_invalid`` where the camera's frames do not agree with the motion's.
    """
    positions, world = forward(motion.rotations.astype(np.float64), motion.translation.astype(np.float64), offsets)
    points, face = landmarks_of_joints(positions, world, offsets)
    pixels, depth = camera.project(points)
    centre, face_depth = camera.project(face[:, None])
    confidence = visibility(points, positions, world, camera) if occlusion else np.ones(points.shape[:2])
    with np.errstate(invalid="ignore"):
        inside = ((pixels >= 0) & (pixels < (camera.width, camera.height))).all(-1)
    confidence = np.where(inside, confidence, 0.0)
    # a fixed size: that of the mask at the face's median distance
    up = np.broadcast_to(camera.view[:, 1, :3], face.shape)
    ends, _ = camera.project(np.stack((face - up * _FACE_METRES / 2, face + up * _FACE_METRES / 2), 1))
    sizes = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=-1)
    size = float(np.nanmedian(sizes)) if np.isfinite(sizes).any() else 0.0
    return PoseTrack(motion.fps, camera.width, camera.height, np.nan_to_num(pixels, nan=-1.0), confidence, depth,
                     np.nan_to_num(centre[:, 0], nan=-1.0), size,
                     {key: motion.metadata[key] for key in ("generator", "seed", "audio") if key in motion.metadata})
