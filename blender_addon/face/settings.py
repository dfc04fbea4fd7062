# SPDX-License-Identifier: GPL-3.0-or-later
"""What is saved of a character's face, and where it hangs in the file."""

from typing import Any

import bpy
from bpy.props import CollectionProperty, IntProperty, PointerProperty, StringProperty

from .acting import FaceActing
from .lane import WordsWindow
from .shapes import ShapeItem
from .words import WordItem

__all__ = ["CLASSES", "add_pointers", "remove_pointers"]


class FaceData(bpy.types.PropertyGroup):
    """What Understudy keeps of a character's speech and face."""

    words: CollectionProperty(type=WordItem)
    word_index: IntProperty(name="Active Word", options={"HIDDEN"})
    words_for: StringProperty(options={"HIDDEN"}, description="The speech and transcript that the words belong to")
    heard_note: StringProperty(options={"HIDDEN"}, description="What was to be said about the words that were found last")
    shapes: CollectionProperty(type=ShapeItem)
    shape_index: IntProperty(name="Active Shape", options={"HIDDEN"})


_OWNERS: tuple[tuple[Any, str, Any], ...] = (
    (bpy.types.Object, "understudy_face", FaceData), (bpy.types.Armature, "understudy_face", FaceActing),
    (bpy.types.WindowManager, "understudy_words", WordsWindow),
)


def add_pointers() -> None:
    """Hang the properties onto Blender's types; those that can be keyed onto the armature's data."""
    for owner, name, settings in _OWNERS:
        setattr(owner, name, PointerProperty(type=settings))


def remove_pointers() -> None:
    """The inverse of :func:`add_pointers`."""
    for owner, name, _ in reversed(_OWNERS):
        delattr(owner, name)


CLASSES = (FaceData,)
