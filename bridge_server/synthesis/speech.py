# SPDX-License-Identifier: Apache-2.0
"""Synthetic speech with exactly known phonemes, syllables, stresses and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

__all__ = ["FUNCTION_WORDS", "RATE", "Accent", "Phoneme", "Speech", "Syllable", "Word", "accents", "join", "loudness",
           "make_syllables"]

RATE: Final = 16_000

FUNCTION_WORDS: Final = frozenset(
    "a an the and or but so if of to in on at by for from with as than that this these those it its is are was were be "
    "been am do does did have has had will would can could shall should may might must i you he she we they me him us "
    "them my your his her our their there here i'm you're it's we're they're he's she's i'll we'll you'll i've we've "
    "who which what when where how just then about into over up out".split()
)
"""Words that carry no accent unless they are emphasised."""


@dataclass(frozen=True)
class Phoneme:
    """``name`` in the engine's own alphabet; ``start`` and ``end`` in seconds."""

    name: str
    start: float
    end: float
    vowel: bool
    word: int
    stress: int = 0


@dataclass(frozen=True)
class Syllable:
    """Seconds; ``nucleus`` is the vowel's (start, end); ``stress`` 0 none, 1 secondary, 2 primary."""

    start: float
    end: float
    nucleus: tuple[float, float]
    stress: int
    word: int


@dataclass(frozen=True)
class Word:
    """``sentence`` counts within the speech; ``emphasis`` says that the voice was told to stress the word."""

    text: str
    start: float
    end: float
    sentence: int = 0
    emphasis: bool = False


@dataclass(frozen=True)
class Accent:
    """A prominent syllable.

    :ivar time: the beat that a listener hears, seconds: a third into the vowel, where the energy rises to its peak.
    :ivar strength: 0..1 from the word's class, its place in the sentence and its loudness.
    :ivar loudness: 0..1, rank of the syllable's energy among those of the speech.
    :ivar nuclear: the last accent of its sentence.
    """

    time: float
    strength: float
    loudness: float
    word: int
    syllable: int
    nuclear: bool


@dataclass(frozen=True)
class Speech:
    """Audio of :data:`RATE` samples a second, mono float32 in [-1, 1], and what is said when."""

    samples: np.ndarray
    words: tuple[Word, ...]
    syllables: tuple[Syllable, ...]
    phonemes: tuple[Phoneme, ...]
    sentences: tuple[str, ...] = field(default=())

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / RATE


def make_syllables(phonemes: Sequence[Phoneme]) -> tuple[Syllable, ...]:
    """Group the phonemes of each word round its vowels.

    Consonants between two vowels go to the second one, except the first of a longer row (a rough maximal-onset rule;
    only the vowels' times matter for gesture).
    """
    result: list[Syllable] = []
    words: dict[int, list[Phoneme]] = {}
    for p in phonemes:
        words.setdefault(p.word, []).append(p)
    for word, row in words.items():
        nuclei = [i for i, p in enumerate(row) if p.vowel]
        if not nuclei:
            continue
        edges = [0]
        for a, b in zip(nuclei, nuclei[1:], strict=False):
            between = b - a - 1
            edges.append(a + 1 + (1 if between > 1 else 0))
        edges.append(len(row))
        for k, n in enumerate(nuclei):
            part = row[edges[k]:edges[k + 1]]
            result.append(Syllable(part[0].start, part[-1].end, (row[n].start, row[n].end), row[n].stress, word))
    return tuple(sorted(result, key=lambda s: s.start))


def join(parts: Sequence[Speech], pauses: Sequence[float], gains: Sequence[float]) -> Speech:
    """One speech: ``pauses[0]`` seconds of silence, part 0, ``pauses[1]``, part 1, ..., and the last pause.

    :param pauses: one more than there are parts, seconds.
    :param gains: factor on each part's samples.
    """
    if len(pauses) != len(parts) + 1 or len(gains) != len(parts):
        raise ValueError(f"{len(parts)} parts need {len(parts) + 1} pauses and {len(parts)} gains")
    chunks = [np.zeros(round(pauses[0] * RATE), np.float32)]
    words: list[Word] = []
    syllables: list[Syllable] = []
    phonemes: list[Phoneme] = []
    position = len(chunks[0])
    for k, (part, gain) in enumerate(zip(parts, gains, strict=True)):
        t, w = position / RATE, len(words)
        words += [replace(x, start=x.start + t, end=x.end + t, sentence=k) for x in part.words]
        syllables += [replace(x, start=x.start + t, end=x.end + t, nucleus=(x.nucleus[0] + t, x.nucleus[1] + t),
                              word=x.word + w) for x in part.syllables]
        phonemes += [replace(x, start=x.start + t, end=x.end + t, word=x.word + w) for x in part.phonemes]
        silence = np.zeros(round(pauses[k + 1] * RATE), np.float32)
        chunks += [(part.samples * gain).astype(np.float32), silence]
        position += len(part.samples) + len(silence)
    return Speech(np.concatenate(chunks), tuple(words), tuple(syllables), tuple(phonemes),
                  tuple(s for p in parts for s in p.sentences))


def loudness(samples: np.ndarray, start: float, end: float) -> float:
    """Root mean square of a stretch in decibels below full scale, at least -80."""
    a, b = max(int(start * RATE), 0), min(int(end * RATE), len(samples))
    if b <= a:
        return -80.0
    return float(max(-80.0, 10 * np.log10(np.mean(np.square(samples[a:b], dtype=np.float64)) + 1e-8)))


def accents(speech: Speech) -> tuple[Accent, ...]:
    """The prominent syllables: primary stresses of content words and of emphasised words, in order of time."""
    found: list[tuple[int, Syllable]] = []
    seen: set[int] = set()
    top: dict[int, int] = {}
    for s in speech.syllables:
        top[s.word] = max(top.get(s.word, 1), s.stress)
    for i, s in enumerate(speech.syllables):
        word = speech.words[s.word]
        content = word.text.lower().strip(".,!?;:\"") not in FUNCTION_WORDS
        if s.stress == top[s.word] and (content or word.emphasis) and s.word not in seen:
            seen.add(s.word)
            found.append((i, s))
    if not found:
        return ()
    level = np.array([loudness(speech.samples, *s.nucleus) for _, s in found])
    rank = np.argsort(np.argsort(level)) / max(len(level) - 1, 1)
    result = []
    for k, (i, s) in enumerate(found):
        word = speech.words[s.word]
        last = k + 1 == len(found) or speech.words[found[k + 1][1].word].sentence != word.sentence
        length = s.nucleus[1] - s.nucleus[0]
        strength = 0.30 + 0.30 * rank[k] + 0.15 * min(length / 0.15, 1.0) + 0.12 * last + 0.25 * word.emphasis
        result.append(Accent(s.nucleus[0] + 0.33 * length, float(min(strength, 1.0)), float(rank[k]), s.word, i, last))
    return tuple(result)
