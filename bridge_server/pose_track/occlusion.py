# SPDX-License-Identifier: Apache-2.0
"""Which key points a body hides from the camera, and how sure a detector could be of the others."""

from __future__ import annotations

from typing import Final

import numpy as np

from bridge_server.pose_track.camera import Camera
from bridge_server.pose_track.landmarks import HEAD_CENTRE, HEAD_RADIUS
from bridge_server.pose_track.layout import INDEX, NAMES
from shared import rotations as rot
from shared.skeleton import JOINT_INDEX

__all__ = ["visibility"]

# The body as capsules: (from joint, to joint, radius in metres, prefixes of the points that lie on it and it cannot hide)
_CAPSULES: Final = (
    ("spine3", "pelvis", 0.105, ("neck", "left_shoulder", "right_shoulder", "left_hip", "right_hip")),
    ("left_shoulder", "left_elbow", 0.045, ("left_shoulder", "left_elbow", "neck")),
    ("right_shoulder", "right_elbow", 0.045, ("right_shoulder", "right_elbow", "neck")),
    ("left_elbow", "left_wrist", 0.035, ("left_elbow", "left_wrist", "left_palm", "left_thumb", "left_index", "left_middle",
                                         "left_ring", "left_pinky")),
    ("right_elbow", "right_wrist", 0.035, ("right_elbow", "right_wrist", "right_palm", "right_thumb", "right_index",
                                           "right_middle", "right_ring", "right_pinky")),
    ("left_hip", "left_knee", 0.07, ("left_hip", "left_knee")),
    ("right_hip", "right_knee", 0.07, ("right_hip", "right_knee")),
    ("left_knee", "left_ankle", 0.05, ("left_knee", "left_ankle", "left_heel", "left_big", "left_small")),
    ("right_knee", "right_ankle", 0.05, ("right_knee", "right_ankle", "right_heel", "right_big", "right_small")),
)
HIDDEN: Final = 0.15
"""Confidence of a point behind a body part: under every renderer's threshold, as DWPose gives it."""


def _closest(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (...) between the segments ab and cd (..., 3), and where on ab it is, in [0, 1]."""
    u, v, w = b - a, d - c, a - c
    uu, uv, vv = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)
    uw, vw = (u * w).sum(-1), (v * w).sum(-1)
    s = np.clip((uv * vw - vv * uw) / np.maximum(uu * vv - uv * uv, 1e-12), 0, 1)
    t = np.clip((uv * s + vw) / np.maximum(vv, 1e-12), 0, 1)
    s = np.clip((uv * t - uw) / np.maximum(uu, 1e-12), 0, 1)
    gap = w + s[..., None] * u - t[..., None] * v
    return np.sqrt((gap * gap).sum(-1)), s


def _blocked(gap: np.ndarray, radius: float) -> np.ndarray:
    """How much a capsule hides: 1 on its axis, falling to 0 over its rim."""
    return np.clip((radius - gap) / (0.35 * radius), 0, 1)


def visibility(points: np.ndarray, positions: np.ndarray, world: np.ndarray, camera: Camera, scale: float = 1.0) -> np.ndarray:
    """How well each point is seen.

    :param points: (T, 66, 3) key points. :param positions: (T, 55, 3) joints. :param world: (T, 55, 4) their rotations.
    :param scale: size of the body against the neutral skeleton's.
    :returns: (T, 66) from 1 for a free point to :data:`HIDDEN` for one behind the body.
    """
    if camera.orthographic:
        eye = points - 50.0 * camera.direction[:, None]
    else:
        eye = np.broadcast_to(camera.position[:, None], points.shape)
    hidden = np.zeros(points.shape[:2])
    for first, last, radius, own in _CAPSULES:
        others = [i for i, name in enumerate(NAMES) if not name.startswith(own)]
        a, b = (positions[:, None, JOINT_INDEX[name]] for name in (first, last))
        shape = (len(points), len(others), 3)
        gap, _ = _closest(eye[:, others], points[:, others], np.broadcast_to(a, shape), np.broadcast_to(b, shape))
        # a point that rests on the surface (a hand on the hip) is not behind it
        on_it, _ = _closest(points[:, others], points[:, others] + 1e-6, np.broadcast_to(a, shape), np.broadcast_to(b, shape))
        hidden[:, others] = np.maximum(hidden[:, others], _blocked(gap, radius * scale) * (on_it > gap + 0.02 * scale))
    head = JOINT_INDEX["head"]
    centre = positions[:, head] + rot.rotate(world[:, head], np.broadcast_to(np.array(HEAD_CENTRE) * scale, positions[:, head].shape))
    same = np.broadcast_to(centre[:, None], points.shape)
    gap, _ = _closest(eye, points, same, same + 1e-6)
    behind = np.linalg.norm(points - same, axis=-1) > gap + 0.02 * scale
    hidden = np.maximum(hidden, _blocked(gap, HEAD_RADIUS * scale) * behind)
    # the palm is the wrist once more
    for side in ("left", "right"):
        hidden[:, INDEX[f"{side}_palm"]] = hidden[:, INDEX[f"{side}_wrist"]]
    return 1 - (1 - HIDDEN) * hidden
