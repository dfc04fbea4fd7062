# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions to choose from: what the free training sets contain, with the part and length that suit each."""

from __future__ import annotations

from typing import Final

__all__ = ["LIBRARY"]

LIBRARY: Final[dict[str, tuple[tuple[str, str, float], ...]]] = {
    # group: (words, part of the body, seconds)
    "Locomotion": (
        ("a person walks forward", "full", 4.0),
        ("a person walks slowly", "full", 5.0),
        ("a person walks briskly", "full", 3.0),
        ("a person walks with long strides", "full", 4.0),
        ("a person starts walking and stops", "full", 5.0),
        ("a person walks and turns around", "full", 5.0),
        ("a person runs forward", "full", 2.0),
        ("a person jogs", "full", 2.5),
        ("a person runs and leaps", "full", 2.0),
    ),
    "Whole body": (
        ("a person jumps", "full", 2.0),
        ("a person jumps up and down", "full", 4.0),
        ("a person jumps and turns", "full", 3.0),
        ("a person does jumping jacks", "full", 4.0),
        ("a person hops on one foot", "full", 3.0),
        ("a person balances on one leg with outstretched arms", "full", 6.0),
        ("a person does a cartwheel", "full", 3.5),
        ("a person kicks a ball", "full", 3.0),
        ("a person punches", "full", 4.0),
        ("a person dances salsa", "full", 10.0),
        ("a person turns in a pirouette", "full", 4.0),
    ),
    "Standing": (
        ("someone is standing still and waiting", "full", 5.0),
        ("a person stands with the arms hanging at the sides", "full", 5.0),
        ("a person shifts their weight", "lower", 3.0),
        ("a person looks around", "head", 3.0),
        ("a person stands with the hands on the hips", "upper", 4.0),
        ("a person folds the arms", "upper", 4.0),
    ),
    "Gestures": (
        ("a person waves hello", "upper", 2.5),
        ("a person beckons someone to come", "upper", 2.5),
        ("a person points over there", "upper", 2.0),
        ("a person points at the listener: you", "upper", 2.0),
        ("a person points at themselves", "upper", 2.0),
        ("a person points at something in front of them: this", "upper", 2.0),
        ("a person opens both arms while talking", "upper", 2.5),
        ("a person shows how big something is with the arms", "upper", 2.5),
        ("a person weighs two things with the hands", "upper", 3.0),
        ("a person thinks with a hand at the chin", "upper", 3.5),
        ("a person rejects something with their hands", "upper", 2.0),
        ("a person crosses the hands: stop it", "upper", 2.0),
        ("a person asks please with the hands together", "upper", 2.5),
        ("a person apologises", "upper", 2.5),
        ("a person panics and throws the hands up", "upper", 2.5),
    ),
}
