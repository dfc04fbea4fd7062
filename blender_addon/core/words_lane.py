# SPDX-License-Identifier: GPL-3.0-or-later
"""The lane of words: where each word and phoneme is, what is under the mouse, how a drag moves it.

Positions along the lane are frames. Words never overlap: a word that is moved stops at its neighbours; where two words
touch, their common edge is dragged as one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from ..shared.speech import MIN_WORD, Phone, Word

__all__ = ["Hit", "Lane", "LaneWord", "drag", "from_speech", "merge", "pack", "phones_of", "split", "to_speech", "unpack"]

TOUCHING: Final = 0.5
"""Frames apart at which two words count as touching."""


@dataclass(frozen=True)
class LaneWord:
    """:ivar start: frame. :ivar end: frame. :ivar phones: (from, to, name), parts of the word's length in [0, 1]."""

    uuid: str
    start: float
    end: float
    text: str = ""
    phones: tuple[tuple[float, float, str], ...] = ()
    selected: bool = False


@dataclass(frozen=True)
class Hit:
    """What is under a point: a word and which part of it."""

    uuid: str
    zone: Literal["start", "end", "body"]


def pack(phones: Sequence[tuple[float, float, str]]) -> str:
    """Phonemes as one line of text, ``0 0.25 P;0.25 1 IY``."""
    return ";".join(f"{a:.5g} {b:.5g} {name}" for a, b, name in phones)


def unpack(text: str) -> tuple[tuple[float, float, str], ...]:
    """The inverse of :func:`pack`; what cannot be read is left out."""
    found = []
    for part in text.split(";"):
        fields = part.split()
        try:
            found.append((float(fields[0]), float(fields[1]), fields[2]))
        except (IndexError, ValueError):
            continue
    return tuple(found)


def from_speech(words: Sequence[Word], origin: float, fps: float, uuids: Callable[[], str]) -> list[LaneWord]:
    """Words in seconds as words on the lane; ``origin`` is the frame at second 0."""
    found = []
    for w in words:
        length = max(w.end - w.start, 1e-6)
        parts = tuple(((p.start - w.start) / length, (p.end - w.start) / length, p.name) for p in w.phones)
        found.append(LaneWord(uuids(), origin + w.start * fps, origin + w.end * fps, w.text, parts))
    return found


def to_speech(words: Sequence[LaneWord], origin: float, fps: float) -> list[Word]:
    """The inverse of :func:`from_speech`; what lies before the speech is left out."""
    found = []
    for w in sorted(words, key=lambda w: w.start):
        start, end = (w.start - origin) / fps, (w.end - origin) / fps
        if end <= max(start, 0.0):
            continue
        start = max(start, 0.0)
        phones = tuple(Phone(start + a * (end - start), start + b * (end - start), n) for a, b, n in w.phones)
        found.append(Word(start, max(end, start + MIN_WORD), w.text, phones))
    return found


def phones_of(word: LaneWord) -> list[tuple[float, float, str]]:
    """Phonemes as (first frame, last frame, name)."""
    length = word.end - word.start
    return [(word.start + a * length, word.start + b * length, n) for a, b, n in word.phones]


@dataclass(frozen=True)
class Lane:
    """Words laid out over a region.

    :ivar to_x: pixels from the left for a frame; :ivar to_frame: the inverse.
    :ivar base: pixels of the lane's bottom; :ivar height: pixels of the row of words; below it lie the phonemes.
    :ivar edge: pixels from a word's end that count as its edge.
    """

    words: Sequence[LaneWord]
    to_x: Callable[[float], float]
    to_frame: Callable[[float], float]
    base: float
    height: float
    edge: float = 6.0

    @property
    def top(self) -> float:
        """Pixels of the lane's upper edge."""
        return self.base + self.height

    def contains(self, y: float) -> bool:
        """Whether a height lies on the lane."""
        return self.base <= y < self.top

    def at(self, x: float, y: float) -> Hit | None:
        """What is at a point; between two words that touch, the nearer edge."""
        if not self.contains(y):
            return None
        for word in self.words:
            left, right = self.to_x(word.start), self.to_x(word.end)
            if left <= x <= right:
                reach = min(self.edge, (right - left) / 3)
                return Hit(word.uuid, "start" if x < left + reach else "end" if x > right - reach else "body")
        return None


def drag(words: Sequence[LaneWord], zone: str, held: str, delta: float, *, first: float = float("-inf"), shortest: float = 1.2,
         alone: bool = False) -> list[LaneWord]:
    """The words after the word ``held`` was dragged by ``delta`` frames from where it was.

    :param words: all words as they were when the drag began. :param zone: the part that the mouse took.
    :param first: frame before which there is no speech. :param shortest: frames that a word keeps.
    :param alone: an edge leaves the neighbour where it is, even where they touch.
    """
    ordered = sorted(words, key=lambda w: w.start)
    k = next(n for n, w in enumerate(ordered) if w.uuid == held)
    word = ordered[k]
    before, after = ordered[k - 1] if k else None, ordered[k + 1] if k + 1 < len(ordered) else None
    low, high = before.end if before else first, after.start if after else float("inf")
    if zone == "body":
        # a word that overlaps its neighbour already may stay as it is, but not go further
        shift = max(min(delta, max(high - word.end, 0.0)), min(low - word.start, 0.0))
        ordered[k] = replace(word, start=word.start + shift, end=word.end + shift)
    elif zone == "start":
        rolls = before is not None and not alone and word.start - before.end <= TOUCHING
        limit = before.start + shortest if rolls and before else low
        start = min(max(word.start + delta, limit), word.end - shortest)
        if rolls and before:
            ordered[k - 1] = replace(before, end=start)
        ordered[k] = replace(word, start=start)
    else:
        rolls = after is not None and not alone and after.start - word.end <= TOUCHING
        limit = after.end - shortest if rolls and after else high
        end = max(min(word.end + delta, limit), word.start + shortest)
        if rolls and after:
            ordered[k + 1] = replace(after, start=end)
        ordered[k] = replace(word, end=end)
    return ordered


def split(word: LaneWord, frame: float, shortest: float = 1.2) -> tuple[LaneWord, LaneWord] | None:
    """Both halves of a word, the second without a uuid; None where one would be too short.

    The phonemes go to the side where their middle is. The text stays with the first; of "a b" each half takes one word.
    """
    if not word.start + shortest <= frame <= word.end - shortest:
        return None
    at = (frame - word.start) / (word.end - word.start)
    left = tuple((a / at, min(b / at, 1.0), n) for a, b, n in word.phones if (a + b) / 2 < at)
    right = tuple((max((a - at) / (1 - at), 0.0), (b - at) / (1 - at), n) for a, b, n in word.phones if (a + b) / 2 >= at)
    one, _, two = word.text.partition(" ")
    return replace(word, end=frame, text=one, phones=left), replace(word, start=frame, uuid="", text=two, phones=right)


def merge(words: Sequence[LaneWord]) -> LaneWord:
    """One word from the first to the last of several."""
    ordered = sorted(words, key=lambda w: w.start)
    start, end = ordered[0].start, max(w.end for w in ordered)
    phones = tuple(((a - start) / (end - start), (b - start) / (end - start), n) for w in ordered for a, b, n in phones_of(w))
    return replace(ordered[0], end=end, text=" ".join(w.text for w in ordered if w.text), phones=phones)
