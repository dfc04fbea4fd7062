# SPDX-License-Identifier: Apache-2.0
"""Words and phonemes as an artist sees and corrects them, to and from the segments that shape the mouth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from bridge_server.face import align as aligner
from bridge_server.face.acoustics import RATE
from bridge_server.face.mouth import Segment
from bridge_server.face.shapes_in_time import split_shapes
from bridge_server.face.visemes import VISEME_INDEX, arpabet_visemes
from shared.speech import Phone, Word, clip

__all__ = ["complete", "from_aligned", "from_segments", "to_segments", "visemes_of"]

_GAP: Final = 0.16
"""Seconds of silence that end a stretch of recognised sounds."""
_LONGEST: Final = 4.0
"""Seconds; a longer stretch of recognised sounds is cut at its longest silence, or in the end anywhere."""
_MARGIN: Final = 0.08
"""Seconds around a word in which a new text is aligned."""
_LONG: Final = frozenset("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())
_SHORT: Final = frozenset("T D P B K G HH".split())


def visemes_of(name: str) -> tuple[str, ...]:
    """The visemes of a phoneme as :class:`shared.speech.Phone` names it; empty where it takes its neighbour's shape."""
    return (name,) if name in VISEME_INDEX else arpabet_visemes(name)


def from_aligned(aligned: aligner.Aligned) -> list[Word]:
    """The words of a forced alignment."""
    found, phones = [], [p for p in aligned.phones if p.name != "SIL"]
    at = 0
    for start, end, text in aligned.words:
        inside = []
        while at < len(phones) and phones[at].start < end - 1e-6:
            inside.append(Phone(phones[at].start, phones[at].end, phones[at].name))
            at += 1
        found.append(Word(start, end, text, tuple(inside)))
    return found


def from_segments(segments: Sequence[Segment]) -> list[Word]:
    """Recognised sounds as stretches without a text, cut where it is silent."""
    found: list[Word] = []
    run: list[Phone] = []

    def finish() -> None:
        if run:
            found.append(Word(run[0].start, run[-1].end, "", tuple(run)))
            run.clear()

    for s in segments:
        if s.viseme == "sil" and s.end - s.start >= _GAP or run and s.end - run[0].start > _LONGEST:
            finish()
        if s.viseme != "sil":
            run.append(Phone(s.start, s.end, s.viseme))
    finish()
    return found


def to_segments(words: Sequence[Word], confidence: float = 1.0) -> list[Segment]:
    """Segments in time order without overlaps, silence between words; words without phonemes are passed over."""
    rows: list[tuple[float, float, str, tuple[str, ...], str]] = []
    at = 0.0
    for word in clip(words):
        for p in word.phones:
            start = max(p.start, at)
            if p.end - start < 1e-4:
                continue
            if start - at > 1e-4:
                rows.append((at, start, "SIL", ("sil",), ""))
            rows.append((start, p.end, p.name, visemes_of(p.name), word.text))
            at = p.end
    spoken = {round(start, 6): text for start, _, _, _, text in rows}
    starts = np.array(sorted(spoken))
    segments = []
    for start, end, viseme, name in split_shapes((a, b, n, v) for a, b, n, v, _ in rows):
        k = int(np.searchsorted(starts, (start + end) / 2, side="right")) - 1
        text = spoken[float(starts[k])] if viseme != "sil" and k >= 0 else ""
        segments.append(Segment(start, end, viseme, name, text, confidence))
    return segments


def _spread(names: Sequence[str], start: float, end: float) -> tuple[Phone, ...]:
    """Phonemes over a word by their usual lengths."""
    weights = np.array([1.5 if n in _LONG else 0.7 if n in _SHORT else 1.0 for n in names])
    edges = start + (end - start) * np.concatenate(([0.0], np.cumsum(weights) / weights.sum()))
    return tuple(Phone(float(a), float(b), n) for a, b, n in zip(edges[:-1], edges[1:], names, strict=True))


def _in_sound(word: Word, samples: np.ndarray | None) -> tuple[Phone, ...]:
    """The phonemes of a word where its text can be aligned with what sounds there; else none."""
    if samples is None or not aligner.available():
        return ()
    first = max(0, int((word.start - _MARGIN) * RATE))
    part = samples[first : int((word.end + _MARGIN) * RATE)]
    found = aligner.align(part, word.text)
    if found is None:
        return ()
    phones = [(p.start + first / RATE, p.end + first / RATE, p.name) for p in found.phones if p.name != "SIL"]
    low, high = phones[0][0], phones[-1][1]
    if high - low < 0.5 * (word.end - word.start):
        return ()
    # the artist's edges hold; inside them the sounds lie as they were found
    scale = (word.end - word.start) / max(high - low, 1e-6)
    return tuple(Phone(word.start + (a - low) * scale, word.start + (b - low) * scale, n) for a, b, n in phones)


def complete(words: Sequence[Word], samples: np.ndarray | None = None) -> list[Word]:
    """Words with phonemes for those that have none, from their text: where they sound, else by their usual lengths.

    :param samples: (N,) mono float at 16 kHz, or None.
    """
    out = []
    for word in words:
        phones = word.phones
        if not phones and word.text.strip():
            phones = _in_sound(word, samples)
            names = [] if phones else aligner.pronounce(word.text)
            if names:
                phones = _spread(names, word.start, word.end)
        out.append(Word(word.start, word.end, word.text, tuple(phones)))
    return out
