# SPDX-License-Identifier: GPL-3.0-or-later
"""The faces of a character: shape key blocks of the meshes that its armature moves."""

from typing import Any

import bpy

from .core.channels import Channel
from .core.face_shapes import face_values, match_shapes
from .shared.motion import Motion

__all__ = ["driven_keys", "face_channels", "meshes_of"]


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


def driven_keys(character: Any) -> list[tuple[Any, dict[str, tuple[str, ...]]]]:
    """Shape key blocks with at least one face shape, each once, with the curves of each shape."""
    found: dict[Any, dict[str, tuple[str, ...]]] = {}
    for mesh in meshes_of(character):
        key = mesh.data.shape_keys
        if key is None or key in found or key.library is not None:
            continue
        shapes = match_shapes(block.name for block in key.key_blocks[1:])
        if shapes:
            found[key] = shapes
    return list(found.items())


def face_channels(shapes: dict[str, tuple[str, ...]], motion: Motion) -> list[Channel]:
    """Curves for one shape key block."""
    return [Channel(f'key_blocks["{bpy.utils.escape_identifier(name)}"].value', 0, "Face", values)
            for name, values in face_values(shapes, motion.face).items()]
