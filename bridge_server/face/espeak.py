# SPDX-License-Identifier: Apache-2.0
"""espeak-ng through its library: speech with the exact time of every phoneme, and letters to sounds.

Optional: everything here says so by :func:`available`. espeak-ng (GPL-3.0) is loaded at run time if the machine has
it; nothing of it is shipped.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from shared.errors import UnderstudyError

__all__ = ["Spoken", "available", "phonemise", "synthesise"]

_SYNCHRONOUS: Final = 2
_PHONEME_EVENTS_IN_IPA: Final = 3
_DONT_EXIT: Final = 0x8000
_EVENT_PHONEME, _EVENT_END = 7, 0
_UTF8: Final = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_LOCK: Final = threading.Lock()
"""The library holds one voice and one output for the whole process."""


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class Spoken:
    """:ivar samples: (N,) int16.
    :ivar rate: samples per second, 22,050.
    :ivar phonemes: (start in seconds, IPA) in time order; pauses have an empty or ``_`` symbol.
    """

    samples: np.ndarray
    rate: int
    phonemes: list[tuple[float, str]]

    @property
    def segments(self) -> list[tuple[float, float, str]]:
        """(start, end, IPA); each phoneme lasts until the next."""
        ends = [t for t, _ in self.phonemes[1:]] + [len(self.samples) / self.rate]
        return [(t, end, name) for (t, name), end in zip(self.phonemes, ends, strict=True) if end > t]


class _Library:
    def __init__(self, lib: Any) -> None:
        self.lib = lib
        lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self.rate = lib.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS_IN_IPA | _DONT_EXIT)
        self.samples: list[np.ndarray] = []
        self.phonemes: list[tuple[float, str]] = []
        self._callback = _Callback(self._receive)  # kept: the library stores a bare pointer
        if self.rate > 0:
            lib.espeak_SetSynthCallback(self._callback)

    def _receive(self, wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            self.samples.append(np.ctypeslib.as_array(wave, (count,)).copy())
        k = 0
        while events[k].type != _EVENT_END:
            if events[k].type == _EVENT_PHONEME:
                name = bytes(events[k].id.string).split(b"\0")[0].decode("utf-8", "ignore")
                self.phonemes.append((events[k].audio_position / 1000, name))
            k += 1
        return 0


@lru_cache(maxsize=1)
def _library() -> _Library | None:
    for name in (ctypes.util.find_library("espeak-ng"), "libespeak-ng.so.1", "libespeak-ng.dylib", "libespeak-ng.dll"):
        if not name:
            continue
        try:
            library = _Library(ctypes.CDLL(name))
        except OSError:
            continue
        if library.rate > 0:
            return library
    return None


def available() -> bool:
    """Whether espeak-ng's library is on this machine."""
    return _library() is not None


def _need() -> _Library:
    library = _library()
    if library is None:
        raise UnderstudyError(
            "unsupported",
            "espeak-ng is not installed on this machine.",
            "Install it (for instance: apt-get install espeak-ng).",
        )
    return library


def synthesise(
    text: str, voice: str = "en-us", *, words_per_minute: int = 165, pitch: int = 50, pitch_range: int = 50
) -> Spoken:
    """Speak a text.

    :param voice: a language, or a language and a variant (``"de+f3"``).
    :param pitch: 0 to 100. :param pitch_range: 0 to 100.
    :raises UnderstudyError: ``unsupported`` when espeak-ng or the voice is missing.
    """
    library = _need()
    with _LOCK:
        library.samples, library.phonemes = [], []
        if library.lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UnderstudyError(
                "unsupported", f"espeak-ng has no voice {voice!r}.", "Choose one that `espeak-ng --voices` lists."
            )
        for parameter, value in ((_RATE, words_per_minute), (_PITCH, pitch), (_RANGE, pitch_range)):
            library.lib.espeak_SetParameter(parameter, int(value), 0)
        data = text.encode() + b"\0"
        library.lib.espeak_Synth(data, len(data), 0, 1, 0, _UTF8, None, None)
        library.lib.espeak_Synchronize()
        samples = np.concatenate(library.samples) if library.samples else np.zeros(0, np.int16)
        return Spoken(samples, library.rate, list(library.phonemes))


def phonemise(text: str, voice: str = "en-us") -> str:
    """The IPA of a text, phonemes joined by ``_`` within words, words by spaces.

    :raises UnderstudyError: ``unsupported`` when espeak-ng or the voice is missing.
    """
    library = _need()
    with _LOCK:
        if library.lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UnderstudyError(
                "unsupported", f"espeak-ng has no voice {voice!r}.", "Choose one that `espeak-ng --voices` lists."
            )
        pointer = ctypes.c_char_p(text.encode())
        parts = []
        while pointer.value:
            # bit 1: IPA; bits 8 and up: the separator
            found = library.lib.espeak_TextToPhonemes(ctypes.byref(pointer), _UTF8, 0x02 | (ord("_") << 8))
            parts.append((found or b"").decode("utf-8", "ignore"))
        return " ".join(p.strip() for p in parts if p.strip())
