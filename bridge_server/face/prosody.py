# SPDX-License-Identifier: Apache-2.0
"""Accents and pauses of speech, and the brow raises and nods that go with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.signal import find_peaks

from bridge_server.face.acoustics import HOP, Acoustics

__all__ = ["Prosody", "bumps", "find_prosody", "noise"]

_PAUSE_SECONDS: Final = 0.18


@dataclass(frozen=True)
class Prosody:
    """:ivar accents: (K,) seconds of stressed syllables.
    :ivar strengths: (K,) in [0, 1], how much each stands out.
    :ivar pauses: (M, 2) seconds, start and end of stretches without voice, at least 0.18 s long.
    """

    accents: np.ndarray
    strengths: np.ndarray
    pauses: np.ndarray


def find_prosody(acoustics: Acoustics | None, duration: float, reference: Acoustics | None = None) -> Prosody:
    """Accents where loudness and pitch stand out together; without audio one pause as long as the take.

    :param reference: rows from everywhere in the clip, by which the speaker's pitch is judged where this is a stretch of it.
    """
    if acoustics is None or not acoustics.speech:
        return Prosody(np.zeros(0), np.zeros(0), np.array([[0.0, duration]]))
    quiet = acoustics.level < 0.10
    edges = np.flatnonzero(np.diff(np.concatenate(([False], quiet, [False])).astype(int)))
    pauses = edges.reshape(-1, 2) * HOP
    pauses = pauses[(pauses[:, 1] - pauses[:, 0]) >= _PAUSE_SECONDS]
    salience = acoustics.level * np.clip(acoustics.voiced, 0, 1)
    if acoustics.pitch.any():
        usual = reference or acoustics
        spoken = usual.voiced > 0.4
        semitones = 12 * np.log2(np.maximum(acoustics.pitch, 1) / np.median(usual.pitch[spoken] if spoken.any() else 1))
        salience = salience * (1 + np.clip(semitones, -4, 6) / 10)
    peaks, found = find_peaks(salience, prominence=0.15, distance=int(0.18 / HOP))
    prominence = found["prominences"]
    if len(peaks) == 0:
        return Prosody(np.zeros(0), np.zeros(0), pauses)
    # stressed syllables are the ones louder and higher than their neighbours within two seconds
    first = np.searchsorted(peaks, peaks - int(1 / HOP))
    last = np.searchsorted(peaks, peaks + int(1 / HOP), side="right")
    heights = salience[peaks]
    rank = np.array([(h >= heights[a:b] - 1e-9).mean() for h, a, b in zip(heights, first, last, strict=True)])
    stressed = rank >= 0.6
    strengths = np.clip(0.4 * prominence + 0.6 * rank, 0, 1)
    return Prosody(peaks[stressed] * HOP, strengths[stressed], pauses)


def bumps(times: np.ndarray, centres: np.ndarray, heights: np.ndarray, rise: float, fall: float) -> np.ndarray:
    """(T,) sum of raised-cosine bumps that start ``rise`` before each centre and end ``fall`` after it, seconds."""
    out = np.zeros(len(times))
    for centre, height in zip(centres, heights, strict=True):
        first, last = np.searchsorted(times, (centre - rise, centre + fall))
        t = times[first:last] - centre
        phase = np.where(t < 0, t / rise, t / fall)
        out[first:last] = np.maximum(out[first:last], height * 0.5 * (1 + np.cos(np.pi * phase)))
    return out


def noise(times: np.ndarray, seed: int, stream: int, hertz: float) -> np.ndarray:
    """(T,) slow random motion, about unit size, a function of time and seed alone.

    Six sines with incommensurable rates around ``hertz``: any stretch of it can be made by itself.
    """
    rng = np.random.default_rng((seed & 0xFFFFFFFFFFFFFFFF, stream))
    rates = hertz * np.exp(rng.uniform(-0.9, 0.9, 6))
    phases = rng.uniform(0, 2 * np.pi, 6)
    return np.sin(2 * np.pi * rates * np.asarray(times)[:, None] + phases).sum(axis=1) / np.sqrt(3.0)
