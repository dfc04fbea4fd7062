# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar of the 3D viewport, in the order of the work."""

from typing import Any

import bpy

from . import cast, compat, connection, directions, exports, performance, session, speech, translations
from .bone_map import UNDERSTUDY_PT_bone_map
from .face import hearing
from .sidebar import OfCharacter, Sidebar, paragraph

__all__ = ["CLASSES"]


def _notice(layout: Any, context: bpy.types.Context, uid: int) -> None:
    """The last failure, in lines that fit the sidebar."""
    error = session.notices.get(uid)
    if error is None:
        return
    box = layout.box()
    for sentence, icon in ((error.message, "ERROR"), (error.fix, "INFO")):
        paragraph(box, context, translations.sentence(sentence), icon)
    paragraph(box, context, error.log, "TEXT")


class UNDERSTUDY_PT_main(Sidebar, bpy.types.Panel):
    """Bridge and character."""

    bl_label = "Understudy"

    def draw(self, context: bpy.types.Context) -> None:
        """Two lines, and what went wrong last."""
        connection.draw(self.layout, context)
        _notice(self.layout, context, 0)
        cast.draw(self.layout, context)
        character = cast.active(context)
        if character is not None:
            _notice(self.layout, context, compat.session_uid(character))


class UNDERSTUDY_PT_speech(OfCharacter, bpy.types.Panel):
    """The sound."""

    bl_label = "Speech"

    def draw(self, context: bpy.types.Context) -> None:
        """See :func:`.speech.draw`."""
        character = cast.active(context)
        speech.draw(self.layout, context, character)
        if character.understudy.sound_source != "NONE":
            hearing.draw_transcript(self.layout, context, character)


class UNDERSTUDY_PT_directions(OfCharacter, bpy.types.Panel):
    """The strips as a list."""

    bl_label = "Directions"

    def draw(self, context: bpy.types.Context) -> None:
        """See :func:`.directions.draw`."""
        character = cast.active(context)
        directions.draw(self.layout, context, character)
        hearing.draw_suggestion(self.layout, context, character)


class UNDERSTUDY_PT_performance(OfCharacter, bpy.types.Panel):
    """Perform, progress, takes."""

    bl_label = "Performance"

    def draw(self, context: bpy.types.Context) -> None:
        """See :func:`.performance.draw`."""
        performance.draw(self.layout, context, cast.active(context))


class UNDERSTUDY_PT_export(OfCharacter, bpy.types.Panel):
    """Files."""

    bl_label = "Import and Export"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """See :func:`.exports.draw`."""
        exports.draw(self.layout, context, cast.active(context))


CLASSES = (
    UNDERSTUDY_PT_main, UNDERSTUDY_PT_bone_map, UNDERSTUDY_PT_speech, UNDERSTUDY_PT_directions,
    UNDERSTUDY_PT_performance, UNDERSTUDY_PT_export,
)
