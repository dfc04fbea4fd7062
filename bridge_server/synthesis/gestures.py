# SPDX-License-Identifier: Apache-2.0
"""The forms of hand gestures: where the hands go, how the palms lie, and which words call for which form.

Phases after Kendon (Gesture: Visible Action as Utterance, 2004) and McNeill (Hand and Mind, 1992): preparation, stroke,
hold, retraction. Positions are those of the left wrist relative to spine3 in its frame (outward, up, forward), metres;
the right hand is the mirror image. Palm angles are of the forearm's twist: 0 is a handshake, positive turns the palm
up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from .persona import Persona

__all__ = ["CAPTIONS", "FORM_HANDS", "HandPose", "Stroke", "make_stroke", "trigger"]


@dataclass(frozen=True)
class HandPose:
    """``position`` (3,) of the wrist; ``palm``, ``bend`` (palm towards the forearm is positive), ``tilt`` (thumb up is
    positive) in radians."""

    position: np.ndarray
    palm: float
    bend: float = 0.0
    tilt: float = 0.0


@dataclass(frozen=True)
class Stroke:
    """The two key poses of one hand's gesture and the seconds from the first to the second; ``hold`` is the least time
    that the hand stays after it."""

    before: HandPose
    after: HandPose
    seconds: float
    hold: float


FORM_HANDS: Final[dict[str, str]] = {
    # "both", "one" (by handedness), "any" (by the speaker's habit), or a fixed side
    "beat": "any", "palm": "any", "cup": "any", "precision": "one", "sweep": "any", "toss": "one", "count": "one",
    "point_you": "one", "point_me": "one", "point_there": "one", "point_here": "any", "shrug": "both", "negate": "any",
    "big": "both", "small": "both", "all": "both", "up": "any", "down": "any", "together": "both",
    "side_left": "left", "side_right": "right", "stop": "any", "question": "any",
}

CAPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "count": ("a person counts with a hand while speaking", "someone lists points with the hand"),
    "point_you": ("a person points forward with one hand", "someone points at the listener"),
    "point_me": ("a person puts a hand on the chest", "someone points at themselves"),
    "point_there": ("a person points to the side", "someone points away with an outstretched arm"),
    "point_here": ("a person points down in front of the body", "someone gestures at this spot"),
    "shrug": ("a person shrugs with open hands", "someone shrugs the shoulders"),
    "negate": ("a person waves something off with flat hands", "someone makes a cutting gesture to say no"),
    "big": ("a person holds the hands wide apart", "someone shows how big it is"),
    "small": ("a person holds the hands close together", "someone shows how small it is"),
    "all": ("a person spreads both arms", "someone opens the arms in a wide gesture"),
    "up": ("a person raises a hand upwards", "someone shows something going up"),
    "down": ("a person lowers a hand", "someone shows something going down"),
    "together": ("a person brings the hands together", "someone joins both hands in front"),
    "stop": ("a person holds up a palm to say stop", "someone raises a flat hand in front"),
    "question": ("a person turns the palms up to ask", "someone asks with an open hand"),
    "palm": ("a person opens the palms while talking",),
    "beat": ("a person beats the rhythm of speech with the hands",),
}

_TRIGGERS: Final = (
    ("shrug", r"maybe|perhaps|whatever|knows|dunno|dont know|nobody knows"),
    ("negate", r"no|not|never|nobody|nothing|none|cannot|cant|isnt|without|wouldnt"),
    ("stop", r"stop|wait|enough"),
    ("all", r"all|everything|everybody|everyone|every|whole|world|always|entire|wide"),
    ("big", r"big|bigger|biggest|huge|enormous|great|large|million|hundred|giant|house"),
    ("small", r"small|smaller|tiny|little|bit|detail|details|simple"),
    ("count", r"first|second|third|last|two|three|four|five|one"),
    ("point_you", r"you|your|yourself|yours"), ("point_me", r"i|me|my|myself|mine|im"),
    ("point_there", r"there|over|beyond|away|far|that|those|behind|north|coast"),
    ("point_here", r"here|this|these|now|today|right"),
    ("up", r"up|grow|rise|climb|increase|improve|high|higher|more|mountain|mountains"),
    ("down", r"down|fall|sink|drop|shrink|decline|low|less|below"),
    ("together", r"together|we|us|our|between|both"),
    ("question", r"what|why|how|who|when|where"),
)
_PATTERNS: Final = tuple((kind, re.compile(rf"(?:{words})\Z")) for kind, words in _TRIGGERS)


def trigger(word: str) -> str | None:
    """The form that a word calls for, or None."""
    bare = re.sub(r"[^a-z-]", "", word.lower())
    return next((kind for kind, pattern in _PATTERNS if pattern.match(bare)), None)


def make_stroke(kind: str, persona: Persona, scale: float, rng: np.random.Generator, step: int = 0) -> Stroke:
    """Key poses of one hand.

    :param kind: a key of :data:`FORM_HANDS`.
    :param scale: extent, 1 at the speaker's usual loudness.
    :param step: which item of a list a ``count`` is.
    """
    c = persona.space + rng.normal(size=3) * (0.018, 0.022, 0.015)
    s = scale * persona.size
    amplitude = float(np.clip(0.125 * s * rng.lognormal(0, 0.22), 0.05, 0.27))
    pi = np.pi / 180
    lean = persona.palm + float(rng.normal(0, 9 * pi))

    def pose(x: float, y: float, z: float, palm: float, bend: float = 0.0, tilt: float = 0.0) -> HandPose:
        jitter = rng.normal(size=3) * 0.010
        return HandPose(np.array((x, y, z)) + jitter, float(np.clip(palm * pi + lean, -85 * pi, 88 * pi)),
                        bend * pi + float(rng.normal(0, 4 * pi)), tilt * pi)

    def at(dx: float, dy: float, dz: float, palm: float, bend: float = 0.0, tilt: float = 0.0) -> HandPose:
        return pose(c[0] + dx, c[1] + dy, c[2] + dz, palm, bend, tilt)

    a = amplitude
    table = {
        "beat": lambda: (
            at(0, min(0.62 * a, 0.11), -0.1 * a, 5, -18, 8),
            at(0.22 * a, -0.45 * a, 0.35 * a, 12, 10, -10),
            0.20,
            0.10,
        ),
        "palm": lambda: (
            at(-0.35 * a, 0.1 * a, -0.35 * a, 20, 8),
            at(0.75 * a, -0.15 * a, 0.5 * a, 62, -12),
            0.26,
            0.30,
        ),
        "cup": lambda: (at(-0.2 * a, 0.45 * a, -0.2 * a, 35, 5), at(0.1 * a, -0.35 * a, 0.45 * a, 42, -5), 0.22, 0.20),
        "precision": lambda: (
            at(0, min(0.70 * a, 0.11) + 0.03, -0.1 * a, 10, 10, 14),
            at(0, -0.2 * a + 0.03, 0.3 * a, 0, 18, -8),
            0.17,
            0.15,
        ),
        "sweep": lambda: (at(-0.55 * a, 0, 0, -10, 5), at(1.1 * a, 0.05 * a, -0.1 * a, 15, -12), 0.30, 0.20),
        "toss": lambda: (
            at(-0.3 * a, -0.2 * a, -0.3 * a, 5, 20),
            at(0.45 * a, 0.55 * a, 0.45 * a, 48, -22),
            0.22,
            0.15,
        ),
        "count": lambda: (
            at(-0.02 + 0.035 * step, 0.05 + 0.6 * a, -0.02, 25, -12, 10),
            at(0.0 + 0.035 * step, 0.05 - 0.3 * a, 0.04, 28, 12, -8),
            0.18,
            0.25,
        ),
        "point_you": lambda: (pose(0.16, -0.05, 0.22, -20, 15), pose(0.13, 0.00 + 0.04 * s, 0.42, -38, -5), 0.26, 0.35),
        "point_me": lambda: (pose(0.18, -0.10, 0.22, 0, 0), pose(0.035, -0.055, 0.165, 10, 28), 0.28, 0.35),
        "point_there": lambda: (
            pose(0.16, -0.04, 0.24, -15, 12),
            pose(0.36, 0.03 + 0.06 * s, 0.26, -35, -8),
            0.30,
            0.45,
        ),
        "point_here": lambda: (pose(0.15, -0.10, 0.24, -30, 0), pose(0.14, -0.21, 0.33, -50, -10), 0.22, 0.25),
        "shrug": lambda: (pose(0.19, -0.22, 0.20, 25, 0), pose(0.27 + 0.02 * s, -0.17, 0.20, 72, -18), 0.34, 0.55),
        "negate": lambda: (pose(0.04, -0.12, 0.27, -55, -5), pose(0.20 + 0.10 * s, -0.13, 0.26, -68, -10), 0.25, 0.25),
        "big": lambda: (pose(0.12, -0.10, 0.27, 5, 5), pose(0.22 + 0.08 * s, -0.05, 0.28, 8, 0), 0.34, 0.50),
        "small": lambda: (pose(0.15, -0.09, 0.28, 0, 5), pose(0.065, -0.08, 0.30, 2, 8), 0.24, 0.45),
        "all": lambda: (
            pose(0.08, -0.10, 0.27, 10, 10),
            pose(0.27 + 0.07 * s, -0.07 + 0.03 * s, 0.22, 40, -15),
            0.38,
            0.45,
        ),
        "up": lambda: (at(0, -0.08, 0, 20, 5), at(0.03, 0.10 + 0.08 * s, 0.0, 30, -15), 0.32, 0.35),
        "down": lambda: (at(0, 0.12 + 0.04 * s, -0.02, -55, -10), at(0.02, -0.10, 0.03, -62, 5), 0.30, 0.35),
        "together": lambda: (at(0.08, 0.02, -0.02, 0, 0), pose(0.045, -0.12, 0.28, 5, 10), 0.28, 0.40),
        "side_left": lambda: (at(-0.05, 0.03, -0.03, 25, 5), at(0.13, -0.03, 0.0, 60, -12), 0.28, 0.55),
        "side_right": lambda: (at(-0.05, 0.03, -0.03, 25, 5), at(0.13, -0.03, 0.0, 60, -12), 0.28, 0.55),
        "stop": lambda: (pose(0.16, -0.08, 0.20, -30, -10), pose(0.14, 0.04, 0.36, -62, -48), 0.24, 0.50),
        "question": lambda: (at(-0.03, -0.02, -0.04, 15, 5), at(0.05 + 0.3 * a, -0.02, 0.05, 68, -14), 0.28, 0.50),
    }
    before, after, seconds, hold = table[kind]()
    return Stroke(before, after, seconds / persona.tempo * float(rng.uniform(0.9, 1.12)), hold)
