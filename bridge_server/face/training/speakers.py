# SPDX-License-Identifier: Apache-2.0
"""Synthetic voices that tell when they say what: espeak-ng, flite and festival, each as far as installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from scipy.signal import resample_poly

from bridge_server.face import espeak
from bridge_server.face.acoustics import HOP, RATE
from bridge_server.face.align import ipa_to_arpabet
from bridge_server.face.shapes_in_time import split_shapes
from bridge_server.face.visemes import VISEME_INDEX, arpabet_visemes, ipa_visemes

__all__ = ["Utterance", "festival", "from_espeak", "flite", "label_rows"]


@dataclass
class Utterance:
    """:ivar samples: (N,) float32 at 16 kHz.
    :ivar segments: (start, end, viseme, phoneme) in seconds, without gaps.
    :ivar text: what was said.
    :ivar voice: engine and voice.
    :ivar phones: (start, end, ARPABET phones) in seconds; several where the engine times them as one, none for a pause.
    """

    samples: np.ndarray
    segments: list[tuple[float, float, str, str]]
    text: str
    voice: str
    phones: list[tuple[float, float, tuple[str, ...]]] = field(default_factory=list)


def label_rows(segments: Sequence[tuple[float, float, str, str]], rows: int, hop: float = HOP) -> np.ndarray:
    """(rows,) uint8 viseme index at each ``k * hop``; silence where nothing is said."""
    labels = np.zeros(rows, np.uint8)
    for start, end, shape, _ in segments:
        labels[int(np.ceil(start / hop)) : int(np.ceil(end / hop))] = VISEME_INDEX[shape]
    return labels


def _to_16k(samples: np.ndarray, rate: int) -> np.ndarray:
    x = np.asarray(samples, dtype=np.float32) / 32768
    if rate == RATE:
        return x
    common = int(np.gcd(rate, RATE))
    return resample_poly(x, RATE // common, rate // common).astype(np.float32)


def from_espeak(
    text: str, voice: str, *, words_per_minute: int = 165, pitch: int = 50, pitch_range: int = 50
) -> Utterance:
    """Speak with espeak-ng. :raises UnderstudyError: ``unsupported`` when it or the voice is missing."""
    s = espeak.synthesise(text, voice, words_per_minute=words_per_minute, pitch=pitch, pitch_range=pitch_range)
    phones = [(a, b, n, ipa_visemes(n)) for a, b, n in s.segments]
    named = [(a, b, tuple(ipa_to_arpabet(n))) for a, b, n in s.segments]
    return Utterance(_to_16k(s.samples, s.rate), split_shapes(phones), text, f"espeak:{voice}", named)


def _read_wave(path: Path) -> tuple[np.ndarray, int]:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()


def flite(text: str, voice: str, *, stretch: float = 1.0, pitch: float | None = None) -> Utterance | None:
    """Speak with flite (``kal16``, ``awb``, ``rms``, ``slt``); None where it is missing or fails.

    :param pitch: mean pitch, Hz, of the voices that can be moved (``kal16``); the others keep their own.
    """
    if not shutil.which("flite"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "speech.wav"
        done = subprocess.run(
            [
                "flite",
                "-voice",
                voice,
                "--setf",
                f"duration_stretch={stretch:.3f}",
                *(("--setf", f"int_f0_target_mean={pitch:.0f}") if pitch is not None else ()),
                "-psdur",
                "-t",
                text,
                "-o",
                str(out),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        found = re.findall(r"(\S+?):(\d+\.\d+)", done.stdout)
        if done.returncode or not out.is_file() or not found:
            return None
        samples, rate = _read_wave(out)
    start, phones = 0.0, []
    for name, end in found:
        shapes = ("sil",) if name == "pau" else arpabet_visemes("AH" if name == "ax" else name)
        phones.append((start, float(end), name.upper(), shapes))
        start = float(end)
    named: list[tuple[float, float, tuple[str, ...]]] = [
        (a, b, () if shapes == ("sil",) else ("AH" if n == "AX" else n,)) for a, b, n, shapes in phones
    ]
    return Utterance(_to_16k(samples, rate), split_shapes(phones), text, f"flite:{voice}", named)


_RUSSIAN: Final = {
    name: (viseme,)
    for viseme, names in {
        "ih": "ii i yy y ae j",
        "ou": "uu u ur",
        "E": "ee e",
        "oh": "oo",
        "aa": "aa a ay",
        "PP": "p pp b bb m mm",
        "FF": "f ff v vv",
        "SS": "s ss z zz c",
        "CH": "sh sch zh ch",
        "DD": "t tt d dd",
        "kk": "k kk g gg h hh",
        "nn": "n nn l ll",
        "RR": "r rr",
        "sil": "pau #",
    }.items()
    for name in names.split()
}
"""Phones of the festival voice ``msu_ru_nsh_clunits``; a doubled letter is palatalised or, for vowels, stressed."""
_MRPA: Final = {
    "ax": ("aa",),
    "dx": ("DD",),
    "el": ("nn",),
    "em": ("PP",),
    "en": ("nn",),
    "axr": ("RR",),
    "nx": ("nn",),
    "ih0": ("ih",),
    "hv": (),
    "h#": ("sil",),
    "pau": ("sil",),
    "#": ("sil",),
    "brth": ("sil",),
}


def festival(texts: Sequence[str], voice: str, *, stretch: float = 1.0) -> list[Utterance]:
    """Speak texts in a festival voice's language (such as ``ked_diphone``); empty where it is missing."""
    if not shutil.which("festival"):
        return []
    made: list[Utterance] = []
    known = _RUSSIAN if voice.startswith("msu_ru") else _MRPA
    with tempfile.TemporaryDirectory() as folder:
        script = [f"(voice_{voice})", f"(Parameter.set 'Duration_Stretch {stretch:.3f})"]
        for n, text in enumerate(texts):
            quoted = text.replace("\\", "").replace('"', "")
            script.append(
                f'(set! u (utt.synth (Utterance Text "{quoted}"))) (utt.save.wave u "{folder}/{n}.wav" \'riff)'
                f' (utt.save.segs u "{folder}/{n}.lab")'
            )
        (Path(folder) / "say.scm").write_text("\n".join(script), encoding="utf-8")
        done = subprocess.run(
            ["festival", "-b", str(Path(folder) / "say.scm")], capture_output=True, check=False, timeout=600
        )
        if done.returncode:
            return []
        for n, text in enumerate(texts):
            samples, rate = _read_wave(Path(folder) / f"{n}.wav")
            start, phones = 0.0, []
            for line in (Path(folder) / f"{n}.lab").read_text(encoding="utf-8", errors="ignore").splitlines():
                parts = line.split()
                if len(parts) == 3 and parts[0][0].isdigit():
                    name, end = parts[2].lower(), float(parts[0])
                    phones.append((start, end, name.upper(), known[name] if name in known else arpabet_visemes(name)))
                    start = end
            made.append(Utterance(_to_16k(samples, rate), split_shapes(phones), text, f"festival:{voice}"))
    return made
