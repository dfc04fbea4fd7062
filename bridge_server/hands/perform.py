# SPDX-License-Identifier: Apache-2.0
"""Finger motion for a body that moves: shapes from directions, phases from the wrists, and never quite still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from bridge_server.face.prosody import noise
from bridge_server.hands.shapes import SHAPES, finger_rotations, shape_in_words
from shared import rotations as rot
from shared.kinematics import forward
from shared.skeleton import BODY_JOINT_COUNT, JOINT_INDEX, NEUTRAL_OFFSETS
from shared.timeline import Direction

__all__ = ["add_hands", "hand_activity"]

_SIDES: Final = ("left", "right")
_BOTH: Final = (
    "both",
    "hands",
    "arms",
    "together",
    "clap",
    "pray",
    "jumping jack",
    "march",
    "run",
    "jog",
    "fists",
    "box",
    "climb",
    "zombie",
    "karate",
    "fight",
)
_FADE: Final = 0.30


def hand_activity(rotations: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """How far each hand is raised (T, 2) in [0, 1], hanging to chest height, and its speed (T, 2), metres per second.

    Left hand first. Both are taken relative to the pelvis, so walking does not count.
    """
    body = np.asarray(rotations[:, :BODY_JOINT_COUNT], dtype=np.float64)
    positions, _ = forward(body, np.zeros((len(body), 3)), NEUTRAL_OFFSETS)
    wrists = positions[:, [JOINT_INDEX["left_wrist"], JOINT_INDEX["right_wrist"]]]
    shoulders = positions[:, [JOINT_INDEX["left_shoulder"], JOINT_INDEX["right_shoulder"]]]
    # a hanging wrist is 0.53 m under its shoulder
    height = np.clip((wrists[..., 1] - shoulders[..., 1] + 0.46) / 0.30, 0, 1)
    forwardness = np.clip((np.linalg.norm((wrists - shoulders)[..., [0, 2]], axis=-1) - 0.16) / 0.22, 0, 1)
    raised = np.maximum(height, 0.8 * forwardness)
    if len(body) < 3:
        return raised, np.zeros_like(raised)
    smooth = gaussian_filter1d(wrists, max(0.04 * fps, 0.3), axis=0, mode="nearest")
    speed = np.linalg.norm(np.gradient(smooth, 1 / fps, axis=0), axis=-1)
    return gaussian_filter1d(raised, max(0.08 * fps, 0.3), axis=0, mode="nearest"), speed


def _hands_of(direction: Direction, raised: np.ndarray, speed: np.ndarray, inside: np.ndarray) -> tuple[bool, bool]:
    """Which hands (left, right) a direction is for: by its part, by its words, else by what the arms do."""
    text = direction.text.lower()
    if direction.part in ("left_arm", "right_arm"):
        return direction.part == "left_arm", direction.part == "right_arm"
    if any(word in text for word in _BOTH) or ("left hand" in text and "right hand" in text):
        return True, True
    if "left hand" in text or "left arm" in text or "left fist" in text:
        return True, False
    if "right hand" in text or "right arm" in text or "right fist" in text:
        return False, True
    if not inside.any():
        return True, True
    work = (raised[inside] * (0.15 + speed[inside])).mean(axis=0) + 1e-6
    return bool(work[0] > 0.45 * work[1]), bool(work[1] > 0.45 * work[0])


def _phase_weight(times: np.ndarray, direction: Direction, raised: np.ndarray) -> np.ndarray:
    """(T,) how far a hand has taken a direction's shape.

    Preparation and retraction follow the arm: the shape forms as the hand rises and dissolves as it falls, and the
    strip's ends fade it. Where the arm hardly rises (a march, a held bag) the strip alone decides.
    """
    ramp = np.clip(np.minimum((times - direction.start) / _FADE, (direction.end - times) / _FADE), 0, 1)
    strip = ramp * ramp * (3 - 2 * ramp)
    inside = strip > 0.5
    top = raised[inside].max() if inside.any() else 0.0
    if top < 0.25:
        return strip * min(1.0, direction.strength)
    arm = np.clip((raised / top - 0.25) / 0.35, 0, 1)
    return strip * arm * arm * (3 - 2 * arm) * min(1.0, direction.strength)


def add_hands(
    rotations: np.ndarray, fps: float, directions: Sequence[Direction], seed: int = 0, start: float = 0.0
) -> np.ndarray:
    """The same motion with the joints 25 to 54 filled.

    At rest the hands are relaxed and stir slightly; fingers open as an arm rises to speak, lag behind a quick wrist,
    and take the shape that a direction's words ask for (see :data:`~.shapes.SHAPES`) as its stroke is prepared.

    :param rotations: (T, 55, 4) local unit quaternions in SMPL-X joint order; the fingers' are overwritten.
    :param start: second at which the first frame lies, for a stretch of a longer motion.
    :returns: a new array of the same shape and type, sign-continuous.
    """
    rotations = np.asarray(rotations)
    out = np.array(rotations, copy=True)
    frames = len(out)
    if frames == 0:
        return out
    times = start + np.arange(frames) / fps
    raised, speed = hand_activity(rotations, fps)
    active = [d for d in directions if d.enabled]
    for side in range(2):
        wrist = rotations[:, JOINT_INDEX[f"{_SIDES[side]}_wrist"]]
        angles = np.repeat(SHAPES["relaxed"][None], frames, axis=0)
        # a hand that is raised to speak opens, the more so in a quick stroke
        opened = 0.55 * raised[:, side] * np.clip(0.35 + speed[:, side] / 1.2, 0, 1)
        opened = gaussian_filter1d(opened, max(0.10 * fps, 0.3), mode="nearest")[:, None, None]
        angles = (1 - opened) * angles + opened * SHAPES["open"]
        for d in active:
            shapes = shape_in_words(d.text)
            inside = (times >= d.start) & (times < d.end)
            if not shapes or d.part in ("lower", "head") or not _hands_of(d, raised, speed, inside)[side]:
                continue
            weight = _phase_weight(times, d, raised[:, side])[:, None, None]
            place = np.clip((times - d.start) / (d.end - d.start), 0, 1) * len(shapes)
            target = np.zeros_like(angles)
            for k, name in enumerate(shapes):
                # one shape after the other, each change within an eighth of a second
                span = max(0.12 * len(shapes) / (d.end - d.start), 1e-3)
                share = np.clip((place - k) / span + 0.5, 0, 1) if k else np.ones(frames)
                target = (1 - share)[:, None, None] * target + share[:, None, None] * SHAPES[name]
            angles = (1 - weight) * angles + weight * target
        # fingers drag behind a turning wrist
        if frames > 2:
            turn = rot.quat_to_axis_angle(rot.mul(rot.conjugate(wrist[:-1]), wrist[1:]))[:, 2] * fps
            drag = gaussian_filter1d(np.append(turn, turn[-1]), max(0.06 * fps, 0.3), mode="nearest")
            angles[:, :4, :2] += (np.degrees(np.clip(drag * (1 if side == 0 else -1), -4, 4)) * 0.025)[:, None, None]
        for finger in range(5):
            stir = noise(times, seed, 100 + 10 * side + finger, 0.45)
            common = noise(times, seed, 109 + 10 * side, 0.22)
            angles[:, finger, 0] += 1.6 * stir + 1.8 * common
            angles[:, finger, 1:3] += (1.4 * stir + 1.6 * common)[:, None]
            angles[:, finger, 3] += 0.7 * stir
        first = 25 + 15 * side
        out[:, first : first + 15] = rot.continuous(finger_rotations(angles, left=side == 0))
    return out
