# SPDX-License-Identifier: Apache-2.0
"""The 66 key points of a pose track: their names, their limbs and the published colours.

Order: OpenPose body18, six points of the feet, left hand 21, right hand 21. This is DWPose's order of 134 points without its
68 points of the face, which a pose track never has: the face is left to the speech.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from shared.films import BODY_LIMBS, BODY_NAMES

__all__ = [
    "BODY", "BODY_NAMES", "COLOURS", "FACE_POINTS", "FEET", "FEET_NAMES", "HAND_EDGES", "INDEX", "LEFT_HAND", "LIMBS",
    "NAMES", "POINT_COUNT", "RIGHT_HAND", "TREE", "hand_colours",
]

FEET_NAMES: Final = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel")
_FINGERS: Final = ("thumb", "index", "middle", "ring", "pinky")


def _hand_names(side: str) -> tuple[str, ...]:
    return (f"{side}_palm", *(f"{side}_{finger}{n}" for finger in _FINGERS for n in range(1, 5)))


NAMES: Final = (*BODY_NAMES, *FEET_NAMES, *_hand_names("left"), *_hand_names("right"))
POINT_COUNT: Final = len(NAMES)
INDEX: Final = {name: i for i, name in enumerate(NAMES)}
BODY: Final = slice(0, 18)
FEET: Final = slice(18, 24)
LEFT_HAND: Final = slice(24, 45)
RIGHT_HAND: Final = slice(45, 66)
FACE_POINTS: Final = tuple(INDEX[n] for n in ("nose", "right_eye", "left_eye", "right_ear", "left_ear"))

LIMBS: Final = BODY_LIMBS
"""The 17 limbs of body18 in the order in which every OpenPose drawer draws them (0-based)."""
COLOURS: Final = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85),
    (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255),
    (255, 0, 170), (255, 0, 85),
)
"""Limb i and joint i share colour i; in which channel order it is stored depends on the drawer."""
HAND_EDGES: Final = tuple(
    (0 if n == 1 else 4 * finger + n - 1, 4 * finger + n) for finger in range(5) for n in range(1, 5)
)
"""The 20 edges of a hand, from the palm along each finger."""

TREE: Final = (
    (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0), (0, 14),
    (0, 15), (14, 16), (15, 17), (13, 18), (13, 19), (13, 20), (10, 21), (10, 22), (10, 23),
    (7, 24), (4, 45), *((24 + a, 24 + b) for a, b in HAND_EDGES), *((45 + a, 45 + b) for a, b in HAND_EDGES),
)
"""(parent, point) for all points but the neck, parents first: the bones whose lengths make a person's proportions."""


def hand_colours() -> np.ndarray:
    """(20, 3) in [0, 1]: the hue of edge i is i / 20 at full saturation, as in every OpenPose drawer."""
    hue = np.arange(20) / 20 * 6
    # the usual HSV to RGB with S = V = 1
    offset = np.array([0.0, 4.0, 2.0])
    return np.clip(np.abs((hue[:, None] + offset) % 6 - 3) - 1, 0, 1)
