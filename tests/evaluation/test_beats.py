# SPDX-License-Identifier: Apache-2.0
"""Onsets, kinematic beats and their agreement, at float times."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bridge_server.evaluation.beats import beat_consistency, beat_score, kinematic_beats, onset_times
from shared import rotations as rot
from shared.skeleton import BODY_JOINT_COUNT, JOINT_INDEX

RATE = 16_000


def bursts(times: list[float], seconds: float = 4.0) -> np.ndarray:
    """Noise that sets in at the times and dies away."""
    g = np.random.default_rng(0)
    t = np.arange(int(seconds * RATE)) / RATE
    sound = 1e-4 * g.standard_normal(len(t))
    for when in times:
        after = t - when
        sound += np.where(after >= 0, np.exp(-np.maximum(after, 0) / 0.06), 0.0) * 0.3 * g.standard_normal(len(t))
    return sound.astype(np.float32)


def test_onsets_are_found_where_they_are() -> None:
    # not on any grid of rows
    truth = [0.5013, 1.2077, 1.9331, 2.6589, 3.3]
    found = onset_times(bursts(truth), RATE)
    assert len(found) == len(truth)
    assert np.abs(found - truth).max() < 0.012


def test_times_are_exact_in_the_long_run() -> None:
    truth = [0.4 + 0.7131 * k for k in range(80)]
    found = onset_times(bursts(truth, 58.0), RATE)
    errors = found - np.array(truth)
    assert len(found) == 80 and abs(errors[:10].mean() - errors[-10:].mean()) < 0.003


def test_silence_has_no_onsets() -> None:
    assert not len(onset_times(np.zeros(RATE, np.float32), RATE))
    assert not len(onset_times(np.zeros(10, np.float32), RATE))


def swinging(period: float, seconds: float, phase: float) -> tuple[np.ndarray, np.ndarray]:
    """Both arms swing; the speed is least at the turning points, half a period apart."""
    frames = int(seconds * 30)
    angle = 0.6 * np.cos(2 * math.pi * (np.arange(frames) / 30 - phase) / period)
    q = rot.identity(frames, BODY_JOINT_COUNT)
    for side in ("left", "right"):
        q[:, JOINT_INDEX[f"{side}_shoulder"]] = rot.axis_angle_to_quat(np.stack((0 * angle, 0 * angle, angle), 1))
    return q, np.zeros((frames, 3))


def test_kinematic_beats_lie_between_frames() -> None:
    found = kinematic_beats(*swinging(1.37, 6.0, 0.213))
    truth = 0.213 + 0.685 * np.arange(-1, 9)
    truth = truth[(truth > 0.1) & (truth < 5.9)]
    inside = found[(found > 0.1) & (found < 5.9)]
    assert len(inside) == len(truth) and np.abs(inside - truth).max() < 0.012


def test_a_statue_has_no_beats() -> None:
    q, t = swinging(1.0, 3.0, 0.0)
    assert not len(kinematic_beats(q[:1].repeat(90, 0), t)) and not len(kinematic_beats(q[:3], t[:3]))


def test_consistency_is_the_published_sum() -> None:
    # 0.1 s and 0 s from the nearest onset, sigma 0.1
    assert beat_consistency(np.array([1.1, 2.0]), np.array([1.0, 2.0, 3.0]), 0.1) == pytest.approx(
        (math.exp(-0.5) + 1) / 2
    )
    assert beat_consistency(np.zeros(0), np.array([1.0])) == 0 and beat_consistency(np.array([1.0]), np.zeros(0)) == 0


def test_rhythm_stands_out_against_its_own_shifts_and_noise_does_not() -> None:
    g = np.random.default_rng(2)
    audio = np.sort(g.uniform(0, 20, 30))
    kept = beat_score(np.sort(audio + g.normal(0, 0.03, 30)) % 20, audio, 20.0, g)
    assert kept.sigmas > 4 and kept.consistency > 0.9
    noise = [beat_score(np.sort(g.uniform(0, 20, 30)), audio, 20.0, g).sigmas for _ in range(40)]
    assert abs(float(np.mean(noise))) < 0.6
