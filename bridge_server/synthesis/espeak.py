# SPDX-License-Identifier: Apache-2.0
"""eSpeak NG through its library: speech and the time of every phoneme and word.

The library (GPL-3.0) is looked for on the machine and is not part of this project; what it says is not covered by its
licence. It runs in a process of its own, see :mod:`.espeak_process`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.signal import resample_poly

from shared.errors import UnderstudyError

from . import espeak_process
from .speech import RATE, Phoneme, Speech, Word, make_syllables

__all__ = ["LICENCE", "Request", "available", "speak", "speak_all"]

LICENCE: Final = "eSpeak NG output, no claim by its makers"
_SECONDS: Final = 120
"""How long the process may take; an utterance takes some hundredths of a second."""


@dataclass(frozen=True)
class Request:
    """One sentence.

    :ivar text: plain text, digits spelt out (see :func:`.corpus.spell`).
    :ivar voice: name of a voice, with a variant after ``+``, as ``en-us+f3``.
    :ivar rate: words a minute, 80 to 450.
    :ivar pitch: 0 to 99.
    :ivar pitch_range: 0 (monotone) to 99.
    :ivar emphasis: indices of the words (split at blanks) that the voice shall stress.
    """

    text: str
    voice: str = "en-us"
    rate: int = 165
    pitch: int = 50
    pitch_range: int = 50
    emphasis: frozenset[int] = frozenset()


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether the library is on this machine."""
    return espeak_process.find_library() is not None


def speak(text: str, **settings: Any) -> Speech:
    """Say one sentence; the settings are the fields of :class:`Request`. The same request gives the same samples.

    :raises UnderstudyError: as :func:`speak_all`.
    """
    return speak_all([Request(text, **settings)])[0]


def speak_all(requests: Sequence[Request]) -> list[Speech]:
    """Say some sentences, one after the other, in a fresh process: the same list gives the same samples.

    :raises UnderstudyError: ``unsupported`` where the library is missing, ``request_invalid`` for a voice it does not
        have or a text it cannot say, ``internal`` when the process fails.
    """
    if not available():
        raise UnderstudyError("unsupported", "The speech synthesiser eSpeak NG is not installed.",
                              "Install the package espeak-ng.")
    marked = [_mark(r) for r in requests]
    message = [{"source": source, "plain": plain, "voice": r.voice, "rate": r.rate, "pitch": r.pitch,
                "range": r.pitch_range} for r, (source, plain, _) in zip(requests, marked, strict=True)]
    try:
        done = subprocess.run([sys.executable, "-I", "-S", str(Path(espeak_process.__file__))], check=True,
                              input=json.dumps(message).encode(), capture_output=True, timeout=_SECONDS)
    except (subprocess.SubprocessError, OSError) as error:
        raise UnderstudyError("internal", f"The speech synthesiser eSpeak NG failed ({error}).",
                              "Try again, or leave this sentence out.") from error
    head, _, samples = done.stdout.partition(b"\n")
    answer = json.loads(head)
    result, position = [], 0
    for request, (_, _, spans), utterance in zip(requests, marked, answer["utterances"], strict=True):
        if "error" in utterance:
            raise UnderstudyError("request_invalid", utterance["error"], "Choose a voice that it lists.")
        raw = np.frombuffer(samples[position:position + utterance["bytes"]], np.int16)
        position += utterance["bytes"]
        result.append(_speech(request, spans, utterance, raw, int(answer["rate"])))
    return result


def _mark(request: Request) -> tuple[str, str, list[tuple[int, int, str]]]:
    """The text marked up for the voice, the plain text, and where each word lies in the first."""
    plain = re.sub(r"[<>&]", " ", request.text).split()
    source, spans = "", []
    for k, token in enumerate(plain):
        core = re.sub(r"[.,!?;:]*$", "", token) or token
        opening, closing = ("<emphasis level='strong'>", "</emphasis>") if k in request.emphasis else ("", "")
        start = len(source) + len(opening)
        spans.append((start, start + len(core), core))
        source += f"{opening}{core}{closing}{token[len(core):]} "
    return source.strip(), " ".join(plain), spans


def _speech(request: Request, spans: list[tuple[int, int, str]], utterance: dict[str, Any], raw: np.ndarray,
            rate: int) -> Speech:
    if not len(raw):
        raise UnderstudyError(
            "request_invalid", f"eSpeak NG says nothing for {request.text!r}.", "Use another sentence."
        )
    common = gcd(rate, RATE)
    samples = resample_poly(raw.astype(np.float32) / 32768, RATE // common, rate // common).astype(np.float32)
    samples = np.clip(samples, -1.0, 1.0)
    words, phonemes = _label(spans, utterance, request.emphasis, rate, len(samples) / RATE)
    if not words:
        raise UnderstudyError(
            "request_invalid", f"eSpeak NG finds no word in {request.text!r}.", "Use another sentence."
        )
    return Speech(samples, words, make_syllables(phonemes), phonemes, (request.text,))


def _label(spans: list[tuple[int, int, str]], utterance: dict[str, Any], emphasis: frozenset[int], rate: int,
           duration: float) -> tuple[tuple[Word, ...], tuple[Phoneme, ...]]:
    """Words and phonemes with times from the events; words that the voice runs together are one word here."""
    stresses: list[tuple[str, int]] = utterance["stresses"]
    events = utterance["events"]
    heard: dict[int, list[tuple[str, float, float]]] = {}
    current = -1
    for k, (kind, position, sample, name) in enumerate(events):
        if kind == "word":
            # the position counts characters of the marked-up text from 1; take the word that holds or follows it
            current = max(current, next((i for i, (_, b, _) in enumerate(spans) if position - 1 < b), len(spans) - 1))
            continue
        if not name or name.startswith("_") or current < 0:
            continue
        follow = next((e[2] for e in events[k + 1:] if e[0] == "phoneme"), None)
        start, end = sample / rate, duration if follow is None else follow / rate
        if end > start:
            heard.setdefault(current, []).append((name, start, end))
    words: list[Word] = []
    phonemes: list[Phoneme] = []
    vowel = 0
    for index in sorted(heard):
        row = heard[index]
        own: list[Phoneme] = []
        for name, start, end in row:
            stress = 0
            if espeak_process.is_vowel(name) and vowel < len(stresses):
                # the same vowels in the same order, but for reductions: look a little ahead for the same first sign
                near = [j for j in range(vowel, min(vowel + 3, len(stresses))) if stresses[j][0][0] == name[0]]
                j = near[0] if near else vowel
                stress, vowel = stresses[j][1], j + 1
            own.append(Phoneme(name, start, end, espeak_process.is_vowel(name), len(words), stress))
        vowels = [k for k, p in enumerate(own) if p.vowel]
        if index in emphasis and vowels and not any(p.stress == 2 for p in own):
            # the voice stresses it although the dictionary does not: on its strongest vowel
            k = max(vowels, key=lambda k: own[k].stress)
            own[k] = Phoneme(own[k].name, own[k].start, own[k].end, True, len(words), 2)
        words.append(Word(spans[index][2], row[0][1], row[-1][2], emphasis=index in emphasis))
        phonemes += own
    return tuple(words), tuple(phonemes)
