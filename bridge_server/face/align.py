# SPDX-License-Identifier: Apache-2.0
"""Forced alignment of an English transcript by pocketsphinx: when each word and each phone is said.

pocketsphinx (BSD) carries its acoustic model and dictionary in its package. It refuses unknown words, so those get
their phones from espeak-ng where that is installed, else from a rough letter table. It fails on a wrong transcript in
two ways: no alignment at all, or one that squeezes the words into a part of the speech; the second is found by
comparing the times with the sound.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from bridge_server.face import espeak
from bridge_server.face.acoustics import HOP, RATE
from shared.errors import UnderstudyError

__all__ = ["Aligned", "Phone", "align", "available", "ipa_to_arpabet", "plausibility", "pronounce", "words_of"]

_WIDE: Final = {"bestpath": False, "beam": 1e-100, "wbeam": 1e-100, "pbeam": 1e-100, "loglevel": "FATAL"}
"""Without wide beams and with the best-path search about a quarter of all alignments fail."""
_NUMBERS: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS: Final = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()


@dataclass(frozen=True)
class Phone:
    """:ivar start: seconds.
    :ivar end: seconds.
    :ivar name: ARPABET without stress, ``SIL`` for silence.
    :ivar word: the word it is part of.
    """

    start: float
    end: float
    name: str
    word: str


@dataclass(frozen=True)
class Aligned:
    """:ivar phones: in time order, without gaps.
    :ivar words: (start, end, word) without silences.
    :ivar guessed: words that were in no dictionary.
    """

    phones: list[Phone]
    words: list[tuple[float, float, str]]
    guessed: list[str]


def available() -> bool:
    """Whether pocketsphinx is installed."""
    try:
        import pocketsphinx  # noqa: F401
    except ImportError:
        return False
    return True


def _number(value: int) -> list[str]:
    if value < 20:
        return [_NUMBERS[value]]
    if value < 100:
        return [_TENS[value // 10], *(_number(value % 10) if value % 10 else [])]
    if value < 1000:
        return [_NUMBERS[value // 100], "hundred", *(_number(value % 100) if value % 100 else [])]
    for size, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand")):
        if value >= size:
            return [*_number(min(value // size, 999)), name, *(_number(value % size) if value % size else [])]
    return []


def words_of(text: str) -> list[str]:
    """The words of a transcript, lower case, as the dictionary writes them; numbers in words, 1961 as a year."""
    text = unicodedata.normalize("NFKD", text.replace("’", "'").replace("&", " and ").replace("%", " percent "))
    text = "".join(c for c in text if not unicodedata.combining(c)).lower()
    words: list[str] = []
    for token in re.findall(r"[a-z]+(?:'[a-z]+)*|\d[\d,]*", text):
        if not token[0].isdigit():
            words.append(token)
            continue
        digits = token.replace(",", "")
        if len(digits) == 4 and digits[0] in "12" and "," not in token and digits[2:] != "00" and digits[1:3] != "00":
            words += _number(int(digits[:2])) + (["oh"] if digits[2] == "0" else []) + _number(int(digits[2:]))
        else:
            words += _number(int(digits[:12]))
    return words


def _pairs(table: str) -> tuple[tuple[str, str], ...]:
    return tuple((symbol, phones) for symbol, phones in (pair.split("=") for pair in table.split(";")))


# longer symbols stand before those that they begin with
_FROM_IPA: Final = _pairs(
    "aɪə=AY AH;aʊ=AW;aɪ=AY;eɪ=EY;oʊ=OW;əʊ=OW;ɔɪ=OY;tʃ=CH;dʒ=JH;iə=IY AH;ɪɹ=IH R;ɛɹ=EH R;ʊɹ=UH R;ɔːɹ=AO R;oːɹ=AO R;"
    "ɑːɹ=AA R;əl=AH L;ɜː=ER;ɚ=ER;ɝ=ER;iː=IY;uː=UW;ɑː=AA;ɔː=AO;ɑ=AA;ɐ=AH;æ=AE;ʌ=AH;ə=AH;ɔ=AO;ɛ=EH;e=EH;ɪ=IH;ᵻ=IH;"
    "i=IY;ʊ=UH;u=UW;o=OW;a=AE;p=P;b=B;t=T;d=D;k=K;ɡ=G;g=G;f=F;v=V;θ=TH;ð=DH;s=S;z=Z;ʃ=SH;ʒ=ZH;h=HH;m=M;n=N;"
    "ŋ=NG;l=L;ɫ=L;ɹ=R;r=R;ɾ=T;w=W;j=Y;ʔ=T;x=K;ç=HH;ɬ=L"
)
_FROM_LETTERS: Final = _pairs(
    "tion=SH AH N;igh=AY;sch=SH;tch=CH;dge=JH;ck=K;ch=CH;sh=SH;th=TH;ph=F;wh=W;ng=NG;qu=K W;oo=UW;ee=IY;ea=IY;ai=EY;"
    "ay=EY;oa=OW;ou=AW;ow=OW;oi=OY;oy=OY;au=AO;aw=AO;er=ER;ir=ER;ur=ER;ar=AA R;or=AO R;kn=N;wr=R;a=AE;b=B;c=K;d=D;"
    "e=EH;f=F;g=G;h=HH;i=IH;j=JH;k=K;l=L;m=M;n=N;o=AA;p=P;q=K;r=R;s=S;t=T;u=AH;v=V;w=W;x=K S;y=IY;z=Z"
)


def _translate(text: str, table: tuple[tuple[str, str], ...]) -> list[str]:
    out: list[str] = []
    at = 0
    while at < len(text):
        for symbol, phones in table:
            if text.startswith(symbol, at):
                out += phones.split()
                at += len(symbol)
                break
        else:
            at += 1  # stress, length and other marks
    return out


def ipa_to_arpabet(ipa: str) -> list[str]:
    """English IPA, as espeak-ng writes it, in the phones of the CMU dictionary."""
    return _translate(ipa.replace("_", "").replace("ˈ", "").replace("ˌ", ""), _FROM_IPA)


def _guess(word: str) -> str:
    """Phones of a word that is in no dictionary."""
    if espeak.available():
        phones = ipa_to_arpabet(espeak.phonemise(word, "en-us"))
        if phones:
            return " ".join(phones)
    # a silent e and doubled letters are not said
    spelt = re.sub(r"(.)\1", r"\1", re.sub(r"(?<=[^aeiou])e$", "", word))
    return " ".join(_translate(spelt, _FROM_LETTERS)) or "AH"


@lru_cache(maxsize=1)
def _dictionary() -> Any:
    from pocketsphinx import Decoder

    return Decoder(lm=None, loglevel="FATAL")


def pronounce(text: str) -> list[str]:
    """The phones of a text in ARPABET: from pocketsphinx's dictionary where it is installed, else guessed."""
    phones: list[str] = []
    for word in words_of(text):
        known = _dictionary().lookup_word(word) if available() else None
        phones += (known or _guess(word)).split()
    return phones


def _one_pass(decoder: Any, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def align(samples: np.ndarray, text: str) -> Aligned | None:
    """Align a transcript.

    :param samples: (N,) mono float at 16 kHz.
    :returns: None where the aligner finds no way through: most likely the text is not what is said.
    :raises UnderstudyError: ``unsupported`` without pocketsphinx.
    """
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise UnderstudyError(
            "unsupported",
            "pocketsphinx is not installed, so no transcript can be aligned.",
            "Install it with pip install pocketsphinx, or leave the transcript empty.",
        ) from error
    words = words_of(text)
    if not words or len(samples) < RATE // 10:
        return None
    # a silent room in digital zero gives the model nothing to measure; a trace of noise does, and peaks are brought up
    x = np.asarray(samples, dtype=np.float32)
    x = x * (0.5 / max(float(np.abs(x).max()), 1e-4)) + np.random.default_rng(0).normal(0, 1e-4, len(x)).astype(
        np.float32
    )
    pcm = (np.clip(x, -1, 1) * 32767).astype("<i2").tobytes()
    decoder = Decoder(lm=None, **_WIDE)  # a used decoder carries its noise estimate into the next clip
    guessed: list[str] = []
    for word in dict.fromkeys(words):
        if decoder.lookup_word(word) is None:
            decoder.add_word(word, _guess(word), True)
            guessed.append(word)
    try:
        decoder.set_align_text(" ".join(words))
        _one_pass(decoder, pcm)
        if decoder.hyp() is None or decoder.seg() is None:
            return None
        decoder.set_alignment()
        _one_pass(decoder, pcm)
        found = decoder.get_alignment()
    except RuntimeError:
        return None
    if found is None:
        return None
    phones: list[Phone] = []
    said: list[tuple[float, float, str]] = []
    for entry in found:
        name = re.sub(r"\(\d+\)$", "", entry.name)
        silent = name.startswith(("<", "["))
        if not silent:
            said.append((entry.start * HOP, (entry.start + entry.duration) * HOP, name))
        for p in entry:
            label = "SIL" if silent else p.name
            phones.append(Phone(p.start * HOP, (p.start + p.duration) * HOP, label, "" if silent else name))
    return Aligned(phones, said, guessed) if said else None


def plausibility(aligned: Aligned, level: np.ndarray) -> float:
    """How well an alignment fits the sound, 0 to 1; under about 0.6 the text is probably not what is said.

    :param level: (N,) loudness in [0, 1] every :data:`~.acoustics.HOP`.

    The share of sounding time that lies in words, times the share of phones of a length that people speak.
    """
    rows = np.arange(len(level)) * HOP
    inside = np.zeros(len(level), dtype=bool)
    for p in aligned.phones:
        if p.name != "SIL":
            inside |= (rows >= p.start) & (rows < p.end)
    sounding = level > 0.25
    covered = (inside & sounding).sum() / max(int(sounding.sum()), 1)
    lengths = np.array([p.end - p.start for p in aligned.phones if p.name != "SIL"])
    # three frames are the model's shortest phone: a text too long for the sound is full of them
    squeezed = float((lengths <= 0.0301).mean())
    stretched = float(lengths[lengths > 0.4].sum() / lengths.sum())
    return float(covered * (1 - np.clip((squeezed - 0.35) / 0.3, 0, 1)) * (1 - np.clip((stretched - 0.12) / 0.3, 0, 1)))
