# SPDX-License-Identifier: GPL-3.0-or-later
"""The faces of a character: shape key blocks of the meshes that its armature moves."""

from typing import Any

import bpy

from . import compat
from .core.channels import Channel, escaped
from .core.rigs.face_shapes import FaceMap, bones_needed, recognise
from .core.rigs.mapping import Mapping
from .shared.motion import Motion

__all__ = ["bones_wanted", "driven_keys", "face_channels", "face_of", "key_of", "meshes_of"]


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
        shapes = recognise(block.name for block in key.key_blocks[1:])
        if shapes.drivers or shapes.visemes:
            found[key] = shapes
    return list(found.items())


def key_of(uid: int) -> Any:
    """The shape key block with a session uid, or None."""
    return next((key for key in bpy.data.shape_keys if compat.session_uid(key) == uid), None)


def face_of(character: Any) -> FaceMap:
    """What the shapes of all the character's meshes together can show."""
    names = [block.name for mesh in meshes_of(character) if mesh.data.shape_keys is not None
             for block in mesh.data.shape_keys.key_blocks[1:]]
    return recognise(dict.fromkeys(names))


def bones_wanted(character: Any, mapping: Mapping) -> tuple[bool, bool]:
    """Whether the jaw bone and the eye bones are to show what no shape shows."""
    jaw, eyes, _ = bones_needed(face_of(character), mapping)
    return jaw, eyes


def face_channels(shapes: FaceMap, motion: Motion) -> list[Channel]:
    """Curves for one shape key block."""
    return [Channel(f'key_blocks["{escaped(name)}"].value', 0, "Face", values)
            for name, values in shapes.values(motion.face).items()]
