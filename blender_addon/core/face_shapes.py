# SPDX-License-Identifier: GPL-3.0-or-later
"""Which shape keys of a character the face curves drive.

A key is matched by ARKit name, whatever its case, separators and prefix; a key that stands for both sides
(``mouthSmile``) follows the mean of the left and the right curve.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from ..shared.face_curves import ARKIT

__all__ = ["face_values", "match_shapes"]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_CURVES: Final[dict[str, tuple[str, ...]]] = {}
for _name in ARKIT:
    _CURVES[_plain(_name)] = (_name,)
    for _long, _short in (("Left", "L"), ("Right", "R")):
        if _name.endswith(_long):
            _stem = _name.removesuffix(_long)
            _CURVES.setdefault(_plain(_stem + _short), (_name,))
            _CURVES.setdefault(_plain(_short + _stem), (_name,))
            # "mouthLeft" has no partner that would make "mouth" a shape of both sides
            if _stem not in ("mouth", "jaw"):
                _CURVES.setdefault(_plain(_stem), (f"{_stem}Left", f"{_stem}Right"))


def match_shapes(shape_names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The driven shape keys, each with the curves whose mean drives it.

    Names are compared without case, spaces and separators, and without a prefix that ends in a separator
    (``Face.M_eyeBlinkLeft``). The first of two keys with one meaning wins.
    """
    found: dict[str, tuple[str, ...]] = {}
    taken: set[tuple[str, ...]] = set()
    for name in shape_names:
        candidates = [name, *(name[m.end():] for m in re.finditer(r"[.:_|/ -]", name))]
        for candidate in candidates:
            curves = _CURVES.get(_plain(candidate))
            if curves is not None:
                if curves not in taken:
                    taken.add(curves)
                    found[name] = curves
                break
    return found


def face_values(shapes: Mapping[str, tuple[str, ...]], face: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Values (T,) per shape key; keys none of whose curves the motion has are left out."""
    result = {}
    for shape, curves in shapes.items():
        present = [np.asarray(face[c], dtype=np.float64) for c in curves if c in face]
        if present:
            result[shape] = np.mean(present, axis=0)
    return result
