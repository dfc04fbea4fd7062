# SPDX-License-Identifier: Apache-2.0
"""Which of a motion's contacts are taken for standing feet."""

from __future__ import annotations

import numpy as np

from blender_addon.core.retarget.contacts import standing
from shared import rotations as rot
from shared.motion import Motion
from shared.skeleton import NEUTRAL_OFFSETS


def raised(heights: np.ndarray) -> Motion:
    """The neutral body, all of it at heights (T,) over the floor, its feet said to stand all the time."""
    frames = len(heights)
    place = np.stack((np.zeros(frames), NEUTRAL_OFFSETS[0][1] + heights, np.zeros(frames)), 1)
    return Motion(30.0, rot.identity(frames, 55), place, contacts=np.ones((frames, 4), np.float32))


def test_a_foot_that_comes_down_stands_when_it_is_down() -> None:
    heights = np.r_[np.linspace(0.3, 0.0, 20), np.zeros(20)]
    found = standing(raised(heights), True)
    assert not found[:15].any() and found[22:].all()


def test_a_foot_that_rests_on_a_step_stands() -> None:
    assert standing(raised(np.full(30, 0.4)), True).all()
