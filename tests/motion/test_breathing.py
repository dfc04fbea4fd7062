# SPDX-License-Identifier: Apache-2.0
"""Breathing at rest: there, at a breath's pace, out of the way of directions, and the same in stretches and edits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge_server.face import perform
from bridge_server.face.breathing import at_rest, breathe
from bridge_server.motion import versa
from bridge_server.motion.layering import away_from
from shared import rotations as rot
from shared.edits import Edit, Lock, Range
from shared.kinematics import end_point, forward
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.skeleton import BODY_JOINT_COUNT, JOINT_COUNT, JOINT_INDEX
from shared.timeline import Direction

from .test_versa import WALK, generator, quiet, weights  # noqa: F401  (fixtures)

CHEST = [JOINT_INDEX["spine2"], JOINT_INDEX["spine3"]]


def still(seconds: float, fps: float = 30.0) -> Motion:
    frames = round(seconds * fps)
    return Motion(fps, rot.identity(frames, JOINT_COUNT), np.tile([0.0, 0.94, 0.0], (frames, 1)))


def pitch(motion: Motion) -> np.ndarray:
    """(T,) degrees that the upper spine is turned back."""
    return -np.degrees(rot.quat_to_axis_angle(motion.rotations[:, CHEST])[..., 0].sum(1))


def finished(g: versa.VersaGenerator, body: Motion, directions: list[Direction]) -> Motion:
    request = MotionRequest(duration=body.duration, directions=directions, seed=3)
    return g._finish(body, request, directions, perform(None, body.times, 3))


def test_an_idle_take_breathes_a_quarter_of_a_time_a_second(generator: versa.VersaGenerator) -> None:  # noqa: F811
    motion = finished(generator, still(120.0), [])
    turn = pitch(motion)
    power = np.abs(np.fft.rfft((turn - turn.mean()) * np.hanning(len(turn)))) ** 2
    peak = np.fft.rfftfreq(len(turn), 1 / 30)[power.argmax()]
    assert 0.2 < peak < 0.3 and 0.8 < np.ptp(turn) < 2.5
    feet = [end_point(n, *forward(motion.rotations[:, :BODY_JOINT_COUNT], motion.translation)) for n in ("left_heel", "right_toe_end")]
    assert max(np.ptp(f, axis=0).max() for f in feet) < 1e-9
    shoulders = forward(motion.rotations[:, :BODY_JOINT_COUNT], motion.translation)[0][:, JOINT_INDEX["left_shoulder"], 1]
    assert np.corrcoef(turn, shoulders)[0, 1] > 0.9, "breathing in lifts the shoulders"


def test_what_is_directed_is_left_alone(generator: versa.VersaGenerator) -> None:  # noqa: F811
    turn = pitch(finished(generator, still(12.0), [Direction(4.0, 8.0, "bows"), Direction(9.0, 11.0, "waves", "left_arm")]))
    assert np.abs(turn[120:240]).max() < 1e-6 and np.abs(turn[:90]).max() > 0.3 and np.abs(turn[270:]).max() > 0.3
    assert np.abs(np.diff(turn)).max() < 0.15
    assert (at_rest(np.arange(3.0), [Direction(0, 3, "bows", enabled=False)]) == 1).all()


def test_takes_breathe_and_chunks_are_what_the_result_is(
    generator: versa.VersaGenerator, monkeypatch: pytest.MonkeyPatch,  # noqa: F811
) -> None:
    parts: list[tuple[int, Motion]] = []
    request = MotionRequest(duration=30.0, directions=[Direction(0, 6, "walks")], seed=1)
    motion = generator.perform(request, None, quiet, lambda first, m: parts.append((first, m)))
    assert len(parts) >= 2
    for first, part in parts:
        assert np.array_equal(part.rotations, motion.rotations[first:first + len(part)])
    monkeypatch.setattr(versa, "breathe", lambda *_: None)
    held = generator.perform(request, None, quiet)
    assert np.array_equal(held.rotations[:150, CHEST], motion.rotations[:150, CHEST])
    assert rot.angle_between(held.rotations[200:, CHEST], motion.rotations[200:, CHEST]).max() > np.radians(0.3)
    legs = [JOINT_INDEX[n] for n in ("pelvis", "left_hip", "right_knee", "left_ankle")]
    assert np.array_equal(held.rotations[:, legs], motion.rotations[:, legs]) and np.array_equal(held.translation, motion.translation)


def test_an_edit_sets_its_breath_and_nods_in_beside_what_stays(
    generator: versa.VersaGenerator, monkeypatch: pytest.MonkeyPatch,  # noqa: F811
) -> None:
    base = generator.perform(MotionRequest(duration=6.0, directions=WALK, seed=1), None, quiet)
    base.rotations, base.translation = base.rotations.astype(np.float32), base.translation.astype(np.float32)

    def edited(part: str) -> Motion:
        edit = Edit(base, [Range(2.5, 6.0, part)], [Lock(4.0)])
        return generator.perform(MotionRequest(duration=6.0, seed=9, edit=edit), None, quiet)

    new = edited("full")
    kept = np.r_[0:75, 120]
    assert np.array_equal(new.rotations[kept].astype(np.float32), base.rotations[kept])
    head_only = edited("head")
    assert np.array_equal(head_only.rotations[:, CHEST].astype(np.float32), base.rotations[:, CHEST])
    monkeypatch.setattr(versa, "breathe", lambda *_: None)
    without = edited("full")
    breath = rot.angle_between(new.rotations[:, CHEST], without.rotations[:, CHEST]).sum(1)
    assert breath.max() > np.radians(0.2) and np.abs(np.diff(breath)).max() < np.radians(0.15), "it comes and goes smoothly"


def test_away_from_is_nothing_where_held_and_all_of_it_far_off(tmp_path: Path) -> None:
    stays = np.zeros(60, bool)
    stays[[10, 11, 40]] = True
    w = away_from(stays, 10)
    assert (w[[10, 11, 40]] == 0).all() and w[25] == 1 and w[59] == 1 and w[0] == 1 and 0 < w[12] < w[15] < 1
    assert (away_from(np.zeros(3, bool), 5) == 1).all() and (away_from(np.ones(3, bool), 5) == 0).all()


def test_a_full_breath_lifts_the_chest_by_a_degree() -> None:
    q = rot.identity(3, JOINT_COUNT)
    breathe(q, np.array([0.0, 1.0, 1.0]), np.array([1.0, 1.0, 0.0]))
    turn = rot.quat_to_axis_angle(q[:, CHEST])[..., 0].sum(1)
    assert np.allclose(np.degrees(turn), [0, -1, 0], atol=1e-6)
