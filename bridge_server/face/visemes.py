# SPDX-License-Identifier: Apache-2.0
"""The visemes, the mouth shape of each as face curves, and which phonemes show which viseme.

The classes are the fifteen of the Oculus lip sync set (silence and fourteen shapes), because rigs carry
them. Each shape is a set of targets for the internal ARKit curves, set by hand from descriptions of
articulation; the *dominance* says how strongly a shape insists on its lips and on its jaw when its
neighbours want something else (Cohen and Massaro, "Modeling coarticulation in synthetic visual speech",
1993). A bilabial insists on its lips, a velar on nothing that can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.face_curves import ARKIT_INDEX

__all__ = [
    "ARPABET",
    "BILABIALS",
    "CLOSED_OPENING",
    "MOUTH_CURVES",
    "SHAPES",
    "VISEMES",
    "VISEME_INDEX",
    "Shape",
    "arpabet_visemes",
    "dominances",
    "ipa_visemes",
    "opening",
    "shape_matrix",
]

VISEMES: Final = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou")
VISEME_INDEX: Final[dict[str, int]] = {name: i for i, name in enumerate(VISEMES)}
BILABIALS: Final = frozenset({"PP"})
CLOSED_OPENING: Final = 0.10
"""A mouth is closed when :func:`opening` is at most this."""


@dataclass(frozen=True)
class Shape:
    """One mouth shape.

    :ivar curves: targets in [0, 1]; a name without a side stands for Left and Right.
    :ivar lips: dominance of the lip targets.
    :ivar jaw: dominance of the jaw target.
    """

    curves: dict[str, float]
    lips: float
    jaw: float


SHAPES: Final[dict[str, Shape]] = {
    "sil": Shape({"jawOpen": 0.01}, 0.55, 0.55),
    "PP": Shape(
        {"jawOpen": 0.03, "mouthClose": 0.03, "mouthPress": 0.32, "mouthRollLower": 0.22, "mouthRollUpper": 0.18},
        4.0,
        2.5,
    ),
    "FF": Shape({"jawOpen": 0.05, "mouthRollLower": 0.48, "mouthUpperUp": 0.16, "mouthShrugLower": 0.12}, 2.6, 1.8),
    "TH": Shape({"jawOpen": 0.13, "mouthLowerDown": 0.16, "mouthUpperUp": 0.06, "tongueOut": 0.16}, 0.9, 1.1),
    "DD": Shape({"jawOpen": 0.11, "mouthLowerDown": 0.14, "mouthStretch": 0.05}, 0.35, 0.9),
    "kk": Shape({"jawOpen": 0.14, "mouthLowerDown": 0.10}, 0.20, 0.45),
    "CH": Shape({"jawOpen": 0.09, "mouthFunnel": 0.42, "mouthShrugUpper": 0.10, "mouthLowerDown": 0.08}, 1.6, 1.3),
    "SS": Shape({"jawOpen": 0.05, "mouthStretch": 0.20, "mouthLowerDown": 0.16, "mouthDimple": 0.08}, 0.6, 1.7),
    "nn": Shape({"jawOpen": 0.10, "mouthLowerDown": 0.10, "mouthUpperUp": 0.03}, 0.25, 0.7),
    "RR": Shape({"jawOpen": 0.13, "mouthFunnel": 0.26, "mouthPucker": 0.12, "mouthLowerDown": 0.06}, 0.9, 0.7),
    "aa": Shape({"jawOpen": 0.55, "mouthLowerDown": 0.26, "mouthUpperUp": 0.12, "mouthStretch": 0.04}, 0.8, 1.0),
    "E": Shape(
        {"jawOpen": 0.36, "mouthStretch": 0.18, "mouthLowerDown": 0.24, "mouthUpperUp": 0.14, "mouthSmile": 0.06},
        0.8,
        1.0,
    ),
    "ih": Shape(
        {"jawOpen": 0.20, "mouthStretch": 0.24, "mouthSmile": 0.12, "mouthLowerDown": 0.20, "mouthUpperUp": 0.08},
        0.9,
        1.0,
    ),
    "oh": Shape({"jawOpen": 0.38, "mouthFunnel": 0.44, "mouthPucker": 0.14, "mouthLowerDown": 0.06}, 1.3, 1.0),
    "ou": Shape({"jawOpen": 0.15, "mouthPucker": 0.56, "mouthFunnel": 0.24}, 1.7, 1.0),
}

MOUTH_CURVES: Final = tuple(n for n in ARKIT_INDEX if n.startswith(("mouth", "jaw", "tongue")))
_SIDED: Final = frozenset({n[:-4] for n in ARKIT_INDEX if n.endswith("Left")} - {"mouth", "jaw"})


def shape_matrix() -> np.ndarray:
    """(15, 52) float64: row v is the mouth shape of ``VISEMES[v]`` over the ARKit curves."""
    matrix = np.zeros((len(VISEMES), len(ARKIT_INDEX)))
    for row, name in enumerate(VISEMES):
        for curve, value in SHAPES[name].curves.items():
            for full in (f"{curve}Left", f"{curve}Right") if curve in _SIDED else (curve,):
                matrix[row, ARKIT_INDEX[full]] = value
    return matrix


def dominances() -> tuple[np.ndarray, np.ndarray]:
    """(15,) dominance of the lips and (15,) of the jaw, in the order of :data:`VISEMES`."""
    return np.array([SHAPES[v].lips for v in VISEMES]), np.array([SHAPES[v].jaw for v in VISEMES])


def opening(curves: dict[str, np.ndarray]) -> np.ndarray:
    """How far the lips are apart (T,), 0 closed to about 1, from ARKit curves.

    Jaw drop, less what ``mouthClose`` takes back, plus what the lips add by themselves.
    """
    jaw = np.asarray(curves["jawOpen"], dtype=np.float64) - curves["mouthClose"]
    lips = np.mean(
        [
            np.asarray(curves[n], dtype=np.float64)
            for n in ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight")
        ],
        axis=0,
    )
    return np.clip(jaw + 0.35 * lips, 0.0, 1.0)


ARPABET: Final[dict[str, tuple[str, ...]]] = {
    # a diphthong shows two shapes, one after the other
    "AA": ("aa",),
    "AE": ("aa",),
    "AH": ("aa",),
    "AO": ("oh",),
    "AW": ("aa", "ou"),
    "AY": ("aa", "ih"),
    "EH": ("E",),
    "ER": ("RR",),
    "EY": ("E", "ih"),
    "IH": ("ih",),
    "IY": ("ih",),
    "OW": ("oh", "ou"),
    "OY": ("oh", "ih"),
    "UH": ("ou",),
    "UW": ("ou",),
    "W": ("ou",),
    "Y": ("ih",),
    "R": ("RR",),
    "L": ("nn",),
    "N": ("nn",),
    "NG": ("nn",),
    "M": ("PP",),
    "P": ("PP",),
    "B": ("PP",),
    "F": ("FF",),
    "V": ("FF",),
    "TH": ("TH",),
    "DH": ("TH",),
    "T": ("DD",),
    "D": ("DD",),
    "K": ("kk",),
    "G": ("kk",),
    "CH": ("CH",),
    "JH": ("CH",),
    "SH": ("CH",),
    "ZH": ("CH",),
    "S": ("SS",),
    "Z": ("SS",),
    "HH": (),
    "SIL": ("sil",),
    "+SPN+": ("sil",),
    "+NSN+": ("sil",),
    "<s>": ("sil",),
    "</s>": ("sil",),
    "<sil>": ("sil",),
    "[SPEECH]": ("sil",),
}
"""Visemes of the phones of the CMU dictionary (without stress); /h/ is empty: it is said in the next sound's shape."""


def arpabet_visemes(phone: str) -> tuple[str, ...]:
    """The visemes of an ARPABET phone in order; empty where the phone takes its neighbour's shape."""
    return ARPABET.get(phone.rstrip("012").upper() if not phone.startswith(("<", "[")) else phone, ("sil",))


_IPA: Final[dict[str, str]] = {}
for _viseme, _symbols in {
    "PP": "p b m ɓ ʙ ɱ ɸ β",
    "FF": "f v ʋ",
    "TH": "θ ð",
    "DD": "t d ʈ ɖ ɗ ɾ ɽ",
    "kk": "k ɡ g q ɢ ɣ x χ c ɟ ç ɠ ʁ ʀ ɰ ħ ʕ",
    "CH": "ʃ ʒ ɕ ʑ ʂ ʐ ɧ",
    "SS": "s z ɬ ɮ",
    "nn": "n l ŋ ɲ ɳ ɭ ʎ ɫ ʟ ɴ",
    "RR": "ɹ r ɻ ɝ ɚ ɜ ʴ",
    "aa": "a ɑ æ ɐ ʌ ə ɶ",
    "E": "e ɛ ɘ ɞ",
    "ih": "i ɪ j ɨ ᵻ ʲ",
    "oh": "o ɔ ɒ ɤ ø œ",
    "ou": "u ʊ w ɥ y ʏ ʉ ɯ ʷ",
}.items():
    for _symbol in _symbols.split():
        _IPA[_symbol] = _viseme


def ipa_visemes(symbol: str) -> tuple[str, ...]:
    """The visemes of one phoneme written in IPA, e.g. ``"aɪ"`` -> ``("aa", "ih")``, ``"tʃ"`` -> ``("CH",)``.

    Marks of stress, length, tone and nasality are passed over. Empty for /h/ and the glottal stop, which take the next
    sound's shape.
    """
    if not symbol or set(symbol) <= set("_:; \t"):
        return ("sil",)
    if symbol.startswith("("):  # espeak-ng announces a change of language this way
        return ()
    found: list[str] = []
    for character in symbol:
        viseme = _IPA.get(character)
        if viseme and (not found or found[-1] != viseme):
            found.append(viseme)
    if len(found) > 1 and ("ʲ" in symbol or "ʷ" in symbol):
        found = found[:1]
    # an affricate is seen as its fricative part
    if len(found) == 2 and found[0] in ("DD", "kk") and found[1] in ("CH", "SS"):
        found = found[1:]
    # r-coloured vowels round slightly all along
    if len(found) == 2 and found[1] == "RR" and symbol[0] == "ə":
        found = found[1:]
    return tuple(found)
