# SPDX-License-Identifier: Apache-2.0
"""Eight emotions as face curves, and which of them a direction's words ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from shared.face_curves import ARKIT, ARKIT_INDEX
from shared.timeline import Direction

__all__ = ["EMOTIONS", "emotion_curves", "emotion_in_words", "emotions_from_directions"]

EMOTIONS: Final[dict[str, dict[str, float]]] = {
    # action units after Ekman and Friesen's Facial Action Coding System; a name without a side stands for both
    "neutral": {},
    "happy": {"mouthSmile": 0.62, "cheekSquint": 0.42, "eyeSquint": 0.22, "mouthDimple": 0.12, "browOuterUp": 0.06},
    "sad": {
        "browInnerUp": 0.62,
        "mouthFrown": 0.50,
        "mouthShrugLower": 0.18,
        "eyeLookDown": 0.12,
        "eyeBlink": 0.12,
        "browDown": 0.10,
    },
    "angry": {
        "browDown": 0.72,
        "eyeSquint": 0.30,
        "eyeWide": 0.12,
        "noseSneer": 0.28,
        "mouthPress": 0.32,
        "mouthFrown": 0.20,
        "jawForward": 0.12,
    },
    "surprised": {"browInnerUp": 0.70, "browOuterUp": 0.62, "eyeWide": 0.62, "jawOpen": 0.14, "mouthFunnel": 0.08},
    "disgusted": {
        "noseSneer": 0.66,
        "mouthUpperUp": 0.26,
        "browDown": 0.34,
        "mouthFrown": 0.28,
        "cheekSquint": 0.22,
        "eyeSquint": 0.24,
    },
    "afraid": {"browInnerUp": 0.66, "browOuterUp": 0.26, "browDown": 0.16, "eyeWide": 0.56, "mouthStretch": 0.34},
    "contempt": {
        "mouthSmileLeft": 0.34,
        "mouthDimpleLeft": 0.42,
        "cheekSquintLeft": 0.16,
        "browOuterUpRight": 0.18,
        "eyeSquint": 0.16,
        "mouthPressLeft": 0.16,
    },
}
"""Curves of each emotion at intensity 1."""

_WORDS: Final[dict[str, str]] = {
    "happy": r"happ\w*|joy\w*|cheer\w*|smil\w*|glad\w*|laugh\w*|delight\w*|proud\w*|celebrat\w*|nice",
    "sad": r"sad\w*|sorrow\w*|cry\w*|cries|weep\w*|unhapp\w*|mourn\w*|deject\w*|depress\w*|apologi\w*|sorry",
    "angry": r"angr\w*|anger|furious\w*|rage\w*|mad|irritat\w*|annoy\w*|threat\w*",
    "surprised": r"surpris\w*|astonish\w*|amaz\w*|startl\w*|shock\w*",
    "disgusted": r"disgust\w*|repuls\w*|revolt\w*|nause\w*",
    "afraid": r"afraid|fear\w*|scare\w*|scary|terrif\w*|panic\w*|fright\w*|anxious\w*|nervous\w*",
    "contempt": r"contempt\w*|scorn\w*|disdain\w*|sneer\w*|smug\w*|mock\w*",
}
_PATTERNS: Final = {name: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for name, words in _WORDS.items()}
_STRONG: Final = re.compile(r"\b(?:very|extremely|furious\w*|terrif\w*|overjoyed|wild\w*)\b", re.IGNORECASE)
_WEAK: Final = re.compile(r"\b(?:slightly|a little|a bit|somewhat|mildly)\b", re.IGNORECASE)
_NEGATED: Final = re.compile(r"\b(?:not|without|never|no)\s+(?:\w+\s+)?$", re.IGNORECASE)


def emotion_in_words(text: str) -> tuple[str, float]:
    """The emotion that a direction names, and its intensity: 1 for "very", 0.4 for "a little", else 0.7.

    The first one named counts; one behind "not" or "without" does not. ``("neutral", 0.0)`` where there is none.
    """
    found = [
        (m.start(), name)
        for name, p in _PATTERNS.items()
        for m in p.finditer(text)
        if not _NEGATED.search(text[: m.start()])
    ]
    if not found:
        return "neutral", 0.0
    return min(found)[1], 1.0 if _STRONG.search(text) else 0.4 if _WEAK.search(text) else 0.7


def emotions_from_directions(
    directions: Iterable[Direction], times: np.ndarray, fade: float = 0.4
) -> dict[str, np.ndarray]:
    """Intensity curves (T,) by emotion from the words of directions, faded in and out over ``fade`` seconds."""
    curves: dict[str, np.ndarray] = {}
    for d in directions:
        name, intensity = emotion_in_words(d.text)
        if intensity == 0 or not d.enabled:
            continue
        ramp = np.minimum((times - d.start) / fade, (d.end - times) / fade)
        curve = min(intensity * d.strength, 1.0) * np.clip(ramp, 0, 1) ** 2 * (3 - 2 * np.clip(ramp, 0, 1))
        curves[name] = np.maximum(curves.get(name, 0.0), curve)
    return curves


def emotion_curves(intensities: Mapping[str, np.ndarray | float], times: np.ndarray) -> np.ndarray:
    """(T, 52) face curves of emotions with intensities in [0, 1], constant or (T,); emotions add up, curves stay <= 1.

    :raises ValueError: for an emotion that is not in :data:`EMOTIONS`.
    """
    out = np.zeros((len(times), len(ARKIT)))
    for name, intensity in intensities.items():
        if name not in EMOTIONS:
            raise ValueError(f"unknown emotion {name!r}; known are {', '.join(EMOTIONS)}")
        amount = np.clip(np.broadcast_to(np.asarray(intensity, dtype=np.float64), (len(times),)), 0, 1)
        for curve, value in EMOTIONS[name].items():
            for full in (curve,) if curve in ARKIT_INDEX else (f"{curve}Left", f"{curve}Right"):
                out[:, ARKIT_INDEX[full]] += amount * value
    return np.minimum(out, 1.0)
