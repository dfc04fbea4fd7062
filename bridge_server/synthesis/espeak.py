# SPDX-License-Identifier: Apache-2.0
"""eSpeak NG through its library: speech and the time of every phoneme and word.

The library (GPL-3.0) is looked for on the machine and is not part of this project; what it says is not covered by its
licence. It keeps global state, so one process makes one utterance at a time.
"""

from __future__ import annotations

import ctypes as c
import ctypes.util
import re
from functools import lru_cache
from math import gcd
from typing import Any, Final

import numpy as np
from scipy.signal import resample_poly

from shared.errors import UnderstudyError

from .speech import RATE, Phoneme, Speech, Word, make_syllables

__all__ = ["LICENCE", "available", "speak"]

LICENCE: Final = "eSpeak NG output, no claim by its makers"
_RETRIEVE, _SSML, _UTF8, _PHONEME_EVENTS = 2, 0x10, 1, 1
_WORD, _PHONEME = 1, 7
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
# espeak's names of vowels begin with one of these; syllabic consonants end in "-" or hold a vowel sign as in "@L"
_VOWEL_START: Final = set("aeiouAEIOUV@03")


class _Id(c.Union):
    _fields_ = [("number", c.c_int), ("name", c.c_char_p), ("string", c.c_char * 8)]


class _Event(c.Structure):
    _fields_ = [("type", c.c_int), ("unique", c.c_uint), ("text_position", c.c_int), ("length", c.c_int),
                ("audio_position", c.c_int), ("sample", c.c_int), ("user", c.c_void_p), ("id", _Id)]


_Callback = c.CFUNCTYPE(c.c_int, c.POINTER(c.c_short), c.c_int, c.POINTER(_Event))


class _Engine:
    def __init__(self, library: Any) -> None:
        self.library = library
        self.rate = library.espeak_Initialize(_RETRIEVE, 0, None, _PHONEME_EVENTS)
        if self.rate <= 0:
            raise OSError("espeak_Initialize failed")
        library.espeak_TextToPhonemes.restype = c.c_char_p
        library.espeak_TextToPhonemes.argtypes = [c.POINTER(c.c_void_p), c.c_int, c.c_int]
        self.chunks: list[np.ndarray] = []
        self.events: list[tuple[int, int, int, int, str]] = []
        self._callback = _Callback(self._take)  # kept alive as long as the library may call it
        library.espeak_SetSynthCallback(self._callback)

    def _take(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self.chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        i = 0
        while events[i].type != 0:
            e = events[i]
            name = ""
            if e.type == _PHONEME:
                name = c.string_at(c.addressof(e) + _Event.id.offset, 8).split(b"\0")[0].decode("utf-8", "replace")
            self.events.append((e.type, e.text_position, e.length, e.sample, name))
            i += 1
        return 0

    def phonemes(self, text: str) -> list[tuple[str, int]]:
        """Names of the vowels of ``text`` with their stress, in order, without times."""
        buffer = c.create_string_buffer(text.encode())
        pointer = c.c_void_p(c.addressof(buffer))
        found: list[tuple[str, int]] = []
        while pointer.value:
            part = self.library.espeak_TextToPhonemes(c.byref(pointer), _UTF8, ord("|") << 8)
            for token in re.split(r"[| ]+", (part or b"").decode("utf-8", "replace")):
                name = token.lstrip("',=%")
                if name and _is_vowel(name):
                    found.append((name, 2 if "'" in token[: len(token) - len(name)] else
                                  1 if "," in token[: len(token) - len(name)] else 0))
        return found


def _is_vowel(name: str) -> bool:
    return name[0] in _VOWEL_START or name.endswith("-")


@lru_cache(maxsize=1)
def _engine() -> _Engine | None:
    names = ["libespeak-ng.so.1", ctypes.util.find_library("espeak-ng"), "libespeak-ng.dylib", "libespeak-ng.dll"]
    for name in filter(None, names):
        try:
            return _Engine(c.CDLL(name))
        except OSError:
            continue
    return None


def available() -> bool:
    """Whether the library is on this machine."""
    return _engine() is not None


def speak(text: str, *, voice: str = "en-us", rate: int = 165, pitch: int = 50, pitch_range: int = 50,
          emphasis: frozenset[int] = frozenset()) -> Speech:
    """Say one sentence.

    :param text: plain text, digits spelt out (see :func:`.corpus.spell`).
    :param voice: name of a voice, with a variant after ``+``, as ``en-us+f3``.
    :param rate: words a minute, 80 to 450.
    :param pitch: 0 to 99.
    :param pitch_range: 0 (monotone) to 99.
    :param emphasis: indices of the words (split at blanks) that the voice shall stress.
    :raises UnderstudyError: ``unsupported`` where the library is missing, ``request_invalid`` for a voice it does not
        have or a text it cannot say.
    """
    engine = _engine()
    if engine is None:
        raise UnderstudyError("unsupported", "The speech synthesiser eSpeak NG is not installed.",
                              "Install the package espeak-ng.")
    library = engine.library
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise UnderstudyError("request_invalid", f"eSpeak NG has no voice {voice!r}.", "Choose one it lists.")
    for parameter, value in ((_RATE, rate), (_VOLUME, 90), (_PITCH, pitch), (_RANGE, pitch_range)):
        library.espeak_SetParameter(parameter, int(value), 0)
    plain = re.sub(r"[<>&]", " ", text).split()
    source, spans = "", []
    for k, token in enumerate(plain):
        word = re.match(r"(.*?)([.,!?;:]*)$", token)
        core, tail = (word.group(1), word.group(2)) if word else (token, "")
        opening, closing = ("<emphasis level='strong'>", "</emphasis>") if k in emphasis else ("", "")
        start = len(source) + len(opening)
        spans.append((start, start + len(core), core))
        source += f"{opening}{core}{closing}{tail} "
    engine.chunks.clear()
    engine.events.clear()
    data = source.strip().encode()
    library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8 | _SSML, None, None)
    library.espeak_Synchronize()
    if not engine.chunks:
        raise UnderstudyError("request_invalid", f"eSpeak NG says nothing for {text!r}.", "Use another sentence.")
    samples = np.concatenate(engine.chunks).astype(np.float32) / 32768
    common = gcd(engine.rate, RATE)
    samples = resample_poly(samples, RATE // common, engine.rate // common).astype(np.float32)
    words, phonemes = _label(engine, spans, emphasis, " ".join(plain), len(samples) / RATE)
    if not words:
        raise UnderstudyError("request_invalid", f"eSpeak NG finds no word in {text!r}.", "Use another sentence.")
    return Speech(samples, words, make_syllables(phonemes), phonemes, (text,))


def _label(engine: _Engine, spans: list[tuple[int, int, str]], emphasis: frozenset[int], plain: str,
           duration: float) -> tuple[tuple[Word, ...], tuple[Phoneme, ...]]:
    """Words and phonemes with times from the recorded events; a word whose event is missing shares its neighbour's."""
    stresses = engine.phonemes(plain)
    heard: dict[int, list[tuple[str, float, float]]] = {}
    current = -1
    order = [e for e in engine.events if e[0] in (_WORD, _PHONEME)]
    for k, (kind, position, _, sample, name) in enumerate(order):
        if kind == _WORD:
            # the position counts characters of the marked-up text from 1; take the word that holds or follows it
            current = max(current, next((i for i, (_, b, _) in enumerate(spans) if position - 1 < b), len(spans) - 1))
            continue
        if name.startswith("_") or current < 0:
            continue
        follow = next((e[3] for e in order[k + 1:] if e[0] == _PHONEME), None)
        start = sample / engine.rate
        end = duration if follow is None else follow / engine.rate
        if end > start:
            heard.setdefault(current, []).append((name, start, end))
    words: list[Word] = []
    phonemes: list[Phoneme] = []
    vowel = 0
    for index in sorted(heard):
        row = heard[index]
        words.append(Word(spans[index][2], row[0][1], row[-1][2], emphasis=index in emphasis))
        for name, start, end in row:
            is_vowel, stress = _is_vowel(name), 0
            if is_vowel:
                # the same vowels in the same order, but for reductions: look a little ahead for the same first sign
                near = [j for j in range(vowel, min(vowel + 3, len(stresses))) if stresses[j][0][0] == name[0]]
                if near or vowel < len(stresses):
                    j = near[0] if near else vowel
                    stress, vowel = stresses[j][1], j + 1
                if index in emphasis and not any(p.word == len(words) - 1 and p.stress == 2 for p in phonemes):
                    stress = 2 if stress or len([r for r in row if _is_vowel(r[0])]) == 1 else stress
            phonemes.append(Phoneme(name, start, end, is_vowel, len(words) - 1, stress))
    return tuple(words), tuple(phonemes)
