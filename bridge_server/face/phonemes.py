# SPDX-License-Identifier: Apache-2.0
"""When which mouth shape is due: from the transcript, from the recogniser, or nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bridge_server.face import align as aligner
from bridge_server.face import recogniser
from bridge_server.face.acoustics import HOP, Acoustics, mono16
from bridge_server.face.mouth import Segment
from bridge_server.face.visemes import VISEME_INDEX, VISEMES, arpabet_visemes
from bridge_server.audio.sound import Audio

__all__ = ["Phonemes", "agreement", "decode", "find", "phone_loop", "split_shapes", "vote"]

_SHORT_PAUSE: Final = 0.06
"""Seconds; a silence this short inside speech is a closure or a release and counts to the sound before it."""
_LONGEST_ALIGNED: Final = 900.0
"""Seconds; the aligner keeps a lattice of the whole clip in memory."""
_CHANGE: Final = -2.2
"""Log probability of going from one viseme to another within 20 ms; a phoneme lasts about 80 ms."""


_SAY: Final = 0.35
"""Share of pocketsphinx's phone loop where the speech is known to be English."""


@dataclass
class Phonemes:
    """:ivar segments: in time order; empty when only the signal is left to go by.
    :ivar source: ``transcript``, ``recogniser``, ``signal`` or ``artist``.
    :ivar warnings: sentences for the user.
    """

    segments: list[Segment]
    source: str
    warnings: list[str] = field(default_factory=list)


def split_shapes(phones: Iterable[tuple[float, float, str, tuple[str, ...]]]) -> list[tuple[float, float, str, str]]:
    """Phonemes (start, end, name, visemes) as (start, end, viseme, name), one viseme each.

    Diphthongs are cut at 55 %, sounds without a shape are given to the next, very short silences to the one before.
    """
    out: list[tuple[float, float, str, str]] = []
    waiting: float | None = None
    for start, end, name, shapes in phones:
        if shapes == ("sil",) and out and end - start < _SHORT_PAUSE and out[-1][2] != "sil":
            out[-1] = (out[-1][0], end, *out[-1][2:])
            continue
        if not shapes:
            waiting = start if waiting is None else waiting
            continue
        if waiting is not None:
            start, waiting = waiting, None
        cuts = [start, end] if len(shapes) == 1 else [start, start + 0.55 * (end - start), end]
        for k, shape in enumerate(shapes[:2]):
            if cuts[k + 1] > cuts[k]:
                out.append((cuts[k], cuts[k + 1], shape, name))
    return out


def decode(probabilities: np.ndarray) -> list[Segment]:
    """The most likely sequence of visemes, each at least 40 ms long, by Viterbi over rows (M, 15) of 20 ms.

    A segment's confidence is the mean probability of its viseme.
    """
    scores = np.log(np.maximum(probabilities, 1e-6))
    rows, count = scores.shape
    if rows == 0:
        return []
    # two states per viseme, entered and held, make the shortest segment two rows long
    first, held = scores[0].copy(), np.full(count, -np.inf)
    entered_from, stayed = np.zeros((rows, count), np.int16), np.zeros((rows, count), bool)
    for k in range(1, rows):
        order = int(np.argmax(held))
        enter = np.full(count, held[order] + _CHANGE)
        others = np.delete(np.arange(count), order)
        enter[order] = held[others].max() + _CHANGE if np.isfinite(held[others].max()) else -np.inf
        entered_from[k] = order
        if np.isfinite(enter[order]):
            entered_from[k, order] = others[np.argmax(held[others])]
        stayed[k] = held >= first
        held = np.maximum(first, held) + scores[k]
        first = enter + scores[k]
    path = np.zeros(rows, np.int16)
    state, in_hold = int(np.argmax(np.maximum(held, first))), bool(held.max() >= first.max())
    for k in range(rows - 1, -1, -1):
        path[k] = state
        if in_hold:
            in_hold = bool(stayed[k, state])
        elif k:
            state, in_hold = int(entered_from[k, state]), True
    edges = np.concatenate(([0], np.flatnonzero(np.diff(path)) + 1, [rows]))
    half = recogniser.FRAME / 2
    return [
        Segment(
            max(0.0, a * recogniser.FRAME - half),
            b * recogniser.FRAME - half,
            VISEMES[path[a]],
            confidence=float(probabilities[a:b, path[a]].mean()),
        )
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]


def agreement(segments: list[Segment], probabilities: np.ndarray) -> float:
    """How far the recogniser hears what the segments say, 0 to 1: the mean probability of their visemes.

    Only sounding rows count, and each takes the best within 40 ms, since boundaries differ.
    """
    best = probabilities.copy()
    for shift in (1, 2):
        best[shift:] = np.maximum(best[shift:], probabilities[:-shift])
        best[:-shift] = np.maximum(best[:-shift], probabilities[shift:])
    total, rows = 0.0, 0
    for s in segments:
        first, last = (int(np.ceil(t / recogniser.FRAME)) for t in (s.start, s.end))
        part = best[first:last, VISEME_INDEX[s.viseme]]
        if s.viseme != "sil":
            total, rows = total + float(part.sum()), rows + len(part)
    return total / max(rows, 1)


def phone_loop(samples: np.ndarray) -> list[Segment]:
    """pocketsphinx's own recognition of English phones without a transcript, as visemes.

    :param samples: (N,) mono float at 16 kHz.
    """
    from pocketsphinx import Decoder, get_model_path

    options = {"lm": None, "dict": None, "lw": 2.0, "beam": 1e-20, "pbeam": 1e-20, "loglevel": "FATAL"}
    decoder = Decoder(allphone=get_model_path("en-us/en-us-phone.lm.bin"), **options)
    peak = max(float(np.abs(samples).max(initial=0)), 1e-4)
    decoder.start_utt()
    decoder.process_raw((np.clip(samples * (0.5 / peak), -1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.seg() or ()
    phones = [(s.start_frame * HOP, (s.end_frame + 1) * HOP, s.word, arpabet_visemes(s.word)) for s in found]
    return [Segment(a, b, v, n) for a, b, v, n in split_shapes(phones)]


def vote(probabilities: np.ndarray, segments: list[Segment]) -> np.ndarray:
    """Probabilities (M, 15) in which another recogniser's segments have a share of the say."""
    other = np.full_like(probabilities, 0.1 / len(VISEMES))
    for s in segments:
        first, last = (int(np.ceil(t / recogniser.FRAME)) for t in (s.start, s.end))
        other[first:last, VISEME_INDEX[s.viseme]] += 0.9
    other /= other.sum(axis=1, keepdims=True)
    return (1 - _SAY) * probabilities + _SAY * other


def _from_transcript(
    audio: Audio, a: Acoustics, transcript: str, heard: np.ndarray | None
) -> tuple[list[Segment], list[str]]:
    """Segments of a transcript, or none and why."""
    if not aligner.available():
        return [], ["The transcript is not used because pocketsphinx is not installed; the lips follow the recogniser."]
    latin = sum(c.isascii() for c in transcript if c.isalpha())
    if latin < 0.7 * max(1, sum(c.isalpha() for c in transcript)) or not aligner.words_of(transcript):
        return [], ["The transcript is not English, which is all the aligner knows; the lips follow the recogniser."]
    if audio.duration > _LONGEST_ALIGNED:
        return [], [
            f"The speech is longer than {_LONGEST_ALIGNED / 60:.0f} minutes, so its transcript is not aligned; "
            "the lips follow the recogniser."
        ]
    wrong = [
        "The transcript does not fit what is said, so it is not used; the lips follow the recogniser. "
        "Check that it has every word, and no others."
    ]
    aligned = aligner.align(mono16(audio), transcript)
    if aligned is None:
        return [], wrong
    phones = [(p.start, p.end, p.name, arpabet_visemes(p.name)) for p in aligned.phones]
    words = [(s, e, w) for s, e, w in aligned.words]
    segments = []
    for start, end, viseme, name in split_shapes(phones):
        word = next((w for s, e, w in words if s <= (start + end) / 2 < e), "") if viseme != "sil" else ""
        segments.append(Segment(start, end, viseme, name, word))
    fits = aligner.plausibility(aligned, a)
    heard_it = agreement(segments, heard) if heard is not None else 1.0
    if fits < 0.6 or heard_it < 0.35:
        return [], wrong
    notes = []
    if aligned.guessed:
        shown = ", ".join(aligned.guessed[:5])
        notes.append(f"Not in the dictionary, so their sounds are guessed from the spelling: {shown}.")
    return segments, notes


def find(audio: Audio, acoustics: Acoustics, transcript: str | None, language: str | None = None) -> Phonemes:
    """Visemes with times: by alignment where a transcript fits, else by the recogniser, else none.

    :param language: of the speech, if known. For ``en`` pocketsphinx's phone loop, trained on people, joins the
        recogniser, trained on synthetic voices; for other languages it would only disturb.
    """
    net = recogniser.load()
    heard = net(acoustics.mel) if net is not None else None
    warnings: list[str] = []
    if transcript and transcript.strip():
        segments, warnings = _from_transcript(audio, acoustics, transcript, heard)
        if segments:
            return Phonemes(segments, "transcript", warnings)
    if heard is None:
        said = "The viseme recogniser's weights are missing; the lips follow loudness and tone."
        return Phonemes([], "signal", [*warnings, said])
    if language is not None and language.lower().startswith("en") and aligner.available():
        heard = vote(heard, phone_loop(mono16(audio)))
    return Phonemes(decode(heard), "recogniser", warnings)
