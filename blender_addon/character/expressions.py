# SPDX-License-Identifier: GPL-3.0-or-later
"""The mannequin's shape keys: the 52 ARKit shapes as displacement fields over skin, lips, lids, brows and eyes.

Y up, facing +Z, metres; ``L`` is the character's left, +X.
"""

from __future__ import annotations

import numpy as np

from ..shared import rotations as rot
from .body import MOUTH, joint
from .face_parts import HALF_MOUTH, LID_RADIUS, LID_SHAPE, Part, lid_edge, lid_points, mouth_depth

__all__ = ["JAW_RADIANS", "jaw_share", "lower_share", "shapes"]

JAW_RADIANS = 0.33
"""Turn of the jaw at jawOpen = 1."""


def _step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def _near(p: np.ndarray, centre: tuple[float, float, float], size: float, tall: float = 1.0) -> np.ndarray:
    d = (p - np.asarray(centre)) / np.array([size, size * tall, size])
    return np.exp(-0.5 * np.sum(d * d, axis=1))


def lower_share(p: np.ndarray) -> np.ndarray:
    """(N,) how much points of the skin belong to below the mouth: sharp between the lips, soft beyond the corners."""
    soft = 0.0012 + 0.012 * _step(np.abs(p[:, 0]), HALF_MOUTH * 0.8, HALF_MOUTH * 2.0)
    t = np.clip((MOUTH[1] - p[:, 1]) / soft * 0.5 + 0.5, 0.0, 1.0)
    return t * t * (3 - 2 * t)


def jaw_share(p: np.ndarray) -> np.ndarray:
    """(N,) share of the jaw's turn that points of the skin take."""
    hinge = joint("jaw")
    back = np.clip((MOUTH[2] - p[:, 2]) / (MOUTH[2] - hinge[2]), 0.0, 1.4)
    line = MOUTH[1] + (hinge[1] - 0.006 - MOUTH[1]) * back
    soft = 0.0012 + 0.016 * _step(np.abs(p[:, 0]), HALF_MOUTH * 0.8, HALF_MOUTH * 1.9) + 0.004 * back
    t = np.clip((line - p[:, 1]) / soft * 0.5 + 0.5, 0.0, 1.0)
    below = t * t * (3 - 2 * t)
    return below * _step(p[:, 2], 0.006, 0.050) * _step(p[:, 1], 1.452, 1.486) * (p[:, 1] < 1.60)


class _Head:
    """All vertices of the face with the masks that expressions share."""

    def __init__(self, skin: np.ndarray, parts: list[Part]) -> None:
        self.slices: dict[str, slice] = {"skin": slice(0, len(skin))}
        start = len(skin)
        for part in parts:
            self.slices[part.kind] = slice(start, start + len(part.vertices))
            start += len(part.vertices)
        self.parts = {part.kind: part for part in parts}
        self.points = np.concatenate([skin, *(part.vertices for part in parts)])
        p = self.points
        self.lower = np.concatenate([lower_share(skin), *(part.lower for part in parts)])
        self.jaw = np.concatenate([jaw_share(skin), *(part.lower for part in parts)])
        self.upper = 1.0 - self.lower
        # what follows the skin's expressions: not the eyes, the lids, the teeth, the tongue
        self.soft = np.zeros(len(p))
        for kind in ("skin", "lips", "brow_left", "brow_right"):
            self.soft[self.slices[kind]] = 1.0
        inside = (p[:, 2] < MOUTH[2] - 0.018) & (np.abs(p[:, 1] - MOUTH[1]) < 0.02) & (np.abs(p[:, 0]) < 0.03)
        self.mouth = _near(p, (0, MOUTH[1], MOUTH[2]), 0.020, 0.8) * self.soft * np.where(inside, 0.3, 1.0)
        self.side = {"Left": _step(p[:, 0], -0.006, 0.006), "Right": _step(-p[:, 0], -0.006, 0.006)}

    def move(self, weight: np.ndarray, vector: tuple[float, float, float]) -> np.ndarray:
        return (weight * self.soft)[:, None] * np.asarray(vector)


def _jaw_turn(head: _Head, angles: tuple[float, float, float], shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    q = rot.axis_angle_to_quat(np.asarray(angles, dtype=float))
    arm = head.points - joint("jaw")
    return head.jaw[:, None] * (rot.rotate(np.broadcast_to(q, (len(arm), 4)), arm) - arm + np.asarray(shift))


def _lid_move(head: _Head, side: str, which: str, middle: float, share: float = 1.0) -> np.ndarray:
    """A lid's edge to another elevation; the lid stays on its sphere."""
    result = np.zeros_like(head.points)
    kind = f"lid_{which}_{side}"
    part = head.parts[kind]
    start = lid_edge(part.u, LID_SHAPE[f"{which}_open"])
    root = 1.45 if which == "upper" else -1.35
    target = lid_edge(part.u, middle) * (1 - part.v) + root * part.v
    now = start * (1 - part.v) + root * part.v
    # a closing lid moves along a chord at half weight: it starts and ends a little further out
    out = 1.0 + 0.035 * abs(middle - LID_SHAPE[f"{which}_open"]) * (1 - part.v)
    result[head.slices[kind]] = share * (lid_points(side, part.u, target, LID_RADIUS) * out[:, None]
                                         - joint(f"{side}_eye") * (out - 1)[:, None] - lid_points(side, part.u, now, LID_RADIUS))
    return result


def _look(head: _Head, side: str, pitch: float, yaw: float) -> np.ndarray:
    """The eyeball turned (radians; + pitch looks down, + yaw to the character's left), the lids going along."""
    result = np.zeros_like(head.points)
    part = head.slices[f"eye_{side}"]
    q = rot.axis_angle_to_quat(np.array([pitch, yaw, 0.0]))
    arm = head.points[part] - joint(f"{side}_eye")
    result[part] = rot.rotate(np.broadcast_to(q, (len(arm), 4)), arm) - arm
    if pitch:
        up, low = LID_SHAPE["upper_open"], LID_SHAPE["lower_open"]
        result += _lid_move(head, side, "upper", up - 0.60 * pitch) + _lid_move(head, side, "lower", low - 0.25 * pitch)
    return result


def _brow(head: _Head, side: str, inner: tuple[float, float, float], outer: tuple[float, float, float]) -> np.ndarray:
    sign = 1.0 if side == "Left" else -1.0
    a = _near(head.points, (sign * 0.016, 1.632, 0.096), 0.013, 1.1)
    b = _near(head.points, (sign * 0.043, 1.634, 0.084), 0.016, 1.1)
    return head.move(a * head.side[side], inner) + head.move(b * head.side[side], outer)


def _sided(side: str, x: float, y: float, z: float) -> tuple[float, float, float]:
    return (x if side == "Left" else -x, y, z)


def _corner(head: _Head, side: str, size: float = 0.0135) -> np.ndarray:
    sign = 1.0 if side == "Left" else -1.0
    return _near(head.points, (sign * HALF_MOUTH, MOUTH[1], float(mouth_depth(np.array(HALF_MOUTH)))), size, 1.1)


def _scale_mouth(head: _Head, x: float, y: float, forward: float) -> np.ndarray:
    arm = head.points - MOUTH
    d = np.stack((arm[:, 0] * (x - 1), np.clip(arm[:, 1], -0.012, 0.012) * (y - 1), np.full(len(arm), forward)), axis=1)
    # going together, the corners also come forward to where the middle is
    d[:, 2] += 6.0 * np.minimum(arm[:, 0] ** 2, 0.0009) * (1 - x)
    return d * head.mouth[:, None]


def _sided_shapes(head: _Head, side: str) -> dict[str, np.ndarray]:
    low = side.lower()
    up, under = LID_SHAPE["upper_open"], LID_SHAPE["lower_open"]
    p = head.points
    sign = 1.0 if side == "Left" else -1.0
    cheek = _near(p, (sign * 0.040, 1.568, 0.080), 0.015)
    near_lip = _near(p, (sign * 0.0115, MOUTH[1], MOUTH[2]), 0.0115, 0.95)
    nose = _near(p, (sign * 0.012, 1.566, 0.103), 0.0085)
    corner = _corner(head, side)
    out = -1.0 if side == "Left" else 1.0
    return {
        f"eyeBlink{side}": _lid_move(head, low, "upper", LID_SHAPE["closed"])
        + _lid_move(head, low, "lower", LID_SHAPE["closed"] - 0.02),
        f"eyeSquint{side}": _lid_move(head, low, "upper", up - 0.20) + _lid_move(head, low, "lower", under + 0.22)
        + head.move(cheek * 0.4, (0, 0.003, 0.001)),
        f"eyeWide{side}": _lid_move(head, low, "upper", LID_SHAPE["wide"]) + _lid_move(head, low, "lower", under - 0.08),
        f"eyeLookUp{side}": _look(head, low, -0.5, 0.0),
        f"eyeLookDown{side}": _look(head, low, 0.5, 0.0),
        f"eyeLookIn{side}": _look(head, low, 0.0, 0.5 * out),
        f"eyeLookOut{side}": _look(head, low, 0.0, -0.5 * out),
        f"browDown{side}": _brow(head, side, _sided(side, -0.0035, -0.0075, 0.0015), (0.0, -0.0035, 0.0005)),
        f"browOuterUp{side}": _brow(head, side, (0.0, 0.0015, 0.0), _sided(side, 0.0005, 0.0085, -0.001)),
        f"mouthSmile{side}": head.move(corner, _sided(side, 0.0075, 0.0085, -0.0055))
        + head.move(cheek, _sided(side, 0.0015, 0.0045, 0.003)),
        f"mouthFrown{side}": head.move(corner, _sided(side, 0.001, -0.0085, -0.002)),
        f"mouthStretch{side}": head.move(corner, _sided(side, 0.0085, -0.0030, -0.0055)),
        f"mouthDimple{side}": head.move(corner, _sided(side, 0.0045, 0.001, -0.0065)),
        f"mouthPress{side}": head.move(near_lip * head.lower, (0, 0.0016, -0.0022))
        + head.move(near_lip * head.upper, (0, -0.0014, -0.0022)),
        f"mouthLowerDown{side}": head.move(near_lip * head.lower, (0, -0.0085, 0.0005)),
        f"mouthUpperUp{side}": head.move(near_lip * head.upper, (0, 0.0075, 0.0008)),
        f"cheekSquint{side}": head.move(cheek, (0, 0.0055, 0.002)) + _lid_move(head, low, "lower", under + 0.14),
        f"noseSneer{side}": head.move(nose, _sided(side, 0.0012, 0.0042, -0.0005))
        + head.move(near_lip * head.upper * 0.5, (0, 0.004, 0)),
    }


def shapes(skin: np.ndarray, parts: list[Part]) -> dict[str, np.ndarray]:
    """ARKit name -> displacements (V, 3) of all vertices, the skin's first, then the parts' in order."""
    head = _Head(skin, parts)
    p = head.points
    jaw_open = _jaw_turn(head, (JAW_RADIANS, 0, 0))
    together = _near(p, tuple(MOUTH), 0.019, 0.75) * head.soft
    together[head.slices["lips"]] = 1.0
    result: dict[str, np.ndarray] = {
        "jawOpen": jaw_open,
        "jawForward": _jaw_turn(head, (0, 0, 0), (0, 0, 0.006)),
        "jawLeft": _jaw_turn(head, (0, 0, 0), (0.006, 0, 0)),
        "jawRight": _jaw_turn(head, (0, 0, 0), (-0.006, 0, 0)),
        # the lower lip comes up to where it was before the jaw went down
        "mouthClose": -jaw_open * together[:, None],
        "mouthFunnel": _scale_mouth(head, 0.72, 1.0, 0.0085) + head.move(head.mouth * head.lower, (0, -0.0055, 0.002))
        + head.move(head.mouth * head.upper, (0, 0.0045, 0.001)),
        "mouthPucker": _scale_mouth(head, 0.50, 1.10, 0.0105),
        "mouthLeft": head.move(head.mouth, (0.0085, 0, -0.001)),
        "mouthRight": head.move(head.mouth, (-0.0085, 0, -0.001)),
        "mouthRollLower": head.move(head.mouth * head.lower, (0, 0.0030, -0.0060)),
        "mouthRollUpper": head.move(head.mouth * head.upper, (0, -0.0028, -0.0055)),
        "mouthShrugLower": head.move(head.mouth * head.lower + 0.6 * _near(p, (0, 1.496, 0.098), 0.012), (0, 0.0040, 0.0025)),
        "mouthShrugUpper": head.move(head.mouth * head.upper, (0, 0.0035, 0.0030)),
        "cheekPuff": sum((head.move(_near(p, (s * 0.042, 1.530, 0.074), 0.0145), (s * 0.0085, 0, 0.0075)) for s in (-1, 1)),
                         np.zeros_like(p)) + head.move(head.mouth, (0, 0, 0.002)),
        "browInnerUp": sum((head.move(_near(p, (s * 0.015, 1.633, 0.096), 0.0145), (0, 0.0095, -0.0005)) for s in (-1, 1)),
                           np.zeros_like(p)),
    }
    tongue = np.zeros_like(p)
    part = head.slices["tongue"]
    tongue[part] = np.array([0, 0.004, 0.034])
    result["tongueOut"] = tongue
    for side in ("Left", "Right"):
        result.update(_sided_shapes(head, side))
    return result
