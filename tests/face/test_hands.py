# SPDX-License-Identifier: Apache-2.0
"""Fingers: shapes, sides, phases, and that they are never still."""

from __future__ import annotations

import numpy as np
import pytest

from bridge_server.hands import SHAPES, add_hands, shape_in_words
from bridge_server.hands.perform import hand_activity
from bridge_server.hands.shapes import finger_rotations
from shared import rotations as rot
from shared.kinematics import forward
from shared.skeleton import JOINT_INDEX, MIRROR
from shared.timeline import Direction

FPS = 30.0
LEFT, RIGHT = slice(25, 40), slice(40, 55)


def standing(frames: int) -> np.ndarray:
    """Arms hanging."""
    q = rot.identity(frames, 55)
    q[:, JOINT_INDEX["left_shoulder"]] = rot.axis_angle_to_quat(np.array([0.0, 0.0, -1.35]))
    q[:, JOINT_INDEX["right_shoulder"]] = rot.axis_angle_to_quat(np.array([0.0, 0.0, 1.35]))
    return q


def raising(frames: int, side: str) -> np.ndarray:
    """One arm goes up from a quarter to a half of the time and comes down from three quarters."""
    q = standing(frames)
    up = np.clip(np.minimum(np.linspace(-1, 3, frames), np.linspace(4, 0, frames)), 0, 1)
    sign = -1.0 if side == "left" else 1.0
    angle = (1.35 * (1 - up))[:, None] * np.array([0.0, 0.0, sign])
    q[:, JOINT_INDEX[f"{side}_shoulder"]] = rot.axis_angle_to_quat(angle)
    return q


def curl(rotations: np.ndarray, side: str) -> np.ndarray:
    """(T,) mean turn of the four fingers' joints, radians."""
    joints = [JOINT_INDEX[f"{side}_{f}{k}"] for f in ("index", "middle", "ring", "pinky") for k in (1, 2, 3)]
    return rot.angle_between(rotations[:, joints], rot.identity(len(rotations), len(joints))).mean(axis=1)


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("a person points to the left", ("point",)),
        ("shakes a fist", ("fist",)),
        ("counts to three", ("one", "two", "three")),
        ("counts", ("one", "two", "three", "four", "five")),
        ("gives a thumbs up", ("thumbs_up",)),
        ("a person waves hello", ("open",)),
        ("prays", ("flat",)),
        ("a person walks", ()),
        ("a person nods: okay", ("ok",)),
        ("counts from one to 2", ("one", "two")),
    ],
)
def test_shape_in_words(text, shapes):
    assert shape_in_words(text) == shapes
    assert all(s in SHAPES for s in shapes)


def test_only_fingers_change_and_stay_unit():
    q = raising(120, "left")
    out = add_hands(q, FPS, [Direction(0, 4, "points")], 1)
    assert np.array_equal(out[:, :25], q[:, :25]) and out.shape == q.shape
    assert np.allclose(np.linalg.norm(out, axis=-1), 1)
    assert (np.sum(out[1:] * out[:-1], axis=-1) > 0).all()


def test_left_and_right_are_mirror_images():
    for name, shape in SHAPES.items():
        left, right = finger_rotations(shape[None], True)[0], finger_rotations(shape[None], False)[0]
        full = rot.identity(1, 55)
        full[0, 25:40] = left
        full[0, 40:] = right
        p = forward(full, np.zeros((1, 3)))[0][0]
        assert np.allclose(p[list(MIRROR)] * np.array([-1, 1, 1]), p, atol=1e-9), name


def test_a_fist_brings_the_finger_tips_to_the_palm():
    full = rot.identity(1, 55)
    full[0, 25:40] = finger_rotations(SHAPES["fist"][None], True)[0]
    p = forward(full, np.zeros((1, 3)))[0][0]
    for finger in ("index", "middle", "ring", "pinky"):
        tip, knuckle = p[JOINT_INDEX[f"left_{finger}3"]], p[JOINT_INDEX[f"left_{finger}1"]]
        assert tip[1] < knuckle[1] - 0.02 and tip[0] < knuckle[0] + 0.01


def test_relaxed_hands_stir_a_little_and_never_freeze():
    out = add_hands(standing(600), FPS, [], 1)
    turn = rot.angle_between(out[1:, 25:], out[:-1, 25:])
    assert turn.max() < np.radians(3)
    for first in range(0, 570, 30):
        assert turn[first : first + 30].max() > 1e-4
    assert 0.15 < curl(out, "left").mean() < 0.6


def test_the_raised_hand_takes_the_shape_and_gives_it_back():
    frames = 150
    out = add_hands(raising(frames, "right"), FPS, [Direction(0.0, 5.0, "shakes a fist")], 1)
    relaxed = add_hands(raising(frames, "right"), FPS, [], 1)
    assert curl(out, "right")[75] > 1.0 > curl(relaxed, "right")[75]
    assert curl(out, "right")[2] == pytest.approx(curl(relaxed, "right")[2], abs=0.05)
    assert curl(out, "right")[-3] == pytest.approx(curl(relaxed, "right")[-3], abs=0.05)
    assert curl(out, "left")[75] == pytest.approx(curl(relaxed, "left")[75], abs=0.1), "the hanging hand is not meant"


def test_words_and_parts_choose_the_side():
    q = raising(120, "right")
    by_words = add_hands(q, FPS, [Direction(0, 4, "makes a fist with the left hand")], 1)
    by_part = add_hands(q, FPS, [Direction(0, 4, "makes a fist", "left_arm")], 1)
    for out in (by_words, by_part):
        assert curl(out, "left")[60] > 1.0 > curl(out, "right")[60]


def test_counting_shows_one_after_the_other():
    out = add_hands(raising(180, "right"), FPS, [Direction(1.5, 4.5, "counts to three", "right_arm")], 1)
    middle = rot.angle_between(out[:, JOINT_INDEX["right_middle2"]], rot.identity(180))
    ring = rot.angle_between(out[:, JOINT_INDEX["right_ring2"]], rot.identity(180))
    assert middle[60] > 1 and middle[90] < 0.5 and middle[115] < 0.5
    assert ring[90] > 1 and ring[118] < 0.5


def test_muted_directions_and_other_parts_do_nothing():
    q = raising(90, "right")
    plain = add_hands(q, FPS, [], 1)
    for d in (
        Direction(0, 3, "fist", enabled=False),
        Direction(0, 3, "fist", "lower"),
        Direction(0, 3, "fist", strength=0.0),
    ):
        assert np.allclose(add_hands(q, FPS, [d], 1), plain)


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_short_clips(frames):
    assert add_hands(standing(frames), FPS, [Direction(0, 3, "fist")], 1).shape == (frames, 55, 4)


def test_activity_of_hanging_and_raised_hands():
    raised, speed = hand_activity(raising(120, "left"), FPS)
    assert raised[0].max() < 0.2 and raised[60, 0] > 0.9 and raised[60, 1] < 0.2
    assert speed[:, 0].max() > 0.3 > speed[:, 1].max()
