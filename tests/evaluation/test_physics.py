# SPDX-License-Identifier: Apache-2.0
"""Bodies on the floor: cases with known slide, float, depth and jerk."""

from __future__ import annotations

import numpy as np
import pytest

from bridge_server.evaluation.physics import Tally, jerk, slide, tally
from shared import rotations as rot
from shared.skeleton import BODY_JOINT_COUNT

_STANDING = 0.96
"""Height of the pelvis at which the T-pose's heels touch the floor."""


def standing(frames: int = 30, lift: float = 0.0, speed: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    translation = np.zeros((frames, 3))
    translation[:, 1] = _STANDING + lift
    translation[:, 0] = speed * np.arange(frames)
    return rot.identity(frames, BODY_JOINT_COUNT), translation


def test_a_statue_does_nothing_wrong() -> None:
    found = tally(*standing())
    assert found.foot_slide_mm == 0 and found.float_percent == 0 and found.penetration_mm == 0 and found.jitter == 0
    assert found.standing == 29 * 4


def test_a_statue_that_is_pushed_slides_by_its_speed() -> None:
    assert tally(*standing(speed=0.004)).foot_slide_mm == pytest.approx(4.0)


def test_float_and_penetration_are_measured_at_the_lowest_sole() -> None:
    up, down = tally(*standing(lift=0.2)), tally(*standing(lift=-0.03))
    assert up.float_percent == 100 and up.standing == 0 and up.foot_slide_mm == 0
    assert down.penetration_mm == pytest.approx(30.0) and down.float_percent == 0
    # five millimetres are forgiven
    assert tally(*standing(lift=-0.004)).penetration_mm == 0


def test_only_points_that_stand_in_both_frames_count() -> None:
    soles = np.zeros((4, 1, 3))
    soles[:, 0, 0] = [0.0, 0.01, 0.05, 0.06]
    soles[:, 0, 1] = [0.0, 0.0, 0.2, 0.0]
    path, count = slide(soles)
    assert count == 1 and path == pytest.approx(0.01)


def test_jerk_of_a_cubic_is_its_third_derivative() -> None:
    t = np.arange(10) / 30.0
    positions = np.zeros((10, 2, 3))
    positions[:, 0, 1] = 2 * t**3
    total, count = jerk(positions, 30.0)
    # one joint at 12 m/s^3, the other still
    assert count == 14 and total / count == pytest.approx(6.0)


def test_tallies_pool_frames_and_not_clips() -> None:
    pooled = tally(*standing(11, speed=0.01)) + tally(*standing(31))
    assert pooled.foot_slide_mm == pytest.approx(10 * 10 / 40)
    assert Tally().figures() == {"foot_slide_mm": 0, "float_percent": 0, "penetration_mm": 0, "jitter": 0}
