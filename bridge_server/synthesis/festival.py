# SPDX-License-Identifier: Apache-2.0
"""Festival as a program: voices with segments, syllables, stresses and words.

Program and voices have licences like the MIT one; they are looked for on the machine and are not part of this project.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from pathlib import Path
from typing import Final

import numpy as np
from scipy.signal import resample_poly

from shared.errors import UnderstudyError

from .speech import RATE, Phoneme, Speech, Word, make_syllables

__all__ = ["LICENCE", "VOICES", "Request", "available", "speak", "speak_all"]

LICENCE: Final = "Festival voices of CSTR and CMU (MIT-like)"
VOICES: Final = ("ked_diphone", "kal_diphone", "cmu_us_slt_arctic_hts")
_SECONDS: Final = 120.0
_LABELS: Final = """
(define (labels utt path)
  (let ((out (fopen path "w")))
    (mapcar (lambda (s)
      (format out "%s\\t%f\\t%f\\t%s\\t%s\\t%s\\t%s\\n" (item.name s) (item.feat s "segment_start") (item.feat s "segment_end")
        (item.feat s "ph_vc") (item.feat s "R:SylStructure.parent.stress") (item.feat s "R:SylStructure.parent.parent.id")
        (item.feat s "R:SylStructure.parent.parent.name")))
      (utt.relation.items utt 'Segment))
    (fclose out)))
"""


@dataclass(frozen=True)
class Request:
    """:ivar text: plain text, digits spelt out. :ivar stretch: durations relative to the voice's own, 0.7 to 1.5.
    :ivar pitch_shift: factor on the mean pitch, 0.8 to 1.25; voices made of statistics keep their own.
    """

    text: str
    stretch: float = 1.0
    pitch_shift: float = 1.0


@lru_cache(maxsize=1)
def _voices() -> frozenset[str]:
    """The voices that are installed; asked for once."""
    if not shutil.which("festival"):
        return frozenset()
    try:
        done = subprocess.run(["festival", "-b", "(print (voice.list))"], capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    return frozenset(re.findall(r"[\w-]+", done.stdout)) & frozenset(VOICES)


def available(voice: str | None = None) -> bool:
    """Whether a voice, or any of :data:`VOICES`, is on this machine."""
    return voice in _voices() if voice else bool(_voices())


def speak(text: str, *, voice: str = "ked_diphone", stretch: float = 1.0, pitch_shift: float = 1.0) -> Speech:
    """Say one sentence. :raises UnderstudyError: as :func:`speak_all`."""
    return speak_all([Request(text, stretch, pitch_shift)], voice)[0]


def speak_all(requests: Sequence[Request], voice: str) -> list[Speech]:
    """Say sentences with one start of the program.

    :raises UnderstudyError: ``unsupported`` where program or voice are missing, ``request_invalid`` for a text that gives no word.
    """
    if not available(voice):
        raise UnderstudyError("unsupported", f"The speech synthesiser Festival or its voice {voice} is not installed.",
                              "Install the package festival and its voices (festvox-kallpc16k, festvox-kdlpc16k).")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [_LABELS]
        for n, r in enumerate(requests):
            # a voice sets its pitch when it is chosen, so it is chosen anew for each sentence
            text = re.sub(r"[^\x20-\x7e]|[<>&\\\"]", " ", r.text)
            # by itself, the phrasing that it has learnt passes over commas
            lines += [f"(voice_{voice})", f"(Parameter.set 'Duration_Stretch {r.stretch:.4f})",
                      "(Parameter.set 'Phrase_Method 'cart_tree)", "(set! phrase_cart_tree simple_phrase_cart_tree)",
                      "(if (and (boundp 'int_lr_params) (assoc 'target_f0_mean int_lr_params)) (set! int_lr_params (cons (list "
                      f"'target_f0_mean (* {r.pitch_shift:.4f} (cadr (assoc 'target_f0_mean int_lr_params)))) int_lr_params)))",
                      f'(set! u (utt.synth (Utterance Text "{text}")))',
                      f'(utt.save.wave u "{folder / f"{n}.wav"}" \'riff)', f'(labels u "{folder / f"{n}.txt"}")']
        script = folder / "say.scm"
        script.write_text("\n".join(lines), encoding="ascii")
        try:
            done = subprocess.run(["festival", "-b", str(script)], capture_output=True, text=True, errors="replace", check=False,
                                  timeout=_SECONDS + 5 * len(requests))
            failed = done.returncode != 0
        except subprocess.TimeoutExpired:
            failed = True
        made = []
        for n, r in enumerate(requests):
            sound, labels = folder / f"{n}.wav", folder / f"{n}.txt"
            words, phonemes = _label(labels.read_text(encoding="ascii", errors="replace")) if labels.is_file() else ((), ())
            if failed or not words or not sound.is_file():
                raise UnderstudyError("request_invalid", f"Festival says nothing for {r.text!r}.", "Use another sentence.")
            made.append(Speech(_samples(sound), words, make_syllables(phonemes), phonemes, (r.text,)))
    return made


def _samples(path: Path) -> np.ndarray:
    """(N,) float32 at :data:`RATE`."""
    with wave.open(str(path)) as file:
        samples, rate = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768, file.getframerate()
    if rate == RATE:
        return samples
    common = gcd(rate, RATE)
    return resample_poly(samples, RATE // common, rate // common).astype(np.float32)


def _label(text: str) -> tuple[tuple[Word, ...], tuple[Phoneme, ...]]:
    """Words and phonemes from the lines that the script writes: name, start, end, vowel or consonant, stress, word's id, word."""
    words: list[Word] = []
    phonemes: list[Phoneme] = []
    last = ""
    for line in text.splitlines():
        name, start, end, kind, stress, mark, word = line.split("\t")
        if mark in ("0", ""):
            continue
        if mark != last:
            words.append(Word(word, float(start), float(end)))
            last = mark
        words[-1] = Word(words[-1].text, words[-1].start, float(end))
        vowel = kind == "+"
        phonemes.append(Phoneme(name, float(start), float(end), vowel, len(words) - 1, 2 if vowel and stress == "1" else 0))
    return tuple(words), tuple(phonemes)
