# SPDX-License-Identifier: Apache-2.0
"""What a sound is beside speech: where somebody speaks at all, and whether it is more than one person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from bridge_server.face.acoustics import HOP, Acoustics
from bridge_server.face.recogniser import FRAME
from shared.speech import Word

__all__ = ["of_words", "only_speech", "other_sound", "speaking", "two_voices"]

_LOUD: Final = 0.2
_SPAN: Final = 0.35
"""Seconds (standard deviation) over which a sound is judged."""
_RANGE: Final = (0.22, 0.42)
"""Share of loud time heard as sounds of speech under which nobody speaks, and over which somebody surely does."""


def speaking(acoustics: Acoustics, heard: np.ndarray) -> np.ndarray:
    """(N,) in [0, 1] at the acoustics' rows: whether what is loud is somebody speaking, by the recogniser's probabilities.

    The recogniser has learnt music and noises as silence. In speech a few loud rows are heard as silence too, so the
    share over a stretch decides, not the single row. Quiet rows take over from their neighbours.
    """
    rows = np.arange(len(acoustics))
    sounds = np.interp(rows * HOP, np.arange(len(heard)) * FRAME, 1 - heard[:, 0])
    loud = np.clip((acoustics.level - _LOUD) / 0.2, 0, 1)
    width = _SPAN / HOP
    share = gaussian_filter1d(sounds * loud, width, mode="nearest") / (gaussian_filter1d(loud, width, mode="nearest") + 1e-3)
    t = np.clip((share - _RANGE[0]) / (_RANGE[1] - _RANGE[0]), 0, 1)
    return t * t * (3 - 2 * t)


def of_words(words: Sequence[Word], rows: int) -> np.ndarray:
    """The same from words that are known: 1 in each and shortly around it."""
    out = np.zeros(rows)
    for w in words:
        out[max(0, int((w.start - 0.15) / HOP)) : int((w.end + 0.15) / HOP) + 1] = 1.0
    return gaussian_filter1d(out, 0.04 / HOP, mode="nearest")


def only_speech(acoustics: Acoustics, mask: np.ndarray) -> Acoustics:
    """The measurements with everything silent where ``mask`` (N,) says that nobody speaks."""
    level = acoustics.level * mask
    return replace(
        acoustics,
        level=level,
        voiced=acoustics.voiced * mask,
        hiss=acoustics.hiss * mask,
        speech=acoustics.speech and bool((level > _LOUD).any()),
    )


def other_sound(acoustics: Acoustics, mask: np.ndarray) -> list[tuple[float, float]]:
    """(start, end) seconds of stretches of at least two seconds that are loud, but nobody speaks."""
    loud = gaussian_filter1d((acoustics.level > _LOUD).astype(float), 0.3 / HOP, mode="nearest") > 0.4
    edges = np.flatnonzero(np.diff(np.concatenate(([False], loud & (mask < 0.3), [False])).astype(int)))
    return [(float(a), float(b)) for a, b in edges.reshape(-1, 2) * HOP if b - a >= 2.0]


def two_voices(acoustics: Acoustics) -> bool:
    """Whether two people of clearly different pitch seem to speak by turns.

    Stretches of voice are told apart by their median pitch; two groups a quarter of an octave and more apart, each
    narrow, each with a good part of the time, are two voices. Two people of like pitch are not noticed.
    """
    voiced = acoustics.voiced > 0.5
    edges = np.flatnonzero(np.diff(np.concatenate(([False], voiced, [False])).astype(int))).reshape(-1, 2)
    edges = edges[(edges[:, 1] - edges[:, 0]) * HOP >= 0.08]
    if len(edges) < 12:
        return False
    tones = np.array([12 * np.log2(max(float(np.median(acoustics.pitch[a:b])), 1.0)) for a, b in edges])
    # a pitch that was found an octave off belongs to nobody
    weights = (edges[:, 1] - edges[:, 0]).astype(float)
    order = np.argsort(tones)
    tones, weights = tones[order], weights[order]
    best, cut = np.inf, 0
    for k in range(1, len(tones)):
        cost = sum(
            float(np.average((t - np.average(t, weights=w)) ** 2, weights=w) * w.sum())
            for t, w in ((tones[:k], weights[:k]), (tones[k:], weights[k:]))
        )
        if cost < best:
            best, cut = cost, k
    low, high = (tones[:cut], weights[:cut]), (tones[cut:], weights[cut:])
    means = [np.average(t, weights=w) for t, w in (low, high)]
    spreads = [np.sqrt(np.average((t - m) ** 2, weights=w)) for (t, w), m in zip((low, high), means, strict=True)]
    shares = [w.sum() / weights.sum() for _, w in (low, high)]
    apart = means[1] - means[0]
    return bool(apart > 4.0 and min(shares) > 0.2 and max(spreads) < 0.33 * apart)
