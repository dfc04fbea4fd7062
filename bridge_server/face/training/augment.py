# SPDX-License-Identifier: Apache-2.0
"""What rooms, microphones, telephones and other speakers do to a voice."""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve, resample_poly

from bridge_server.face.acoustics import RATE
from bridge_server.face.recogniser import warp

__all__ = ["augment", "blur", "degrade", "noise_floor", "other_tempo", "other_tract"]


def _equalise(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smooth random frequency response of up to 12 dB either way, and a tilt."""
    spectrum = np.fft.rfft(x)
    f = np.linspace(0, 1, len(spectrum))
    knots = np.linspace(0, 1, 9) ** 1.5
    gain = np.interp(f, knots, np.cumsum(rng.normal(0, 3.0, 9)).clip(-14, 14))
    return np.fft.irfft(spectrum * 10 ** (gain / 20), len(x))


def _band(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Telephone and other narrow bands, with soft edges."""
    low, high = (300.0, 3400.0) if rng.random() < 0.5 else (rng.uniform(50, 400), rng.uniform(2800, 7000))
    spectrum = np.fft.rfft(x)
    f = np.fft.rfftfreq(len(x), 1 / RATE)
    mask = 1 / (1 + (low / np.maximum(f, 1)) ** 8) / (1 + (f / high) ** 16)
    return np.fft.irfft(spectrum * mask, len(x))


def _room(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Direct sound plus exponentially decaying noise, 0.15 to 0.7 s."""
    length = rng.uniform(0.15, 0.7)
    t = np.arange(int(length * RATE)) / RATE
    tail = rng.normal(size=len(t)) * np.exp(-6.9 * t / length)
    tail *= rng.uniform(0.15, 0.7) / (np.sqrt(np.sum(tail**2)) + 1e-9)
    tail[0] = 1.0
    return fftconvolve(x, tail)[: len(x)]


def _noise(x: np.ndarray, rng: np.random.Generator, other: np.ndarray) -> np.ndarray:
    kind = rng.random()
    if kind < 0.75:
        spectrum = np.fft.rfft(rng.normal(size=len(x)))
        slope = rng.uniform(0, 1.2)
        noise = np.fft.irfft(spectrum / np.maximum(np.arange(len(spectrum)), 20.0) ** slope, len(x))
        if kind < 0.15:  # mains hum
            noise = noise / (noise.std() + 1e-9) + 2 * np.sin(
                2 * np.pi * float(rng.choice([50, 60])) * np.arange(len(x)) / RATE
            )
    else:  # someone else, further away
        noise = np.resize(other, len(x)) if len(other) else np.zeros(len(x))
    level = rng.uniform(12, 40) if kind >= 0.75 else rng.uniform(5, 40)
    return x + noise * (np.sqrt(np.mean(x**2)) / (noise.std() + 1e-9) * 10 ** (-level / 20))


def degrade(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A voice (N,) as an old recording has it: narrow, with resonances, hiss, hum and crackle, over-recorded, flutter."""
    spectrum = np.fft.rfft(x)
    f = np.fft.rfftfreq(len(x), 1 / RATE)
    low, high = rng.uniform(80, 300), rng.uniform(3000, 5500)
    gain = 1 / (1 + (low / np.maximum(f, 1)) ** rng.uniform(3, 8)) / (1 + (f / high) ** rng.uniform(4, 12))
    for _ in range(int(rng.integers(1, 4))):  # horn and hall
        centre = float(np.exp(rng.uniform(np.log(300), np.log(3500))))
        gain = gain * (1 + rng.uniform(-0.6, 1.5) * np.exp(-(((f - centre) / (0.25 * centre)) ** 2)))
    y = np.fft.irfft(spectrum * gain, len(x))
    t = np.arange(len(x)) / RATE
    flutter = 0.0006 * np.sin(2 * np.pi * rng.uniform(0.5, 1.8) * t) + 0.0001 * np.sin(2 * np.pi * rng.uniform(5, 12) * t)
    y = np.interp(t + flutter, t, y)
    peak = np.abs(y).max() + 1e-9
    drive = rng.uniform(0.5, 2.5)
    y = np.tanh(drive * y / peak) * peak / np.tanh(drive)
    hiss = np.fft.irfft(np.fft.rfft(rng.normal(size=len(x))) / (1 + (f / high) ** 4), len(x))
    crackle = (rng.random(len(x)) < rng.uniform(0, 25) / RATE) * rng.normal(0, 6, len(x))
    hum = np.sin(2 * np.pi * float(rng.choice([50, 60, 100, 120])) * t) * rng.uniform(0, 1.5)
    noise = hiss / (hiss.std() + 1e-9) + crackle + hum
    return (y + noise * (y.std() * 10 ** (-rng.uniform(12, 32) / 20))).astype(np.float32)


def augment(x: np.ndarray, rng: np.random.Generator, other: np.ndarray) -> tuple[np.ndarray, float]:
    """One clip (N,) changed at random, and the factor by which its times have been multiplied.

    Resampling by up to 15 % moves formants, pitch and tempo together, as another vocal tract would.
    """
    stretch = 1.0
    if rng.random() < 0.6:
        up = int(rng.integers(86, 117))
        x = resample_poly(x, up, 100)
        stretch = up / 100
    if rng.random() < 0.85:
        x = _equalise(x, rng)
    if rng.random() < 0.4:
        x = _room(x, rng)
    if rng.random() < 0.75:
        x = _noise(x, rng, other)
    if rng.random() < 0.25:
        x = _band(x, rng)
    if rng.random() < 0.15:  # eight-bit mu-law, as telephones code it
        peak = np.abs(x).max() + 1e-9
        y = np.sign(x) * np.log1p(255 * np.abs(x / peak)) / np.log(256)
        y = np.round(y * 127) / 127
        x = np.sign(y) * np.expm1(np.abs(y) * np.log(256)) / 255 * peak
    if rng.random() < 0.1:  # an overdriven microphone
        limit = np.abs(x).max() * rng.uniform(0.3, 0.8)
        x = np.clip(x, -limit, limit)
    return (x * 10 ** (rng.uniform(-30, 0) / 20)).astype(np.float32), stretch


def other_tract(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Log mel rows (N, 40) as if said by another vocal tract.

    One factor for all frequencies, and each formant region a little by itself, as people and accents differ.
    """
    knots = np.array([0.0, 500.0, 1500.0, 3000.0, 7600.0])
    return warp(mel, knots, rng.uniform(0.84, 1.19) * rng.normal(1.0, 0.045, len(knots)).clip(0.88, 1.12))


def other_tempo(mel: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N, 40) at 10 ms and labels (M,) at 20 ms read at an uneven pace, 0.7 to 1.4 times as fast; as long or shorter.

    Synthetic voices give every sound its textbook length; people do not.
    """
    rows = len(labels)
    knots = max(2, rows // int(rng.integers(8, 30)))
    pace = np.interp(np.arange(rows), np.linspace(0, rows, knots), np.exp(rng.uniform(-0.35, 0.35, knots)))
    at = np.concatenate(([0.0], np.cumsum(pace[:-1])))
    at = at[at <= rows - 1]
    fine = np.minimum(np.interp(np.arange(2 * len(at) - 1) / 2, np.arange(len(at)), at) * 2, len(mel) - 1)
    low = np.minimum(fine.astype(int), max(len(mel) - 2, 0))
    share = (fine - low).astype(mel.dtype)[:, None]
    high = np.minimum(low + 1, len(mel) - 1)
    return (1 - share) * mel[low] + share * mel[high], labels[np.round(at).astype(int)]


def blur(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows (N, 40) smoothed over up to 70 ms: speech that is run together, sounds that are hardly reached."""
    width = 2 * int(rng.integers(1, 4)) + 1
    padded = np.pad(mel, ((width // 2, width // 2), (0, 0)), mode="edge")
    return np.mean([padded[k : k + len(mel)] for k in range(width)], axis=0)


def noise_floor(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows (N, 40) with steady noise of a random colour added, 0 to 35 dB under the loud rows."""
    loud = np.percentile(mel, 95, axis=0).max()
    colour = np.interp(np.arange(mel.shape[1]), np.linspace(0, mel.shape[1] - 1, 5), rng.uniform(-1.5, 1.5, 5))
    floor = loud - rng.uniform(1.5, 9.0) + colour
    ripple = rng.normal(0, 0.35, mel.shape)  # what noise of 25 ms shows in one band
    return np.logaddexp(mel, floor + ripple).astype(mel.dtype)
