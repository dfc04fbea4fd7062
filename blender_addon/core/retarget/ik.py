# SPDX-License-Identifier: GPL-3.0-or-later
"""Two-bone inverse kinematics over all frames at once."""

from __future__ import annotations

import numpy as np

from ...shared import rotations as rot

__all__ = ["REACH", "two_bone"]

REACH = 0.9995
"""Share of the limb's length that a target may be away: a limb that is never quite straight keeps its bend side."""


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def _angle(cosine: np.ndarray) -> np.ndarray:
    return np.arccos(np.clip(cosine, -1.0, 1.0))


def two_bone(
    root: np.ndarray, middle: np.ndarray, end: np.ndarray, target: np.ndarray, hinge: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """World turns that bring a limb's end to a target.

    :param root: (T, 3) hip; :param middle: (T, 3) knee; :param end: (T, 3) ankle; :param target: (T, 3) where it should be.
    :param hinge: (T, 3) unit axis about which the limb bends by positive angles; decides only where the limb is straight.
    :returns: (T, 4) for the upper and (T, 4) for the lower bone, both to be applied left of their world rotations.
        A target out of reach is met in direction, with the limb stretched to :data:`REACH`.
    """
    upper, lower = middle - root, end - middle
    a, b = np.linalg.norm(upper, axis=-1), np.linalg.norm(lower, axis=-1)
    aim = target - root
    distance = np.clip(np.linalg.norm(aim, axis=-1), np.abs(a - b) + 1e-6 * (a + b), (a + b) * REACH)
    # interior angle of the middle joint, now and wanted; turning the lower bone about the hinge by + opens... closes it
    now = _angle(np.sum(-upper * lower, axis=-1) / np.maximum(a * b, 1e-12))
    wanted = _angle((a**2 + b**2 - distance**2) / np.maximum(2 * a * b, 1e-12))
    bend = np.cross(upper, lower) / np.maximum(a * b, 1e-12)[..., None]
    # the plane in which the limb is bent now; the given hinge takes over smoothly as the limb straightens
    axis = _unit(bend + 0.02 * hinge)
    flex = rot.axis_angle_to_quat(axis * (now - wanted)[..., None])
    reached = upper + rot.rotate(flex, lower)
    swing = rot.from_two_vectors(reached, aim)
    return swing, rot.mul(swing, flex)
