# SPDX-License-Identifier: Apache-2.0
"""Values bent through what is given, and keys that somebody has changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.core.channels import EULER_ORDERS, to_euler
from blender_addon.core.handwork import (
    from_rotation, marks, pack_marks, pin_rotations, pin_values, spread, to_rotation, unpack_marks,
)
from blender_addon.shared import rotations as rot


def walk(seed: int, frames: int = 60) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(0, 0.05, (frames, 3))
    return rot.normalise(rot.axis_angle_to_quat(np.cumsum(steps, axis=0)))


@given(st.integers(0, 999), st.sets(st.integers(0, 59), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_pins_are_met_and_far_samples_stay(seed: int, pins: set[int]) -> None:
    places = sorted(pins)
    values = np.random.default_rng(seed).normal(size=(60, 3))
    wanted = np.random.default_rng(seed + 1).normal(size=(len(places), 3))
    bent = pin_values(values, places, wanted, 8)
    np.testing.assert_allclose(bent[places], wanted, atol=1e-12)
    far = [n for n in range(60) if min(abs(n - p) for p in places) >= 8]
    np.testing.assert_array_equal(bent[far], values[far])
    turned = pin_rotations(walk(seed), places, walk(seed + 1)[places], 8)
    assert float(np.max(rot.angle_between(turned[places], walk(seed + 1)[places]))) < 1e-6
    np.testing.assert_allclose(rot.angle_between(turned[far], walk(seed)[far]), 0, atol=1e-6)


def test_the_weights_are_smooth_and_meet_the_neighbour() -> None:
    weights = spread(40, [10, 16], 12)
    assert weights[10, 0] == 1 and weights[16, 0] == 0 and weights[10, 1] == 0 and weights[39].max() == 0
    assert np.abs(np.diff(weights, axis=0)).max() < 0.3


@pytest.mark.parametrize("order", sorted(EULER_ORDERS))
def test_euler_angles_go_on_from_what_is_there(order: str) -> None:
    q = walk(5)
    np.testing.assert_allclose(rot.angle_between(to_rotation("rotation_euler", order, to_euler(q, order)), q), 0, atol=1e-6)
    there = to_euler(q, order) + 2 * np.pi * np.array([1, 0, -2])
    near = from_rotation("rotation_euler", order, q, there[0])
    np.testing.assert_allclose(near, there, atol=1e-6)


def test_quaternions_keep_the_side_that_is_there() -> None:
    q = walk(3)
    assert np.dot(from_rotation("rotation_quaternion", "QUATERNION", q, -q[0])[0], -q[0]) > 0.99
    axis_angle = from_rotation("rotation_axis_angle", "AXIS_ANGLE", q, None)
    np.testing.assert_allclose(rot.angle_between(to_rotation("rotation_axis_angle", "AXIS_ANGLE", axis_angle), q), 0, atol=1e-6)


def test_marks_tell_changed_values_and_survive_packing() -> None:
    frames = np.arange(1, 1801, dtype=np.float32)
    values = np.sin(frames).astype(np.float32)
    found = marks(values)
    changed = values.copy()
    changed[7] = np.nextafter(changed[7], np.float32(2))
    assert list(np.flatnonzero(marks(changed) != found)) == [7]
    packed = pack_marks({"a": (frames, found), "b": (frames[:5], found[:5]), "c": (frames, found)})
    back = unpack_marks(packed)
    assert np.array_equal(back["a"][0], frames) and np.array_equal(back["c"][1], found) and len(back["b"][1]) == 5
    assert unpack_marks(b"nonsense") == {}
