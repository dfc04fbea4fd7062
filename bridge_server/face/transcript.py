# SPDX-License-Identifier: Apache-2.0
"""A transcript laid onto a speech of any length: roughly as a whole, then exactly piece by piece.

The forced aligner keeps all of a clip in memory and gives up on all of it at one wrong sentence. So a long speech is
first laid out roughly: the visemes of the whole text against what the recogniser hears, along a band of the diagonal, in
memory that is bounded by the band. Then it is cut in pauses, and each piece is aligned with its own words. A piece that
does not fit is left to the recogniser, and said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bridge_server.face import align as aligner
from bridge_server.face.acoustics import HOP, RATE
from bridge_server.face.mouth import Segment
from bridge_server.face.recogniser import FRAME
from bridge_server.face.visemes import VISEME_INDEX
from bridge_server.face.words import from_aligned, visemes_of
from shared.speech import Phone, Word

__all__ = ["Fitted", "agreement", "fit", "rough"]

ONE_PIECE: Final = 45.0
"""Seconds; a speech up to this long is aligned at once."""
_PIECE: Final = (12.0, 40.0)
"""Seconds that a piece lasts at least, and at most where there is a pause."""
_BAND: Final = 1000
"""Visemes on either side of the diagonal; about a minute and a half."""
_ROW: Final = 2
"""Rows of the recogniser per row of the rough layout: 40 ms."""
_QUIET: Final = 0.3
"""Log probability that it costs to let a silent row pass inside a sound."""
_SKIP: Final = 1.2
"""Log probability that it costs to leave a sound out."""
PLAUSIBLE: Final = 0.6
HEARD: Final = 0.35


@dataclass
class Fitted:
    """:ivar words: with phonemes, in time order. :ivar missed: (start, end) seconds of pieces that the text does not fit.
    :ivar guessed: words that are in no dictionary.
    """

    words: list[Word]
    missed: list[tuple[float, float]] = field(default_factory=list)
    guessed: list[str] = field(default_factory=list)


def agreement(segments: Sequence[Segment | Phone], probabilities: np.ndarray) -> float:
    """How far the recogniser hears what the segments say, 0 to 1: the mean probability of their visemes.

    Only sounding rows count, and each takes the best within 40 ms, since boundaries differ.
    """
    best = probabilities.copy()
    for shift in (1, 2):
        best[shift:] = np.maximum(best[shift:], probabilities[:-shift])
        best[:-shift] = np.maximum(best[:-shift], probabilities[shift:])
    total, rows = 0.0, 0
    for s in segments:
        first, last = (int(np.ceil(t / FRAME)) for t in (s.start, s.end))
        names = visemes_of(s.name) if isinstance(s, Phone) else (s.viseme,)
        if not names or names == ("sil",):
            continue
        part = best[first:last, [VISEME_INDEX[n] for n in names]].max(axis=1)
        total, rows = total + float(part.sum()), rows + len(part)
    return total / max(rows, 1)


def rough(heard: np.ndarray, states: np.ndarray) -> np.ndarray:
    """(S,) seconds at which each viseme of a text begins, by Viterbi along the diagonal.

    :param heard: (M, 15) probabilities at :data:`~.recogniser.FRAME`.
    :param states: (S,) viseme indices of the whole text, without silences.
    """
    rows = len(heard) // _ROW
    logs = np.log(np.maximum(heard[: rows * _ROW], 1e-4)).reshape(rows, _ROW, heard.shape[1]).mean(axis=1)
    emission = np.maximum(np.maximum(logs, logs[:, :1] - _QUIET), -5.0)
    sounding = np.cumsum(logs[:, 0] < np.log(0.5)).astype(float)
    centre = sounding / max(sounding[-1] if rows else 0.0, 1.0) * len(states)
    width = min(2 * _BAND, len(states))
    offsets = np.clip(centre - width / 2, 0, len(states) - width).astype(int)
    score = np.full(width, -np.inf)
    moves = np.zeros((rows, width), np.uint8)
    if rows == 0 or width == 0:
        return np.zeros(len(states))
    score[0] = emission[0, states[offsets[0]]]
    for t in range(1, rows):
        shift = offsets[t] - offsets[t - 1]
        # the former row, and before it two states that were never reached; so that a state's neighbours are slices
        former = np.concatenate(([-np.inf, -np.inf], score, np.full(shift, -np.inf)))
        same, one, two = (former[2 - k + shift : 2 - k + shift + width] for k in range(3))
        options = np.stack((same, one, two - _SKIP))
        best = options.argmax(axis=0)
        moves[t] = best
        score = np.take_along_axis(options, best[None], 0)[0] + emission[t, states[offsets[t] : offsets[t] + width]]
    begins = np.full(len(states), np.nan)
    last = np.flatnonzero(np.isfinite(score))
    # the text should be finished; where the band did not reach its end, take the furthest
    state = int(offsets[-1] + last[-1])
    for t in range(rows - 1, -1, -1):
        begins[state] = t
        state -= int(moves[t, state - offsets[t]]) if t else 0
    known = np.flatnonzero(np.isfinite(begins))
    # a pause may have gone to the sound after it: that sound begins where the pause ends
    loud = np.flatnonzero(logs[:, 0] < np.log(0.5))
    later = loud[np.minimum(np.searchsorted(loud, begins[known]), len(loud) - 1)] if len(loud) else begins[known]
    ends = np.append(begins[known][1:], rows)
    begins[known] = np.where(later < ends, np.maximum(later, begins[known]), begins[known])
    return np.interp(np.arange(len(states)), known, begins[known]) * _ROW * FRAME


def _cuts(starts: np.ndarray, quiet: np.ndarray, duration: float) -> list[tuple[float, int]]:
    """(seconds, number of the first word after it) of cuts in pauses.

    :param starts: (W,) seconds of the words, roughly. :param quiet: (M,) bool, silent rows at the recogniser's rate.
    """
    padded = np.concatenate(([False], quiet, [False])).astype(int)
    edges = np.flatnonzero(np.diff(padded)).reshape(-1, 2) * FRAME
    pauses = edges[(edges[:, 1] - edges[:, 0]) >= 0.1]
    found: list[tuple[float, int]] = []
    at = 0.0
    while duration - at > ONE_PIECE:
        near = pauses[(pauses.mean(axis=1) > at + _PIECE[0]) & (pauses.mean(axis=1) < at + _PIECE[1])]
        if not len(near):
            near = pauses[pauses.mean(axis=1) >= at + _PIECE[1]][:1]
        if not len(near):
            break
        low, high = near[int(np.argmax(near[:, 1] - near[:, 0]))]
        at = (low + high) / 2
        # a word whose rough start lies near the end of the pause belongs after it
        found.append((at, int(np.searchsorted(starts, at))))
    return found


def _piece(
    samples: np.ndarray, level: np.ndarray, heard: np.ndarray | None, text: Sequence[str], start: float, end: float
) -> tuple[list[Word] | None, list[str]]:
    """The words of one piece with times, or None where they do not fit; and the guessed ones."""
    part = samples[int(start * RATE) : int(end * RATE)]
    found = aligner.align(part, " ".join(text)) if text else None
    if found is None:
        return None, []
    rows = slice(int(start / HOP), int(end / HOP))
    if aligner.plausibility(found, level[rows]) < PLAUSIBLE:
        return None, []
    if heard is not None:
        part_heard = heard[int(start / FRAME) : max(int(end / FRAME), int(start / FRAME) + 3)]
        phones = [Phone(p.start, p.end, p.name) for p in found.phones if p.name != "SIL"]
        if agreement(phones, part_heard) < HEARD:
            return None, []
    words = [
        Word(w.start + start, w.end + start, w.text, tuple(Phone(p.start + start, p.end + start, p.name) for p in w.phones))
        for w in from_aligned(found)
    ]
    return words, found.guessed


def fit(samples: np.ndarray, level: np.ndarray, text: str, heard: np.ndarray | None) -> Fitted | None:
    """Lay a transcript onto a speech; None where it does not fit.

    :param samples: (N,) mono float at 16 kHz. :param level: (M,) loudness at :data:`~.acoustics.HOP`.
    :param heard: (K, 15) the recogniser's probabilities; without them a speech is aligned in one piece.
    """
    words = aligner.words_of(text)
    duration = len(samples) / RATE
    if duration <= ONE_PIECE or heard is None or len(words) < 8:
        found, guessed = _piece(samples, level, heard, words, 0.0, duration)
        return None if found is None else Fitted(found, [], guessed)
    spelt: list[tuple[int, str]] = []
    known: dict[str, list[str]] = {}
    for n, word in enumerate(words):
        phones = known.setdefault(word, aligner.pronounce(word))
        spelt += [(n, v) for p in phones for v in visemes_of(p) if v != "sil"]
    states = np.array([VISEME_INDEX[v] for _, v in spelt])
    begins = rough(heard, states)
    owner = np.array([n for n, _ in spelt])
    first_state = np.searchsorted(owner, np.arange(len(words)))
    starts = np.maximum.accumulate(begins[np.minimum(first_state, len(begins) - 1)])
    cuts = [(0.0, 0), *_cuts(starts, heard[:, 0] > 0.5, duration), (duration, len(words))]
    out = Fitted([])
    for (low, a), (high, b) in zip(cuts[:-1], cuts[1:], strict=True):
        loud = level[int(low / HOP) : int(high / HOP)]
        if b == a and (loud > 0.25).sum() * HOP < 1.0:
            continue  # a pause, a cough
        found, guessed = _piece(samples, level, heard, words[a:b], low, high)
        if found is None:
            out.missed.append((low, high))
        else:
            out.words += found
            out.guessed += [g for g in guessed if g not in out.guessed]
    lost = sum(b - a for a, b in out.missed)
    return None if not out.words or lost > 0.5 * duration else out
