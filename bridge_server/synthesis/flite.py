# SPDX-License-Identifier: Apache-2.0
"""CMU Flite through its library: recorded-sounding voices with segments, syllables, stresses and words.

The voices slt, rms and awb are statistical models of real speakers and sound nearer to real speech than eSpeak NG.
Library and voices have a licence like the MIT one; they are looked for on the machine and are not part of this project.
"""

from __future__ import annotations

import ctypes as c
import re
from functools import lru_cache
from math import gcd
from typing import Any, Final

import numpy as np
from scipy.signal import resample_poly

from shared.errors import UnderstudyError

from .speech import RATE, Phoneme, Speech, Word, make_syllables

__all__ = ["LICENCE", "VOICES", "available", "speak"]

LICENCE: Final = "CMU Flite voices (MIT-like)"
VOICES: Final = ("slt", "rms", "awb", "kal16")
_VOWELS: Final = frozenset("aa ae ah ao aw ax axr ay eh er ey ih ix iy ow oy uh uw".split())


class _Wave(c.Structure):
    _fields_ = [("type", c.c_char_p), ("rate", c.c_int), ("count", c.c_int), ("channels", c.c_int),
                ("samples", c.POINTER(c.c_short))]


def _declare(library: Any, name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(library, name)
    function.restype, function.argtypes = result, list(arguments)
    return function


class _Engine:
    def __init__(self) -> None:
        library = c.CDLL("libflite.so.1", mode=c.RTLD_GLOBAL)
        for extra in ("usenglish", "cmulex"):
            c.CDLL(f"libflite_{extra}.so.1", mode=c.RTLD_GLOBAL)
        pointer, text = c.c_void_p, c.c_char_p
        library.flite_init()
        self.synth = _declare(library, "flite_synth_text", pointer, text, pointer)
        self.relation = _declare(library, "utt_relation", pointer, pointer, text)
        self.head = _declare(library, "relation_head", pointer, pointer)
        self.next = _declare(library, "item_next", pointer, pointer)
        self.number = _declare(library, "item_feat_float", c.c_float, pointer, text)
        self.string = _declare(library, "ffeature_string", text, pointer, text)
        self.wave = _declare(library, "utt_wave", c.POINTER(_Wave), pointer)
        self.delete = _declare(library, "delete_utterance", None, pointer)
        self.set = _declare(library, "flite_feat_set_float", None, pointer, text, c.c_float)
        self.as_relation = _declare(library, "item_as", pointer, pointer, text)
        self.daughter = _declare(library, "item_daughter", pointer, pointer)
        self.previous_end = _declare(library, "ffeature_float", c.c_float, pointer, text)
        self.voices: dict[str, int] = {}

    def voice(self, name: str) -> int:
        if name not in self.voices:
            library = c.CDLL(f"libflite_cmu_us_{name}.so.1")
            self.voices[name] = _declare(library, f"register_cmu_us_{name}", c.c_void_p, c.c_char_p)(None)
        return self.voices[name]


@lru_cache(maxsize=1)
def _engine() -> _Engine | None:
    try:
        return _Engine()
    except OSError:
        return None


def available() -> bool:
    """Whether the library is on this machine."""
    return _engine() is not None


def speak(text: str, *, voice: str = "slt", stretch: float = 1.0, pitch_shift: float = 1.0) -> Speech:
    """Say one sentence.

    :param text: plain text, digits spelt out.
    :param voice: one of :data:`VOICES`.
    :param stretch: durations relative to the voice's own, 0.7 to 1.5.
    :param pitch_shift: factor on the pitch, 0.8 to 1.25, through the voice's own model.
    :raises UnderstudyError: ``unsupported`` where library or voice are missing, ``request_invalid`` for a text that
        gives no word.
    """
    engine = _engine()
    try:
        if engine is None:
            raise OSError
        handle = engine.voice(voice)
    except OSError as error:
        raise UnderstudyError("unsupported", f"The speech synthesiser Flite or its voice {voice} is not installed.",
                              "Install the package flite.") from error
    # cst_voice begins {const char *name; cst_features *features; ...}
    features = c.cast(handle, c.POINTER(c.c_void_p))[1]
    engine.set(features, b"duration_stretch", stretch)
    engine.set(features, b"f0_shift", pitch_shift)
    utterance = engine.synth(re.sub(r"[<>&]", " ", text).encode("ascii", "ignore"), handle)
    if not utterance:
        raise UnderstudyError("request_invalid", f"Flite says nothing for {text!r}.", "Use another sentence.")
    try:
        wave = engine.wave(utterance)[0]
        samples = np.ctypeslib.as_array(wave.samples, shape=(wave.count,)).astype(np.float32) / 32768
        if wave.rate != RATE:
            common = gcd(wave.rate, RATE)
            samples = resample_poly(samples, RATE // common, wave.rate // common).astype(np.float32)
        words, phonemes = _label(engine, utterance)
    finally:
        engine.delete(utterance)
    if not words:
        raise UnderstudyError("request_invalid", f"Flite finds no word in {text!r}.", "Use another sentence.")
    return Speech(samples, words, make_syllables(phonemes), phonemes, (text,))


def _label(engine: _Engine, utterance: int) -> tuple[tuple[Word, ...], tuple[Phoneme, ...]]:
    words: list[Word] = []
    phonemes: list[Phoneme] = []
    item = engine.head(engine.relation(utterance, b"Word"))
    while item:
        row: list[Phoneme] = []
        syllable = engine.daughter(engine.as_relation(item, b"SylStructure"))
        while syllable:
            stressed = engine.string(syllable, b"stress") == b"1"
            segment = engine.daughter(syllable)
            while segment:
                name = engine.string(segment, b"name").decode()
                start = float(engine.previous_end(segment, b"R:Segment.p.end"))
                end = float(engine.number(segment, b"end"))
                vowel = name in _VOWELS
                row.append(Phoneme(name, start, end, vowel, len(words), 2 if vowel and stressed else 0))
                segment = engine.next(segment)
            syllable = engine.next(syllable)
        if row:
            words.append(Word(engine.string(item, b"name").decode("ascii", "replace"), row[0].start, row[-1].end))
            phonemes += row
        item = engine.next(item)
    return tuple(words), tuple(phonemes)
