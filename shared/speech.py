# SPDX-License-Identifier: Apache-2.0
"""Words and phonemes with their times: what is heard in a speech, and how an artist corrects it.

A phoneme is named in ARPABET (the CMU dictionary's, without stress) where the words are known, else by the viseme that
was recognised (``PP``, ``aa``, …). A stretch that was recognised without words is a word with an empty text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from .errors import UnderstudyError
from .schema import problem

__all__ = ["MIN_WORD", "Phone", "Word", "changed_range", "clip", "from_json", "retimed", "to_json"]

MIN_WORD: Final = 0.04
"""Seconds that a word lasts at least."""
_TIME: Final = {"type": "number", "minimum": 0, "maximum": 1e6}
_SCHEMA: Final[dict[str, Any]] = {
    "type": "array", "maxItems": 50_000,
    "items": {
        "type": "object", "required": ["start", "end"],
        "properties": {
            "start": _TIME, "end": _TIME, "text": {"type": "string", "maxLength": 200},
            "phones": {"type": "array", "maxItems": 5_000, "items": {"type": "array", "minItems": 3, "maxItems": 3}},
        },
    },
}


@dataclass(frozen=True)
class Phone:
    """:ivar start: seconds. :ivar end: seconds. :ivar name: see the module."""

    start: float
    end: float
    name: str


@dataclass(frozen=True)
class Word:
    """:ivar start: seconds. :ivar end: seconds. :ivar text: as said; empty where only sounds were recognised.
    :ivar phones: in time order, inside the word; empty where they are still to be found from the text.
    """

    start: float
    end: float
    text: str = ""
    phones: tuple[Phone, ...] = field(default=())


def to_json(words: Sequence[Word]) -> list[dict[str, Any]]:
    """Words as JSON."""
    return [{"start": round(w.start, 4), "end": round(w.end, 4), "text": w.text,
             "phones": [[round(p.start, 4), round(p.end, 4), p.name] for p in w.phones]} for w in words]


def from_json(data: Any) -> list[Word]:
    """The inverse of :func:`to_json`, in time order. :raises UnderstudyError: ``request_invalid``."""
    found = problem(data, _SCHEMA, "words")
    words: list[Word] = []
    for n, item in enumerate(data if found is None else ()):
        phones = []
        for start, end, name in item.get("phones", ()):
            number = all(isinstance(t, int | float) and not isinstance(t, bool) for t in (start, end))
            if not number or not 0 <= start <= end <= 1e6 or not isinstance(name, str) or len(name) > 16:
                found = f"words[{n}] has a phoneme without times or name"
                break
            phones.append(Phone(float(start), float(end), name))
        if item["end"] <= item["start"]:
            found = f"words[{n}] ends before it begins"
        if found:
            break
        words.append(Word(float(item["start"]), float(item["end"]), item.get("text", ""), tuple(phones)))
    if found:
        raise UnderstudyError("request_invalid", f"The words cannot be read: {found}.", "Correct them, or have them found anew.")
    return sorted(words, key=lambda w: w.start)


def retimed(word: Word, start: float, end: float) -> Word:
    """The word at other times; its phonemes are stretched with it."""
    end = max(end, start + MIN_WORD)
    scale = (end - start) / max(word.end - word.start, 1e-9)

    def moved(t: float) -> float:
        return start + (t - word.start) * scale

    return replace(word, start=start, end=end, phones=tuple(Phone(moved(p.start), moved(p.end), p.name) for p in word.phones))


def clip(words: Sequence[Word]) -> list[Word]:
    """Words in time order that do not overlap: each ends at the latest where the next begins."""
    ordered = sorted(words, key=lambda w: w.start)
    found: list[Word] = []
    for word, following in zip(ordered, [*ordered[1:], None], strict=True):
        if following is not None and word.end > following.start:
            if following.start - word.start < MIN_WORD:
                continue  # wholly covered by the next
            word = retimed(word, word.start, following.start)
        found.append(word)
    return found


def changed_range(before: Sequence[Word], after: Sequence[Word], margin: float = 0.0) -> tuple[float, float] | None:
    """Seconds from the first to the last moment at which two lists differ, widened by ``margin``; None where nowhere.

    Times are compared to a tenth of a millisecond.
    """

    def key(w: Word) -> tuple[Any, ...]:
        return (round(w.start, 4), round(w.end, 4), w.text, tuple((round(p.start, 4), round(p.end, 4), p.name) for p in w.phones))

    old, new = {key(w) for w in before}, {key(w) for w in after}
    differing = old ^ new
    if not differing:
        return None
    return max(0.0, min(k[0] for k in differing) - margin), max(k[1] for k in differing) + margin
