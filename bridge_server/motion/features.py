# SPDX-License-Identifier: Apache-2.0
"""Motion as the numbers that the tokenizer reads, and back.

Per frame: a ``lower`` group (root, legs, foot contacts) and an ``upper`` group (trunk, head, arms),
and where data has them ``hands`` and ``face``. Rotations are the local ones, as 6D (column 0 then column 1), so what is decoded
is the rotation itself and no inverse kinematics stand in between. The root lives in the heading
frame: its turn about +Y is stored as a speed, its path as a velocity seen from the body.

Root, 10 numbers: yaw step to the next frame (radians), step in x and z to the next frame in the heading
frame (metres), height (metres), rotation without heading (6D).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from shared import rotations as rot
from shared.kinematics import end_point, forward
from shared.skeleton import BODY_JOINT_COUNT, JOINT_INDEX, JOINT_NAMES

__all__ = ["LOWER_JOINTS", "PART_WIDTHS", "ROOT_WIDTH", "UPPER_JOINTS", "PartFeatures", "contacts_of", "decode",
           "encode", "heading_of"]

LOWER_JOINTS: Final = tuple(
    JOINT_INDEX[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "foot") for side in ("left", "right")
)
UPPER_JOINTS: Final = tuple(j for j in range(1, BODY_JOINT_COUNT) if j not in LOWER_JOINTS)
ROOT_WIDTH: Final = 10
_CONTACTS: Final = 4
PART_WIDTHS: Final[dict[str, int]] = {
    "lower": ROOT_WIDTH + 6 * len(LOWER_JOINTS) + _CONTACTS,
    "upper": 6 * len(UPPER_JOINTS),
    "hands": 6 * (len(JOINT_NAMES) - 25),
    "face": 6 + 100,
}
"""Numbers per frame of each part: lower 62, upper 78, hands 180, face 106 (jaw as 6D, 100 expression coefficients)."""

_CONTACT_HEIGHT: Final = {"left_heel": 0.10, "left_toe_end": 0.09, "right_heel": 0.10, "right_toe_end": 0.09}
_CONTACT_SPEED: Final = 0.45
"""Metres per second under which a point near the floor is standing on it."""


@dataclass
class PartFeatures:
    """Features (T, width) of each part."""

    parts: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.parts.values())))


def heading_of(root: np.ndarray) -> np.ndarray:
    """Angle (T,) of the twist of the root's rotation (T, 4) about +Y, unwrapped, radians.

    The twist, not the forward vector, because it stays defined when the body lies down or bends over.
    """
    return np.unwrap(2 * np.arctan2(root[:, 2], root[:, 0]))


def contacts_of(rotations: np.ndarray, translation: np.ndarray, fps: float = 30.0) -> np.ndarray:
    """Contacts (T, 4) float32 in {0, 1}: left heel, left toe, right heel, right toe stand on the floor y = 0.

    Columns as :data:`shared.skeleton.CONTACT_NAMES` (the heel stands for the ankle, the toe's end for the foot).
    A point stands where it is near the floor and slow.
    """
    positions, world = forward(rotations[:, :BODY_JOINT_COUNT], translation)
    columns = []
    for name, height in _CONTACT_HEIGHT.items():
        p = end_point(name, positions, world)
        speed = np.linalg.norm(np.gradient(p, axis=0), axis=-1) * fps if len(p) > 1 else np.zeros(len(p))
        columns.append((p[:, 1] < height) & (speed < _CONTACT_SPEED))
    return np.stack(columns, axis=1).astype(np.float32)


def encode(rotations: np.ndarray, translation: np.ndarray, contacts: np.ndarray | None = None) -> PartFeatures:
    """Features of a body motion at 30 frames per second.

    :param rotations: (T, >= 22, 4) local quaternions; joints past the body are not read.
    :param translation: (T, 3) metres.
    :param contacts: (T, 4), computed when absent.
    """
    yaw = heading_of(rotations[:, 0])
    unturn = rot.yaw_quat(-yaw)
    step = np.zeros_like(translation)
    turn = np.zeros(len(yaw))
    if len(yaw) > 1:
        step[:-1], turn[:-1] = np.diff(translation, axis=0), np.diff(yaw)
        # the last frame has no next one; it keeps moving as before
        step[-1], turn[-1] = step[-2], turn[-2]
    step = rot.rotate(unturn, step)
    six = rot.quat_to_six_d(rotations[:, 1:BODY_JOINT_COUNT])
    root = np.concatenate(
        (turn[:, None], step[:, [0, 2]], translation[:, 1:2], rot.quat_to_six_d(rot.mul(unturn, rotations[:, 0]))), axis=1
    )
    if contacts is None:
        contacts = contacts_of(rotations, translation)

    def pick(joints: tuple[int, ...]) -> np.ndarray:
        return six[:, [j - 1 for j in joints]].reshape(len(six), -1)

    return PartFeatures({
        "lower": np.concatenate((root, pick(LOWER_JOINTS), contacts), axis=1).astype(np.float32),
        "upper": pick(UPPER_JOINTS).astype(np.float32),
    })


def decode(features: PartFeatures, yaw: float = 0.0, xz: tuple[float, float] = (0.0, 0.0)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotations (T, 22, 4), translation (T, 3) and contacts (T, 4) in [0, 1].

    :param yaw: heading of the first frame, radians.
    :param xz: place of the first frame on the floor, metres.
    """
    lower, upper = features.parts["lower"].astype(np.float64), features.parts["upper"].astype(np.float64)
    frames = len(lower)
    headings = yaw + np.concatenate(([0.0], np.cumsum(lower[:-1, 0])))
    turn = rot.yaw_quat(headings)
    step = np.stack((lower[:, 1], np.zeros(frames), lower[:, 2]), axis=1)
    path = np.concatenate((np.zeros((1, 3)), np.cumsum(rot.rotate(turn, step)[:-1], axis=0)))
    translation = path + np.array([xz[0], 0.0, xz[1]])
    translation[:, 1] = lower[:, 3]
    rotations = rot.identity(frames, BODY_JOINT_COUNT)
    rotations[:, 0] = rot.mul(turn, rot.six_d_to_quat(lower[:, 4:10]))
    legs = lower[:, ROOT_WIDTH:ROOT_WIDTH + 6 * len(LOWER_JOINTS)].reshape(frames, -1, 6)
    rotations[:, LOWER_JOINTS] = rot.six_d_to_quat(legs)
    rotations[:, UPPER_JOINTS] = rot.six_d_to_quat(upper.reshape(frames, -1, 6))
    return rot.continuous(rotations), translation, np.clip(lower[:, -_CONTACTS:], 0, 1)
