# SPDX-License-Identifier: Apache-2.0
"""Suggest directions for a script: gestures that carry meaning, where their word is said, and why.

Each clause of the transcript is compared with the sentences that the gesture table pairs with its gestures (the
dictionary of Microsoft's LabanotationSuite, MIT) by sentence embedding, and its words with the gesture's cue words.
People gesture with meaning seldom, so only the best survive, some seconds apart. Nothing is performed: the result is
for the artist to look at, edit and drop.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.face import acoustics as ac
from bridge_server.face import align, recogniser
from bridge_server.face import transcript as transcripts
from bridge_server.audio.sound import Audio
from bridge_server.text.encoder import TextEncoder, load_text_encoder
from shared.errors import UnderstudyError
from shared.timeline import Direction

__all__ = ["Suggestion", "Word", "suggest", "words_with_times"]

_STROKE: Final = 1.0
"""Seconds from a strip's start to its gesture's stroke: the arm needs that long to be where the meaning is.

One for all gestures: measured (``evaluation/strokes.py``), they differ from each other less than each does from seed to seed.
"""
_AFTER: Final = 1.5
"""Seconds from the stroke to the strip's end: hold and retraction."""
_SAME_AGAIN: Final = 12.0
"""Seconds in which a gesture is not repeated."""
_CUE: Final = 0.22
_WEAK_CUES: Final = frozenset(
    "i am and me my you your this that us we or but no what who why how where when there here go say tell".split()
)
"""Words so common that cues of them alone mean little."""


@dataclass(frozen=True)
class Word:
    """:ivar start: seconds.
    :ivar end: seconds.
    :ivar text: as written in the transcript.
    :ivar clause: index of its clause.
    """

    start: float
    end: float
    text: str
    clause: int


@dataclass(frozen=True)
class Suggestion:
    """:ivar direction: an ordinary strip, ready to be placed.
    :ivar reason: one sentence for the artist.
    :ivar word: the word that the stroke meets.
    :ivar concept: name of the gesture in the table.
    :ivar score: about 0.4 (thin) to 1.
    """

    direction: Direction
    reason: str
    word: str
    concept: str
    score: float


@lru_cache(maxsize=1)
def _table() -> list[dict[str, Any]]:
    return json.loads((Path(__file__).parent / "gestures.json").read_text(encoding="utf-8"))["gestures"]


def _clauses(transcript: str) -> list[str]:
    """Stretches between punctuation, with their mark; a lone word joins the next stretch unless it ends a sentence."""
    parts = [p.strip() for p in re.findall(r"[^.,;:!?…—\n]+[.,;:!?…—]*", transcript) if re.search(r"\w", p)]
    out: list[str] = []
    for part in parts:
        if out and out[-1][-1] not in ".!?…" and len(out[-1].split()) < 2:
            out[-1] = f"{out[-1]} {part}"
        else:
            out.append(part)
    return out


def words_with_times(audio: Audio, transcript: str) -> tuple[list[Word], list[str], list[str]]:
    """Words with times, the clauses they belong to, and warnings.

    Times come from forced alignment; where that fails they are spread over the sounding parts by length, and a warning
    says so.

    :raises UnderstudyError: ``request_invalid`` when the transcript has no words.
    """
    clauses = _clauses(transcript)
    spoken = [(text, n) for n, clause in enumerate(clauses) for text in re.findall(r"[\w'’]+", clause)]
    if not spoken:
        raise UnderstudyError("request_invalid", "The transcript has no words.", "Write what is said in the speech.")
    a = ac.analyse(audio)
    net = recogniser.load()
    heard = net(a.mel) if net is not None else None
    found = transcripts.fit(ac.mono16(audio), a.level, transcript, heard) if align.available() else None
    if found is not None and not found.missed:
        # a written number is several spoken words
        words, at = [], 0
        for text, clause in spoken:
            count = max(1, len(align.words_of(text)))
            part = found.words[at : at + count]
            at += count
            if part:
                words.append(Word(part[0].start, part[-1].end, text, clause))
        return words, clauses, []
    sounding = np.cumsum(a.level > 0.12) * ac.HOP
    total = float(sounding[-1]) if len(sounding) else 0.0
    if total <= 0 or not a.speech:
        raise UnderstudyError(
            "audio_invalid", "There is no speech in the audio.", "Check the sound's volume, or choose another file."
        )
    edges = np.cumsum([0] + [len(t) + 1 for t, _ in spoken]) / sum(len(t) + 1 for t, _ in spoken) * total
    # the first row by which that much has sounded: a start of 0 means the first sound, not the first row
    times = np.searchsorted(sounding, np.maximum(edges, ac.HOP / 2)) * ac.HOP
    words = [Word(float(s), float(e), t, c) for (t, c), s, e in zip(spoken, times[:-1], times[1:], strict=True)]
    return words, clauses, ["The transcript could not be aligned with the speech, so the words' times are estimated."]


def _cue_in(clause: str, cues: Sequence[str]) -> tuple[str, float]:
    """The most telling cue of a gesture that a clause has, and what it is worth."""
    text = " ".join(re.findall(r"[\w']+", clause.lower().replace("’", "'")))
    best, worth = "", 0.0
    for cue in cues:
        if re.search(rf"\b{re.escape(cue)}\b", text):
            value = _CUE * (0.25 if set(cue.split()) <= _WEAK_CUES else 1.0 + 0.2 * cue.count(" "))
            if value > worth:
                best, worth = cue, value
    return best, worth


_KNOWN: Final[list[tuple[TextEncoder, list[tuple[list[str], np.ndarray]]]]] = []
"""The last encoder's vectors of the table: 400 sentences need not be embedded again for each script."""


def _embedded(encoder: TextEncoder) -> list[tuple[list[str], np.ndarray]]:
    """Per gesture, its sentences and cues with their vectors."""
    if _KNOWN and _KNOWN[0][0] is encoder:
        return _KNOWN[0][1]
    texts = [[*g["utterances"], *(c for c in g["cues"] if not set(c.split()) <= _WEAK_CUES)] or g["captions"] for g in _table()]
    vectors = encoder.encode([t for part in texts for t in part])
    cuts = np.cumsum([len(part) for part in texts])[:-1]
    _KNOWN[:] = [(encoder, list(zip(texts, np.split(vectors, cuts), strict=True)))]
    return _KNOWN[0][1]


def suggest(
    audio: Audio, transcript: str, *, spacing: float = 5.0, threshold: float = 0.5, encoder: TextEncoder | None = None
) -> tuple[list[Suggestion], list[str]]:
    """Suggested strips in time order, and warnings.

    :param spacing: least seconds between the strokes of two suggestions.
    :param threshold: least score; lower gives more.
    :param encoder: sentence encoder, by default MiniLM.
    :raises UnderstudyError: for a transcript without words, silent audio or a missing text encoder.
    """
    words, clauses, warnings = words_with_times(audio, transcript)
    encoder = encoder or load_text_encoder("minilm")
    sentences = encoder.encode(clauses)
    candidates: list[Suggestion] = []
    for n, clause in enumerate(clauses):
        inside = [w for w in words if w.clause == n]
        if not inside:
            continue
        vectors = encoder.encode([w.text for w in inside])
        for gesture, (texts, known) in zip(_table(), _embedded(encoder), strict=True):
            likeness = known @ sentences[n]
            best = int(np.argmax(likeness))
            cue, worth = _cue_in(clause, gesture["cues"])
            score = float(likeness[best]) + worth
            if gesture["concept"] == "question":
                # any sentence resembles some question; only a question mark makes it one
                score = score + 0.1 if clause.rstrip().endswith("?") else 0.0
            if score < threshold or (not cue and likeness[best] < threshold + 0.08):
                continue
            said = cue.split()[0] if cue else ""
            near = vectors @ known[best]
            word = next((w for w in inside if w.text.lower().replace("’", "'") == said), inside[int(np.argmax(near))])
            stroke = (word.start + min(word.end, word.start + 0.3)) / 2
            reason = (
                f"“{clause.strip(' .,;:')}” has “{cue}”"
                if cue
                else f"“{clause.strip(' .,;:')}” is like “{texts[best]}”"
            )
            start, end = max(0.0, stroke - _STROKE), min(stroke + _AFTER, max(audio.duration, stroke + 0.5))
            candidates.append(
                Suggestion(
                    Direction(round(start, 2), round(end, 2), gesture["direction"], "upper"),
                    f"{reason}.",
                    word.text,
                    gesture["concept"],
                    min(score, 1.0),
                )
            )
    chosen: list[Suggestion] = []
    for c in sorted(candidates, key=lambda s: -s.score):
        apart = all(abs(c.direction.start - k.direction.start) >= spacing for k in chosen)
        again = any(k.concept == c.concept and abs(c.direction.start - k.direction.start) < _SAME_AGAIN for k in chosen)
        if apart and not again:
            chosen.append(c)
    return sorted(chosen, key=lambda s: s.direction.start), warnings
