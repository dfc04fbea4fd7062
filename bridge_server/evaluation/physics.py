# SPDX-License-Identifier: Apache-2.0
"""Bodies against the floor, and smoothness, by their published definitions.

A body is (T, >= 22, 4) local rotations and a (T, 3) pelvis path on our neutral skeleton; the floor is y = 0. Sums and
counts, not means, come back, so that many clips can be pooled frame by frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.kinematics import end_point, forward
from shared.skeleton import BODY_JOINT_COUNT

__all__ = ["CONTACT_HEIGHT", "FLOAT_HEIGHT", "Tally", "jerk", "slide", "sole_points", "tally"]

SOLES: Final = ("left_heel", "left_toe_end", "right_heel", "right_toe_end")
CONTACT_HEIGHT: Final = 0.05
"""Metres under which a sole's point counts as standing."""
FLOAT_HEIGHT: Final = 0.05
"""Metres above which the lowest point of both soles counts as floating."""
_TOLERANCE: Final = 0.005
"""Metres above or below the floor that are not counted (PhysDiff)."""


@dataclass
class Tally:
    """Sums over frames; add tallies, then ask.

    :ivar slide: metres of horizontal path of standing points, and over how many point-frames.
    :ivar floating: frames in the air. :ivar penetration: metres under the floor. :ivar jerk: m/s^3, and over how many
    joint-frames.
    """

    frames: int = 0
    slide: float = 0.0
    standing: int = 0
    floating: int = 0
    penetration: float = 0.0
    jerk: float = 0.0
    jerks: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def foot_slide_mm(self) -> float:
        """Millimetres a frame (at 30 frames per second) that standing heels and toes move over the floor."""
        return 1000 * self.slide / max(self.standing, 1)

    @property
    def float_percent(self) -> float:
        """Per cent of frames in which no sole is within :data:`FLOAT_HEIGHT` of the floor."""
        return 100 * self.floating / max(self.frames, 1)

    @property
    def penetration_mm(self) -> float:
        """Mean depth of the lowest sole under the floor, millimetres."""
        return 1000 * self.penetration / max(self.frames, 1)

    @property
    def jitter(self) -> float:
        """Mean jerk of the joints, m/s^3."""
        return self.jerk / max(self.jerks, 1)

    def figures(self) -> dict[str, float]:
        """All by name."""
        return {
            "foot_slide_mm": self.foot_slide_mm,
            "float_percent": self.float_percent,
            "penetration_mm": self.penetration_mm,
            "jitter": self.jitter,
        }


def sole_points(rotations: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, 22, 3) and the four points of the soles (T, 4, 3): heel and toe end, left then right."""
    positions, world = forward(rotations[:, :BODY_JOINT_COUNT].astype(np.float64), translation.astype(np.float64))
    return positions, np.stack([end_point(name, positions, world) for name in SOLES], 1)


def slide(soles: np.ndarray) -> tuple[float, int]:
    """Metres of horizontal path and number of steps of points (T, P, 3) that stand in two frames in a row.

    The foot skate of Yuan et al., "PhysDiff", ICCV 2023: a point stands when it is near the floor in both of two
    adjacent frames, and the skate is its mean horizontal displacement. The threshold is :data:`CONTACT_HEIGHT`. Speed
    is not looked at: a foot that slides fast over the floor counts in full.
    """
    low = soles[..., 1] < CONTACT_HEIGHT
    both = low[1:] & low[:-1]
    path = np.linalg.norm(np.diff(soles[..., [0, 2]], axis=0), axis=-1)
    return float(path[both].sum()), int(both.sum())


def jerk(positions: np.ndarray, fps: float = 30.0) -> tuple[float, int]:
    """Sum of the norms of the third derivative (m/s^3) of joints (T, J, 3), and their number.

    The jitter of Yi et al., "TransPose", SIGGRAPH 2021, after Flash and Hogan 1985: the mean jerk of all body joints in
    global space; third differences of positions.
    """
    third = np.diff(positions, n=3, axis=0) * fps**3
    return float(np.linalg.norm(third, axis=-1).sum()), third.shape[0] * third.shape[1]


def tally(rotations: np.ndarray, translation: np.ndarray, fps: float = 30.0) -> Tally:
    """All measures of one body. Float and penetration as in PhysDiff, of the sole's lowest point, with its 5 mm of
    tolerance."""
    positions, soles = sole_points(rotations, translation)
    lowest = soles[..., 1].min(1)
    path, standing = slide(soles)
    total, count = jerk(positions, fps)
    under = np.where(lowest < -_TOLERANCE, -lowest, 0.0)
    return Tally(len(lowest), path, standing, int((lowest > FLOAT_HEIGHT).sum()), float(under.sum()), total, count)
