# SPDX-License-Identifier: Apache-2.0
"""The 55 joints of SMPL-X, a neutral rest skeleton of our own, and the body parts of a direction.

Joint names, order and hierarchy are those published for SMPL-X (``smplx/joint_names.py``). The rest
offsets are **not** SMPL-X's, whose licence does not allow it, but those of a neutral adult of
1.70 m in a T-pose. +Y up, facing +Z, left hand on +X, metres.
"""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = [
    "BODY_JOINT_COUNT", "BODY_PARTS", "CONTACT_NAMES", "END_POINTS", "JOINT_COUNT", "JOINT_INDEX", "JOINT_NAMES",
    "LEG_LENGTH", "MIRROR", "NEUTRAL_OFFSETS", "PARENTS", "PART_JOINTS", "rest_positions",
]

_BODY: Final = (
    ("pelvis", None, (0.0, 0.96, 0.0)),
    ("left_hip", "pelvis", (0.085, -0.06, 0.0)),
    ("right_hip", "pelvis", (-0.085, -0.06, 0.0)),
    ("spine1", "pelvis", (0.0, 0.10, 0.0)),
    ("left_knee", "left_hip", (0.0, -0.42, 0.0)),
    ("right_knee", "right_hip", (0.0, -0.42, 0.0)),
    ("spine2", "spine1", (0.0, 0.13, 0.0)),
    ("left_ankle", "left_knee", (0.0, -0.41, 0.0)),
    ("right_ankle", "right_knee", (0.0, -0.41, 0.0)),
    ("spine3", "spine2", (0.0, 0.06, 0.0)),
    ("left_foot", "left_ankle", (0.0, -0.033, 0.14)),
    ("right_foot", "right_ankle", (0.0, -0.033, 0.14)),
    ("neck", "spine3", (0.0, 0.20, 0.0)),
    ("left_collar", "spine3", (0.05, 0.13, 0.0)),
    ("right_collar", "spine3", (-0.05, 0.13, 0.0)),
    ("head", "neck", (0.0, 0.10, 0.01)),
    ("left_shoulder", "left_collar", (0.12, 0.01, -0.01)),
    ("right_shoulder", "right_collar", (-0.12, 0.01, -0.01)),
    ("left_elbow", "left_shoulder", (0.28, 0.0, 0.0)),
    ("right_elbow", "right_shoulder", (-0.28, 0.0, 0.0)),
    ("left_wrist", "left_elbow", (0.25, 0.0, 0.0)),
    ("right_wrist", "right_elbow", (-0.25, 0.0, 0.0)),
    ("jaw", "head", (0.0, 0.0, 0.015)),
    ("left_eye", "head", (0.032, 0.055, 0.075)),
    ("right_eye", "head", (-0.032, 0.055, 0.075)),
)
_FINGERS: Final = (
    # name, offset of the first joint from the left wrist, lengths of the next two bones, direction of the finger
    ("index", (0.090, 0.0, 0.024), (0.032, 0.022), (1.0, 0.0, 0.0)),
    ("middle", (0.092, 0.0, 0.002), (0.036, 0.025), (1.0, 0.0, 0.0)),
    ("pinky", (0.078, 0.0, -0.040), (0.024, 0.017), (1.0, 0.0, 0.0)),
    ("ring", (0.087, 0.0, -0.020), (0.033, 0.023), (1.0, 0.0, 0.0)),
    ("thumb", (0.026, -0.008, 0.032), (0.034, 0.026), (0.76, -0.10, 0.64)),
)


def _build() -> tuple[list[str], list[int], list[tuple[float, float, float]]]:
    names: list[str] = []
    parents: list[int] = []
    offsets: list[tuple[float, float, float]] = []

    def add(name: str, parent: str | None, offset: tuple[float, float, float]) -> None:
        parents.append(-1 if parent is None else names.index(parent))
        names.append(name)
        offsets.append(offset)

    for name, parent, offset in _BODY:
        add(name, parent, offset)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for finger, base, lengths, direction in _FINGERS:
            add(f"{side}_{finger}1", f"{side}_wrist", (sign * base[0], base[1], base[2]))
            for n, length in enumerate(lengths, start=2):
                step = (sign * length * direction[0], length * direction[1], length * direction[2])
                add(f"{side}_{finger}{n}", f"{side}_{finger}{n - 1}", step)
    return names, parents, offsets


_names, _parents, _offsets = _build()

JOINT_NAMES: Final[tuple[str, ...]] = tuple(_names)
JOINT_COUNT: Final = len(JOINT_NAMES)
BODY_JOINT_COUNT: Final = 22
JOINT_INDEX: Final[dict[str, int]] = {name: i for i, name in enumerate(JOINT_NAMES)}
PARENTS: Final[tuple[int, ...]] = tuple(_parents)
NEUTRAL_OFFSETS: Final = np.array(_offsets, dtype=np.float64)
"""(55, 3) metres: offset of each joint from its parent in the T-pose; row 0 is the pelvis above the floor."""
NEUTRAL_OFFSETS.setflags(write=False)
LEG_LENGTH: Final = 0.83
"""Thigh plus shin of the neutral skeleton, metres; scale a translation by the ratio of leg lengths."""

END_POINTS: Final[dict[str, tuple[str, tuple[float, float, float]]]] = {
    "head_top": ("head", (0.0, 0.15, -0.01)),
    "left_toe_end": ("left_foot", (0.0, -0.02, 0.07)),
    "right_toe_end": ("right_foot", (0.0, -0.02, 0.07)),
    "left_heel": ("left_ankle", (0.0, -0.07, -0.05)),
    "right_heel": ("right_ankle", (0.0, -0.07, -0.05)),
    "left_hand_end": ("left_wrist", (0.17, 0.0, 0.0)),
    "right_hand_end": ("right_wrist", (-0.17, 0.0, 0.0)),
}
"""Points that move with a joint but are none: name -> (joint, offset in the joint's rest frame, metres)."""

CONTACT_NAMES: Final = ("left_ankle", "left_foot", "right_ankle", "right_foot")
"""Joints whose contact with the floor is in ``Motion.contacts``, in its column order."""

MIRROR: Final[tuple[int, ...]] = tuple(
    JOINT_INDEX[
        name.replace("left_", "right_", 1) if name.startswith("left_") else name.replace("right_", "left_", 1)
    ]
    for name in JOINT_NAMES
)
"""Index of each joint's partner on the other side (itself on the middle line)."""

BODY_PARTS: Final = ("full", "upper", "lower", "left_arm", "right_arm", "head")
"""What a direction can be addressed to."""


def _with_prefix(*stems: str) -> tuple[int, ...]:
    return tuple(i for i, name in enumerate(JOINT_NAMES) if any(name.startswith(stem) for stem in stems))


def _arm(side: str) -> tuple[int, ...]:
    stems = [f"{side}_{s}" for s in ("collar", "shoulder", "elbow", "wrist", "index", "middle", "ring", "pinky", "thumb")]
    return _with_prefix(*stems)


_LOWER = _with_prefix("pelvis", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
                      "left_foot", "right_foot")
PART_JOINTS: Final[dict[str, tuple[int, ...]]] = {
    "full": tuple(range(JOINT_COUNT)),
    "lower": _LOWER,
    "upper": tuple(i for i in range(JOINT_COUNT) if i not in _LOWER),
    "left_arm": _arm("left"),
    "right_arm": _arm("right"),
    "head": _with_prefix("neck", "head", "jaw", "left_eye", "right_eye"),
}
"""Joints that each body part of a direction owns."""


def rest_positions(offsets: np.ndarray = NEUTRAL_OFFSETS) -> np.ndarray:
    """World positions (J, 3) of the joints in the rest pose, metres; ``offsets`` is (J, 3), the first J joints."""
    positions = np.array(offsets, dtype=np.float64)
    for j in range(1, len(positions)):
        positions[j] += positions[PARENTS[j]]
    return positions
