# SPDX-License-Identifier: Apache-2.0
"""From speech to gestures: which accent carries which movement, and when its phases fall.

The stroke ends at or just before the accented syllable's beat (the phonological synchrony rule, McNeill 1992; measured
leads of a few tens to a few hundred milliseconds, e.g. Loehr 2004, Leonard & Cummins 2011); loud accents get large
strokes; hands that have nothing to do for a while return to rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .gestures import FORM_HANDS, Stroke, make_stroke, trigger
from .persona import Persona
from .speech import Accent, Speech, accents

__all__ = ["Gesture", "HandMove", "HeadMove", "Plan", "Placement", "plan"]


@dataclass(frozen=True)
class HandMove:
    """One hand's part in a gesture. Times in seconds; ``hold_end`` is the earliest end of the hold."""

    side: str
    stroke: Stroke
    stroke_start: float
    stroke_end: float
    hold_end: float
    gesture: int


@dataclass(frozen=True)
class HeadMove:
    """``kind``: nod, shake or tilt; ``time`` its lowest point or middle, ``size`` radians, ``seconds`` its length."""

    kind: str
    time: float
    size: float
    seconds: float


@dataclass(frozen=True)
class Placement:
    """A clip of ``gesture_notation`` to be blended in: its stroke meets ``time``; ``clip`` counts in the library."""

    clip: int
    time: float
    gesture: int


@dataclass
class Gesture:
    """What is written to the clip's record. ``phases`` are filled in when the hands' paths are made."""

    kind: str
    hands: str
    word: str
    stress: float
    scale: float
    phases: list[dict[str, Any]] = field(default_factory=list)
    caption: str | None = None


@dataclass
class Plan:
    """Everything that is to happen in a clip."""

    accents: tuple[Accent, ...]
    gestures: list[Gesture] = field(default_factory=list)
    hands: list[HandMove] = field(default_factory=list)
    head: list[HeadMove] = field(default_factory=list)
    brows: list[tuple[float, float]] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)


def _side(kind: str, persona: Persona, rng: np.random.Generator) -> str:
    hands = FORM_HANDS[kind]
    if hands in ("left", "right", "both"):
        return hands
    if hands == "any" and rng.random() < persona.two_handed:
        return "both"
    return "right" if rng.random() < persona.right_handed else "left"


def _kind(accent: Accent, speech: Speech, persona: Persona, rng: np.random.Generator) -> tuple[str, bool]:
    """Form for an accent and whether a word called for it: the accent's own word, or one of the two before it."""
    sentence = speech.words[accent.word].sentence
    for k in (accent.word, accent.word - 1, accent.word - 2):
        if k < 0 or speech.words[k].sentence != sentence:
            continue
        found = trigger(speech.words[k].text)
        # a pronoun or question word two words before does not own the accent
        likely = persona.semantic * (1.0 if k == accent.word else 0.4)
        if found and rng.random() < likely:
            return found, True
    names = list(persona.forms)
    return str(rng.choice(names, p=[persona.forms[n] for n in names])), False


def plan(speech: Speech, persona: Persona, rng: np.random.Generator, *, placements: dict[int, tuple[int, float]],
         spans: dict[int, tuple[float, float]]) -> Plan:
    """Plan a clip.

    :param placements: for the sentence of this index, (clip of the notation library, accent time).
    :param spans: for the same sentences, (start, end) seconds that the notation gesture takes; no hand moves of our own
        then.
    """
    result = Plan(accents(speech))
    for sentence, (clip, time) in placements.items():
        result.placements.append(Placement(clip, time, len(result.gestures)))
        near = min(range(len(speech.words)), key=lambda k: abs(speech.words[k].start - time))
        result.gestures.append(Gesture("notation", "both", speech.words[near].text, time, 1.0))
        begin, end = spans[sentence]
        # a notated gesture may go on (waves, nods) after its stroke has met the word: all of that is stroke
        edges = (begin, time - 0.25, end - 0.6, end)
        result.gestures[-1].phases = [
            {"phase": phase, "start": round(a, 3), "end": round(b, 3)}
            for phase, a, b in zip(("preparation", "stroke", "retraction"), edges, edges[1:], strict=False)
        ]
    _plan_hands(result, speech, persona, rng, list(spans.values()))
    _plan_head(result, speech, persona, rng, list(spans.values()))
    return result


def _plan_hands(result: Plan, speech: Speech, persona: Persona, rng: np.random.Generator,
                taken: list[tuple[float, float]]) -> None:
    last_end = {"left": -9.0, "right": -9.0}
    last_kind, side, step = "", "right", 0
    for accent in result.accents:
        if any(a - 0.6 < accent.time < b + 0.5 for a, b in taken):
            continue
        chance = persona.rate * (0.30 + 0.95 * accent.strength)
        if rng.random() > chance:
            continue
        kind, meant = _kind(accent, speech, persona, rng)
        scale = float(np.clip(0.60 + 0.75 * accent.loudness + rng.normal(0, 0.08), 0.5, 1.5))
        since = accent.time - max(last_end.values())
        recent = since < persona.unit_gap
        # there is less room for size when strokes follow each other closely
        scale *= float(np.clip(since / 0.85, 0.45, 1.0))
        if recent and not meant and rng.random() < 0.55:
            kind = "beat"  # within a unit most strokes repeat as beats superimposed on the form held
        # a unit keeps its hands; a new one, or a gesture that needs other hands, chooses anew
        if not recent or FORM_HANDS[kind] in ("both", "left", "right") or rng.random() < 0.12:
            side = _side(kind, persona, rng)
        elif FORM_HANDS[kind] == "one" and side == "both":
            side = _side(kind, persona, rng)
        step = step + 1 if kind == "count" and last_kind == "count" else 0
        lead = persona.lead + float(rng.normal(0, 0.025))
        end = accent.time - lead
        sides = ("left", "right") if side == "both" else (side,)
        weaker = "left" if persona.right_handed >= 0.5 else "right"
        strokes: list[HandMove] = []
        shared_seed = int(rng.integers(2**31))
        for hand in sides:
            own = scale * (1 - persona.asymmetry if hand == weaker and len(sides) == 2 else 1.0)
            # both hands draw from the same stream, so a symmetrical gesture is one, up to the small changes below
            stroke = make_stroke(kind, persona, own, np.random.default_rng(shared_seed), min(step, 5))
            lag = float(rng.normal(0, 0.015)) if len(sides) == 2 else 0.0
            start = end + lag - stroke.seconds
            # there must be time to get to the stroke's beginning after the hand's last stroke
            if start - last_end[hand] < 0.2:
                squeeze = (end + lag - last_end[hand]) * 0.5
                if squeeze < 0.17:
                    continue
                stroke = Stroke(stroke.before, stroke.after, squeeze, stroke.hold)
                start = end + lag - squeeze
            if start < 0.25:
                continue
            strokes.append(HandMove(hand, stroke, start, end + lag, end + lag + stroke.hold * rng.uniform(0.7, 1.4),
                                    len(result.gestures)))
        if len(strokes) != len(sides):
            continue
        for move in strokes:
            last_end[move.side] = move.stroke_end
        result.hands += strokes
        last_kind = kind
        result.gestures.append(Gesture(kind, side, speech.words[accent.word].text, accent.time, scale))
        if kind == "shrug":
            result.head.append(HeadMove("tilt", accent.time, float(rng.choice((-1, 1)) * rng.uniform(0.08, 0.16)), 1.3))
        if kind == "negate" and rng.random() < 0.6:
            result.head.append(
                HeadMove("shake", accent.time + 0.15, float(rng.uniform(0.06, 0.15)), float(rng.uniform(0.7, 1.1)))
            )


def _plan_head(result: Plan, speech: Speech, persona: Persona, rng: np.random.Generator,
               taken: list[tuple[float, float]]) -> None:
    last = -1.0
    for accent in result.accents:
        if any(a - 0.3 < accent.time < b + 0.2 for a, b in taken) or accent.time - last < 0.35:
            continue
        if rng.random() < 0.25 + 0.75 * persona.nod * accent.strength:
            # heads nod on accents: the lowest point falls on the vowel (Hadar et al. 1983; Graf et al. 2002)
            size = float(np.clip((0.02 + 0.075 * accent.strength) * persona.nod * rng.lognormal(0, 0.3), 0.012, 0.16))
            result.head.append(
                HeadMove("nod", accent.time + float(rng.normal(0.0, 0.03)), size, float(rng.uniform(0.38, 0.6)))
            )
            last = accent.time
        if accent.strength > 0.6 and rng.random() < 0.5:
            result.brows.append((max(accent.time - 0.2, 0.0), accent.time + 0.35))
    words = speech.words
    for index in sorted({w.sentence for w in words}):
        own = [w for w in words if w.sentence == index]
        start, end = own[0].start, own[-1].end
        question = index < len(speech.sentences) and speech.sentences[index].rstrip().endswith("?")
        if rng.random() < 0.55 or question:
            size = float(rng.normal(0, 0.055) * persona.tilt) + (0.05 * float(rng.choice((-1, 1))) if question else 0.0)
            result.head.append(HeadMove("tilt", (start + end) / 2, size, max(end - start, 0.8)))
        if question:
            result.brows.append((max(end - 0.8, start), end + 0.3))
