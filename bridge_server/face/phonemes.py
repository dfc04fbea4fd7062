# SPDX-License-Identifier: Apache-2.0
"""When which mouth shape is due: from the transcript, from the recogniser, or nobody knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bridge_server.audio.sound import Audio
from bridge_server.face import align as aligner
from bridge_server.face import listening, phones, recogniser, transcript
from bridge_server.face.acoustics import Acoustics, mono16
from bridge_server.face.mouth import Segment
from bridge_server.face.visemes import BILABIALS, VISEMES
from bridge_server.face.words import from_segments, to_segments
from shared.speech import Word

__all__ = ["NO_WEIGHTS", "Phonemes", "decode", "find", "noticed"]

_LONGEST_ALIGNED: Final = 900.0
"""Seconds; without the recogniser a speech is aligned in one piece, and the aligner keeps all of it in memory."""
_CHANGE: Final = -2.2
"""Log probability of going from one viseme to another within 20 ms; a phoneme lasts about 80 ms."""
_FOLLOW: Final = 0.5
"""Weight of what follows what in speech, beside what is heard."""
_BIAS: Final = np.array([0.6 if v in BILABIALS else 0.0 for v in VISEMES])
"""Added to log probabilities: a bilabial that is missed is seen at once, lips that touch on an /n/ hardly."""
_CLOSING: Final = 1.5
"""Added once for each bilabial, so that more of them are found without being longer."""

NO_WEIGHTS: Final = "The viseme recogniser's weights are missing; the lips follow loudness and tone."


@dataclass
class Phonemes:
    """:ivar segments: in time order; empty when only the signal is left to go by.
    :ivar source: ``transcript``, ``recogniser``, ``signal`` or ``artist``.
    :ivar warnings: sentences for the user.
    :ivar words: what an artist sees and corrects; stretches of sounds where no words are known.
    :ivar speaking: (N,) in [0, 1] every :data:`~.acoustics.HOP`, whether somebody speaks; None: wherever it is loud.
    """

    segments: list[Segment]
    source: str
    warnings: list[str] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    speaking: np.ndarray | None = None


def decode(probabilities: np.ndarray, follow: np.ndarray | None = None) -> list[Segment]:
    """The most likely sequence of visemes, each at least 40 ms long, by Viterbi over rows (M, 15) of 20 ms.

    A segment's confidence is the mean probability of its viseme.

    :param follow: (15, 15) probability that one viseme comes after another, as speech has it; None: all alike.
    """
    scores = np.log(np.maximum(probabilities, 1e-6)) + _BIAS
    rows, count = scores.shape
    if rows == 0:
        return []
    change = np.full((count, count), _CHANGE)
    if follow is not None:
        change += _FOLLOW * (np.log(np.maximum(follow, 1e-4)) + np.log(count - 1))
    change[:, _BIAS > 0] += _CLOSING
    np.fill_diagonal(change, -np.inf)
    # two states per viseme, entered and held, make the shortest segment two rows long
    first, held = scores[0].copy(), np.full(count, -np.inf)
    entered_from, stayed = np.zeros((rows, count), np.int16), np.zeros((rows, count), bool)
    for k in range(1, rows):
        ways = held[:, None] + change
        entered_from[k] = ways.argmax(axis=0)
        enter = ways[entered_from[k], np.arange(count)]
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


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _from_transcript(
    audio: Audio, a: Acoustics, text: str, heard: np.ndarray | None, language: str
) -> tuple[transcript.Fitted | None, list[str]]:
    """The words of a transcript with times, or None; and what is to be said about it."""
    follow = "the lips follow the recogniser" if heard is not None else "the lips follow loudness and tone"
    if not aligner.available():
        return None, [f"The transcript is not used because pocketsphinx is not installed; {follow}."]
    latin = sum(c.isascii() for c in text if c.isalpha())
    foreign = bool(language) and not language.lower().startswith("en")
    if foreign or latin < 0.7 * max(1, sum(c.isalpha() for c in text)) or not aligner.words_of(text):
        return None, [f"The transcript is not English, which is all the aligner knows; {follow}."]
    if heard is None and audio.duration > _LONGEST_ALIGNED:
        return None, [
            f"The speech is longer than {_LONGEST_ALIGNED / 60:.0f} minutes and the recogniser is missing, so its "
            f"transcript is not aligned; {follow}."
        ]
    fitted = transcript.fit(mono16(audio), a.level, text, heard)
    if fitted is None:
        return None, [
            f"The transcript does not fit what is said, so it is not used; {follow}. "
            "Check that it has every word, and no others."
        ]
    notes = []
    if fitted.missed:
        where = ", ".join(f"{_clock(s)}–{_clock(e)}" for s, e in fitted.missed[:4])
        more = " and elsewhere" if len(fitted.missed) > 4 else ""
        notes.append(f"The transcript does not fit what is said at {where}{more}; there {follow}.")
    if fitted.guessed:
        shown = ", ".join(fitted.guessed[:5])
        notes.append(f"Not in the dictionary, so their sounds are guessed from the spelling: {shown}.")
    return fitted, notes


def noticed(a: Acoustics, speaking: np.ndarray | None) -> list[str]:
    """What is to be said about sounds that are not one person speaking."""
    notes = []
    if speaking is not None and (found := listening.other_sound(a, speaking)):
        where = ", ".join(f"{_clock(s)}–{_clock(e)}" for s, e in found[:4]) + (" and elsewhere" if len(found) > 4 else "")
        notes.append(f"What sounds at {where} is music or noise and no speech; the lips stay still there.")
    if listening.two_voices(a if speaking is None else listening.only_speech(a, speaking)):
        notes.append(
            "Two voices seem to speak by turns, and the lips follow both; give each character a sound of its own."
        )
    return notes


def _patched(words: list[Word], missed: list[tuple[float, float]], other: list[Word]) -> list[Word]:
    """Words, and in the stretches that they miss the recognised sounds."""
    extra = [w for w in other if any(s <= (w.start + w.end) / 2 < e for s, e in missed)]
    return sorted([*words, *extra], key=lambda w: w.start)


def find(audio: Audio, acoustics: Acoustics, text: str | None, language: str | None = None) -> Phonemes:
    """Visemes with times: by alignment where a transcript fits, else by the recogniser, else none.

    :param text: the transcript, if known.
    :param language: of the speech, if known; a transcript in another than English is not aligned.
    """
    net = recogniser.load()
    heard = net(acoustics.mel) if net is not None else None
    language = language or ""
    warnings: list[str] = []
    fitted: transcript.Fitted | None = None
    if text and text.strip():
        fitted, warnings = _from_transcript(audio, acoustics, text, heard, language)
        if fitted is not None and not fitted.missed:
            known = listening.of_words(fitted.words, len(acoustics))
            if heard is not None:  # a cheer between two words is speech too
                known = np.maximum(known, listening.speaking(acoustics, heard))
            warnings += noticed(acoustics, known)
            return Phonemes(to_segments(fitted.words), "transcript", warnings, fitted.words, known)
    if heard is None:
        return Phonemes([], "signal", [*warnings, NO_WEIGHTS, *noticed(acoustics, None)])
    speaking = listening.speaking(acoustics, heard)
    warnings += noticed(acoustics, speaking)
    segments = decode(phones.both(heard, mono16(audio)), net.follow if net is not None else None)
    recognised = from_segments(segments)
    if fitted is None:
        return Phonemes(segments, "recogniser", warnings, recognised, speaking)
    words = _patched(fitted.words, fitted.missed, recognised)
    known = to_segments(fitted.words)
    inside = [s for s in segments if any(a <= (s.start + s.end) / 2 < b for a, b in fitted.missed)]
    outside = [s for s in known if not any(a <= (s.start + s.end) / 2 < b for a, b in fitted.missed)]
    return Phonemes(sorted([*outside, *inside], key=lambda s: s.start), "transcript", warnings, words, speaking)
