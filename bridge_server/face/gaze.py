# SPDX-License-Identifier: Apache-2.0
"""Looking at a target: what of the turn the head takes, and what is left to the eyes."""

from __future__ import annotations

from typing import Final

import numpy as np

from shared import rotations as rot
from shared.kinematics import forward
from shared.skeleton import BODY_JOINT_COUNT, JOINT_INDEX, NEUTRAL_OFFSETS

__all__ = ["HEAD_LIMITS", "SETTLE", "aim"]

HEAD_LIMITS: Final = np.radians((55.0, 30.0))
"""How far the head turns for a look: yaw and pitch, radians."""
SETTLE: Final = 0.16
"""Seconds: time constant of the head, which follows later than the eyes."""
_GIVE_UP: Final = np.radians((100.0, 150.0))
"""Yaw from which a target behind is let go, and at which it is not looked at any more."""
_EYES: Final = np.mean([NEUTRAL_OFFSETS[JOINT_INDEX[n]] for n in ("left_eye", "right_eye")], axis=0)
_NECK, _HEAD, _CHEST = (JOINT_INDEX[n] for n in ("neck", "head", "spine3"))


def _angles(directions: np.ndarray) -> np.ndarray:
    """(T, 2) yaw to the left and pitch up of directions (T, 3) in a frame that faces +Z."""
    flat = np.hypot(directions[:, 0], directions[:, 2])
    return np.stack((np.arctan2(directions[:, 0], directions[:, 2]), np.arctan2(directions[:, 1], np.maximum(flat, 1e-9))), 1)


def _follow(values: np.ndarray, fps: float, seconds: float) -> np.ndarray:
    """Values (T, D) through two equal low-passes. A frame depends on those before it alone, so a take can be streamed."""
    keep = np.exp(-1 / (seconds * fps))
    out = np.empty_like(values)
    first = second = values[0]
    for t, value in enumerate(values):
        first = keep * first + (1 - keep) * value
        second = keep * second + (1 - keep) * first
        out[t] = second
    return out


def aim(
    rotations: np.ndarray, translation: np.ndarray, fps: float, targets: np.ndarray, head_share: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Turn a performer's head towards targets, and say how the eyes then have to turn.

    :param rotations: (T, 55, 4) local rotations; :param translation: (T, 3) metres.
    :param targets: (T, 3) metres, in the same space.
    :param head_share: of the turn that is needed, what neck and head take, 0 to 1.
    :returns: the rotations with neck and head turned, and (T, 2) yaw to the left and pitch up of the eyes in the head,
        radians, not limited to what eyes can do.
    """
    out = np.array(rotations, copy=True)
    if len(out) == 0:
        return out, np.zeros((0, 2))
    body = np.asarray(out[:, :BODY_JOINT_COUNT], dtype=np.float64)
    positions, turns = forward(body, translation, NEUTRAL_OFFSETS)
    eyes = positions[:, _HEAD] + rot.rotate(turns[:, _HEAD], np.broadcast_to(_EYES, (len(out), 3)))
    way = np.asarray(targets, dtype=np.float64) - eyes
    wanted = _angles(rot.rotate(rot.conjugate(turns[:, _CHEST]), way))
    held = 1 - np.clip((np.abs(wanted[:, 0]) - _GIVE_UP[0]) / (_GIVE_UP[1] - _GIVE_UP[0]), 0, 1)
    now = _angles(rot.rotate(rot.conjugate(turns[:, _HEAD]), way))
    ask = np.clip(now * head_share * held[:, None], -HEAD_LIMITS, HEAD_LIMITS)
    ask = _follow(ask, fps, SETTLE)
    # about +Y a positive turn goes to the left, about +X it tips the face down; both are the chest's axes
    vector = np.stack((-ask[:, 1], ask[:, 0], np.zeros(len(ask))), axis=1)
    body[:, _NECK] = rot.mul(rot.axis_angle_to_quat(0.4 * vector), body[:, _NECK])
    # the head's parent is the neck, so the chest's turn is seen from there
    turn = rot.mul(rot.conjugate(body[:, _NECK]), rot.mul(rot.axis_angle_to_quat(0.6 * vector), body[:, _NECK]))
    body[:, _HEAD] = rot.mul(turn, body[:, _HEAD])
    out[:, :BODY_JOINT_COUNT] = body
    positions, turns = forward(body, translation, NEUTRAL_OFFSETS)
    eyes = positions[:, _HEAD] + rot.rotate(turns[:, _HEAD], np.broadcast_to(_EYES, (len(out), 3)))
    left = _angles(rot.rotate(rot.conjugate(turns[:, _HEAD]), np.asarray(targets, dtype=np.float64) - eyes))
    return rot.continuous(out), left * held[:, None]
