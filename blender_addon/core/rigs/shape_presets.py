# SPDX-License-Identifier: GPL-3.0-or-later
"""Shape maps that artists keep: which curves drive which shape keys, and how strongly.

One JSON file each, ``{"understudy_shapes": 1, "label": …, "shapes": {shape: "jawOpen*0.8+mouthFunnel"}, "strengths": {…}}``;
an empty text leaves a shape alone, ``viseme:PP`` lets it follow a viseme.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...shared.errors import UnderstudyError

if TYPE_CHECKING:
    from .face_shapes import FaceMap

__all__ = ["ShapeMap", "applied", "describe", "from_json", "load", "parse", "save", "to_json"]

SUFFIX = ".shapes.json"
ShapeMap = dict[str, str]
"""Shape key -> what drives it."""
_FIX = "Choose a shape map that Understudy exported."


def parse(text: str) -> Mapping[str, float] | str:
    """Curves with weights, or the viseme of ``viseme:NAME``; empty: nothing.

    :raises UnderstudyError: ``request_invalid`` for names that are no curves.
    """
    from .face_shapes import _curves
    from .tables.faces import VISEME_SHAPES

    text = text.replace(" ", "")
    if not text:
        return {}
    if text.startswith("viseme:"):
        name = text.partition(":")[2]
        if name not in VISEME_SHAPES:
            raise UnderstudyError("request_invalid", f"There is no viseme {name!r}.", f"Use one of {', '.join(VISEME_SHAPES)}.")
        return name
    try:
        return _curves(text)
    except ValueError as error:
        raise UnderstudyError("request_invalid", f"{text!r} names no face curve.",
                              "Write ARKit names, such as jawOpen or mouthSmileLeft*0.5+cheekPuff.") from error


def describe(face: FaceMap, shape: str) -> str:
    """The inverse of :func:`parse` for a shape of a map."""
    if shape in face.visemes:
        return f"viseme:{face.visemes[shape]}"
    return "+".join(c if w == 1.0 else f"{c}*{w:g}" for c, w in face.drivers.get(shape, {}).items())


def applied(face: FaceMap, own: ShapeMap, names: Iterable[str]) -> FaceMap:
    """A recognised map with the artist's own entries in the place of its own, as far as the character has these shapes."""
    from .face_shapes import REGIONS, _curves
    from .tables.faces import VISEME_SHAPES

    present = set(names)
    drivers, visemes = dict(face.drivers), dict(face.visemes)
    changed = False
    for shape, text in own.items():
        if shape not in present:
            continue
        changed = True
        found = parse(text)
        drivers.pop(shape, None)
        visemes.pop(shape, None)
        if isinstance(found, str):
            visemes[shape] = found
        elif found:
            drivers[shape] = dict(found)
    if not changed:
        return face
    reached = {c for curves in drivers.values() for c in curves}
    reached |= {c for v in visemes.values() for term in VISEME_SHAPES[v] for c in _curves(term)}
    shown = {region for region, curves in REGIONS.items() if reached & set(curves)}
    missing = {region: f"The face has no shape for {region}." for region in REGIONS if region not in shown}
    return replace(face, key=face.key or "user", label=face.label or "My shapes", drivers=drivers, visemes=visemes,
                   score=len(shown) / len(REGIONS), missing=missing)


def to_json(own: ShapeMap, strengths: Mapping[str, float], label: str) -> dict[str, Any]:
    """As it stands in its file."""
    return {"understudy_shapes": 1, "label": label, "shapes": dict(own), "strengths": dict(strengths)}


def from_json(data: Any, name: str = "The file") -> tuple[ShapeMap, dict[str, float]]:
    """Entries and strengths of a file. :raises UnderstudyError: ``file_invalid`` with what is wrong."""
    shapes = data.get("shapes") if isinstance(data, dict) and data.get("understudy_shapes") == 1 else None
    strengths = data.get("strengths", {}) if isinstance(data, dict) else None
    if not isinstance(shapes, dict) or not all(isinstance(v, str) for v in shapes.values()) or not isinstance(strengths, dict):
        raise UnderstudyError("file_invalid", f"{name} is not a shape map of Understudy.", _FIX)
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and 0 <= v <= 2 for v in strengths.values()):
        raise UnderstudyError("file_invalid", f"{name} has a strength that is not between 0 and 2.", _FIX)
    for text in shapes.values():
        try:
            parse(text)
        except UnderstudyError as error:
            raise UnderstudyError("file_invalid", f"{name}: {error.message}", error.fix) from error
    return dict(shapes), {k: float(v) for k, v in strengths.items()}


def load(path: str | Path) -> tuple[ShapeMap, dict[str, float]]:
    """Read one file. :raises UnderstudyError: ``file_missing`` or ``file_invalid``."""
    path = Path(path)
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no file {path}.", "Check the path of the shape map.")
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")), path.name)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be read ({error}).", _FIX) from error


def save(own: ShapeMap, strengths: Mapping[str, float], label: str, path: str | Path) -> Path:
    """Write a file, complete or not at all. :raises UnderstudyError: ``file_invalid`` when it cannot be written."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(json.dumps(to_json(own, strengths, label), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be written ({error.strerror or error}).",
                              "Choose another folder, or check its permissions.") from error
    return path
