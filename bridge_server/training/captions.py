# SPDX-License-Identifier: Apache-2.0
"""Captions in the several ways in which a director would write them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["paraphrases"]

_SUBJECT: Final = re.compile(r"^(a person|someone|the person|a man|a woman) ", re.IGNORECASE)
_SUBJECTS: Final = ("a person", "someone", "the character", "a man", "she", "he")
_IRREGULAR: Final = {"does": "do", "goes": "go", "is": "be", "has": "have", "washes": "wash", "punches": "punch",
                     "tenses": "tense", "practises": "practise", "dances": "dance", "crosses": "cross", "bounces": "bounce"}


def _base(verb: str) -> str:
    """The plain form of a third person singular verb: "walks" to "walk"."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("ies"):
        return verb[:-3] + "y"
    if verb.endswith(("shes", "ches", "sses", "xes")):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") else verb


def paraphrases(caption: str) -> list[str]:
    """The caption itself, then with other subjects, without one ("walks forward"), and as an order ("walk forward")."""
    caption = caption.strip()
    found = _SUBJECT.match(caption)
    if not found:
        return [caption]
    predicate = caption[found.end():]
    texts = [caption, predicate, *(f"{s} {predicate}" for s in _SUBJECTS)]
    verb, _, rest = predicate.partition(" ")
    if verb == "is" and rest:
        texts.append(rest)
    elif verb:
        texts.append(f"{_base(verb)} {rest}".strip())
    return list(dict.fromkeys(texts))
