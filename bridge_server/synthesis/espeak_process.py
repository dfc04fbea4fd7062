# SPDX-License-Identifier: Apache-2.0
"""The eSpeak NG library in a process of its own; the standard library only, so that it starts at once.

The library carries phases of its oscillators and of the C library's random numbers from one utterance to the next, and
cannot be reset (``espeak_Terminate`` may wait for ever). A fresh process per speech makes the samples a function of the
request alone, and a crash in the library an error message.

In: a JSON list on standard input, each ``{"source", "plain", "voice", "rate", "pitch", "range"}``. Out: one line of
JSON, ``{"rate", "utterances": [{"bytes", "events", "stresses"} or {"error"}]}``, then the samples, s16, native byte
order.
"""

from __future__ import annotations

import ctypes as c
import ctypes.util
import json
import re
import sys
from typing import Any, Final

_RETRIEVE, _SSML, _UTF8, _PHONEME_EVENTS = 2, 0x10, 1, 1
_WORD, _PHONEME = 1, 7
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
# names of vowels begin with one of these; syllabic consonants end in "-" or hold a vowel sign, as "@L"
_VOWEL_START: Final = set("aeiouAEIOUV@03")


class _Id(c.Union):
    _fields_ = [("number", c.c_int), ("name", c.c_char_p), ("string", c.c_char * 8)]


class _Event(c.Structure):
    _fields_ = [("type", c.c_int), ("unique", c.c_uint), ("text_position", c.c_int), ("length", c.c_int),
                ("audio_position", c.c_int), ("sample", c.c_int), ("user", c.c_void_p), ("id", _Id)]


_Callback = c.CFUNCTYPE(c.c_int, c.POINTER(c.c_short), c.c_int, c.POINTER(_Event))


def is_vowel(name: str) -> bool:
    """Whether a phoneme of eSpeak NG's alphabet is the nucleus of a syllable."""
    return name[0] in _VOWEL_START or name.endswith("-")


def find_library() -> Any | None:
    """The loaded library, or None."""
    for name in ("libespeak-ng.so.1", ctypes.util.find_library("espeak-ng"), "libespeak-ng.dylib", "libespeak-ng.dll"):
        if name:
            try:
                return c.CDLL(name)
            except OSError:
                continue
    return None


class Engine:
    """The initialised library. :raises OSError: when it cannot start."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.rate = library.espeak_Initialize(_RETRIEVE, 0, None, _PHONEME_EVENTS)
        if self.rate <= 0:
            raise OSError("espeak_Initialize failed")
        library.espeak_TextToPhonemes.restype = c.c_char_p
        library.espeak_TextToPhonemes.argtypes = [c.POINTER(c.c_void_p), c.c_int, c.c_int]
        self.chunks: list[bytes] = []
        self.events: list[tuple[str, int, int, str]] = []
        self._callback = _Callback(self._take)  # kept alive as long as the library may call it
        library.espeak_SetSynthCallback(self._callback)

    def _take(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self.chunks.append(c.string_at(samples, 2 * count))
        i = 0
        while events[i].type != 0:
            e = events[i]
            if e.type == _PHONEME:
                name = c.string_at(c.addressof(e) + _Event.id.offset, 8).split(b"\0")[0].decode("utf-8", "replace")
                self.events.append(("phoneme", e.text_position, e.sample, name))
            elif e.type == _WORD:
                self.events.append(("word", e.text_position, e.sample, ""))
            i += 1
        return 0

    def stresses(self, text: str) -> list[tuple[str, int]]:
        """The vowels of ``text`` with their stress (2 primary, 1 secondary), in order, without times."""
        buffer = c.create_string_buffer(text.encode())
        pointer = c.c_void_p(c.addressof(buffer))
        found: list[tuple[str, int]] = []
        while pointer.value:
            part = self.library.espeak_TextToPhonemes(c.byref(pointer), _UTF8, ord("|") << 8)
            for token in re.split(r"[| ]+", (part or b"").decode("utf-8", "replace")):
                name = token.lstrip("',=%")
                marks = token[: len(token) - len(name)]
                if name and is_vowel(name):
                    found.append((name, 2 if "'" in marks else 1 if "," in marks else 0))
        return found

    def say(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """One utterance: what to report about it, and its samples."""
        if self.library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
            return {"error": f"eSpeak NG has no voice {request['voice']!r}."}, b""
        settings = ((_RATE, request["rate"]), (_VOLUME, 90), (_PITCH, request["pitch"]), (_RANGE, request["range"]))
        for parameter, value in settings:
            self.library.espeak_SetParameter(parameter, int(value), 0)
        self.chunks.clear()
        self.events.clear()
        data = request["source"].encode()
        self.library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8 | _SSML, None, None)
        self.library.espeak_Synchronize()
        samples = b"".join(self.chunks)
        return {"bytes": len(samples), "events": self.events[:], "stresses": self.stresses(request["plain"])}, samples


def main() -> int:
    """Answer the requests on standard input."""
    requests = json.loads(sys.stdin.buffer.read())
    library = find_library()
    if library is None:
        return 3
    engine = Engine(library)
    answers = [engine.say(r) for r in requests]
    out = sys.stdout.buffer
    out.write(json.dumps({"rate": engine.rate, "utterances": [a for a, _ in answers]}).encode() + b"\n")
    for _, samples in answers:
        out.write(samples)
    out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
