# SPDX-License-Identifier: Apache-2.0
"""From a performance to its pose track."""

from __future__ import annotations

import numpy as np

from bridge_server.pose_track.camera import Camera, Framing, before
from bridge_server.pose_track.landmarks import body_scale, head_scale, known_points, landmarks_of_joints
from bridge_server.pose_track.occlusion import visibility
from bridge_server.pose_track.performer import Joints
from bridge_server.pose_track.track import PoseTrack
from shared import rotations as rot
from shared.motion import Motion
from shared.skeleton import END_POINTS, JOINT_INDEX, NEUTRAL_OFFSETS, rest_positions

__all__ = ["camera_for", "track_of"]

_FACE_METRES = 0.24
"""Side of the head mask: hair to chin of an adult with a little room."""


def _tall(offsets: np.ndarray) -> float:
    joint, offset = END_POINTS["head_top"]
    return float(rest_positions(offsets)[JOINT_INDEX[joint], 1] + offset[1])


def _joints(performance: Motion | Joints, offsets: np.ndarray) -> Joints:
    return performance if isinstance(performance, Joints) else Joints.of(performance, offsets)


def camera_for(
    performance: Motion | Joints, framing: Framing, width: int, height: int, *, offsets: np.ndarray = NEUTRAL_OFFSETS,
    azimuth: float = 0.0, elevation: float = 0.0,
) -> Camera:
    """A calm camera in front of the performer, for where the scene has none.

    It stands where the performer faces on average and follows the pelvis; azimuth and elevation are radians.

    :param offsets: (55, 3) of a motion's body; joints have their own.
    :raises UnderstudyError: ``request_invalid`` for an unknown framing.
    """
    if len(performance) == 0:
        raise ValueError("the performance has no frames")
    if isinstance(performance, Joints):
        pelvis, turn, floor, offsets = performance.positions[:, 0], performance.turns[:, 0], performance.floor, performance.offsets
    else:
        pelvis, turn, floor = performance.translation, performance.rotations[:, 0], 0.0
    facing = rot.heading(turn.astype(np.float64))
    mean = float(np.arctan2(np.sin(facing).mean(), np.cos(facing).mean()))
    return before(pelvis, mean, _tall(offsets), framing, width, height, performance.fps,
                  floor=floor, azimuth=azimuth, elevation=elevation)


def track_of(
    performance: Motion | Joints, camera: Camera, offsets: np.ndarray = NEUTRAL_OFFSETS, *, occlusion: bool = True
) -> PoseTrack:
    """The pose track of a performance through a camera.

    :param camera: still, or with one matrix for each frame of the performance.
    :param offsets: (55, 3) rest offsets of the body that performs a motion, metres; joints have their own.
    :param occlusion: lower the confidence of points that the body hides.
    :raises UnderstudyError: ``request_invalid`` where the camera's frames do not agree with the performance's.
    """
    joints = _joints(performance, offsets)
    positions, world = joints.positions.astype(np.float64), joints.turns.astype(np.float64)
    points, face = landmarks_of_joints(positions, world, joints.offsets)
    pixels, depth = camera.project(points)
    centre, face_depth = camera.project(face[:, None])
    confidence = visibility(points, positions, world, camera, body_scale(joints.offsets)) if occlusion else np.ones(points.shape[:2])
    confidence = np.where(known_points(joints.known), confidence, 0.0)
    with np.errstate(invalid="ignore"):
        inside = ((pixels >= 0) & (pixels < (camera.width, camera.height))).all(-1)
    confidence = np.where(inside, confidence, 0.0)
    # a fixed size: that of the mask at the face's median distance
    up = np.broadcast_to(camera.view[:, 1, :3], face.shape)
    side = _FACE_METRES * head_scale(joints.offsets)
    ends, _ = camera.project(np.stack((face - up * side / 2, face + up * side / 2), 1))
    sizes = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=-1)
    size = float(np.nanmedian(sizes)) if np.isfinite(sizes).any() else 0.0
    return PoseTrack(joints.fps, camera.width, camera.height, np.nan_to_num(pixels, nan=-1.0), confidence, depth,
                     np.nan_to_num(centre[:, 0], nan=-1.0), size,
                     {key: joints.metadata[key] for key in ("generator", "seed", "audio") if key in joints.metadata})
