# SPDX-License-Identifier: Apache-2.0
"""The way from one key pose to another, and keys that are locked on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge_server.motion import versa
from bridge_server.motion.editing import held_ends, insert, lead_to_locks, misfit, snap_locks
from shared import rotations as rot
from shared.edits import MAX_BETWEEN, Edit, Lock, Range
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.skeleton import PART_JOINTS
from shared.timeline import Direction
from shared.wire import decode, encode

from .test_editing import biggest_step, motion
from .test_versa import generator, quiet, speech, weights  # noqa: F401 (fixtures)


def degrees(a: Motion, b: Motion, f: int) -> float:
    return float(np.degrees(rot.angle_between(a.rotations[f].astype(float), b.rotations[f].astype(float)).max()))


def metres(a: Motion, b: Motion, f: int) -> float:
    return float(np.linalg.norm(a.slice(f, f + 1).positions() - b.slice(f, f + 1).positions(), axis=-1).max())


def test_two_poses_make_an_edit_that_crosses_the_wire() -> None:
    before, after = motion(1).slice(10, 11), motion(2).slice(50, 51)
    edit = Edit.between(before, after, 1.5)
    assert len(edit.base) == 1 + 44 + 1 and edit.ranges == [Range(1 / 30, 45 / 30)]
    assert np.array_equal(edit.base.rotations[0], before.rotations[0])
    assert np.allclose(rot.angle_between(edit.base.rotations[-1], after.rotations[0]), 0, atol=1e-3)
    request = MotionRequest(edit=edit, directions=[Direction(0, 1, "walks")])
    back = MotionRequest.from_message(decode(encode(request.to_message()), receiver="bridge")).edit
    assert back is not None and back.kind == "between" and np.array_equal(back.base.rotations, edit.base.rotations)
    # an edit of an older peer says nothing of kinds
    data, buffers = edit.to_parts()
    del data["kind"]
    assert Edit.from_parts(data, buffers).kind == "perform"
    data["kind"] = "dance"
    with pytest.raises(UnderstudyError, match="kind must be one of"):
        Edit.from_parts(data, buffers)


def test_stretches_and_rates_are_kept() -> None:
    before, after = motion(1).slice(0, 30), motion(2).slice(0, 60).resample(60.0)
    edit = Edit.between(before, after, 1.0)
    assert edit.base.fps == 30 and np.array_equal(edit.base.rotations[:30], before.rotations)
    assert len(edit.base) == 30 + 29 + len(after.resample(30.0))


@pytest.mark.parametrize(("seconds", "words"), [(0.0, "cannot last"), (-1.0, "cannot last"), (MAX_BETWEEN + 1, "cannot last"),
                                                (float("nan"), "cannot last"), (0.03, "No frame lies between")])
def test_impossible_times_are_refused(seconds: float, words: str) -> None:
    with pytest.raises(UnderstudyError, match=words):
        Edit.between(motion(1), motion(2), seconds)


def test_a_missing_pose_and_contradictions_are_refused() -> None:
    with pytest.raises(UnderstudyError, match="A key pose is missing"):
        Edit.between(motion(1).slice(0, 0), motion(2), 1.0)
    edit = Edit.between(motion(1), motion(2), 1.0)
    edit.loop = True
    with pytest.raises(UnderstudyError, match="cannot be a loop"):
        edit.check()
    with pytest.raises(UnderstudyError, match="Lock 1 at 9.00 s lies after the take ends"):
        Edit(motion(1), [Range(0, 1)], [Lock(9.0)]).check()


def test_single_poses_are_held_so_that_there_is_something_to_go_by() -> None:
    edit = Edit.between(motion(1).slice(10, 11), motion(2).slice(50, 80), 1.0)
    edit.locks = [Lock(0.5, "head")]
    base, ranges, locks, front = held_ends(edit)
    assert front == 23 and len(base) == len(edit.base) + 23
    assert np.array_equal(base.rotations[:24], np.repeat(edit.base.rotations[:1], 24, 0))
    assert ranges[0].start == pytest.approx(24 / 30) and locks[0].time == pytest.approx(0.5 + 23 / 30)


def test_what_fits_better_is_known() -> None:
    base = motion(1)
    ranges = [Range(1.0, 2.0)]
    other = motion(2)
    moved = base.slice(0, len(base))
    moved.translation = moved.translation + [5.0, 0, 2.0]
    assert misfit(base, moved, ranges) < 1e-4 < misfit(base, other, ranges)


@pytest.mark.parametrize("seconds", [0.4, 1.0, 4.0])
def test_keys_come_back_as_they_are_and_nothing_jumps(generator: versa.VersaGenerator, seconds: float) -> None:  # noqa: F811
    before, after = motion(3).slice(20, 21), motion(4).slice(60, 63)
    before.translation[:, [0, 2]], after.translation[:, [0, 2]] = 0.0, [[0.4, 0.6]] * 3
    edit = Edit.between(before, after, seconds)
    result = generator.perform(MotionRequest(edit=edit, seed=2, face=False), None, quiet)
    n = len(edit.base)
    assert len(result) == n == 1 + round(seconds * 30) - 1 + 3
    for f in (0, n - 3, n - 2, n - 1):
        assert np.array_equal(result.rotations[f].astype(np.float32), edit.base.rotations[f].astype(np.float32))
        assert np.array_equal(result.translation[f].astype(np.float32), edit.base.translation[f].astype(np.float32))
    # not faster into and out of the keys than the way itself is anywhere
    steps = rot.angle_between(result.rotations[1:], result.rotations[:-1]).max(1)
    assert max(steps[0], steps[n - 4]) <= max(steps[1:n - 4].max(), 0.15) * 1.5


def test_a_direction_shapes_the_way_and_seeds_give_others(generator: versa.VersaGenerator) -> None:  # noqa: F811
    edit = Edit.between(motion(3).slice(20, 21), motion(4).slice(60, 61), 2.0)

    def way(**options: object) -> np.ndarray:
        return generator.perform(MotionRequest(edit=edit, face=False, **options), None, quiet).rotations  # type: ignore[arg-type]

    plain = way(seed=1)
    assert np.array_equal(plain, way(seed=1)) and not np.allclose(plain, way(seed=2), atol=1e-3)
    assert not np.allclose(plain, way(seed=1, directions=[Direction(0, 2, "jumps")]), atol=1e-3)
    fractions: list[float] = []
    generator.perform(MotionRequest(edit=edit), speech(2.0), lambda _, f: fractions.append(f))
    assert max(fractions) <= 1.0


def test_locked_keys_are_met_before_they_are_snapped_and_exactly_after() -> None:
    base, new = motion(1), motion(2)
    ranges = [Range(0.5, 3.5)]
    # two parts locked a few frames apart: neither correction may disturb the other's key; one close to the edge
    locks = [Lock(2.0), Lock(2.1, "left_arm"), Lock(2.2, "lower"), Lock(0.6)]
    drawn = insert(base, new, ranges)
    led = lead_to_locks(drawn.slice(0, len(drawn)), base, locks, ranges)
    arm, legs = list(PART_JOINTS["left_arm"]), list(PART_JOINTS["lower"])
    for f in (60, 18):
        assert degrees(led, base, f) < 2.0 and metres(led, base, f) < 0.01
    assert np.degrees(rot.angle_between(led.rotations[63, arm], base.rotations[63, arm].astype(float)).max()) < 2.0
    assert np.degrees(rot.angle_between(led.rotations[66, legs], base.rotations[66, legs].astype(float)).max()) < 2.0
    assert np.linalg.norm(led.translation[66] - base.translation[66]) < 0.01
    snapped = snap_locks(drawn, base, locks, ranges)
    for f in (60, 18):
        assert np.array_equal(snapped.rotations[f].astype(np.float32), base.rotations[f])
        assert np.array_equal(snapped.translation[f].astype(np.float32), base.translation[f])
    assert np.array_equal(snapped.rotations[63][arm].astype(np.float32), base.rotations[63][arm])
    outside = np.r_[0:15, 105:120]
    assert np.array_equal(snapped.rotations[outside].astype(np.float32), base.rotations[outside])
    assert biggest_step(snapped) < 1.2


def test_a_command_makes_a_way(tmp_path: Path) -> None:
    from bridge_server.cli.edits import parse_key, parse_lock, parse_range

    motion(1).save(tmp_path / "a.npz")
    assert len(parse_key(f"{tmp_path / 'a.npz'}@1.5")) == 1 and len(parse_key(f"{tmp_path / 'a.npz'}@1.0-2.0")) == 30
    assert np.array_equal(parse_key(f"{tmp_path / 'a.npz'}@1.5").rotations[0], motion(1).rotations[45])
    assert parse_range("1-2.5:left_arm") == Range(1, 2.5, "left_arm") and parse_lock("2") == Lock(2.0)
    for wrong in ("9", "x", "1-2-3"):
        with pytest.raises(UnderstudyError):
            parse_key(f"{tmp_path / 'a.npz'}@{wrong}")
    for parse, text in ((parse_range, "1"), (parse_range, "1-2:nose"), (parse_lock, "x"), (parse_lock, "1:nose")):
        with pytest.raises(UnderstudyError, match="cannot be read|unknown body part"):
            parse(text)
