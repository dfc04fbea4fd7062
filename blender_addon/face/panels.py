# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels of the face and of its words, in the sidebar of the 3D viewport."""

from typing import Any

import bpy

from .. import cast
from ..sidebar import OfCharacter
from . import again

__all__ = ["CLASSES"]


class UNDERSTUDY_PT_words(OfCharacter, bpy.types.Panel):
    """What is said, as a list."""

    bl_options = {"DEFAULT_CLOSED"}
    bl_label = "Words"

    def draw(self, context: bpy.types.Context) -> None:
        """See :func:`.again.draw_words`."""
        again.draw_words(self.layout, context, cast.active(context))


class UNDERSTUDY_PT_face(OfCharacter, bpy.types.Panel):
    """Emotion, gaze, strengths, shapes."""

    bl_options = {"DEFAULT_CLOSED"}
    bl_label = "Face"

    def draw(self, context: bpy.types.Context) -> None:
        """See :func:`.again.draw_face`."""
        again.draw_face(self.layout, context, cast.active(context))


CLASSES: tuple[Any, ...] = (UNDERSTUDY_PT_words, UNDERSTUDY_PT_face)
