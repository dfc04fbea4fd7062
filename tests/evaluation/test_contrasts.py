# SPDX-License-Identifier: Apache-2.0
"""Measures of styles, sliders and strokes on made motion, of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from bridge_server.evaluation.contrasts import gesturing, sliders, styles, table, walking
from bridge_server.evaluation.strokes import measure, stroke_after, wrist_places
from shared import rotations as rot
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.skeleton import JOINT_INDEX

FPS = 30.0


def body(seconds: float, **turns: tuple[int, np.ndarray | float]) -> Motion:
    """Arms down; each joint of ``turns`` bent about an axis by degrees (T,)."""
    motion = Motion.rest(round(seconds * FPS))
    vectors = np.zeros((len(motion), 55, 3))
    vectors[:, JOINT_INDEX["left_shoulder"], 2], vectors[:, JOINT_INDEX["right_shoulder"], 2] = -np.pi / 2, np.pi / 2
    for name, (axis, degrees) in turns.items():
        vectors[:, JOINT_INDEX[name], axis] += np.radians(degrees)
    motion.rotations = rot.axis_angle_to_quat(vectors)
    return motion


def test_a_walk_of_known_speed_stoop_and_swing() -> None:
    t = np.arange(180) / FPS
    swing = 20 * np.sin(2 * np.pi * t)
    motion = body(6.0, spine3=(0, 12.0), head=(0, 8.0), left_hip=(0, swing), right_hip=(0, -swing))
    motion.translation[:, 2] += 0.8 * t
    found = walking(motion)
    assert found["speed m/s"] == pytest.approx(0.8, rel=0.03)
    assert found["spine down °"] == pytest.approx(12, abs=0.5) and found["head down °"] == pytest.approx(20, abs=0.5)
    assert found["steps/s"] == pytest.approx(2.0, abs=0.2) and found["arm swing cm"] < 1
    assert walking(body(2.0))["speed m/s"] == 0


def test_gestures_twice_as_large_take_twice_the_room_and_four_times_the_energy() -> None:
    t = np.arange(300) / FPS
    small, large, fast = (gesturing(body(10.0, left_elbow=(1, size * np.sin(2 * np.pi * rate * t))))
                          for size, rate in ((10, 0.5), (20, 0.5), (10, 1.0)))
    assert large["wrist range cm"] == pytest.approx(2 * small["wrist range cm"], rel=0.05)
    assert large["energy mJ"] == pytest.approx(4 * small["energy mJ"], rel=0.1)
    assert fast["wrist speed m/s"] == pytest.approx(2 * small["wrist speed m/s"], rel=0.05)
    assert gesturing(body(10.0, left_elbow=(1, 60 * np.sin(2 * np.pi * 0.5 * t))))["strokes/s"] == pytest.approx(1.0, abs=0.15)


def strike(at: float, seconds: float = 6.0) -> Motion:
    """An arm that is raised at ``at`` seconds, in half a second, and stays."""
    t = np.arange(round(seconds * FPS)) / FPS
    ramp = np.clip((t - at) / 0.5 + 0.5, 0, 1)
    return body(seconds, left_shoulder=(2, 80 * ramp * ramp * (3 - 2 * ramp)))


def test_a_stroke_is_found_where_it_is() -> None:
    for at in (2.6, 3.0, 3.6):
        fastest, arrived = stroke_after(wrist_places(strike(at)), FPS, 2.0)
        assert fastest == pytest.approx(at - 2.0, abs=0.05) and arrived == pytest.approx(at - 2.0 + 0.12, abs=0.08)
    # what the arm does before the strip and in its first moments is not its stroke
    assert stroke_after(wrist_places(strike(1.9)), FPS, 2.0)[0] >= 0.3


class Striker:
    """Raises the arm 0.9 s after the start of each strip, or at its request's tempo."""

    def perform(self, request: MotionRequest, audio: object, report: object) -> Motion:
        seconds = request.duration or max(d.end for d in request.directions)
        motion = body(seconds)
        t = np.arange(len(motion)) / FPS
        bend = sum((80 * np.exp(-((t - d.start - 0.9) / 0.25) ** 2) for d in request.directions), np.zeros(len(t)))
        bend = bend + 30 * request.amplitude * np.sin(2 * np.pi * request.tempo * t)
        return body(seconds, left_shoulder=(2, bend if not request.directions else bend - 30 * np.sin(2 * np.pi * t)))


def test_the_runs_over_a_generator_give_a_row_for_each_case() -> None:
    gestures = [{"concept": str(n), "direction": f"does {n}"} for n in range(12)]
    found = measure(Striker(), gestures, None, 2)
    assert found.shape == (12, 2, 2) and (found >= 0).all() and (found[..., 1] < 1.2).all()
    rows = styles(Striker(), (0, 1), ("walks", "walks sadly"))
    assert set(rows) == {"walks", "walks sadly"} and rows["walks"]["speed m/s"][1] == 0
    set_ = sliders(Striker(), None, (0,))  # type: ignore[arg-type]
    ranges = [set_[label]["wrist range cm"][0] for label in ("amplitude 0.5", "as generated", "amplitude 1.5")]
    assert ranges == sorted(ranges) and ranges[0] < ranges[2]
    assert set_["tempo 1.4"]["wrist speed m/s"][0] > set_["as generated"]["wrist speed m/s"][0]
    assert len(set_) == 7 and table(set_, "x").count("\n") == 8
