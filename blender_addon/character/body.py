# SPDX-License-Identifier: GPL-3.0-or-later
"""The mannequin's skin: a neutral body of 1.70 m around the joints of :mod:`shared.skeleton`, as an implicit surface.

Y up, facing +Z, metres, T-pose. Tables give half widths and half depths of sections along each limb.
"""

from __future__ import annotations

import numpy as np

from ..shared.skeleton import JOINT_INDEX, rest_positions
from .surface import Field, smooth_mesh, surface_nets

__all__ = ["EYE_RADIUS", "JOINTS", "MOUTH", "body_mesh", "joint"]

JOINTS = rest_positions()
EYE_RADIUS = 0.0125
MOUTH = np.array([0.0, 1.5215, 0.0985])
"""Middle of the closed mouth on the face."""


def joint(name: str) -> np.ndarray:
    """(3,) rest position."""
    return JOINTS[JOINT_INDEX[name]]


def _spaced(*stretches: tuple[float, float, float]) -> np.ndarray:
    """Coordinates over stretches (start, stop, step), steps eased where stretches of other steps meet."""
    places = [stretches[0][0]]
    for start, stop, step in stretches:
        count = max(1, round((stop - start) / step))
        places.extend(start + (stop - start) * (np.arange(count) + 1) / count)
    return np.array(places)


def _axes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    half = _spaced((0.0, 0.084, 0.0056), (0.084, 0.19, 0.0100), (0.19, 0.67, 0.0160), (0.67, 0.75, 0.008), (0.75, 0.91, 0.0052))
    x = np.concatenate((-half[:0:-1], half))
    y = _spaced((-0.012, 0.10, 0.0085), (0.10, 1.34, 0.0155), (1.34, 1.43, 0.0054), (1.43, 1.48, 0.0065), (1.48, 1.64, 0.0050),
                (1.64, 1.72, 0.0075))
    z = _spaced((-0.15, -0.05, 0.0105), (-0.05, 0.045, 0.0046), (0.045, 0.07, 0.006), (0.07, 0.135, 0.0048), (0.135, 0.23, 0.0095))
    return x, y, z


def _trunk(field: Field) -> None:
    keys = (0.87, 0.905, 0.95, 1.00, 1.06, 1.12, 1.19, 1.26, 1.32, 1.37, 1.41, 1.44, 1.47)
    width = (0.150, 0.160, 0.157, 0.146, 0.134, 0.132, 0.139, 0.150, 0.157, 0.150, 0.122, 0.080, 0.055)
    depth = (0.103, 0.108, 0.104, 0.095, 0.087, 0.087, 0.094, 0.102, 0.105, 0.096, 0.080, 0.064, 0.052)
    centre = (-0.013, -0.014, -0.008, 0.001, 0.006, 0.006, 0.003, 0.0, -0.002, -0.006, -0.012, -0.014, -0.012)
    field.tube(1, keys, width, depth, 0.0, centre, blend=0.03, power=2.35, caps=(0.055, 0.05))
    for side in (-1, 1):
        field.ellipsoid((side * 0.072, 1.305, 0.058), (0.078, 0.056, 0.042), 0.055)
        field.ellipsoid((side * 0.068, 0.885, -0.058), (0.074, 0.070, 0.054), 0.05)
    field.tube(1, (1.40, 1.45, 1.50, 1.56), (0.064, 0.0545, 0.052, 0.052), (0.062, 0.055, 0.053, 0.055), 0.0,
               (-0.012, -0.006, 0.0, 0.004), blend=0.035)


def _legs(field: Field) -> None:
    keys = (0.045, 0.075, 0.11, 0.17, 0.25, 0.33, 0.40, 0.45, 0.49, 0.54, 0.62, 0.72, 0.80, 0.87, 0.92)
    width = (0.028, 0.033, 0.032, 0.037, 0.047, 0.055, 0.053, 0.050, 0.052, 0.056, 0.065, 0.073, 0.077, 0.078, 0.060)
    depth = (0.036, 0.040, 0.037, 0.043, 0.055, 0.061, 0.056, 0.054, 0.056, 0.060, 0.071, 0.082, 0.089, 0.086, 0.060)
    centre = (0.0, -0.002, -0.004, -0.009, -0.014, -0.016, -0.010, -0.002, 0.003, 0.004, 0.005, 0.006, 0.004, -0.002, -0.005)
    for side in (-1, 1):
        x = side * 0.085
        offset = tuple(x + side * d for d in (0, 0, 0, 0.001, 0.003, 0.004, 0.002, 0.0, 0.0, 0.001, 0.003, 0.007, 0.008, 0.005, 0.0))
        field.tube(1, keys, width, depth, offset, centre, blend=0.048)
        # the foot: heel, arch, ball, toes; the sole is flat at y = 0
        foot_keys = (-0.048, -0.036, -0.012, 0.03, 0.075, 0.115, 0.145, 0.175, 0.198)
        half = (0.018, 0.030, 0.034, 0.034, 0.040, 0.046, 0.046, 0.038, 0.018)
        high = (0.022, 0.032, 0.040, 0.040, 0.032, 0.024, 0.0185, 0.0145, 0.011)
        field.tube(2, foot_keys, half, high, (x, x, x, x + side * 0.002, x + side * 0.004, x + side * 0.005, x + side * 0.004,
                                               x + side * 0.001, x - side * 0.004),
                   tuple(h - 0.002 for h in high), blend=0.028, power=2.5)


def _arms(field: Field) -> None:
    keys = (0.125, 0.16, 0.19, 0.23, 0.30, 0.37, 0.43, 0.46, 0.50, 0.55, 0.62, 0.67, 0.70, 0.725)
    high = (0.050, 0.056, 0.054, 0.050, 0.0455, 0.042, 0.039, 0.039, 0.0415, 0.040, 0.033, 0.0275, 0.026, 0.024)
    deep = (0.050, 0.056, 0.054, 0.050, 0.0465, 0.043, 0.041, 0.040, 0.0425, 0.042, 0.036, 0.032, 0.0315, 0.031)
    lift = tuple(1.390 + d for d in (-0.012, -0.006, -0.003, -0.002, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    back = (-0.012,) * 8 + (-0.011, -0.010, -0.010, -0.010, -0.010, -0.009)
    for side in (-1.0, 1.0):
        field.tube(0, keys, high, deep, lift, back, blend=0.045, side=side)
        field.capsule((side * 0.03, 1.425, -0.022), (side * 0.165, 1.405, -0.012), (0.038, 0.042), 0.045)


def _hands(field: Field) -> None:
    for side, name in ((1.0, "left"), (-1.0, "right")):
        wrist = joint(f"{name}_wrist")

        def at(x: float, y: float, z: float, wrist: np.ndarray = wrist, side: float = side) -> tuple[float, float, float]:
            return (wrist[0] + side * x, wrist[1] + y, wrist[2] + z)

        field.capsule(at(0.0, 0, -0.002), at(0.055, 0, 0.016), (0.0190, 0.0150), 0.014)
        field.capsule(at(0.0, 0, -0.006), at(0.055, 0, -0.004), (0.0180, 0.0155), 0.014)
        field.capsule(at(0.002, 0, -0.012), at(0.055, 0, -0.026), (0.0165, 0.0140), 0.014)
        field.capsule(at(0.05, 0.001, 0.022), at(0.05, 0.001, -0.034), (0.0135, 0.0115), 0.016)
        field.capsule(at(0.078, 0.001, 0.022), at(0.070, 0.001, -0.036), (0.0110, 0.0095), 0.014)
        field.capsule(at(0.012, -0.004, 0.014), joint(f"{name}_thumb2"), (0.0165, 0.0115), 0.016)
        for finger, radius in (("index", 0.0085), ("middle", 0.0087), ("ring", 0.0083), ("pinky", 0.0074), ("thumb", 0.0105)):
            a, b, c = (joint(f"{name}_{finger}{n}") for n in (1, 2, 3))
            tip = c + (c - b) * (0.76 if finger != "thumb" else 0.72)
            blend = 0.004
            if finger != "thumb":
                field.capsule(a, b, (radius * 1.06, radius), blend)
                field.capsule(b, c, (radius, radius * 0.92), 0.004)
                field.capsule(c, tip, (radius * 0.92, radius * 0.86), 0.004)
            else:
                field.capsule(a, b, (radius * 1.3, radius), 0.012)
                field.capsule(b, c, (radius, radius * 0.95), 0.005)
                field.capsule(c, tip, (radius * 0.95, radius * 0.78), 0.004)


def _head(field: Field) -> None:
    keys = (1.499, 1.515, 1.535, 1.56, 1.585, 1.61, 1.632, 1.655)
    width = (0.0400, 0.0490, 0.0560, 0.0630, 0.0690, 0.0722, 0.0732, 0.0705)
    front = (0.0965, 0.0975, 0.0985, 0.0985, 0.0978, 0.0970, 0.0972, 0.0920)
    rear = (0.026, 0.004, -0.028, -0.063, -0.083, -0.0925, -0.0945, -0.0895)
    depth = tuple((f - r) / 2 for f, r in zip(front, rear, strict=True))
    centre = tuple((f + r) / 2 for f, r in zip(front, rear, strict=True))
    field.tube(1, keys, width, depth, 0.0, centre, blend=0.022, power=2.35, caps=(0.0215, 0.049))
    # nose: bridge, tip, wings
    field.capsule((0, 1.606, 0.0945), (0, 1.5715, 0.1110), (0.0066, 0.0076), 0.014)
    field.ellipsoid((0, 1.5680, 0.1115), (0.0092, 0.0080, 0.0092), 0.010)
    for side in (-1, 1):
        field.ellipsoid((side * 0.0100, 1.5650, 0.1030), (0.0062, 0.0058, 0.0075), 0.009)
        field.ellipsoid((side * 0.033, 1.577, 0.0775), (0.022, 0.018, 0.0165), 0.03)
        field.capsule((side * 0.010, 1.628, 0.0925), (side * 0.042, 1.631, 0.0745), (0.0085, 0.0080), 0.026)
        # eye socket, then the ear
        eye = joint("left_eye" if side > 0 else "right_eye")
        field.ellipsoid(eye + np.array([side * 0.001, 0.0005, 0.011]), (0.0168, 0.0096, 0.0150), 0.008, carve=True)
        field.ellipsoid((side * 0.0745, 1.592, -0.004), (0.0085, 0.0300, 0.0190), 0.008)
        field.ellipsoid((side * 0.0845, 1.595, 0.003), (0.0050, 0.0170, 0.0095), 0.006, carve=True)
    # chin, and the mouth: a socket that the lips close
    field.ellipsoid((0, 1.494, 0.089), (0.018, 0.013, 0.012), 0.016)
    for back in (0.001, 0.009, 0.018):
        field.capsule(MOUTH - np.array([0.0172, 0, back + 0.0015]), MOUTH + np.array([0.0172, 0, -back - 0.0015]), (0.0044, 0.0044),
                      0.003, carve=True)
    field.ellipsoid(MOUTH + np.array([0, 0.0, -0.030]), (0.0225, 0.0120, 0.019), 0.006, carve=True)


def body_mesh() -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) in metres, Y up, and quads (F, 4) of the skin with sockets for eyes and mouth."""
    field = Field(_axes())
    _trunk(field)
    _legs(field)
    _arms(field)
    _hands(field)
    _head(field)
    vertices, quads = surface_nets(field)
    vertices = smooth_mesh(vertices, quads, rounds=3)
    vertices[:, 1] = np.maximum(vertices[:, 1], 0.0)
    return vertices, quads
