# SPDX-License-Identifier: Apache-2.0
"""Speakers: a voice and the habits of a body, sampled once per speaker from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from . import espeak, festival, flite
from .corpus import Sentence
from .speech import Speech

__all__ = ["Persona", "Voice", "make_personas", "say"]


@dataclass(frozen=True)
class Voice:
    """``name`` in the engine; ``rate`` words a minute (eSpeak NG) or a factor on durations (Flite, Festival)."""

    engine: str
    name: str
    rate: float
    pitch: float
    pitch_range: float

    @property
    def label(self) -> str:
        """``engine:name``."""
        return f"{self.engine}:{self.name}"

    @property
    def licence(self) -> str:
        """What the audio stands under."""
        return {"espeak-ng": espeak.LICENCE, "flite": flite.LICENCE, "festival": festival.LICENCE}[self.engine]


@dataclass(frozen=True)
class Persona:
    """Habits of one speaker.

    Lengths are metres, times seconds, angles radians. After the differences between speakers that Kipp (Gesture
    Generation by Imitation, 2004) and Neff et al. (ACM TOG 27(1), 2008) describe: rate, handedness, form inventory,
    amplitude, gesture space, and how long hands stay up.

    :ivar rate: chance that an accent of middle strength carries a hand movement.
    :ivar two_handed: chance that a gesture without a fixed hand takes both.
    :ivar right_handed: chance that a one-handed gesture takes the right hand.
    :ivar size: factor on the extent of strokes.
    :ivar space: (3,) where the hands gesture, left hand, relative to spine3: outward, up, forward.
    :ivar asymmetry: how much smaller the weaker hand moves when both do.
    :ivar rest: ``idle`` (as the captured body does), ``clasp``, ``ready`` (forearms half raised), ``low`` (hands low
        in front).
    :ivar lead: how long before the accent's beat the stroke ends, mean; the hand is fastest about 0.12 s earlier still.
    :ivar unit_gap: longest wait with the hands up before they go to rest.
    :ivar forms: weights of the forms of a gesture without a meaning of its own.
    """

    name: str
    split: str
    voice: Voice
    rate: float
    two_handed: float
    right_handed: float
    size: float
    space: np.ndarray
    asymmetry: float
    rest: str
    rest_offset: np.ndarray
    lead: float
    unit_gap: float
    tempo: float
    elbow_out: float
    palm: float
    curve: float
    nod: float
    tilt: float
    sway: float
    gaze_pitch: float
    breath: float
    semantic: float
    forms: dict[str, float]


_ACCENTS: Final = ("en-us", "gmw/en", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "gmw/en-GB-x-gbcwmd", "en-029",
                   "en-us-nyc")
_VARIANTS: Final = {
    "train": ("m1", "m2", "m3", "m5", "m6", "m8", "f1", "f3", "f5", "Andy", "Annie", "Lee", "Michael", "Mike", "adam",
              "anika", "linda", "steph", "Alex", "Alicia", "Andrea", "Gene", "Mario", "antonio", "benjamin", "caleb",
              "edward", "paul", "quincy", "travis", "victor", "shelby", "norbert", "max"),
    "val": ("m4", "f4", "belinda", "pablo"),
    "test": ("m7", "f2", "aunty", "david", "rob"),
}
_FLITE: Final = {"train": ("slt", "rms"), "val": ("kal16",), "test": ("awb",)}
_FESTIVAL: Final = {"train": ("ked_diphone", "cmu_us_slt_arctic_hts"), "val": ("kal_diphone",), "test": ()}
"""Not in another split than Flite's voice of the same person: slt, and kal16 for kal_diphone."""
_SIZES: Final = {"train": 96, "val": 8, "test": 10}


def _voice(rng: np.random.Generator, split: str, index: int) -> Voice:
    names = _FLITE[split]
    spoken = [name for name in _FESTIVAL[split] if festival.available(name)]
    # every ninth speaker has a Festival voice
    if spoken and index % 9 == 5:
        name = spoken[(index // 9) % len(spoken)]
        return Voice("festival", name, float(rng.uniform(0.85, 1.2)), float(rng.uniform(0.88, 1.14)), 50.0)
    # every third speaker has a Flite voice; those few voices are told apart by tempo and pitch
    if flite.available() and index % 3 == 2:
        name = names[(index // 3) % len(names)]
        return Voice("flite", name, float(rng.uniform(0.85, 1.2)), float(rng.uniform(0.88, 1.14)), 50.0)
    accent = str(rng.choice(_ACCENTS))
    variants = _VARIANTS[split]
    return Voice("espeak-ng", f"{accent}+{variants[index % len(variants)]}", float(rng.uniform(130, 195)),
                 float(rng.uniform(30, 68)), float(rng.uniform(40, 85)))


def make_personas(seed: int, split: str) -> list[Persona]:
    """The speakers of a split: the same seed gives the same ones; no voice is in two splits."""
    result = []
    for i in range(_SIZES[split]):
        rng = np.random.default_rng([seed, ("train", "val", "test").index(split), i])
        forms = dict(
            zip(
                ("beat", "palm", "cup", "precision", "sweep", "toss"),
                rng.dirichlet((3, 2, 1.5, 1.2, 0.8, 0.8)),
                strict=True,
            )
        )
        result.append(Persona(
            name=f"{split}{i:02d}", split=split, voice=_voice(rng, split, i),
            rate=float(rng.uniform(0.55, 1.15)), two_handed=float(rng.beta(2, 2)),
            right_handed=float(rng.choice((0.88, 0.7, 0.5, 0.15), p=(0.5, 0.25, 0.15, 0.1))),
            size=float(rng.lognormal(0.12, 0.25)),
            space=np.array((0.14, -0.15, 0.27)) + rng.normal(size=3) * (0.030, 0.045, 0.025),
            asymmetry=float(rng.uniform(0, 0.35)),
            rest=str(rng.choice(("idle", "clasp", "ready", "low"), p=(0.58, 0.16, 0.13, 0.13))),
            rest_offset=rng.normal(size=3) * (0.015, 0.025, 0.015),
            lead=float(rng.uniform(-0.05, 0.03)), unit_gap=float(rng.uniform(0.9, 2.4)),
            tempo=float(rng.uniform(0.85, 1.2)), elbow_out=float(rng.normal(0, 0.18)), palm=float(rng.normal(0, 0.2)),
            curve=float(rng.uniform(0.06, 0.2)), nod=float(rng.uniform(0.25, 1.0)), tilt=float(rng.uniform(0.4, 1.3)),
            sway=float(rng.uniform(0.5, 1.4)), gaze_pitch=float(rng.normal(0.02, 0.05)),
            breath=float(rng.uniform(0.6, 1.3)), semantic=float(rng.uniform(0.45, 0.9)), forms=forms,
        ))
    return result


def say(persona: Persona, sentences: Sequence[Sentence], rng: np.random.Generator) -> list[Speech]:
    """Sentences in the speaker's voice, with small changes of tempo and pitch from one to the next."""
    v = persona.voice
    if v.engine == "flite":
        return [flite.speak(s.text, voice=v.name, stretch=float(np.clip(v.rate * rng.uniform(0.93, 1.08), 0.75, 1.4)),
                            pitch_shift=float(v.pitch * rng.uniform(0.96, 1.04))) for s in sentences]
    if v.engine == "festival":
        return festival.speak_all([
            festival.Request(s.text, float(np.clip(v.rate * rng.uniform(0.93, 1.08), 0.75, 1.4)), float(v.pitch * rng.uniform(0.96, 1.04)))
            for s in sentences], v.name)
    return espeak.speak_all([
        espeak.Request(s.text, v.name, int(v.rate * rng.uniform(0.92, 1.08)),
                       int(np.clip(v.pitch + rng.normal(0, 4), 5, 95)),
                       int(np.clip(v.pitch_range + rng.normal(0, 10), 15, 99)), s.emphasis) for s in sentences])
