# SPDX-License-Identifier: Apache-2.0
"""Edits as they arrive: what is refused, with a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.edits import Edit, Lock, Range
from shared.errors import UnderstudyError
from shared.motion import Motion


def parts(**changes: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    data, buffers = Edit(Motion.rest(90), [Range(0.5, 1.0)], [Lock(0.2, "head")]).to_parts()
    return {**data, **changes}, buffers


def refusal(**changes: Any) -> UnderstudyError:
    with pytest.raises(UnderstudyError) as caught:
        Edit.from_parts(*parts(**changes))
    return caught.value


def test_parts_come_back() -> None:
    edit = Edit.from_parts(*parts())
    assert edit.ranges == [Range(0.5, 1.0)] and edit.locks == [Lock(0.2, "head")] and len(edit.base) == 90


@pytest.mark.parametrize("fps", [0, -30, 1e300, 2**70, "thirty", None])
def test_frame_rates_that_no_take_has(fps: Any) -> None:
    assert refusal(fps=fps).code == "request_invalid"


@pytest.mark.parametrize("names", ["jawOpen", [1], ["x" * 500], ["jawOpen"], None, [[]]])
def test_face_names_that_do_not_fit(names: Any) -> None:
    assert refusal(face_names=names).code == "request_invalid"


def test_range_that_is_locked_from_end_to_end() -> None:
    every = [{"time": frame / 30} for frame in range(15, 30)]
    assert "Every frame of range 1" in refusal(locks=every).message
    # one frame, or one body part, is enough to perform
    assert Edit.from_parts(*parts(locks=every[1:])).locks
    assert Edit.from_parts(*parts(locks=[{**lock, "part": "lower"} for lock in every])).locks


def test_ranges_far_beyond_the_take_are_counted_not_walked_through() -> None:
    error = refusal(ranges=[{"start": 0, "end": 1e6}, {"start": 2, "end": 2}], locks=[{"time": n / 30} for n in range(90)])
    assert "Range 2" in error.message
