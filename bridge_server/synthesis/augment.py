# SPDX-License-Identifier: Apache-2.0
"""Changes to a waveform that make synthetic speech sound like the world: noise, room, pitch, tempo, codec, gain.

All functions take and give mono float32 (N,), 16 kHz unless a rate is given, and draw from the given generator only, so
that the same seed gives the same samples. Those that keep time (all but :func:`tempo`) give as many samples as they
got, and no delay, so that labels and motion stay aligned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.signal import butter, fftconvolve, resample, sosfilt, sosfiltfilt

from shared.errors import UnderstudyError

from .speech import RATE

__all__ = [
    "AugmentOptions",
    "Augmented",
    "add_noise",
    "augment",
    "band_limit",
    "coloured_noise",
    "gain",
    "mu_law",
    "pitch",
    "room_response",
    "tempo",
    "with_room",
]

_FRAME: Final = 1024
_HOP: Final = 256


@dataclass(frozen=True)
class AugmentOptions:
    """Chances in [0, 1] and (low, high) ranges.

    :ivar snr: decibels of speech over noise.
    :ivar rt60: seconds until the room's echo has fallen by 60 dB.
    :ivar direct: decibels of the direct sound over the echo; large = a near microphone.
    :ivar semitones: pitch shift; the sound keeps its length.
    :ivar speed: factor on the tempo, 1 keeps it; only drawn where the caller can stretch the motion too.
    :ivar gain: decibels on the whole.
    """

    noise: float = 0.6
    snr: tuple[float, float] = (5.0, 40.0)
    room: float = 0.5
    rt60: tuple[float, float] = (0.15, 0.9)
    direct: tuple[float, float] = (-2.0, 12.0)
    pitch: float = 0.4
    semitones: tuple[float, float] = (-3.0, 3.0)
    tempo: float = 0.0
    speed: tuple[float, float] = (0.9, 1.1)
    codec: float = 0.35
    equaliser: float = 0.5
    gain: tuple[float, float] = (-14.0, 8.0)


@dataclass(frozen=True)
class Augmented:
    """``samples`` (M,) and the factor on the tempo: what was at second t is now at second t / ``speed``."""

    samples: np.ndarray
    speed: float


def _check(samples: np.ndarray) -> np.ndarray:
    x = np.asarray(samples, dtype=np.float32)
    if x.ndim != 1 or len(x) == 0:
        raise UnderstudyError("audio_empty", "There is no sound to change.", "Give at least one sample, mono.")
    if not np.isfinite(x).all():
        raise UnderstudyError("audio_invalid", "The sound holds values that are no numbers.", "Use another recording.")
    return x


def coloured_noise(rng: np.random.Generator, count: int, slope: float) -> np.ndarray:
    """Noise (count,) of unit power; its power falls as frequency to the ``slope``: 0 white, 1 pink, 2 brown."""
    spectrum = rng.normal(size=count // 2 + 1) + 1j * rng.normal(size=count // 2 + 1)
    f = np.arange(len(spectrum), dtype=np.float64)
    # below 20 Hz nothing is heard, and brown noise would be all rumble
    f = np.maximum(f, max(20.0 * count / RATE, 1.0))
    x = np.fft.irfft(spectrum * f ** (-slope / 2), count)
    return (x / max(float(np.sqrt(np.mean(np.square(x)))), 1e-12)).astype(np.float32)


def add_noise(samples: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Add noise (repeated or cut to length) so that the speech's active parts lie ``snr`` decibels above it.

    Active is what is within 30 dB of the loudest 20 ms, so that pauses do not count as quiet speech. Silence stays as
    it is: there is nothing to measure the noise against.
    """
    x = _check(samples)
    n = np.resize(_check(noise), len(x))
    block = RATE // 50
    power = np.square(x[: len(x) // block * block], dtype=np.float64).reshape(-1, block).mean(1) if len(x) >= block \
        else np.array([np.mean(np.square(x, dtype=np.float64))])
    top = float(power.max())
    if top <= 0.0:
        return x
    speech = float(power[power > top * 1e-3].mean())
    own = float(np.mean(np.square(n, dtype=np.float64)))
    if own <= 0.0:
        return x
    return (x + n * np.sqrt(speech / own * 10 ** (-snr / 10))).astype(np.float32)


def room_response(rng: np.random.Generator, rt60: float, direct: float, rate: int = RATE) -> np.ndarray:
    """A room's impulse response: the direct sound at sample 0, some early reflections, an exponential tail.

    The model of Polack (noise that decays by 60 dB in ``rt60`` seconds, highs faster than lows) after early reflections
    at random delays of 2 to 40 ms.

    :param direct: decibels of the direct sound's energy over all the rest.
    """
    count = max(int(rt60 * rate), 64)
    t = np.arange(count) / rate
    noise = rng.normal(size=count)
    low = sosfilt(butter(2, 1500, "lowpass", fs=rate, output="sos"), noise)
    tail = low * 10 ** (-3 * t / rt60) + 0.6 * (noise - low) * 10 ** (-3 * t / (0.55 * rt60))
    tail[: int(0.008 * rate)] *= np.linspace(0, 1, int(0.008 * rate)) if count >= int(0.008 * rate) else 1.0
    tail[0] = 0.0
    tail /= np.sqrt(np.sum(np.square(tail))) + 1e-12
    early = np.zeros(count)
    for delay in rng.uniform(0.002, 0.040, size=6):
        k = int(delay * rate)
        if 0 < k < count:
            early[k] += rng.choice((-1.0, 1.0)) * np.exp(-delay / 0.02)
    early /= np.sqrt(np.sum(np.square(early))) + 1e-12
    echo = 0.6 * early + tail
    echo *= 10 ** (-direct / 20) / np.sqrt(np.sum(np.square(echo)))
    echo[0] = 1.0
    return echo.astype(np.float32)


def with_room(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """The sound in a room, as long and as loud as before."""
    x = _check(samples)
    y = fftconvolve(x, _check(response))[: len(x)]
    before, after = np.sqrt(np.mean(np.square(x))), np.sqrt(np.mean(np.square(y)))
    return (y * (before / after if after > 1e-9 else 1.0)).astype(np.float32)


def _stretch(x: np.ndarray, factor: float) -> np.ndarray:
    """``factor`` times as long at the same pitch: a phase vocoder with phases locked to the spectrum's peaks.

    After Laroche & Dolson, Improved phase vocoder time-scale modification of audio (IEEE TSAP 7(3), 1999).
    """
    window = np.hanning(_FRAME + 1)[:-1]
    padded = np.pad(x.astype(np.float64), (_FRAME // 2, _FRAME))
    count = int(np.ceil(len(x) * factor / _HOP)) + 1
    step = _HOP / factor
    omega = 2 * np.pi * np.arange(_FRAME // 2 + 1) / _FRAME
    starts = np.minimum(np.round(np.arange(count) * step).astype(int), len(padded) - _FRAME)
    starts = np.maximum(starts, 0)
    now = np.fft.rfft(padded[starts[:, None] + np.arange(_FRAME)] * window)
    earlier = np.maximum(starts - _HOP, 0)
    before = np.fft.rfft(padded[earlier[:, None] + np.arange(_FRAME)] * window)
    advance = np.angle(now) - np.angle(before) - omega * (starts - earlier)[:, None]
    advance = (advance + np.pi) % (2 * np.pi) - np.pi
    gap = np.maximum(starts - earlier, 1)[:, None]
    rate = omega + advance / gap
    out = np.zeros(count * _HOP + _FRAME)
    weight = np.zeros_like(out)
    phase = np.angle(now[0])
    for k in range(count):
        magnitude, angle = np.abs(now[k]), np.angle(now[k])
        if k:
            moved = phase + _HOP * rate[k]
            peaks = np.flatnonzero((magnitude[1:-1] >= magnitude[:-2]) & (magnitude[1:-1] > magnitude[2:])) + 1
            if len(peaks):
                # every bin turns with the nearest peak, which keeps the waveform's shape
                owner = peaks[np.searchsorted((peaks[1:] + peaks[:-1]) / 2, np.arange(len(magnitude)))]
                moved = angle + (moved - angle)[owner]
            phase = moved
        frame = np.fft.irfft(magnitude * np.exp(1j * phase)) * window
        out[k * _HOP:k * _HOP + _FRAME] += frame
        weight[k * _HOP:k * _HOP + _FRAME] += window**2
    length = int(round(len(x) * factor))
    return (out / np.maximum(weight, 1e-3))[_FRAME // 2:_FRAME // 2 + length].astype(np.float32)


def tempo(samples: np.ndarray, speed: float) -> np.ndarray:
    """The sound ``speed`` times as fast at the same pitch, N / speed samples.

    :raises UnderstudyError: ``audio_invalid`` for a speed outside 0.25 to 4.
    """
    x = _check(samples)
    if not 0.25 <= speed <= 4.0:
        raise UnderstudyError("audio_invalid", f"A tempo of {speed} cannot be made.", "Use one from 0.25 to 4.")
    return x.copy() if speed == 1.0 else _stretch(x, 1 / speed)


def pitch(samples: np.ndarray, semitones: float) -> np.ndarray:
    """The sound higher by ``semitones``, as long as before (formants move with it, as with another speaker)."""
    x = _check(samples)
    if semitones == 0:
        return x.copy()
    if not abs(semitones) <= 24:
        raise UnderstudyError("audio_invalid", f"A shift by {semitones} semitones cannot be made.", "Use -24 to 24.")
    longer = _stretch(x, 2 ** (semitones / 12))
    # resampling by FFT takes the ends for neighbours: a margin of silence keeps them apart
    margin = 512
    wide = np.pad(longer, (0, int(round(margin * len(longer) / len(x)))))
    return resample(wide, len(x) + margin)[: len(x)].astype(np.float32)


def band_limit(samples: np.ndarray, low: float, high: float, rate: int = RATE) -> np.ndarray:
    """Only what lies between two frequencies, without delay. 300 to 3400 Hz is a telephone."""
    x = _check(samples)
    high = min(high, 0.49 * rate)
    if not 0 < low < high:
        raise UnderstudyError(
            "audio_invalid", f"There is no band from {low} to {high} Hz.", "Give the lower one first."
        )
    sos = butter(3, (low, high), "bandpass", fs=rate, output="sos")
    return sosfiltfilt(sos, x, padlen=min(3 * 7, len(x) - 1)).astype(np.float32)


def mu_law(samples: np.ndarray, bits: int = 8, mu: float = 255.0) -> np.ndarray:
    """Rounded to ``bits`` on the scale of ITU-T G.711, as a telephone network does."""
    x = np.clip(_check(samples), -1, 1)
    levels = 2 ** (bits - 1) - 1
    y = np.sign(x) * np.log1p(mu * np.abs(x)) / np.log1p(mu)
    y = np.round(y * levels) / levels
    return (np.sign(y) * np.expm1(np.abs(y) * np.log1p(mu)) / mu).astype(np.float32)


def gain(samples: np.ndarray, decibels: float) -> np.ndarray:
    """Louder by ``decibels``; what leaves [-1, 1] is clipped, as in a recording."""
    return np.clip(_check(samples) * 10 ** (decibels / 20), -1, 1).astype(np.float32)


def _equalise(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Three broad peaks or dips of up to 8 dB and a tilt, as microphones have."""
    spectrum = np.fft.rfft(x)
    f = np.fft.rfftfreq(len(x), 1 / RATE)
    octave = np.log2(np.maximum(f, 30) / 1000)
    curve = rng.uniform(-2.0, 2.0) * octave
    for _ in range(3):
        curve += rng.uniform(-8, 8) * np.exp(-0.5 * np.square((octave - rng.uniform(-4, 3)) / rng.uniform(0.4, 1.2)))
    return np.fft.irfft(spectrum * 10 ** (curve / 20), len(x)).astype(np.float32)


def augment(samples: np.ndarray, rng: np.random.Generator, options: AugmentOptions | None = None) -> Augmented:
    """A random chain: tempo, pitch, room, noise, microphone, codec, gain, each with its chance.

    :raises UnderstudyError: ``audio_empty`` or ``audio_invalid``.
    """
    o = options or AugmentOptions()
    x, speed = _check(samples), 1.0
    if rng.random() < o.tempo:
        speed = float(rng.uniform(*o.speed))
        x = tempo(x, speed)
    if rng.random() < o.pitch:
        x = pitch(x, float(rng.uniform(*o.semitones)))
    if rng.random() < o.room:
        x = with_room(x, room_response(rng, float(rng.uniform(*o.rt60)), float(rng.uniform(*o.direct))))
    if rng.random() < o.noise:
        noise = coloured_noise(rng, len(x), float(rng.uniform(0, 2)))
        if rng.random() < 0.4:
            # noise that swells and falls: traffic, a crowd, handling
            knots = np.exp(rng.normal(0, 0.8, size=max(len(x) // RATE, 1) + 2))
            noise = noise * np.interp(np.linspace(0, len(knots) - 1, len(x)), np.arange(len(knots)), knots)
        x = add_noise(x, noise, float(rng.uniform(*o.snr)))
    if rng.random() < o.equaliser:
        x = _equalise(x, rng)
    if rng.random() < o.codec:
        x = band_limit(x, float(rng.uniform(60, 350)), float(rng.uniform(3000, 7000)))
        if rng.random() < 0.5:
            peak = float(np.abs(x).max())
            x = mu_law(x / peak, int(rng.integers(6, 9))) * peak if peak > 1e-6 else x
    return Augmented(gain(x, float(rng.uniform(*o.gain))), speed)
