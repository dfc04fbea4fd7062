# SPDX-License-Identifier: Apache-2.0
"""Curve maths of the add-on without Blender: Euler continuity, few keys within an error, faces by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.core.channels import EULER_ORDERS, to_axis_angle, to_euler
from blender_addon.core.face_joints import JAW_OPEN_RADIANS, with_face_joints
from blender_addon.core.simplify import evaluate, simplify
from blender_addon.shared import rotations as rot
from blender_addon.shared.motion import Motion
from blender_addon.shared.skeleton import JOINT_INDEX


def about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Quaternions (T, 4) about one axis."""
    return rot.axis_angle_to_quat(angle[:, None] * np.eye(3)[axis])


def from_euler(angles: np.ndarray, order: str) -> np.ndarray:
    """Written apart from the code under test: the first letter turns first."""
    q = rot.identity(len(angles))
    for letter in order:
        axis = "XYZ".index(letter)
        q = rot.mul(about(axis, angles[:, axis]), q)
    return q


def wander(seed: int, frames: int, joints: int = 1, speed: float = 0.15) -> np.ndarray:
    """Rotations (T, J, 4) that turn on and on, past every pole."""
    rng = np.random.default_rng(seed)
    steps = rot.axis_angle_to_quat(rng.normal(scale=speed, size=(frames, joints, 3)))
    q = rot.normalise(rng.normal(size=(joints, 4)))
    result = [q]
    for step in steps[1:]:
        result.append(rot.mul(step, result[-1]))
    return rot.normalise(np.stack(result))


@given(st.integers(0, 10_000), st.sampled_from(sorted(EULER_ORDERS)))
@settings(max_examples=60, deadline=None)
def test_euler_angles_are_the_same_rotation_without_jumps(seed: int, order: str) -> None:
    q = wander(seed, 120)[:, 0]
    angles = to_euler(q, order)
    assert np.max(rot.angle_between(from_euler(angles, order), q)) < 1e-6
    assert np.max(np.abs(np.diff(angles, axis=0))) <= np.pi + 1e-9


@pytest.mark.parametrize("order", sorted(EULER_ORDERS))
def test_full_turns_are_counted(order: str) -> None:
    """Three turns about each axis alone give a straight line, which naive conversions wrap or mirror."""
    angle = np.linspace(0, 6 * np.pi, 200)
    for axis in range(3):
        angles = to_euler(about(axis, angle), order)
        q = from_euler(angles, order)
        assert np.max(rot.angle_between(q, about(axis, angle))) < 1e-6
        assert np.max(np.abs(np.diff(angles, axis=0))) < 0.2
        np.testing.assert_allclose(angles[:, axis], angle, atol=1e-6)


@pytest.mark.parametrize("order", sorted(EULER_ORDERS))
def test_the_pole_itself(order: str) -> None:
    middle = "XYZ".index(order[1])
    q = about(middle, np.array([np.pi / 2, -np.pi / 2]))
    assert np.max(rot.angle_between(from_euler(to_euler(q, order), order), q)) < 1e-6


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_axis_and_angle(seed: int) -> None:
    q = wander(seed, 80)[:, 0]
    values = to_axis_angle(q)
    assert np.max(rot.angle_between(rot.axis_angle_to_quat(values[:, :1] * values[:, 1:]), q)) < 1e-6
    np.testing.assert_allclose(np.linalg.norm(values[:, 1:], axis=1), 1.0, atol=1e-9)


def talking(frames: int = 900, joints: int = 20) -> np.ndarray:
    """Holds and strokes in minimum jerk, as in gestures of speech, with a little breathing on top."""
    rng = np.random.default_rng(4)
    vectors = np.zeros((joints, frames, 3))
    for joint in range(joints):
        at, here = 0, np.zeros(3)
        while at < frames:
            there, length, hold = rng.normal(scale=0.5, size=3), int(rng.integers(9, 24)), int(rng.integers(5, 40))
            u = np.linspace(0, 1, length)[:, None]
            path = here + (there - here) * (10 * u**3 - 15 * u**4 + 6 * u**5)
            piece = np.concatenate((path, np.repeat(there[None], hold, 0)))[: frames - at]
            vectors[joint, at:at + len(piece)] = piece
            at, here = at + len(piece), there
    vectors += 0.01 * np.sin(np.arange(frames) * 0.12)[None, :, None]
    return rot.continuous(rot.axis_angle_to_quat(vectors), axis=1)


def test_few_keys_within_half_a_degree() -> None:
    q = talking()
    keys = simplify(q, np.full(len(q), np.radians(0.5) / 2))
    for one, samples in zip(keys, q, strict=True):
        found = rot.normalise(evaluate(one, len(samples)))
        assert np.degrees(rot.angle_between(found, samples)).max() <= 0.5 + 1e-6
        assert one.index[0] == 0 and one.index[-1] == len(samples) - 1 and np.all(np.diff(one.index) > 0)
        np.testing.assert_allclose(one.values, samples[one.index])
    dense, sparse = q.shape[0] * q.shape[1], sum(len(one.index) for one in keys)
    assert dense / sparse >= 6, dense / sparse
    assert np.mean(np.concatenate([one.aligned for one in keys])) > 0.5


@given(st.integers(0, 10_000), st.integers(1, 60), st.floats(1e-3, 1.0))
@settings(max_examples=60, deadline=None)
def test_the_error_holds_for_anything(seed: int, frames: int, limit: float) -> None:
    samples = np.random.default_rng(seed).normal(size=(3, frames, 2))
    for one, wanted in zip(simplify(samples, np.full(3, limit)), samples, strict=True):
        assert np.linalg.norm(evaluate(one, frames) - wanted, axis=1).max() <= limit * (1 + 1e-5)


def test_a_still_curve_has_two_keys() -> None:
    one, = simplify(np.ones((1, 500, 4)), np.array([0.01]))
    assert list(one.index) == [0, 499] and one.aligned.all()


def test_jaw_and_eye_bones_follow_the_face() -> None:
    motion = Motion.rest(3)
    motion.face = {"jawOpen": np.array([0.0, 0.5, 1.0]), "eyeLookOutLeft": np.ones(3), "eyeLookInRight": np.ones(3)}
    turned = with_face_joints(motion)
    jaw = turned.rotations[:, JOINT_INDEX["jaw"]]
    np.testing.assert_allclose(rot.angle_between(jaw, rot.identity(3)), np.array([0, 0.5, 1]) * JAW_OPEN_RADIANS, atol=1e-9)
    # the chin, in front of the joint, goes down; both eyes look to the character's left
    assert rot.rotate(jaw[2], np.array([0.0, 0.0, 1.0]))[1] < -0.2
    for side in ("left", "right"):
        assert rot.rotate(turned.rotations[0, JOINT_INDEX[f"{side}_eye"]], np.array([0.0, 0.0, 1.0]))[0] > 0.4
    moving = Motion.rest(3)
    moving.rotations[:, JOINT_INDEX["jaw"]] = rot.axis_angle_to_quat(np.array([0.1, 0.0, 0.0]))
    moving.face = motion.face
    kept = with_face_joints(moving).rotations[:, JOINT_INDEX["jaw"]]
    np.testing.assert_array_equal(kept, moving.rotations[:, JOINT_INDEX["jaw"]])
