# SPDX-License-Identifier: Apache-2.0
"""The key points in space, from the joints of a performance."""

from __future__ import annotations

import numpy as np

from bridge_server.pose_track.layout import INDEX, POINT_COUNT
from shared import rotations as rot
from shared.kinematics import forward
from shared.motion import Motion
from shared.skeleton import END_POINTS, JOINT_INDEX, NEUTRAL_OFFSETS

__all__ = ["HEAD_CENTRE", "HEAD_RADIUS", "body_scale", "head_scale", "known_points", "landmarks", "landmarks_of_joints"]

# Offsets in a joint's rest frame, metres, for the neutral adult of 1.70 m: +Y up, +Z forward, left on +X. The eyes are the
# skeleton's own; DWPose's ear is the ear hole, its nose the tip.
_ON_HEAD = {"nose": (0.0, 0.035, 0.105), "left_ear": (0.076, 0.035, 0.005), "right_ear": (-0.076, 0.035, 0.005)}
_ON_FOOT = {"left_big_toe": ("left_foot", (-0.015, -0.01, 0.065)), "left_small_toe": ("left_foot", (0.045, -0.01, 0.03)),
            "right_big_toe": ("right_foot", (0.015, -0.01, 0.065)), "right_small_toe": ("right_foot", (-0.045, -0.01, 0.03))}
_SAME = ("right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "right_hip",
         "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye")
HEAD_CENTRE = (0.0, 0.05, 0.01)
"""Middle of the head in the head joint's rest frame, metres."""
HEAD_RADIUS = 0.075


def _length_of(joint: str, offsets: np.ndarray) -> float:
    """Length of the bone that ends in a joint, against the neutral skeleton's; 1 where it has none."""
    j = JOINT_INDEX[joint]
    return float(np.linalg.norm(offsets[j])) / float(np.linalg.norm(NEUTRAL_OFFSETS[j])) or 1.0


def head_scale(offsets: np.ndarray) -> float:
    """Size of a head against the neutral skeleton's, from where its eye is."""
    return _length_of("left_eye", offsets)


def body_scale(offsets: np.ndarray) -> float:
    """Size of a body against the neutral skeleton's, from its thighs."""
    return _length_of("left_knee", offsets)


def known_points(known: np.ndarray) -> np.ndarray:
    """(66,) bool: the key points that follow from the joints (55,) that a performer has."""
    out = np.ones(POINT_COUNT, bool)
    for name, index in INDEX.items():
        if name[-1].isdigit():
            joint = f"{name[:-1]}{min(int(name[-1]), 3)}"
        elif name == "neck":
            joint = "left_shoulder"
        elif name.endswith(("eye", "ear")) or name == "nose":
            joint = "head"  # eyes without bones are where a head of this size has them
        elif name.endswith("toe"):
            joint = f"{name.split('_')[0]}_foot"
        else:
            joint = name.replace("heel", "ankle").replace("palm", "wrist")
        out[index] = known[JOINT_INDEX[joint]]
    return out


def landmarks(motion: Motion, offsets: np.ndarray = NEUTRAL_OFFSETS) -> tuple[np.ndarray, np.ndarray]:
    """World positions of the key points, and of the middle of the face.

    :param offsets: (55, 3) rest offsets of the body, metres.
    :returns: (T, 66, 3) in the order of :mod:`.layout`, and (T, 3); metres, +Y up.
    """
    positions, world = forward(motion.rotations.astype(np.float64), motion.translation.astype(np.float64), offsets)
    return landmarks_of_joints(positions, world, offsets)


def landmarks_of_joints(
    positions: np.ndarray, world: np.ndarray, offsets: np.ndarray = NEUTRAL_OFFSETS
) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`landmarks`, from joint positions (T, 55, 3) and world rotations (T, 55, 4)."""
    frames = len(positions)
    out = np.empty((frames, POINT_COUNT, 3))
    size, body = head_scale(offsets), body_scale(offsets)

    def at(joint: str, offset: tuple[float, float, float] | np.ndarray, scale: float = 1.0) -> np.ndarray:
        j = JOINT_INDEX[joint]
        return positions[:, j] + rot.rotate(world[:, j], np.broadcast_to(np.asarray(offset) * scale, (frames, 3)))

    for name in _SAME:
        out[:, INDEX[name]] = positions[:, JOINT_INDEX[name]]
    # DWPose has no joint of its own for the neck: it is the middle of the shoulders
    out[:, INDEX["neck"]] = (out[:, INDEX["left_shoulder"]] + out[:, INDEX["right_shoulder"]]) / 2
    for name, offset in _ON_HEAD.items():
        out[:, INDEX[name]] = at("head", offset, size)
    for name, (joint, offset) in _ON_FOOT.items():
        out[:, INDEX[name]] = at(joint, offset, body)
    for side in ("left", "right"):
        out[:, INDEX[f"{side}_heel"]] = at(*END_POINTS[f"{side}_heel"], body)
        out[:, INDEX[f"{side}_palm"]] = positions[:, JOINT_INDEX[f"{side}_wrist"]]
        for finger in ("thumb", "index", "middle", "ring", "pinky"):
            for n in range(1, 4):
                out[:, INDEX[f"{side}_{finger}{n}"]] = positions[:, JOINT_INDEX[f"{side}_{finger}{n}"]]
            # the last phalanx is nearly as long as the one before it and goes on in its direction
            last = f"{side}_{finger}3"
            out[:, INDEX[f"{side}_{finger}4"]] = at(last, offsets[JOINT_INDEX[last]], 0.95)
    face = (out[:, INDEX["nose"]] + out[:, INDEX["left_eye"]] + out[:, INDEX["right_eye"]]) / 3
    face += 0.02 * size * rot.rotate(world[:, JOINT_INDEX["head"]], np.broadcast_to(np.array([0.0, -1.0, 0.0]), (frames, 3)))
    return out, face
