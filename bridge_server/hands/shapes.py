# SPDX-License-Identifier: Apache-2.0
"""Hand shapes as finger angles, and which of them a direction's words ask for.

Angles are degrees in one hand; :func:`finger_rotations` turns them into local rotations of either. In the T-pose the
palms face down: curling turns a left finger from +X towards -Y. A shape is five fingers in the order of
:data:`FINGERS`, each ``(curl of the first joint, of the second, of the third, spread)``; for the thumb the first is
the turn across the palm, the second and third its bends, the last its reach away from the palm.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from shared import rotations as rot

__all__ = ["FINGERS", "SHAPES", "finger_rotations", "shape_in_words"]

FINGERS: Final = ("index", "middle", "pinky", "ring", "thumb")
"""In the order of the joints 25 to 39 and 40 to 54."""

_OUT, _IN = (6.0, 6.0, 4.0), (78.0, 95.0, 60.0)


def _hand(
    thumb: tuple[float, float, float, float],
    index: tuple[float, ...],
    middle: tuple[float, ...],
    ring: tuple[float, ...],
    pinky: tuple[float, ...],
    spread: float = 0.0,
) -> np.ndarray:
    """(5, 4) degrees; fingers fan out by ``spread``."""
    return np.array(
        [(*index, spread), (*middle, 0.15 * spread), (*pinky, -1.3 * spread), (*ring, -0.6 * spread), thumb]
    )


SHAPES: Final[dict[str, np.ndarray]] = {
    "relaxed": _hand((12, 14, 16, 6), (18, 24, 14), (24, 28, 16), (28, 31, 18), (31, 33, 20), 3),
    "open": _hand((2, 4, 6, 22), (4, 6, 4), (3, 6, 4), (4, 7, 5), (6, 8, 6), 9),
    "flat": _hand((14, 8, 8, 0), (3, 4, 3), (3, 4, 3), (3, 5, 3), (4, 5, 4), 0),
    "spread": _hand((-4, 2, 2, 34), (2, 3, 2), (2, 3, 2), (2, 3, 2), (3, 4, 3), 16),
    "fist": _hand((42, 38, 40, -4), _IN, _IN, _IN, _IN, 0),
    "point": _hand((38, 34, 34, -2), (3, 5, 3), _IN, _IN, _IN, 0),
    "thumbs_up": _hand((-14, -6, -8, 26), _IN, _IN, _IN, _IN, 0),
    "pinch": _hand((40, 23, 26, 3), (60, 53, 24), (34, 34, 18), (26, 30, 16), (20, 26, 14), 5),
    "ok": _hand((41, 25, 30, 7), (60, 55, 26), (12, 12, 8), (8, 9, 6), (5, 7, 5), 10),
    "two": _hand((42, 36, 38, -2), (3, 5, 3), (3, 5, 3), _IN, _IN, 9),
    "three": _hand((44, 38, 40, -2), (3, 5, 3), (3, 5, 3), (4, 6, 4), _IN, 8),
    "four": _hand((46, 38, 40, -4), (3, 5, 3), (3, 5, 3), (4, 6, 4), (5, 7, 5), 8),
    "grasp": _hand((30, 20, 22, 12), (38, 36, 22), (40, 38, 22), (42, 40, 24), (44, 42, 26), 4),
    "claw": _hand((16, 26, 34, 22), (14, 62, 46), (14, 64, 46), (15, 64, 46), (16, 62, 46), 12),
    "call": _hand((-12, -4, -6, 30), _IN, _IN, _IN, (4, 6, 4), 6),
    "horns": _hand((42, 38, 40, -2), (3, 5, 3), _IN, _IN, (4, 6, 4), 4),
    "cup": _hand((20, 14, 14, 6), (24, 20, 12), (26, 21, 12), (28, 22, 13), (30, 23, 14), 0),
}
SHAPES["one"] = SHAPES["point"]
SHAPES["five"] = SHAPES["spread"]

_COUNTS: Final = ("one", "two", "three", "four", "five")
_RULES: Final[tuple[tuple[str, str], ...]] = (
    # the first rule that fits wins, so the more special stand before the more general
    (r"thumbs?[ -]up|hitch\w*|well done", "thumbs_up"),
    (r"pray\w*|hands together|palms together|namaste|clap\w*|applau\w*", "flat"),
    (r"\bok(ay)?\b(?! to)|ring sign|perfect", "ok"),
    (r"peace sign|victory sign|\bv[ -]sign|two fingers|number two", "two"),
    (r"three fingers|number three", "three"),
    (r"four fingers|number four", "four"),
    (r"five fingers|number five|high[ -]five", "five"),
    (r"phones?\b|calls? someone|telephon\w*|call me", "call"),
    (r"horns|rock sign|rocks out", "horns"),
    (r"point\w*|indicat\w*|one finger|number one|wag\w* (a|the|his|her|their) finger|deictic", "point"),
    (
        r"fists?|punch\w*|box(es|ing)?\b|hits?\b|knock\w*|karate|fight\w*|angr\w*|victory|triumph\w*"
        r"|march\w*|\bruns?\b|running|jog\w*",
        "fist",
    ),
    (r"pinch\w*|a little bit|tiny|small|sprinkl\w*|thread\w*|writ(es?|ing)|draw\w*", "pinch"),
    (r"claw\w*|zombie|monster|scratch\w*|scare\w*", "claw"),
    (
        r"hold\w*|grab\w*|grasp\w*|carr(y|ies|ying)|pick\w* up|lift\w*|sword\w*|pull\w*|catch\w*|climb\w*|drink\w*"
        r"|motorcycle|rid(es?|ing)|swings? an? (sword|bat|club|racket|axe)",
        "grasp",
    ),
    (r"beg\w*|scoop\w*|wash\w*|reach\w* out|asks? for help|offers?|gives?", "cup"),
    (r"salut\w*|stops?\b|halt\w*|karate chop|knife hand|\bflat\b|push\w*|wip(es?|ing)|bows?\b|chest", "flat"),
    (r"surpris\w*|panic\w*|big\b|jumping jacks?|jazz hands|many|huge|cheer\w*", "spread"),
    (
        r"wav(e|es|ing)|greet\w*|hello|hi\b|goodbye|shrug\w*|question|present\w*|spreads?|opens?"
        r"|welcom\w*|come here|beckon\w*|explain\w*",
        "open",
    ),
)
_PATTERNS: Final = tuple((re.compile(rf"\b(?:{p})", re.IGNORECASE), shape) for p, shape in _RULES)
_COUNT_TO: Final = re.compile(rf"\bcount\w*(?:.*?\bto)?\s+({'|'.join(_COUNTS)}|[1-5])\b", re.IGNORECASE)
_COUNT: Final = re.compile(r"\bcount\w*\b", re.IGNORECASE)


def shape_in_words(text: str) -> tuple[str, ...]:
    """The hand shapes that a direction asks for, in the order they are shown; empty where it asks for none.

    All but counting give one shape: ``"counts to three"`` -> ``("one", "two", "three")``.
    """
    if counted := _COUNT_TO.search(text):
        last = counted.group(1).lower()
        return _COUNTS[: int(last) if last.isdigit() else _COUNTS.index(last) + 1]
    if _COUNT.search(text):
        return _COUNTS
    for pattern, shape in _PATTERNS:
        if pattern.search(text):
            return (shape,)
    return ()


_THUMB: Final = np.array([0.76, -0.10, 0.64]) / np.linalg.norm([0.76, -0.10, 0.64])
_ACROSS: Final = np.cross(_THUMB, np.array([0.25, -0.75, -0.60]))
_AWAY: Final = np.cross(_THUMB, np.array([-0.64, 0.0, 0.76]))
_THUMB_AXES: Final = np.stack((_ACROSS / np.linalg.norm(_ACROSS), _AWAY / np.linalg.norm(_AWAY)))


def finger_rotations(angles: np.ndarray, left: bool) -> np.ndarray:
    """Local rotations of one hand's fifteen finger joints.

    :param angles: (T, 5, 4) degrees, as in :data:`SHAPES`.
    :returns: (T, 15, 4) unit quaternions wxyz relative to the T-pose.
    """
    a = np.radians(np.asarray(angles, dtype=np.float64))
    vectors = np.zeros((len(a), 5, 3, 3))
    vectors[:, :4, :, 2] = -a[:, :4, :3]
    # +Y turns a finger that points along +X towards -Z, the little finger's side
    vectors[:, :4, 0, 1] = -a[:, :4, 3]
    vectors[:, 4, 0] = a[:, 4, :1] * _THUMB_AXES[0] + a[:, 4, 3:] * _THUMB_AXES[1]
    vectors[:, 4, 1] = a[:, 4, 1:2] * _THUMB_AXES[0]
    vectors[:, 4, 2] = a[:, 4, 2:3] * _THUMB_AXES[0]
    if not left:  # the mirror image about the x = 0 plane
        vectors = vectors * np.array([1.0, -1.0, -1.0])
    return rot.axis_angle_to_quat(vectors.reshape(len(a), 15, 3))
