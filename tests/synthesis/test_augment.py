# SPDX-License-Identifier: Apache-2.0
"""Changes to waveforms do what their names say, keep time, and repeat."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge_server.synthesis import augment as aug
from shared.errors import UnderstudyError

RATE = 16_000
T = np.arange(RATE) / RATE


def _tone(frequency: float, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def _main_frequency(x: np.ndarray) -> float:
    inner = x[len(x) // 5: -len(x) // 5]
    spectrum = np.abs(np.fft.rfft(inner * np.hanning(len(inner)), 8 * RATE))
    return float(np.argmax(spectrum) / 8)


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def _clicks(times: tuple[float, ...]) -> np.ndarray:
    x = np.zeros(2 * RATE, np.float32)
    burst = np.random.default_rng(0).normal(size=480).astype(np.float32) * np.hanning(480).astype(np.float32)
    for t in times:
        a = int(t * RATE) - 240
        x[a:a + 480] += 0.3 * burst
    return x


def _energy_time(x: np.ndarray, near: float, half: float = 0.12) -> float:
    a, b = int((near - half) * RATE), int((near + half) * RATE)
    e = np.square(x[a:b], dtype=np.float64)
    return (a + float((e * np.arange(b - a)).sum() / e.sum())) / RATE


@pytest.mark.parametrize("snr", [0.0, 10.0, 25.0])
def test_noise_has_the_level_asked_for(snr: float) -> None:
    speech = _tone(440)
    noise = aug.coloured_noise(np.random.default_rng(1), RATE, 0.0)
    added = aug.add_noise(speech, noise, snr) - speech
    assert 20 * np.log10(_rms(speech) / _rms(added)) == pytest.approx(snr, abs=0.05)


def test_pauses_do_not_count_as_quiet_speech() -> None:
    speech = np.concatenate((_tone(440), np.zeros(3 * RATE, np.float32)))
    noise = aug.coloured_noise(np.random.default_rng(1), len(speech), 0.0)
    added = aug.add_noise(speech, noise, 10.0) - speech
    assert 20 * np.log10(_rms(_tone(440)) / _rms(added)) == pytest.approx(10.0, abs=0.3)


@pytest.mark.parametrize(("slope", "per_octave"), [(0.0, 0.0), (1.0, -3.01), (2.0, -6.02)])
def test_noise_has_its_colour(slope: float, per_octave: float) -> None:
    x = aug.coloured_noise(np.random.default_rng(2), 20 * RATE, slope)
    power = np.square(np.abs(np.fft.rfft(x)))
    f = np.fft.rfftfreq(len(x), 1 / RATE)

    def level(low: float) -> float:
        return float(10 * np.log10(power[(f > low) & (f < 1.1 * low)].mean()))

    assert _rms(x) == pytest.approx(1.0, abs=1e-3)
    assert (level(4000) - level(250)) / 4 == pytest.approx(per_octave, abs=0.25)


def test_a_room_decays_as_it_should_and_starts_at_once() -> None:
    h = aug.room_response(np.random.default_rng(3), rt60=0.5, direct=3.0).astype(np.float64)
    assert np.argmax(np.abs(h)) == 0
    rest = np.sum(np.square(h[1:]))
    assert 10 * np.log10(h[0] ** 2 / rest) == pytest.approx(3.0, abs=0.01)
    # Schroeder's backward integral of the tail, from -5 to -25 dB, times three
    decay = 10 * np.log10(np.cumsum(np.square(h[1:])[::-1])[::-1] / rest)
    a, b = np.argmax(decay < -5), np.argmax(decay < -25)
    assert 0.25 < 3 * (b - a) / RATE < 0.65


def test_a_room_keeps_length_and_loudness() -> None:
    x = _clicks((0.5, 1.2))
    y = aug.with_room(x, aug.room_response(np.random.default_rng(4), 0.4, 6.0))
    assert len(y) == len(x) and _rms(y) == pytest.approx(_rms(x), rel=1e-3)
    assert _rms(y[int(0.55 * RATE):int(0.6 * RATE)]) > 10 * _rms(x[int(0.55 * RATE):int(0.6 * RATE)]) + 1e-5


@pytest.mark.parametrize("semitones", [-5.0, -1.0, 2.0, 7.0])
def test_pitch_moves_the_tone_and_not_the_time(semitones: float) -> None:
    y = aug.pitch(_tone(400), semitones)
    assert len(y) == RATE
    assert _main_frequency(y) == pytest.approx(400 * 2 ** (semitones / 12), rel=0.01)
    assert _rms(y[2000:-2000]) == pytest.approx(_rms(_tone(400)), rel=0.12)
    clicks = aug.pitch(_clicks((0.5, 1.2)), semitones)
    for time in (0.5, 1.2):
        assert _energy_time(clicks, time) == pytest.approx(time, abs=0.012)


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_tempo_moves_the_time_and_not_the_tone(speed: float) -> None:
    y = aug.tempo(_tone(400), speed)
    assert len(y) == pytest.approx(RATE / speed, abs=1)
    assert _main_frequency(y) == pytest.approx(400, rel=0.01)
    clicks = aug.tempo(_clicks((0.5, 1.2)), speed)
    for time in (0.5, 1.2):
        assert _energy_time(clicks, time / speed) == pytest.approx(time / speed, abs=0.012)


def test_a_telephone_takes_away_lows_and_highs_without_delay() -> None:
    assert _rms(aug.band_limit(_tone(80), 300, 3400)) < 0.02 * _rms(_tone(80))
    assert _rms(aug.band_limit(_tone(7000), 300, 3400)) < 0.02 * _rms(_tone(7000))
    middle = aug.band_limit(_tone(1000), 300, 3400)
    assert np.abs(middle - _tone(1000))[1000:-1000].max() < 0.01
    assert len(aug.band_limit(np.ones(3, np.float32), 300, 3400)) == 3


def test_mu_law_error_is_small_and_relative() -> None:
    loud, quiet = _tone(300), _tone(300) * 0.01
    for x, most in ((loud, 0.03), (quiet, 0.06)):
        assert _rms(aug.mu_law(x) - x) < most * _rms(x)
    assert len(np.unique(aug.mu_law(loud, bits=4))) <= 15
    assert np.array_equal(aug.mu_law(np.array([-1.0, 0.0, 1.0])), np.array([-1.0, 0.0, 1.0], np.float32))


def test_gain_is_in_decibels_and_clips() -> None:
    assert np.allclose(aug.gain(_tone(100), -6.0206), _tone(100) * 0.5, atol=1e-5)
    assert np.abs(aug.gain(_tone(100), 40)).max() == 1.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 7, 500, 5000]))
def test_the_chain_keeps_length_is_finite_and_repeats(seed: int, count: int) -> None:
    x = np.random.default_rng(seed).normal(size=count).astype(np.float32) * 0.1
    one = aug.augment(x, np.random.default_rng(seed))
    two = aug.augment(x, np.random.default_rng(seed))
    assert len(one.samples) == count and one.speed == 1.0 and one.samples.dtype == np.float32
    assert np.isfinite(one.samples).all() and np.abs(one.samples).max() <= 1.0
    assert np.array_equal(one.samples, two.samples)


def test_the_chain_tells_its_speed() -> None:
    done = aug.augment(_tone(300), np.random.default_rng(0), aug.AugmentOptions(tempo=1.0, speed=(1.2, 1.2)))
    assert done.speed == pytest.approx(1.2) and len(done.samples) == pytest.approx(RATE / 1.2, abs=1)


def test_silence_stays_silent_and_broken_sound_is_refused() -> None:
    quiet = aug.augment(
        np.zeros(4000, np.float32), np.random.default_rng(5), aug.AugmentOptions(noise=1, room=1, codec=1)
    )
    assert not quiet.samples.any()
    for bad, code in ((np.zeros(0, np.float32), "audio_empty"), (np.array([0.1, np.nan]), "audio_invalid"),
                      (np.zeros((2, 8)), "audio_empty")):
        with pytest.raises(UnderstudyError) as caught:
            aug.augment(bad, np.random.default_rng(0))
        assert caught.value.code == code
    with pytest.raises(UnderstudyError):
        aug.tempo(_tone(100), 0.0)
    with pytest.raises(UnderstudyError):
        aug.band_limit(_tone(100), 4000, 300)
