# SPDX-License-Identifier: Apache-2.0
"""From visemes with times to mouth curves, with coarticulation; and a mouth from the signal alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from bridge_server.face.acoustics import HOP, Acoustics
from bridge_server.face.visemes import (
    BILABIALS,
    VISEME_INDEX,
    VISEMES,
    dominances,
    shape_matrix,
)
from shared.face_curves import ARKIT_INDEX

__all__ = ["Segment", "close_lips", "coarticulate", "mouth_from_signal", "scale_jaw", "signal_weights"]

_REACH: Final = 0.35
"""Seconds beyond which a segment no longer shapes the mouth."""
_PLATEAU: Final = 0.050
"""Seconds that a bilabial stays shut at least: longer than a frame at 24 per second, so that one frame shows it."""
_EDGE: Final = 0.055
"""Seconds in which lips close before, and open after, a bilabial."""
_JAW: Final = ARKIT_INDEX["jawOpen"]


@dataclass(frozen=True)
class Segment:
    """A stretch of speech in one mouth shape.

    :ivar start: seconds.
    :ivar end: seconds.
    :ivar viseme: one of :data:`~.visemes.VISEMES`.
    :ivar phone: the phoneme it is part of, for display; empty when recognised without one.
    :ivar word: the word it is part of; empty likewise.
    :ivar confidence: in [0, 1].
    """

    start: float
    end: float
    viseme: str
    phone: str = ""
    word: str = ""
    confidence: float = 1.0


def coarticulate(segments: Sequence[Segment], rows: int) -> np.ndarray:
    """(rows, 52) mouth targets at :data:`~.acoustics.HOP`, before energy and lip closure.

    Every segment pulls each curve to its target with a dominance that decays on both sides of it; the curve is
    the weighted mean of all pulls (Cohen and Massaro 1993, with a dominance that is smooth at its top).
    """
    targets = shape_matrix()
    lips, jaw = dominances()
    weight = np.full((rows, 2), 1e-4, np.float32)
    total = np.zeros((rows, len(ARKIT_INDEX)), np.float32)  # an hour is 360,000 rows
    for s in segments:
        v = VISEME_INDEX[s.viseme]
        centre, duration = (s.start + s.end) / 2, max(s.end - s.start, 0.01)
        # a long sound is held: the distance counts from its middle half
        half = max(duration / 4, duration / 2 - 0.08)
        first = max(0, int((centre - half - _REACH) / HOP))
        last = min(rows, int((centre + half + _REACH) / HOP) + 1)
        if first >= last:
            continue
        distance = np.maximum(0.0, np.abs(np.arange(first, last) * HOP - centre) - half)
        spread = np.clip(0.30 * duration, 0.016, 0.035)
        pull = np.exp(-(np.sqrt(1 + (distance / spread) ** 2) - 1)) * min(1.0, 0.5 + duration / 0.12)
        weight[first:last, 0] += lips[v] * pull
        weight[first:last, 1] += jaw[v] * pull
        part = np.outer(lips[v] * pull, targets[v])
        part[:, _JAW] = jaw[v] * pull * targets[v, _JAW]
        total[first:last] += part
    opened = total[:, _JAW] / weight[:, 1]
    total /= weight[:, :1]
    total[:, _JAW] = opened
    return gaussian_filter1d(total, 0.012 / HOP, axis=0, mode="nearest")


def scale_jaw(curves: np.ndarray, level: np.ndarray) -> np.ndarray:
    """(N, 52) opened as far as the voice is loud: jaw and lip opening scaled by ``level`` (N,) in [0, 1]."""
    out = curves.copy()
    effort = 0.35 + 0.85 * gaussian_filter1d(level, 0.02 / HOP, mode="nearest")
    out[:, _JAW] *= effort
    for name in ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"):
        out[:, ARKIT_INDEX[name]] *= 0.4 + 0.6 * effort
    return out


def _gate(rows: int, start: float, end: float) -> tuple[slice, np.ndarray]:
    centre, half = (start + end) / 2, max(end - start, _PLATEAU) / 2
    first, last = max(0, int((centre - half - _EDGE) / HOP)), min(rows, int((centre + half + _EDGE) / HOP) + 2)
    outside = np.maximum(0.0, np.abs(np.arange(first, last) * HOP - centre) - half)
    return slice(first, last), 0.5 * (1 + np.cos(np.pi * np.clip(outside / _EDGE, 0, 1)))


def close_lips(curves: np.ndarray, segments: Sequence[Segment]) -> np.ndarray:
    """(N, 52) with the lips shut on every bilabial and the lower lip at the teeth on every labiodental.

    Coarticulation alone leaves the lips apart on short bilabials between open vowels, which is what eyes notice first.
    """
    out, targets = curves.copy(), shape_matrix()
    for s in segments:
        if s.viseme in BILABIALS or s.viseme == "FF":
            where, gate = _gate(len(out), s.start, s.end)
            gate = gate[:, None] * (1.0 if s.viseme in BILABIALS else 0.8)
            # a closed mouth keeps what its neighbours do with the corners and the rounding, at a lower measure
            target = np.maximum(targets[VISEME_INDEX[s.viseme]], 0.5 * out[where] * _KEPT)
            out[where] = (1 - gate) * out[where] + gate * target
    return out


_KEPT: Final = np.array([float(n.startswith(("mouthPucker", "mouthSmile", "mouthStretch"))) for n in ARKIT_INDEX])


def _step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def signal_weights(acoustics: Acoustics, reference: Acoustics | None = None) -> np.ndarray:
    """(N, 15) soft viseme weights, rows sum to 1, from loudness, voicing, hiss and two formant measures alone.

    Rough, but never nothing: it shapes the mouth where no phonemes are known or the recogniser is unsure.

    :param reference: rows from everywhere in the clip, by which the speaker's range is judged where this is a stretch of it.
    """
    a = acoustics
    weights = np.zeros((len(a), len(VISEMES)), np.float32)
    if not a.speech:
        weights[:, 0] = 1
        return weights
    active = _step(a.level, 0.06, 0.24)
    hiss = _step(a.hiss, 0.35, 0.65) * (1 - 0.7 * a.voiced)
    usual = reference or a
    spoken = usual.voiced > 0.4
    if spoken.any():  # the speaker's own range, between the fifth and the ninety-fifth percentile
        lo1, hi1 = np.percentile(usual.f1[spoken], (5, 95))
        lo2, hi2 = np.percentile(usual.f2[spoken], (5, 95))
    else:
        lo1, hi1, lo2, hi2 = 0.0, 1.0, 0.0, 1.0
    opened = np.clip((a.f1 - lo1) / max(hi1 - lo1, 0.1), 0, 1)
    front = np.clip((a.f2 - lo2) / max(hi2 - lo2, 0.1), 0, 1)
    places = {
        "aa": (1.0, 0.45),
        "E": (0.6, 0.75),
        "ih": (0.1, 0.9),
        "oh": (0.6, 0.1),
        "ou": (0.1, 0.1),
        "nn": (0.1, 0.5),
    }
    near = np.stack([np.exp(-((opened - o) ** 2 + (front - f) ** 2) / 0.08) for o, f in places.values()], axis=1)
    near /= near.sum(axis=1, keepdims=True) + 1e-9
    # a closure is a dip of the level between two louder moments less than a tenth of a second away
    reach = int(0.09 / HOP)
    before = maximum_filter1d(a.level, reach, origin=reach // 2, mode="nearest")
    after = maximum_filter1d(a.level, reach, origin=-(reach // 2), mode="nearest")
    dip = _step(np.minimum(before, after) - a.level, 0.18, 0.4) * (1 - hiss)
    voice = active * (1 - hiss) * (1 - dip)
    weights[:, VISEME_INDEX["SS"]] = active * hiss
    weights[:, VISEME_INDEX["PP"]] = dip * (1 - active * hiss)
    for k, name in enumerate(places):
        weights[:, VISEME_INDEX[name]] = voice * near[:, k]
    weights[:, 0] += np.maximum(0, 1 - weights.sum(axis=1))
    return weights / weights.sum(axis=1, keepdims=True)


def mouth_from_signal(acoustics: Acoustics, reference: Acoustics | None = None) -> np.ndarray:
    """(N, 52) mouth curves at :data:`~.acoustics.HOP` from the signal alone; ``reference`` as :func:`signal_weights` takes it."""
    weights = gaussian_filter1d(signal_weights(acoustics, reference), 0.018 / HOP, axis=0, mode="nearest")
    return scale_jaw(weights @ shape_matrix().astype(np.float32), acoustics.level)
