# SPDX-License-Identifier: GPL-3.0-or-later
"""The faces of a character: shape key blocks of the meshes that its armature moves."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import bpy

from . import compat
from .core.channels import Channel, escaped
from .core.rigs.face_shapes import FaceMap, bones_needed, recognise
from .core.rigs.mapping import Mapping
from .core.rigs.shape_presets import applied, parse
from .shared.errors import UnderstudyError
from .shared.motion import Motion

__all__ = ["bones_wanted", "driven_keys", "face_channels", "face_of", "key_of", "meshes_of", "own_shapes", "shape_names"]


def meshes_of(character: Any) -> list[Any]:
    """Mesh objects that the armature deforms or carries."""
    found = []
    for candidate in bpy.data.objects:
        if candidate.type != "MESH":
            continue
        modified = any(m.type == "ARMATURE" and getattr(m, "object", None) == character for m in candidate.modifiers)
        if modified or candidate.parent == character:
            found.append(candidate)
    return found


def driven_keys(character: Any) -> list[tuple[Any, FaceMap]]:
    """Shape key blocks with at least one face shape, each once, with what drives its shapes."""
    found: dict[Any, FaceMap] = {}
    for mesh in meshes_of(character):
        key = mesh.data.shape_keys
        if key is None or key in found or key.library is not None:
            continue
        names = [block.name for block in key.key_blocks[1:]]
        shapes = _with_own(character, recognise(names), names)
        if shapes.drivers or shapes.visemes or shapes.coefficients:
            found[key] = shapes
    return list(found.items())


def key_of(uid: int) -> Any:
    """The shape key block with a session uid, or None."""
    return next((key for key in bpy.data.shape_keys if compat.session_uid(key) == uid), None)


def shape_names(character: Any) -> list[str]:
    """The shapes of all the character's meshes, each once."""
    names = [block.name for mesh in meshes_of(character) if mesh.data.shape_keys is not None
             for block in mesh.data.shape_keys.key_blocks[1:]]
    return list(dict.fromkeys(names))


def own_shapes(character: Any) -> tuple[dict[str, str], dict[str, float]]:
    """The artist's own drivers and strengths by shape; entries that cannot be read are left out."""
    own, strengths = {}, {}
    for item in character.understudy_face.shapes:
        try:
            parse(item.drivers)
        except UnderstudyError:
            continue
        own[item.name], strengths[item.name] = item.drivers, item.strength
    return own, strengths


def _with_own(character: Any, recognised: FaceMap, names: Iterable[str]) -> FaceMap:
    """A map with what the artist has changed in it."""
    own, strengths = own_shapes(character)
    if not own:
        return recognised
    return replace(applied(recognised, own, names), strengths=strengths)


def face_of(character: Any, *, own: bool = True) -> FaceMap:
    """What the shapes of all the character's meshes together can show; as recognised without ``own``."""
    names = shape_names(character)
    return _with_own(character, recognise(names), names) if own else recognise(names)


def bones_wanted(character: Any, mapping: Mapping) -> tuple[bool, bool]:
    """Whether the jaw bone and the eye bones are to show what no shape shows."""
    jaw, eyes, _ = bones_needed(face_of(character), mapping)
    return jaw, eyes


def face_channels(shapes: FaceMap, motion: Motion) -> list[Channel]:
    """Curves for one shape key block: face curves on named shapes, expression coefficients on theirs where the motion has any."""
    values = dict(shapes.values(motion.face, shapes.strengths or 1.0))
    values |= {name: motion.expression[:, n] for name, n in shapes.coefficients.items() if n < motion.expression.shape[1]}
    return [Channel(f'key_blocks["{escaped(name)}"].value', 0, "Face", v) for name, v in values.items()]
