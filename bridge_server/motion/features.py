# SPDX-License-Identifier: Apache-2.0
"""Motion as the numbers that the tokenizer reads, and back.

Per frame: a ``lower`` group (root, legs, foot contacts) and an ``upper`` group (trunk, head, arms),
and where data has them ``hands`` and ``face``. Rotations are the local ones, as 6D (column 0 then column 1), so what is decoded
is the rotation itself and no inverse kinematics stand in between. The root lives in the heading
frame: its turn about +Y is stored as a speed, its path as a velocity seen from the body.

``hands`` are the 30 finger joints, local, as 6D. ``face`` is the jaw as 6D and 100 SMPL-X expression coefficients; files with
fewer hold zeros in the others. A motion without them has no such part, and no stand-in for it.

Root, 10 numbers: yaw step to the next frame (radians), step in x and z to the next frame in the heading
frame (metres), height (metres), rotation without heading (6D).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from shared import rotations as rot
from shared.kinematics import end_point, forward
from shared.skeleton import BODY_JOINT_COUNT, JOINT_COUNT, JOINT_INDEX

__all__ = ["EXPRESSION_WIDTH", "FIRST_FINGER", "JAW", "LOWER_JOINTS", "PARTS", "PART_WIDTHS", "ROOT_WIDTH", "UPPER_JOINTS",
           "PartFeatures", "contacts_of", "decode", "decode_face", "decode_hands", "encode", "encode_face", "encode_hands",
           "fingers_move", "heading_of"]

LOWER_JOINTS: Final = tuple(
    JOINT_INDEX[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "foot") for side in ("left", "right")
)
UPPER_JOINTS: Final = tuple(j for j in range(1, BODY_JOINT_COUNT) if j not in LOWER_JOINTS)
ROOT_WIDTH: Final = 10
_CONTACTS: Final = 4
JAW: Final = JOINT_INDEX["jaw"]
FIRST_FINGER: Final = 25
"""The finger joints are this one and all after it."""
EXPRESSION_WIDTH: Final = 100
"""Expression coefficients of a face: those of BEAT2."""
_STILL: Final = np.radians(2.0)
"""Fingers that never leave their first pose by more were not captured."""
PART_WIDTHS: Final[dict[str, int]] = {
    "lower": ROOT_WIDTH + 6 * len(LOWER_JOINTS) + _CONTACTS,
    "upper": 6 * len(UPPER_JOINTS),
    "hands": 6 * (JOINT_COUNT - FIRST_FINGER),
    "face": 6 + EXPRESSION_WIDTH,
}
"""Numbers per frame of each part: lower 62, upper 78, hands 180, face 106 (jaw as 6D, 100 expression coefficients)."""
PARTS: Final = tuple(PART_WIDTHS)
"""All parts, in the order of their token groups. The first two every motion has."""

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


def fingers_move(rotations: np.ndarray) -> bool:
    """Whether the fingers of rotations (T, 55, 4) were captured: many files hold one frozen hand, which is nothing to learn from."""
    if rotations.shape[1] < JOINT_COUNT or not len(rotations):
        return False
    fingers = rotations[:, FIRST_FINGER:]
    return bool(rot.angle_between(fingers, np.broadcast_to(fingers[:1], fingers.shape)).max() > _STILL)


def encode_hands(rotations: np.ndarray) -> np.ndarray:
    """``hands`` (T, 180) float32 of rotations (T, 55, 4)."""
    return rot.quat_to_six_d(rotations[:, FIRST_FINGER:]).reshape(len(rotations), -1).astype(np.float32)


def decode_hands(hands: np.ndarray) -> np.ndarray:
    """Rotations (T, 30, 4) of the finger joints from ``hands`` (T, 180)."""
    return rot.continuous(rot.six_d_to_quat(hands.astype(np.float64).reshape(len(hands), -1, 6)))


def encode_face(rotations: np.ndarray, expression: np.ndarray) -> np.ndarray:
    """``face`` (T, 106) float32 of rotations (T, >= 23, 4), of which the jaw's is read, and expression (T, E)."""
    coefficients = np.zeros((len(expression), EXPRESSION_WIDTH))
    width = min(expression.shape[1], EXPRESSION_WIDTH)
    coefficients[:, :width] = expression[:, :width]
    return np.concatenate((rot.quat_to_six_d(rotations[:, JAW]), coefficients), axis=1).astype(np.float32)


def decode_face(face: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The jaw's rotation (T, 4) and expression (T, 100) float32 from ``face`` (T, 106)."""
    jaw = rot.six_d_to_quat(face[:, None, :6].astype(np.float64))
    return rot.continuous(jaw)[:, 0], face[:, 6:].astype(np.float32)


def encode(
    rotations: np.ndarray, translation: np.ndarray, contacts: np.ndarray | None = None, *,
    hands: bool = False, expression: np.ndarray | None = None,
) -> PartFeatures:
    """Features of a motion at 30 frames per second: ``lower`` and ``upper``, and what else it is said to have.

    :param rotations: (T, >= 22, 4) local quaternions; joints past the body are read for ``hands`` and ``face`` alone.
    :param translation: (T, 3) metres.
    :param contacts: (T, 4), computed when absent.
    :param hands: whether the fingers of ``rotations`` (T, 55, 4) are of the motion.
    :param expression: (T, E) SMPL-X expression coefficients, with which the jaw of ``rotations`` is of the motion too.
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

    parts = {
        "lower": np.concatenate((root, pick(LOWER_JOINTS), contacts), axis=1).astype(np.float32),
        "upper": pick(UPPER_JOINTS).astype(np.float32),
    }
    if hands:
        parts["hands"] = encode_hands(rotations)
    if expression is not None and expression.shape[1]:
        parts["face"] = encode_face(rotations, expression)
    return PartFeatures(parts)


def decode(features: PartFeatures, yaw: float = 0.0, xz: tuple[float, float] = (0.0, 0.0)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotations (T, 22, 4) of the body, translation (T, 3) and contacts (T, 4) in [0, 1].

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
