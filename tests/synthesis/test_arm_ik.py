# SPDX-License-Identifier: Apache-2.0
"""The arm solver puts wrists where they are asked to be, and bends elbows one way."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge_server.synthesis import arm_ik
from shared import rotations as rot
from shared.kinematics import forward
from shared.skeleton import JOINT_INDEX

number = st.floats(-1, 1, allow_nan=False, width=32)
vector = st.tuples(number, number, number).map(np.array)


def _wrist(collar: np.ndarray, shoulder: np.ndarray, elbow: np.ndarray, side: str = "left") -> np.ndarray:
    q = rot.identity(len(collar), 22)
    for part, value in (("collar", collar), ("shoulder", shoulder), ("elbow", elbow)):
        q[:, JOINT_INDEX[f"{side}_{part}"]] = value if side == "left" else arm_ik.mirror_quats(value)
    positions, _ = forward(q, np.zeros((len(q), 3)))
    return positions[:, JOINT_INDEX[f"{side}_wrist"]] - positions[:, JOINT_INDEX["spine3"]]


@settings(max_examples=80, deadline=None)
@given(vector, vector, st.floats(-1.4, 1.4), st.floats(-1, 1))
def test_the_wrist_is_where_it_was_asked_to_be(target: np.ndarray, turn: np.ndarray, twist: float, out: float) -> None:
    collar = rot.axis_angle_to_quat(0.25 * turn[None])
    wrist = arm_ik.clamp_reach(np.array([[0.17, 0.1, 0.1]]) + 0.6 * target, arm_ik.shoulder_position(collar))
    pole = arm_ik.ELBOW_POLE + np.array([0.4 * out, 0, 0])
    shoulder, elbow = arm_ik.solve(collar, wrist, pole, twist)
    assert np.allclose(_wrist(collar, shoulder, elbow), wrist, atol=1e-9)
    assert np.allclose(_wrist(collar, shoulder, elbow, "right"), arm_ik.mirror_points(wrist), atol=1e-9)
    # the elbow is a hinge about -Y followed by a twist about the forearm: no sideways bend, none backwards
    matrix = rot.quat_to_matrix(elbow)[0]
    assert abs(matrix[1, 0]) < 1e-9  # the forearm stays in the hinge's plane
    assert matrix[2, 0] > -1e-9  # and on its front side


@settings(max_examples=60, deadline=None)
@given(vector)
def test_reach_is_limited_smoothly_and_little_changed_inside(target: np.ndarray) -> None:
    shoulder = np.array([0.17, 0.14, -0.01])
    asked = shoulder + target
    got = arm_ik.clamp_reach(asked, shoulder)
    r, length = np.linalg.norm(asked - shoulder), np.linalg.norm(got - shoulder)
    assert length <= arm_ik.REACH + 1e-9
    if 0.2 < r < 0.9 * arm_ik.REACH:
        assert np.allclose(got, asked, atol=1e-9)


def test_the_elbow_lies_on_the_side_of_the_pole() -> None:
    collar = rot.identity(1)
    wrist = np.array([[0.2, -0.1, 0.3]])
    for pole in (np.array([0.0, -1.0, 0.0]), np.array([1.0, 0.0, 0.0])):
        shoulder, _ = arm_ik.solve(collar, wrist, pole)
        elbow = rot.rotate(rot.mul(collar, shoulder), np.array([[arm_ik.UPPER, 0, 0]]))[0]
        line = (wrist - arm_ik.shoulder_position(collar))[0]
        off = elbow - line * (elbow @ line) / (line @ line)
        across = pole - line * (pole @ line) / (line @ line)
        assert off @ across / np.linalg.norm(off) / np.linalg.norm(across) > 0.999


def test_an_unreachable_wrist_gives_a_stretched_arm_that_points_there() -> None:
    collar = rot.identity(1)
    wrist = arm_ik.shoulder_position(collar) + np.array([[0.0, 0.0, 2.0]])
    reached = _wrist(collar, *arm_ik.solve(collar, wrist)) - arm_ik.shoulder_position(collar)
    assert np.allclose(reached / np.linalg.norm(reached), [[0, 0, 1]], atol=1e-4)
    assert np.isclose(np.linalg.norm(reached), arm_ik.UPPER + arm_ik.FORE, atol=1e-6)
