# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognising a character's face shapes and driving them from the ARKit curves.

All naming conventions of :mod:`.tables.faces` are scored by what of a face they can show. The best one drives; another one only
helps where the best shows nothing (a character with ARKit eyes and Oculus visemes for the mouth). Curves reach viseme shapes
through the regularised inverse of what each viseme looks like.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ...shared.face_curves import ARKIT, ARKIT_INDEX
from .mapping import Mapping as RigMapping
from .tables.faces import FACE_SETS, VISEME_SHAPES, FaceSet

__all__ = ["REGIONS", "FaceMap", "bones_needed", "recognise", "viseme_inverse", "viseme_shapes"]

REGIONS: Final[dict[str, tuple[str, ...]]] = {
    "opening the mouth": ("jawOpen",),
    "rounding the lips": ("mouthPucker", "mouthFunnel"),
    "closing the lips": ("mouthClose", "mouthPressLeft", "mouthPressRight"),
    "spreading the lips": ("mouthStretchLeft", "mouthStretchRight"),
    "smiling": ("mouthSmileLeft", "mouthSmileRight"),
    "pulling the corners of the mouth down": ("mouthFrownLeft", "mouthFrownRight"),
    "blinking": ("eyeBlinkLeft", "eyeBlinkRight"),
    "looking about": ("eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeLookDownLeft"),
    "raising the brows": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    "lowering the brows": ("browDownLeft", "browDownRight"),
}
"""What a face is for, and the curves of which at least one must reach a shape."""
_WEIGHT: Final = {"opening the mouth": 3.0, "blinking": 2.0, "rounding the lips": 2.0}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9\u3040-\u30ff]", "", name.casefold())


def _curves(text: str) -> dict[str, float]:
    """``mouthSmile*0.5+jawOpen`` as curve -> weight; a curve without a side becomes the mean of both sides."""
    result: dict[str, float] = {}
    for term in text.split("+"):
        name, _, factor = term.partition("*")
        weight = float(factor) if factor else 1.0
        for curve in [name] if name in ARKIT_INDEX else [f"{name}Left", f"{name}Right"]:
            if curve not in ARKIT_INDEX:
                raise ValueError(f"{text!r} names no curve")
            result[curve] = result.get(curve, 0.0) + (weight if name in ARKIT_INDEX else weight / 2)
    return result


def viseme_shapes() -> dict[str, np.ndarray]:
    """Viseme -> (52,) ARKit curves of its look."""
    shapes = {name: np.zeros(len(ARKIT)) for name in VISEME_SHAPES}
    for name, look in VISEME_SHAPES.items():
        for text, weight in look.items():
            for curve in _curves(text):
                # both sides of a symmetric look move in full
                shapes[name][ARKIT_INDEX[curve]] = weight
    return shapes


def viseme_inverse() -> np.ndarray:
    """(52, 14): ARKit curves (…, 52) times this give the weights of the visemes of ``VISEME_SHAPES``, before clipping."""
    shapes = np.stack(list(viseme_shapes().values()))
    gram = shapes @ shapes.T
    return shapes.T @ np.linalg.inv(gram + 0.02 * np.trace(gram) / len(gram) * np.eye(len(gram)))


def _table(face_set: FaceSet) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Plain name -> curves, and plain name -> viseme, with prefixes and sides written out."""
    shapes: dict[str, dict[str, float]] = {}
    visemes: dict[str, str] = {}
    for prefix in face_set.prefixes:
        for name, text in face_set.shapes.items():
            sides = zip(("Left", "Right"), face_set.sides, strict=True) if "*" in name else ((None, ""),)
            for side, token in sides:
                # in a sided entry "curve*" is that side's curve and "curve**0.7" the same with a weight
                driven = text if side is None else re.sub(r"\*(?=\*|\+|$)", side, text)
                shapes.setdefault(_plain(prefix + name.replace("*", token)), _curves(driven))
        for name, viseme in face_set.visemes.items():
            visemes.setdefault(_plain(prefix + name), viseme)
    return shapes, visemes


@functools.cache
def _tables() -> dict[str, tuple[dict[str, dict[str, float]], dict[str, str]]]:
    """All sets' tables by key, made when a face is first looked at: an add-on must start fast."""
    return {face_set.key: _table(face_set) for face_set in FACE_SETS}


@dataclass(frozen=True)
class FaceMap:
    """What drives a character's shapes.

    :ivar key: best naming convention, empty when nothing was recognised; :ivar label: for the panel.
    :ivar drivers: shape -> curve -> weight; :ivar visemes: shape -> Oculus viseme.
    :ivar score: 0 to 1, share of what a face is for that can be shown.
    :ivar missing: part of :data:`REGIONS` -> sentence. :ivar strengths: shape -> factor, 1 where it names none.
    :ivar coefficients: shape -> number of the SMPL-X expression coefficient that it shows.
    """

    key: str
    label: str
    drivers: Mapping[str, Mapping[str, float]]
    visemes: Mapping[str, str]
    score: float
    missing: Mapping[str, str] = field(default_factory=dict)
    strengths: Mapping[str, float] = field(default_factory=dict)
    coefficients: Mapping[str, int] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """As in "ARKit · 52 shapes"."""
        if self.coefficients and not (self.drivers or self.visemes):
            return f"SMPL-X expressions · {len(self.coefficients)} shapes"
        count = len(self.drivers) + len(self.visemes)
        return f"{self.label} · {count} shape{'s' if count != 1 else ''}" if count else "no face shapes"

    @property
    def drives_jaw(self) -> bool:
        """Whether some shape opens the mouth."""
        return "opening the mouth" not in self.missing

    @property
    def drives_gaze(self) -> bool:
        """Whether some shape turns the eyes."""
        return "looking about" not in self.missing

    def values(self, face: Mapping[str, np.ndarray], strength: float | Mapping[str, float] = 1.0) -> dict[str, np.ndarray]:
        """Shape -> (T,) in [0, 1] from named curves (T,); shapes that no given curve reaches are left out.

        :param strength: one factor for all, or per shape (1 where it names none).
        """
        result: dict[str, np.ndarray] = {}
        for shape, curves in self.drivers.items():
            present = [(weight, np.asarray(face[c], dtype=np.float64)) for c, weight in curves.items() if c in face]
            if present:
                # the mean of both sides, when only one side's curve is there, is that side
                scale = sum(curves.values()) / sum(weight for weight, _ in present)
                result[shape] = sum((weight * values for weight, values in present), np.zeros(len(present[0][1]))) * scale
        if self.visemes and any(c in face for c in _MOUTH_CURVES):
            length = len(next(iter(face.values())))
            stacked = np.zeros((length, len(ARKIT)))
            for name, values in face.items():
                if name in _MOUTH_CURVES:
                    stacked[:, ARKIT_INDEX[name]] = values
            weights = np.clip(stacked @ viseme_inverse(), 0.0, 1.0)
            # looks add up on a mouth; more than one whole look at a time tears it
            weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
            columns = dict(zip(VISEME_SHAPES, weights.T, strict=True))
            for shape, viseme in self.visemes.items():
                result[shape] = columns[viseme].copy()
        for shape in result:
            factor = strength if isinstance(strength, (int, float)) else strength.get(shape, 1.0)
            result[shape] = np.clip(result[shape] * factor, 0.0, 1.0)
        return result


_MOUTH_CURVES: Final = frozenset(c for look in VISEME_SHAPES.values() for text in look for c in _curves(text))
_SPEECH_CURVES: Final = _MOUTH_CURVES - {"mouthSmileLeft", "mouthSmileRight"}


def _candidates(name: str) -> list[str]:
    """A shape's name, and what stands behind each separator of it (``Head_Mesh.eyeBlinkLeft``)."""
    return [_plain(name), *(_plain(name[m.end():]) for m in re.finditer(r"[.:|/ ]|__", name))]


def _regions(drivers: Mapping[str, Mapping[str, float]], visemes: Mapping[str, str]) -> set[str]:
    reached = {curve for curves in drivers.values() for curve in curves}
    found = {region for region, curves in REGIONS.items() if reached & set(curves)}
    shown = set(visemes.values())
    if shown & {"aa", "oh", "E"}:
        found.add("opening the mouth")
    if shown & {"ou", "oh"}:
        found.add("rounding the lips")
    if "PP" in shown:
        found.add("closing the lips")
    if shown & {"ih", "E", "SS"}:
        found.add("spreading the lips")
    return found


def _match(face_set: FaceSet, names: list[str]) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    shapes, visemes = _tables()[face_set.key]
    drivers: dict[str, dict[str, float]] = {}
    shown: dict[str, str] = {}
    taken: set[tuple[tuple[str, float], ...]] = set()
    for name in names:
        for candidate in _candidates(name):
            if candidate in shapes:
                meaning = tuple(sorted(shapes[candidate].items()))
                # two keys of one meaning would double the movement, unless the set itself has several parts for it
                if meaning not in taken or face_set.key in ("metahuman", "mixamo"):
                    taken.add(meaning)
                    drivers[name] = shapes[candidate]
                break
            if candidate in visemes:
                if visemes[candidate] not in shown.values():
                    shown[name] = visemes[candidate]
                break
    both = [n for n, curves in drivers.items() if len(curves) == 2 and {c[-4:] for c in curves} == {"Left", "ight"}]
    sided = {c for n, curves in drivers.items() if n not in both for c in curves}
    for name in both:
        if set(drivers[name]) <= sided:
            del drivers[name]
    return drivers, shown


_COEFFICIENT = re.compile(r"Exp\d{3}")
"""Names of expression shapes as in Meshcapade's SMPL-X add-on for Blender."""


def recognise(shape_names: Iterable[str]) -> FaceMap:
    """Which of a character's shape keys (without the basis) the face curves drive, and what the face cannot show."""
    names = [name for name in shape_names if not name.startswith("$")]
    total = sum(_WEIGHT.get(region, 1.0) for region in REGIONS)
    fits = []
    for order, face_set in enumerate(FACE_SETS):
        drivers, visemes = _match(face_set, names)
        regions = _regions(drivers, visemes)
        score = sum(_WEIGHT.get(region, 1.0) for region in regions) / total
        fits.append((score, len(drivers) + len(visemes), -order, face_set, drivers, visemes, regions))
    fits.sort(key=lambda f: f[:3], reverse=True)
    best = fits[0]
    drivers, visemes = dict(best[4]), dict(best[5])
    by_curves = {"opening the mouth", "rounding the lips"} <= _regions(drivers, {})
    if by_curves:
        visemes = {}
    for _, _, _, _, more, shown, _ in fits[1:]:
        if not by_curves and not visemes:
            visemes = {n: v for n, v in shown.items() if n not in drivers}
        for name, curves in more.items():
            if name not in visemes and _regions({name: curves}, {}) - _regions(drivers, visemes):
                drivers.setdefault(name, curves)
    if visemes:
        # visemes move the whole mouth; shapes that only speak would move it a second time, smiles stay
        drivers = {n: c for n, c in drivers.items() if not set(c) <= _SPEECH_CURVES}
    regions = _regions(drivers, visemes)
    missing = {region: f"The face has no shape for {region}." for region in REGIONS if region not in regions}
    label = best[3].label if drivers or visemes else ""
    score = sum(_WEIGHT.get(region, 1.0) for region in regions) / total
    coefficients = {name: int(name[3:]) for name in names if _COEFFICIENT.fullmatch(name)}
    return FaceMap(best[3].key if label else "", label, drivers, visemes, score if label else 0.0, missing, coefficients=coefficients)


def bones_needed(face: FaceMap, rig: RigMapping) -> tuple[bool, bool, tuple[str, ...]]:
    """(drive the jaw bone, drive the eye bones, sentences) for what the shapes leave to bones.

    A bone that the rig lacks gives a sentence that says what will not be seen.
    """
    sentences = [text for region, text in face.missing.items() if region not in ("opening the mouth", "looking about")]
    jaw, eyes = not face.drives_jaw, not face.drives_gaze
    if jaw and not rig.bones("jaw"):
        sentences.insert(0, "The face has neither a shape nor a bone for opening the mouth, so the lips will not move apart.")
    if eyes and not (rig.bones("left_eye") and rig.bones("right_eye")):
        sentences.append("The face has neither shapes nor bones for the eyes, so the gaze stays straight.")
    return jaw and bool(rig.bones("jaw")), eyes and bool(rig.bones("left_eye")), tuple(sentences)
