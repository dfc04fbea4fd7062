# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyes, lids, brows, lips, teeth and tongue of the mannequin, each a small mesh of its own on the skin's face.

Y up, facing +Z, metres. ``lower`` tells expressions which vertices belong to the lower jaw (1), the skull (0) or the corner
of the mouth (between).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .body import EYE_RADIUS, MOUTH, joint

__all__ = ["HALF_MOUTH", "LID_RADIUS", "LID_SHAPE", "MATERIALS", "Part", "face_parts", "lid_edge",
           "lid_points", "mouth_depth"]

MATERIALS = ("Skin", "Lips", "Eye White", "Iris", "Pupil", "Brow", "Mouth", "Teeth")
LID_RADIUS = EYE_RADIUS * 1.10
HALF_MOUTH = 0.0226
"""Half the width of the mouth."""
LID_WIDEN = 1.28
"""Lids are wider than the eyeball, so that the opening is an almond."""
LID_SHAPE = {"upper_open": 0.41, "lower_open": -0.36, "closed": -0.20, "wide": 0.68}
"""Elevation of the lids' edges in the middle of the eye, radians."""


@dataclass
class Part:
    """A mesh of V vertices.

    :ivar vertices: (V, 3); :ivar faces: lists of three or four indices; :ivar materials: one of MATERIALS by index, per face.
    :ivar bone: joint that carries it; :ivar kind: what expressions do with it.
    :ivar lower: (V,) see the module's text; :ivar u: (V,) and :ivar v: (V,) parameters of its surface.
    """

    kind: str
    bone: str
    vertices: np.ndarray
    faces: list[list[int]]
    materials: list[int]
    lower: np.ndarray = field(default=None)  # type: ignore[assignment]
    u: np.ndarray = field(default=None)  # type: ignore[assignment]
    v: np.ndarray = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for name in ("lower", "u", "v"):
            if getattr(self, name) is None:
                setattr(self, name, np.zeros(len(self.vertices)))


def _grid_faces(rows: int, columns: int, closed: bool) -> list[list[int]]:
    """Quads of a (rows, columns) grid of vertices; ``closed`` joins the last column with the first."""
    last = columns if closed else columns - 1
    return [[r * columns + c, r * columns + (c + 1) % columns, (r + 1) * columns + (c + 1) % columns, (r + 1) * columns + c]
            for r in range(rows - 1) for c in range(last)]


def _eyeball(side: str) -> Part:
    centre, columns = joint(f"{side}_eye"), 24
    polar = np.radians([0.0, 9.0, 14.0, 23.0, 32.0, 37.0, 48.0, 64.0, 82.0, 100.0, 125.0, 150.0, 172.0])
    turn = np.arange(columns) / columns * 2 * np.pi
    vertices, faces, materials = [centre + [0, 0, EYE_RADIUS]], [], []
    for a in polar[1:]:
        ring = np.stack((np.sin(a) * np.cos(turn), np.sin(a) * np.sin(turn), np.full(columns, np.cos(a))), axis=1)
        vertices.extend(centre + EYE_RADIUS * ring)
    for c in range(columns):
        faces.append([0, 1 + c, 1 + (c + 1) % columns])
        materials.append(4)
    for r in range(len(polar) - 2):
        first = 1 + r * columns
        for c in range(columns):
            n = (c + 1) % columns
            faces.append([first + c, first + columns + c, first + columns + n, first + n])
            materials.append(4 if polar[r + 2] < np.radians(15) else 3 if polar[r + 2] < np.radians(33) else 2)
    return Part(f"eye_{side}", f"{side}_eye", np.array(vertices), faces, materials)


def lid_points(side: str, theta: np.ndarray, phi: np.ndarray, radius: float) -> np.ndarray:
    """Points (N, 3) of a lid: azimuth ``theta``, elevation ``phi``, both radians, on a sphere widened along x."""
    local = np.stack((np.sin(theta) * LID_WIDEN, np.cos(theta) * np.sin(phi), np.cos(theta) * np.cos(phi)), axis=-1)
    return joint(f"{side}_eye") + radius * local


def lid_edge(theta: np.ndarray, middle: float) -> np.ndarray:
    """Elevation of a lid's edge over azimuth: an almond whose corners lie a little below the middle."""
    share = np.clip(1 - (theta / np.radians(74)) ** 2, 0.0, 1.0)
    return -0.06 + (middle + 0.06) * share**0.8


def _lid(side: str, upper: bool) -> Part:
    columns, rows = 21, 9
    theta = np.linspace(-np.radians(74), np.radians(74), columns)
    edge = lid_edge(theta, LID_SHAPE["upper_open" if upper else "lower_open"])
    root = 1.45 if upper else -1.35
    vertices, u, v, faces, materials = [], [], [], [], []
    for r in range(rows):
        # row 0 is the inner rim of the edge, row 1 the outer one, the last the root inside the skin
        share = 0.0 if r < 2 else ((r - 1) / (rows - 2)) ** 1.2
        phi = edge * (1 - share) + root * share
        vertices.append(lid_points(side, theta, phi, LID_RADIUS * (0.93 if r == 0 else 1.0)))
        u.append(theta)
        v.append(np.full(columns, share))
    for n, face in enumerate(_grid_faces(rows, columns, closed=False)):
        faces.append(face if not upper else face[::-1])
        materials.append(5 if upper and n < columns - 1 else 0)
    return Part(f"lid_{'upper' if upper else 'lower'}_{side}", "head", np.concatenate(vertices), faces, materials,
                u=np.concatenate(u), v=np.concatenate(v))


class _Face:
    """How far the face's skin stands forward at a place."""

    def __init__(self, skin: np.ndarray) -> None:
        near = (skin[:, 1] > 1.47) & (skin[:, 2] > 0.05) & (np.abs(skin[:, 0]) < 0.075)
        self.points = skin[near]

    def depth(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        d = (x[:, None] - self.points[:, 0]) ** 2 + (y[:, None] - self.points[:, 1]) ** 2
        w = 1.0 / (d + 4e-6) ** 2
        return (w * self.points[:, 2]).sum(axis=1) / w.sum(axis=1)


def _sweep(path: np.ndarray, half_high: np.ndarray, half_deep: np.ndarray, around: int = 8) -> tuple[np.ndarray, list[list[int]]]:
    """A tube with elliptic sections in the y-z plane of each point of a path along x, closed at both ends."""
    turn = np.arange(around) / around * 2 * np.pi
    rings = path[:, None] + np.stack((np.zeros((len(path), around)), half_high[:, None] * np.sin(turn),
                                      half_deep[:, None] * np.cos(turn)), axis=-1)
    faces = [face[::-1] for face in _grid_faces(len(path), around, closed=True)]
    faces.append(list(range(around)))
    faces.append(list(range((len(path) - 1) * around, len(path) * around))[::-1])
    return rings.reshape(-1, 3), faces


def _brow(side: str, face: _Face) -> Part:
    sign = 1.0 if side == "left" else -1.0
    t = np.linspace(0.0, 1.0, 13)
    x = 0.0115 + 0.0385 * t
    y = 1.6265 + 0.0065 * np.sin(np.pi * np.clip(t * 0.82 + 0.05, 0, 1)) - 0.0035 * t**3
    z = face.depth(sign * x, y) + 0.0004
    thick = 0.0032 * (1 - 0.70 * t**2.2) * np.minimum(1.0, 0.55 + 3 * t)
    vertices, faces = _sweep(np.stack((x, y, z), axis=1), thick, thick * 0.85)
    vertices[:, 0] *= sign
    if sign < 0:
        faces = [f[::-1] for f in faces]
    return Part(f"brow_{side}", "head", vertices, faces, [5] * len(faces), u=np.repeat(t, 8))


def mouth_depth(x: np.ndarray) -> np.ndarray:
    """How far the line of the closed mouth stands forward at x."""
    return MOUTH[2] - 0.0002 - 6.5 * x**2


def _lips() -> Part:
    columns, around = 48, 10
    u = np.arange(columns) / columns * 2 * np.pi
    s, c = np.sin(u), np.cos(u)
    x = HALF_MOUTH * c
    upper = s > 0
    share = np.abs(s) ** 0.85
    bow = 1 - 0.13 * np.exp(-((x / 0.0040) ** 2)) + 0.06 * np.exp(-(((np.abs(x) - 0.0075) / 0.0045) ** 2))
    high = np.where(upper, 0.0040 * bow, 0.0046) * (0.16 + 0.84 * share)
    deep = np.where(upper, 0.0046, 0.0052) * (0.50 + 0.50 * share)
    y = MOUTH[1] + np.where(upper, 1.0, -1.0) * high * (0.97 * np.minimum(1.0, share * 3))
    z = mouth_depth(x) - 0.0018
    turn = np.arange(around) / around * 2 * np.pi
    rings = np.stack((np.repeat(x[:, None], around, 1), y[:, None] + high[:, None] * np.sin(turn),
                      z[:, None] + deep[:, None] * np.cos(turn)), axis=-1)
    # the ring closes on itself: columns run round the mouth, rows round the tube
    faces = [[i * around + j, ((i + 1) % columns) * around + j, ((i + 1) % columns) * around + (j + 1) % around,
              i * around + (j + 1) % around] for i in range(columns) for j in range(around)]
    flip = np.where(upper, 1, 0)
    faces = [f if flip[n // around] else f for n, f in enumerate(faces)]
    lower = np.where(upper, 0.5 * (1 - share), 0.5 + 0.5 * share)
    return Part("lips", "head", rings.reshape(-1, 3), faces, [1] * len(faces), lower=np.repeat(lower, around),
                u=np.repeat(u, around))


def _teeth(upper: bool) -> Part:
    t = np.linspace(-1, 1, 15)
    x = 0.0165 * t
    z = MOUTH[2] - 0.0125 - 30.0 * x**2
    y = np.full_like(x, MOUTH[1] + (0.0050 if upper else -0.0072))
    half = np.full_like(x, 0.0036)
    vertices, faces = _sweep(np.stack((x, y, z), axis=1), half, half * 0.55)
    return Part("teeth_upper" if upper else "teeth_lower", "head" if upper else "jaw", vertices, faces, [7] * len(faces),
                lower=np.full(len(vertices), 0.0 if upper else 1.0))


def _tongue() -> Part:
    rows, columns = 9, 12
    vertices = []
    for r in range(rows):
        a = np.pi * r / (rows - 1)
        turn = np.arange(columns) / columns * 2 * np.pi
        ring = np.stack((0.0145 * np.sin(a) * np.cos(turn), 0.0042 * np.sin(a) * np.sin(turn),
                         np.full(columns, 0.020 * np.cos(a))), axis=1)
        vertices.append(MOUTH + [0, -0.0085, -0.036] + ring)
    faces = [f[::-1] for f in _grid_faces(rows, columns, closed=True)]
    points = np.concatenate(vertices)
    return Part("tongue", "jaw", points, [f[::-1] for f in faces], [1] * len(faces), lower=np.ones(len(points)))


def face_parts(skin: np.ndarray) -> list[Part]:
    """All parts for a skin (V, 3)."""
    face = _Face(skin)
    parts = [_lips(), _teeth(True), _teeth(False), _tongue()]
    for side in ("left", "right"):
        parts += [_eyeball(side), _lid(side, True), _lid(side, False), _brow(side, face)]
    return parts
