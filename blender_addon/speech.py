# SPDX-License-Identifier: GPL-3.0-or-later
"""The speech: a file, or what is heard in the sequencer, as the bytes of an audio file."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty
from bpy_extras.io_utils import ImportHelper

from . import cast, compat, sound
from .sequence import MARK, free_channel, heard, origin, own_strip, sound_strips
from .shared.errors import UnderstudyError

__all__ = ["CLASSES", "SOURCES", "draw", "heard", "origin", "own_strip", "sound_strips"]

SOURCES = [
    ("NONE", "No Speech", "Perform the directions alone"),
    ("FILE", "File", "Speech from a sound file"),
    ("SEQUENCER", "Sequencer", "What is heard in the sequencer: strips with their offsets, trims, speed, volume and muting"),
]
_SUFFIXES = "*.wav;*.flac;*.ogg;*.opus;*.mp3;*.m4a;*.aac;*.aif;*.aiff;*.mp4;*.mov;*.mkv;*.webm"


class UNDERSTUDY_OT_set_audio(cast.OnCharacter, bpy.types.Operator, ImportHelper):
    """Choose the speech, and lay it into the sequencer at the scene's first frame"""

    bl_idname = "understudy.set_audio"
    bl_label = "Choose Speech"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default=_SUFFIXES, options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Check the file, remember it, and add a strip."""
        character = cast.active(context)
        path = Path(bpy.path.abspath(self.filepath))
        try:
            sound.check_file(path)
            sound.file_seconds(path)
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        cast.clear_notice(character)
        settings = character.understudy
        if compat.has_sound():
            self._place(context, character, path)
        settings.sound_path = self.filepath
        settings.sound_source = "FILE"
        return {"FINISHED"}

    def _place(self, context: bpy.types.Context, character: Any, path: Path) -> None:
        scene = compat.sequencer_scene(context)
        old = own_strip(context, character)
        start = context.scene.frame_start if old is None else int(compat.strip_start(old))
        collection = compat.strips(scene, create=True)
        if old is not None:
            collection.remove(old)
        strip = collection.new_sound(path.stem, str(path), 1, start)
        strip.channel = 128  # out of the way while a free channel is looked for
        strip.channel = free_channel(scene, *compat.strip_range(strip))
        strip[MARK] = character.name
        strip.show_waveform = True
        end = int(compat.strip_range(strip)[1]) - 1
        if end > context.scene.frame_end:
            context.scene.frame_end = end
            self.report({"INFO"}, f"The scene now ends at frame {end}, with the speech")


def draw(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """The panel's content."""
    settings = character.understudy
    layout.row().prop(settings, "sound_source", expand=True)
    if settings.sound_source == "FILE":
        row = layout.row(align=True)
        row.prop(settings, "sound_path", text="")
        row.operator("understudy.set_audio", text="", icon="FILE_SOUND")
        if not settings.sound_path:
            layout.label(text="No speech is chosen", icon="INFO")
    elif settings.sound_source == "SEQUENCER":
        if compat.has_sound():
            layout.prop(settings, "sequencer_channel")
            count = len(heard(context, character))
            layout.label(text=f"{count} sound strip{'' if count == 1 else 's'}", icon="SOUND" if count else "ERROR")
        else:
            layout.label(text="This Blender was built without sound", icon="ERROR")


CLASSES = (UNDERSTUDY_OT_set_audio,)
