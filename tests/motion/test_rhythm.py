# SPDX-License-Identifier: Apache-2.0
"""Strokes are led to syllables; nothing else moves, and nothing that was streamed changes."""

from __future__ import annotations

import numpy as np
import pytest

from bridge_server.audio.features import mel_features
from bridge_server.motion.features import LOWER_JOINTS, UPPER_JOINTS
from bridge_server.motion.rhythm import HOLD, Rhythm, bend, hold_in_pauses, retime, syllable_onsets, upper_speed
from shared import rotations as rot
from shared.skeleton import JOINT_INDEX


def arm_waving(frames: int, period: float) -> np.ndarray:
    """Rotations (T, 22, 4) of an arm that comes to rest every ``period`` seconds, first at 0."""
    t = np.arange(frames) / 30
    vectors = np.zeros((frames, 22, 3))
    vectors[:, JOINT_INDEX["left_elbow"], 1] = 0.6 * np.cos(np.pi * t / period)
    vectors[:, JOINT_INDEX["left_knee"], 0] = 0.3 * np.cos(2 * np.pi * t)
    return rot.axis_angle_to_quat(vectors)


def rest_times(rotations: np.ndarray) -> np.ndarray:
    speed = upper_speed(rotations, None)
    inner = np.flatnonzero((speed[1:-1] < speed[:-2]) & (speed[1:-1] <= speed[2:])) + 1
    return (inner - 0.5) / 30


def test_strokes_end_on_syllables() -> None:
    body = arm_waving(150, 1.0)
    # the arm rests at 1, 2, 3, 4 s
    onsets = np.array([1.12, 1.9, 3.0, 4.15])
    source = retime(upper_speed(body, None), Rhythm(onsets, np.ones(4), np.ones(150), np.ones(150)))
    assert np.all(np.diff(source) > 0)
    found = rest_times(bend(body, source))
    for onset in onsets:
        assert np.abs(found - onset).min() < 0.03
    # and they did not before
    assert np.abs(rest_times(body) - 1.12).min() > 0.08


def test_only_the_upper_body_and_only_where_speech_drives() -> None:
    body = arm_waving(150, 1.0)
    spoken = np.r_[np.ones(70), np.linspace(1, 0, 10), np.zeros(70)]
    source = retime(upper_speed(body, None), Rhythm(np.array([1.12, 3.12, 4.1]), np.ones(3), spoken, spoken))
    assert np.array_equal(source[80:], np.arange(80, 150)) and not np.array_equal(source[:70], np.arange(70))
    bent = bend(body, source)
    assert np.allclose(rot.angle_between(bent[:, LOWER_JOINTS], body[:, LOWER_JOINTS]), 0, atol=1e-7)
    assert rot.angle_between(bent[:, UPPER_JOINTS], body[:, UPPER_JOINTS]).max() > 0.05


def test_a_syllable_too_far_away_moves_nothing() -> None:
    body = arm_waving(90, 1.0)
    source = retime(upper_speed(body, None), Rhythm(np.array([1.5]), np.ones(1), np.ones(90), np.ones(90)))
    assert np.array_equal(source, np.arange(90))


@pytest.mark.parametrize("seed", range(5))
def test_what_was_streamed_stays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    speed = np.convolve(np.abs(rng.normal(size=420)), np.hanning(12), "same")[:400] * 0.05
    rhythm = Rhythm(np.sort(rng.uniform(0, 400 / 30, 40)), rng.uniform(0.1, 1, 40), np.ones(400), np.ones(400))
    whole = retime(speed, rhythm)
    assert np.abs(whole - np.arange(400)).max() > 2 and np.all(np.diff(whole) > 0)
    for known in range(60, 400, 23):
        part = retime(speed[:known], rhythm, last=False)
        assert np.array_equal(part[:known - HOLD], whole[:known - HOLD])


def test_pauses_are_calm_and_nothing_else_changes() -> None:
    body = arm_waving(240, 0.5)
    spoken = np.r_[np.ones(180), np.zeros(60)]
    rhythm = Rhythm(np.r_[np.arange(0.1, 2.0, 0.15), 4.5], np.ones(14), 0 * spoken, spoken)
    held = hold_in_pauses(body, rhythm)
    moved = rot.angle_between(held[:, UPPER_JOINTS], body[:, UPPER_JOINTS]).max(1)
    assert moved[:50].max() < 1e-7 and moved[181:].max() < 1e-7
    assert np.allclose(held[:, LOWER_JOINTS], body[:, LOWER_JOINTS])
    # the pause from 2.4 to 4.2 s
    assert upper_speed(held, None)[76:122].mean() < 0.5 * upper_speed(body, None)[76:122].mean()
    assert np.array_equal(hold_in_pauses(body, Rhythm(np.zeros(0), np.zeros(0), spoken, spoken)), body)


def test_a_pause_that_was_streamed_stays() -> None:
    body = arm_waving(300, 0.7)
    rhythm = Rhythm(np.array([0.5, 4.0, 8.0]), np.ones(3), np.ones(300), np.ones(300))
    whole = hold_in_pauses(body, rhythm)
    for first, known in ((0, 150), (45, 220), (100, 300)):
        part = hold_in_pauses(body[first:known], rhythm, first)
        # a stretch brings 45 frames of context, and its last HOLD frames may still change
        inner = slice(first + 20 if first else 0, known - 20)
        assert np.allclose(part[inner.start - first:inner.stop - first], whole[inner], atol=1e-12)


def test_onsets_of_bursts_are_found_where_they_are() -> None:
    rate, rng = 16000, np.random.default_rng(0)
    samples = 1e-4 * rng.normal(size=3 * rate)
    times = np.array([0.4, 0.9, 1.5, 2.2])
    for t in times:
        n = int(t * rate)
        samples[n:n + 3000] += 0.2 * rng.normal(size=3000) * np.exp(-np.arange(3000) / 1500)
    rows = mel_features(samples.astype(np.float32), rate, 180, 60.0, 0.5 / 60)
    onsets, strength = syllable_onsets(rows, 60.0, 0.5 / 60)
    assert len(onsets) == 4 and np.abs(onsets - times).max() < 0.03 and (strength > 0.3).all()
    assert not len(syllable_onsets(np.zeros((3, 42), np.float32), 60.0, 0.0)[0])
