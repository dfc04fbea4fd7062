# SPDX-License-Identifier: GPL-3.0-or-later
"""Two-bone inverse kinematics over all frames at once."""

from __future__ import annotations

import numpy as np

from ...shared import rotations as rot

__all__ = ["REACH", "two_bone"]

REACH = 0.9995
"""Share of the limb's length that a target may be away: a limb that is never quite straight keeps its bend side."""

_SLACK = 0.001


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def _angle(cosine: np.ndarray) -> np.ndarray:
    return np.arccos(np.clip(cosine, -1.0, 1.0))


def _wanted_distance(now: np.ndarray, aim: np.ndarray, length: np.ndarray, least: np.ndarray) -> np.ndarray:
    """How long (T,) the limb should be: as the target wants it, but for a slack of a thousandth while it is nearly straight.

    Half a millimetre of a straight leg is four degrees of its knee; without the slack a standing knee would tremble.
    """
    straight = np.clip((np.minimum(now, aim) / length - 0.985) / 0.01, 0.0, 1.0)
    slack = _SLACK * length * straight**2 * (3 - 2 * straight)
    error = aim - now
    wanted = now + np.sign(error) * np.maximum(np.abs(error) - slack, 0.0)
    return np.clip(wanted, least, np.maximum(now, length * REACH))


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
    length = a + b
    aim = target - root
    wanted_distance = _wanted_distance(np.linalg.norm(end - root, axis=-1), np.linalg.norm(aim, axis=-1), length,
                                       np.abs(a - b) + 1e-6 * length)
    wanted = _angle((a**2 + b**2 - wanted_distance**2) / np.maximum(2 * a * b, 1e-12))
    flex = np.zeros((len(a), 4))
    flex[:, 0] = 1.0
    bent = lower
    # the given hinge decides the plane where the limb is straight; the second round is exact in the plane found
    for share in (0.02, 0.0):
        now = _angle(np.sum(-upper * bent, axis=-1) / np.maximum(a * b, 1e-12))
        bend = np.cross(upper, bent) / np.maximum(a * b, 1e-12)[..., None]
        flat = np.linalg.norm(bend, axis=-1, keepdims=True) < 1e-7
        axis = _unit(bend + np.where(flat, 1.0, share) * hinge)
        flex = rot.mul(rot.axis_angle_to_quat(axis * (now - wanted)[..., None]), flex)
        bent = rot.rotate(flex, lower)
    swing = rot.from_two_vectors(upper + bent, aim)
    return swing, rot.mul(swing, flex)
