# SPDX-License-Identifier: Apache-2.0
"""The whole face from sound: ranges, times, determinism, and what it does with bad input."""

from __future__ import annotations

import numpy as np
import pytest

from bridge_server.face import FaceOptions, perform, perform_face
from bridge_server.face.mouth import Segment
from bridge_server.face.visemes import CLOSED_OPENING, opening
from bridge_server.audio.sound import Audio
from shared.face_curves import ARKIT

RATE = 16_000


def vowel_train(seconds: float = 4.0, rate: int = RATE) -> Audio:
    """A buzz at 120 Hz that swells twice a second: enough like speech to open a mouth."""
    t = np.arange(int(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 30))
    return Audio((0.1 * buzz * np.clip(np.sin(2 * np.pi * 2 * t), 0, 1)).astype(np.float32), rate)


def times(seconds: float, fps: float = 30.0) -> np.ndarray:
    return np.arange(int(seconds * fps)) / fps


def test_every_curve_is_there_in_range_and_of_the_asked_length():
    t = times(4.0)
    curves = perform_face(vowel_train(), t, 3)
    assert set(curves) == set(ARKIT)
    for name, values in curves.items():
        assert values.shape == t.shape and values.dtype == np.float32, name
        assert np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1, name


def test_same_seed_same_face_other_seed_other_eyes():
    t = times(6.0)
    a, b, c = (perform_face(vowel_train(6), t, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a[n], b[n]) for n in ARKIT)
    assert not np.array_equal(a["eyeLookOutLeft"], c["eyeLookOutLeft"])


def test_a_frame_depends_on_its_time_not_on_its_number():
    audio = vowel_train(6)
    whole = perform_face(audio, times(6.0, 60.0), 1)
    half = perform_face(audio, times(6.0, 30.0), 1)
    for name in ("jawOpen", "mouthFunnel", "eyeBlinkLeft", "browInnerUp"):
        # the last frames know of slightly different durations
        assert np.allclose(whole[name][::2][:150], half[name][:150], atol=0.02), name


def test_the_mouth_follows_the_loudness():
    audio = vowel_train()
    t = times(4.0)
    wide = opening(perform_face(audio, t, 1))
    loud = np.clip(np.sin(2 * np.pi * 2 * t), 0, 1)
    assert np.corrcoef(wide, loud)[0, 1] > 0.6
    assert wide[loud > 0.8].mean() > wide[loud == 0].mean() + 0.05


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_any_sample_rate_gives_the_same_mouth(rate):
    t = times(3.0)
    reference = opening(perform_face(vowel_train(4, 16_000), t, 1))
    other = opening(perform_face(vowel_train(4, rate), t, 1))
    assert np.corrcoef(reference, other)[0, 1] > 0.85


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(RATE * 3, np.float32),
        np.zeros(0, np.float32),
        np.full(RATE, np.nan, np.float32),
        np.full(RATE * 2, 1e-6, np.float32),
        np.zeros(1, np.float32),
    ],
    ids=["silence", "empty", "nan", "whisper of noise", "one sample"],
)
def test_sound_without_speech_gives_an_idle_face_with_closed_lips(samples):
    t = times(8.0)
    p = perform(Audio(samples), t, 1)
    assert opening(p.curves).max() < CLOSED_OPENING
    assert p.curves["eyeBlinkLeft"].max() > 0.8
    assert p.segments == []


def test_silence_is_said():
    assert any("silent" in w for w in perform(Audio(np.zeros(RATE, np.float32)), times(1.0)).warnings)
    assert perform(None, times(1.0)).warnings == []


def test_no_times_no_frames():
    p = perform(vowel_train(), np.zeros(0))
    assert all(len(v) == 0 for v in p.curves.values()) and p.head.shape == (0, 2, 4)


def test_the_face_is_never_frozen():
    t = times(20.0)
    for audio in (None, vowel_train(20)):
        stacked = np.stack(list(perform_face(audio, t, 5).values()), axis=1)
        moving = np.abs(np.diff(stacked, axis=0)).sum(axis=1)
        for first in range(0, len(moving) - 15, 15):
            assert moving[first : first + 15].max() > 1e-4


def test_blinks_come_at_natural_rates_and_close_the_lids():
    t = times(600.0)
    for seed in range(4):
        shut = perform_face(None, t, seed)["eyeBlinkLeft"] > 0.6
        rate = (np.diff(shut.astype(int)) == 1).sum() / 10
        assert 10 <= rate <= 25


def test_known_phonemes_close_the_lips_between_open_vowels():
    audio = vowel_train(4)
    segments = [
        Segment(0.0, 0.5, "sil"),
        *(
            s
            for k in range(20)
            for s in (Segment(0.5 + 0.15 * k, 0.60 + 0.15 * k, "aa"), Segment(0.60 + 0.15 * k, 0.65 + 0.15 * k, "PP"))
        ),
    ]
    for fps in (24.0, 25.0, 30.0, 60.0):
        t = times(4.0, fps)
        wide = opening(perform(audio, t, 1, options=FaceOptions(segments=segments)).curves)
        for s in segments:
            if s.viseme == "PP":
                near = wide[(t >= s.start - 0.02) & (t <= s.end + 0.02)]
                assert near.min() <= CLOSED_OPENING, (fps, s)


def test_a_smile_does_not_open_a_bilabial():
    t = times(2.0)
    segments = [Segment(0.0, 0.9, "aa"), Segment(0.9, 1.0, "PP"), Segment(1.0, 2.0, "aa")]
    options = FaceOptions(segments=segments, emotions={"surprised": 1.0, "happy": 1.0})
    wide = opening(perform(vowel_train(2), t, 1, options=options).curves)
    assert wide[(t > 0.9) & (t < 1.0)].min() <= CLOSED_OPENING


def test_lead_moves_the_mouth_earlier():
    audio, t = vowel_train(), times(4.0, 100.0)
    late = perform_options(audio, t, -0.05)
    early = perform_options(audio, t, 0.05)
    lags = [np.corrcoef(np.roll(early, k), late)[0, 1] for k in range(0, 20)]
    assert int(np.argmax(lags)) == pytest.approx(10, abs=1)


def perform_options(audio: Audio, t: np.ndarray, lead: float) -> np.ndarray:
    return opening(perform(audio, t, 1, options=FaceOptions(lead=lead)).curves)


def test_gaze_turns_the_eyes_and_lowers_the_lids():
    t = times(4.0)
    left = perform(None, t, 1, options=FaceOptions(gaze=(0.4, 0.0))).curves
    assert (
        left["eyeLookOutLeft"].mean() > 0.5
        and left["eyeLookInRight"].mean() > 0.5
        and left["eyeLookInLeft"].mean() < 0.05
    )
    down = perform(None, t, 1, options=FaceOptions(gaze=(0.0, -0.4))).curves
    assert np.median(down["eyeBlinkLeft"]) > 0.15


def test_head_turns_are_small_unit_quaternions():
    p = perform(vowel_train(10), times(10.0), 1)
    assert p.head.shape == (300, 2, 4)
    assert np.allclose(np.linalg.norm(p.head, axis=-1), 1)
    assert 0.005 < np.max(2 * np.arccos(np.clip(p.head[..., 0], -1, 1))) < np.radians(12)
    assert np.abs(p.chest).max() <= 1


def test_nothing_jumps():
    """No lid, lip or brow goes further in one frame at 60 per second than the fastest closure of a lip can."""
    curves = perform_face(vowel_train(10), times(10.0, 60.0), 1)
    for name, values in curves.items():
        if not name.startswith(("eyeLook", "eyeBlink")):
            assert np.abs(np.diff(values)).max() < 0.25, name
