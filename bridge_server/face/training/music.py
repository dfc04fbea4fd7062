# SPDX-License-Identifier: Apache-2.0
"""Sounds that are no speech: made-up music and noises, so that the recogniser learns to keep its mouth shut."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.signal import lfilter

from bridge_server.face.acoustics import RATE

__all__ = ["music", "noises"]

_SCALES: Final = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10), (0, 2, 4, 7, 9))
_CHORDS: Final = ((0, 4, 7), (0, 3, 7), (0, 4, 7, 11), (0, 3, 7, 10), (0, 5, 7))


def _hertz(note: float) -> float:
    return float(440 * 2 ** ((note - 69) / 12))


def _envelope(count: int, attack: float, decay: float | None) -> np.ndarray:
    t = np.arange(count) / RATE
    out = np.minimum(t / attack, 1.0)
    out *= np.exp(-t / decay) if decay is not None else 1.0
    return out * np.minimum((t[-1] - t) / 0.02 if count > 1 else 1.0, 1.0).clip(0, 1)


def _tone(hertz: float, count: int, timbre: np.ndarray, vibrato: float, rng: np.random.Generator) -> np.ndarray:
    """Harmonics with the given weights; ``vibrato`` in semitones at about 5.5 Hz."""
    t = np.arange(count) / RATE
    bend = 2 ** (vibrato * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * t + rng.uniform(0, 6)) / 12)
    phase = 2 * np.pi * hertz * np.cumsum(bend) / RATE
    out = np.zeros(count)
    for k, weight in enumerate(timbre, 1):
        if hertz * k < RATE / 2.2:
            out += weight * np.sin(k * phase + rng.uniform(0, 6))
    return out


def _pluck(hertz: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """A plucked string (Karplus and Strong 1983)."""
    period = max(2, int(RATE / hertz))
    excitation = np.zeros(count)
    excitation[: min(period, count)] = rng.normal(size=min(period, count))
    return lfilter([1.0], np.concatenate(([1.0], np.zeros(period - 1), [-0.498, -0.498])), excitation)


def _drums(count: int, beat: float, rng: np.random.Generator) -> np.ndarray:
    out = np.zeros(count)
    pattern = rng.random((3, 16)) < np.array([[0.3], [0.25], [0.6]])
    pattern[0, ::8] = pattern[1, 4::8] = True
    for n in range(int(count / RATE / beat * 4) + 1):
        at = int(n * beat / 4 * RATE)
        if at >= count:
            break
        for k, (length, decay) in enumerate(((0.25, 0.07), (0.18, 0.05), (0.06, 0.015))):
            if pattern[k, n % 16]:
                t = np.arange(min(int(length * RATE), count - at)) / RATE
                hit = (
                    np.sin(2 * np.pi * (50 * t + 8 * (1 - np.exp(-t / 0.03))))
                    if k == 0
                    else np.diff(rng.normal(size=len(t) + 1), n=1) * (1.0 if k == 2 else 0.6)
                )
                out[at : at + len(t)] += hit * np.exp(-t / decay) * (1.2, 0.7, 0.3)[k]
    return out


def music(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """(N,) float32 at 16 kHz: chords, bass, a melody and drums, each or not, in a random key, tempo and timbre."""
    count = int(seconds * RATE)
    beat = 60 / rng.uniform(60, 170)
    root, scale = int(rng.integers(36, 60)), _SCALES[int(rng.integers(len(_SCALES)))]
    out = np.zeros(count)
    parts = rng.random(4) < (0.7, 0.6, 0.75, 0.55)
    if not parts[:3].any():
        parts[2] = True
    timbres = [1 / np.arange(1, int(rng.integers(3, 16))) ** rng.uniform(0.6, 2.2) for _ in range(3)]
    plucked = rng.random() < 0.35
    for bar in range(int(seconds / (4 * beat)) + 1):
        at, length = int(bar * 4 * beat * RATE), int(4 * beat * RATE)
        if at >= count:
            break
        degree = int(rng.choice(scale))
        chord = _CHORDS[int(rng.integers(len(_CHORDS)))]
        size = min(length, count - at)
        if parts[0]:
            for note in chord:
                tone = _tone(_hertz(root + 12 + degree + note), size, timbres[0], 0.05, rng)
                out[at : at + size] += 0.3 * tone * _envelope(size, rng.uniform(0.005, 0.3), None)
        if parts[1]:
            for k in range(4):
                first = at + int(k * beat * RATE)
                size = min(int(beat * RATE), count - first)
                if size > 100:
                    tone = _tone(_hertz(root - 12 + degree), size, timbres[1], 0.0, rng)
                    out[first : first + size] += 0.6 * tone * _envelope(size, 0.01, 0.4)
        if parts[2]:
            moment = 0.0
            while moment < 4 * beat - 1e-6:
                step = beat * float(rng.choice([0.25, 0.5, 0.5, 1.0, 2.0]))
                first = at + int(moment * RATE)
                size = min(int(step * RATE), count - first)
                moment += step
                if size < 100 or rng.random() < 0.15:
                    continue
                hertz = _hertz(root + 12 * int(rng.integers(1, 4)) + int(rng.choice(scale)))
                tone = (
                    _pluck(hertz, size, rng)
                    if plucked
                    else _tone(hertz, size, timbres[2], rng.uniform(0, 0.5), rng) * _envelope(size, 0.02, 1.0)
                )
                out[first : first + size] += 0.6 * tone
    if parts[3]:
        out += _drums(count, beat, rng)
    return (0.3 * out / (np.abs(out).max() + 1e-9)).astype(np.float32)


def noises(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """(N,) float32 at 16 kHz: steady or gusty coloured noise, hum, clicks, a whistle or a siren."""
    count = int(seconds * RATE)
    t = np.arange(count) / RATE
    spectrum = np.fft.rfft(rng.normal(size=count))
    out = np.fft.irfft(spectrum / np.maximum(np.arange(len(spectrum)), 20.0) ** rng.uniform(0, 1.3), count)
    out /= out.std() + 1e-9
    kind = rng.random()
    if kind < 0.3:
        knots = rng.uniform(0, 1, max(2, int(seconds * rng.uniform(1, 5)))) ** 2
        out *= np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(knots)), knots)
    elif kind < 0.45:
        hum = float(rng.uniform(45, 180))
        out = 0.3 * out + sum(rng.uniform(0, 1) * np.sin(2 * np.pi * hum * k * t) for k in range(1, 12))
    elif kind < 0.65:
        clicks = (rng.random(count) < rng.uniform(1, 15) / RATE) * rng.uniform(0.3, 1, count)
        out = 0.05 * out + 8 * lfilter([1.0], [1.0, -rng.uniform(0.5, 0.98)], clicks * rng.normal(size=count))
    elif kind < 0.8:
        sweep = rng.uniform(400, 1500) * 2 ** (rng.uniform(0, 1) * np.sin(2 * np.pi * rng.uniform(0.1, 3) * t))
        out = 0.1 * out + np.sin(2 * np.pi * np.cumsum(sweep) / RATE)
    return (0.3 * out / (np.abs(out).max() + 1e-9)).astype(np.float32)
