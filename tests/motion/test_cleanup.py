# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge_server.motion.cleanup import calm, clean, contact_spans
from bridge_server.motion.leg_ik import reach_ankle
from shared import rotations as rot
from shared.kinematics import end_point, forward
from shared.skeleton import BODY_JOINT_COUNT, JOINT_INDEX


def crouching(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A figure that stands with bent knees, soles on the floor."""
    vectors = np.zeros((frames, BODY_JOINT_COUNT, 3))
    for side in ("left", "right"):
        vectors[:, JOINT_INDEX[f"{side}_hip"], 0] = -0.5
        vectors[:, JOINT_INDEX[f"{side}_knee"], 0] = 1.0
        vectors[:, JOINT_INDEX[f"{side}_ankle"], 0] = -0.5
    rotations = rot.axis_angle_to_quat(vectors)
    translation = np.tile([0.0, 0.96, 0.0], (frames, 1))
    lowest = end_point("left_heel", *forward(rotations, translation))[:, 1]
    translation[:, 1] -= lowest
    return rotations, translation


@settings(max_examples=40, deadline=None)
@given(st.floats(-0.15, 0.15), st.floats(-0.05, 0.15), st.floats(-0.15, 0.15))
def test_the_ankle_comes_to_its_target_and_the_foot_keeps_its_direction(x: float, y: float, z: float) -> None:
    rotations, translation = crouching(3)
    positions, world = forward(rotations, translation)
    ankle = JOINT_INDEX["left_ankle"]
    target = positions[:, ankle] + [x, y, z]
    after = rotations.copy()
    reach_ankle("left", after, positions, world, target, np.array([1.0, 1.0, 0.0]))
    moved, turned = forward(after, translation)
    assert np.abs(moved[:2, ankle] - target[:2]).max() < 1e-6
    assert np.abs(moved[2, ankle] - positions[2, ankle]).max() < 1e-6
    assert rot.angle_between(turned[:, ankle], world[:, ankle]).max() < 1e-6
    # everything that is not this leg stays
    others = [j for j in range(BODY_JOINT_COUNT) if not any(JOINT_INDEX[f"left_{n}"] == j for n in ("hip", "knee", "ankle"))]
    assert np.array_equal(after[:, others], rotations[:, others])


def test_sliding_feet_are_planted_and_sunk_ones_lifted() -> None:
    rotations, translation = crouching(60)
    drift = translation + np.linspace(0, 1, 60)[:, None] * [0.3, -0.04, 0.2]
    contacts = np.ones((60, 4))
    new, path = clean(rotations, drift, contacts)
    positions, world = forward(new, path)
    for name in ("left_heel", "right_toe_end"):
        p = end_point(name, positions, world)
        assert np.linalg.norm(np.diff(p, axis=0)[:, [0, 2]], axis=1).max() < 1e-3
        assert p[:, 1].min() > -0.005


def test_a_jump_without_contact_is_left_alone() -> None:
    rotations, translation = crouching(30)
    translation = translation + [0, 0.4, 0] + np.linspace(0, 1, 30)[:, None] * [0.0, 0.0, 1.0]
    new, path = clean(rotations, translation, np.zeros((30, 4)))
    assert np.allclose(rot.angle_between(new, rotations), 0, atol=1e-6) and np.allclose(path, translation)


def test_spans_ignore_flicker() -> None:
    p = np.array([0, 1, 0, 0.6, 0.5, 0.25, 0.6, 0.15, 0, 0.9, 0.9, 0.9])
    assert contact_spans(p) == [(3, 7), (9, 12)]


def test_tremor_goes_and_the_movement_stays() -> None:
    rng = np.random.default_rng(0)
    t = np.arange(90) / 30
    vectors = np.zeros((90, BODY_JOINT_COUNT, 3))
    vectors[:, JOINT_INDEX["left_elbow"], 1] = 0.8 * np.sin(2 * np.pi * 1.5 * t)
    shaken = vectors + rng.normal(scale=0.02, size=vectors.shape)
    quiet, _ = calm(rot.axis_angle_to_quat(shaken), np.zeros((90, 3)))
    angles = rot.quat_to_axis_angle(quiet)
    third = lambda x: np.abs(np.diff(x, 3, axis=0)).mean()  # noqa: E731
    assert third(angles) < 0.35 * third(shaken)
    elbow = JOINT_INDEX["left_elbow"]
    assert np.ptp(angles[10:-10, elbow, 1]) > 0.93 * np.ptp(vectors[10:-10, elbow, 1])
