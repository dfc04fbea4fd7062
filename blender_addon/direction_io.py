# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions in and out: files, timeline markers, text strips of the sequencer, and the library."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from . import cast, compat, direction_presets, directions, sequence
from .shared.errors import UnderstudyError

__all__ = ["CLASSES"]

_FILES = "*.json;*.csv;*.srt;*.vtt"
SECONDS_OF_A_LAST_MARKER = 3.0


def _lay(context: bpy.types.Context, character: Any, found: list[Any], *, add: bool) -> None:
    """Put directions in seconds onto the character, beside or in the place of those there."""
    settings = character.understudy
    rate, origin = cast.fps(context.scene), cast.origin(context, character)
    if not add:
        settings.directions.clear()
    for direction in found:
        directions.add(settings.directions, direction, origin, rate)
    settings.direction_index = 0


class UNDERSTUDY_OT_import_directions(directions.OnCharacter, bpy.types.Operator, ImportHelper):
    """Read directions from a file: JSON, CSV, or subtitles (SRT, VTT)"""

    bl_idname = "understudy.import_directions"
    bl_label = "Import Directions"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default=_FILES, options={"HIDDEN"})
    add: BoolProperty(name="Keep Present Ones", description="Add to the present directions instead of replacing them")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Replace the strips, unless anything in the file is wrong."""
        from .shared.direction_files import load

        character = cast.active(context)
        try:
            found = load(Path(bpy.path.abspath(self.filepath)))
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        cast.clear_notice(character)
        _lay(context, character, found, add=self.add)
        self.report({"INFO"}, f"{len(found)} directions")
        return {"FINISHED"}


class UNDERSTUDY_OT_export_directions(directions.OnCharacter, bpy.types.Operator, ExportHelper):
    """Write the directions to a file, with times in seconds: JSON, CSV, SRT or VTT by the name's ending"""

    bl_idname = "understudy.export_directions"
    bl_label = "Export Directions"
    bl_options = {"REGISTER"}
    needs_item = True

    filename_ext = ".json"
    check_extension = None  # type: ignore[assignment]
    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default=_FILES, options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write by suffix."""
        from .shared.direction_files import save

        character = cast.active(context)
        origin, rate = cast.origin(context, character), cast.fps(context.scene)
        found = directions.to_seconds(character.understudy.directions, origin, rate)
        path = Path(bpy.path.abspath(self.filepath))
        try:
            save(found, path)
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        except OSError as error:
            return cast.refuse(self, character, cast.cannot_write(path, error))
        self.report({"INFO"}, f"{len(found)} directions in {path.name}")
        return {"FINISHED"}


class UNDERSTUDY_OT_directions_from_scene(directions.OnCharacter, bpy.types.Operator):
    """Make directions of the scene's timeline markers or of the sequencer's text strips"""

    bl_idname = "understudy.directions_from_scene"
    bl_label = "Directions from the Scene"
    bl_options = {"REGISTER", "UNDO"}

    source: EnumProperty(name="Source", items=[
        ("MARKERS", "Timeline Markers", "Each marker begins a direction that lasts until the next one"),
        ("TEXT_STRIPS", "Text Strips", "Each text strip of the sequencer is a direction"),
    ])

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Append what is found."""
        character = cast.active(context)
        found = _markers(context) if self.source == "MARKERS" else _text_strips(context)
        if not found:
            self.report({"WARNING"}, "There is nothing with words in it")
            return {"CANCELLED"}
        for start, end, text, part in found:
            directions.new(character.understudy.directions, text, part, start, end)
        self.report({"INFO"}, f"{len(found)} directions")
        return {"FINISHED"}


def _markers(context: bpy.types.Context) -> list[tuple[float, float, str, str]]:
    scene: Any = context.scene
    markers = sorted((m for m in scene.timeline_markers), key=lambda m: m.frame)
    ends = [m.frame for m in markers[1:]]
    if markers:
        last = markers[-1].frame
        after = last + round(SECONDS_OF_A_LAST_MARKER * cast.fps(scene))
        ends.append(max(min(after, scene.frame_end), last + 1) if scene.frame_end > last else after)
    # a marker that Blender named by its frame has no words, but it ends the one before
    return [(float(m.frame), float(end), m.name, "full") for m, end in zip(markers, ends, strict=True)
            if not m.name.startswith(("F_", "Marker"))]


_WRITTEN = "understudy_directions"
"""Custom property of a text strip that directions were written to: the character's name."""


def _text_strips(context: bpy.types.Context) -> list[tuple[float, float, str, str]]:
    """Start, end, words and part of the text strips. Those that were written here count although they are muted."""
    from .shared.direction_files import part_and_words

    name = cast.active(context).name
    found = [(*compat.strip_range(s), *part_and_words(" ".join(s.text.split()))) for s in compat.strips(compat.sequencer_scene(context))
             if s.type == "TEXT" and (not s.mute or s.get(_WRITTEN) == name)]
    return sorted((start, end, text, part) for start, end, text, part in found if text)


class UNDERSTUDY_OT_directions_to_text_strips(directions.OnCharacter, bpy.types.Operator):
    """Make a text strip in the sequencer of each direction, in the place of those that were made of this character's before"""

    bl_idname = "understudy.directions_to_text_strips"
    bl_label = "Directions to Text Strips"
    bl_options = {"REGISTER", "UNDO"}
    needs_item = True

    shown: BoolProperty(name="In the Picture", description="Show them in the rendered picture, which then comes from the sequencer; "
                        "otherwise they are muted, and renders stay as they are")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add the strips, each in the lowest channel that is free."""
        from .shared.direction_files import labelled

        character, scene = cast.active(context), compat.sequencer_scene(context)
        present = compat.strips(scene, create=True)
        for old in [s for s in present if s.type == "TEXT" and s.get(_WRITTEN) == character.name]:
            present.remove(old)
        written = [d for d in directions.to_seconds(character.understudy.directions, 0.0, 1.0) if d.enabled]
        for direction in written:
            start = round(direction.start)
            length = max(round(direction.end) - start, 1)
            strip = compat.new_text_strip(scene, direction.text[:60] or "Direction", sequence.free_channel(scene, start, start + length),
                                          start, length)
            strip.text, strip.mute, strip[_WRITTEN] = labelled(direction), not self.shown, character.name
        self.report({"INFO"}, f"{len(written)} text strips")
        return {"FINISHED"}


class UNDERSTUDY_OT_directions_to_markers(directions.OnCharacter, bpy.types.Operator):
    """Set a timeline marker with the words where each direction begins"""

    bl_idname = "understudy.directions_to_markers"
    bl_label = "Directions to Markers"
    bl_options = {"REGISTER", "UNDO"}
    needs_item = True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add the markers."""
        scene: Any = context.scene
        for item in cast.active(context).understudy.directions:
            if item.enabled:
                scene.timeline_markers.new(item.text[:63], frame=round(item.start))
        return {"FINISHED"}


_items: list[tuple[str, str, str]] = []
"""Blender does not keep the strings of a dynamic enum alive."""
_OWN = "preset: "
"""Before the names of presets, so that none is taken for the words of the library."""


def _library(self: Any, context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
    from .core.library import LIBRARY

    _items[:] = [(text, text, f"{group}: {part.replace('_', ' ')}") for group, entries in LIBRARY.items()
                 for text, part, _ in entries]
    _items.extend((_OWN + name, name, "A preset of your own") for name in direction_presets.names())
    return _items


class UNDERSTUDY_OT_direction_library(directions.OnCharacter, bpy.types.Operator):
    """Search directions that the starter weights know well, and presets of your own, and add one at the current frame"""

    bl_idname = "understudy.direction_library"
    bl_label = "Direction Library"
    bl_options = {"REGISTER", "UNDO"}
    bl_property = "choice"

    choice: EnumProperty(name="Direction", items=_library)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the search."""
        context.window_manager.invoke_search_popup(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add the chosen one, with the length that suits it."""
        from .core.library import LIBRARY

        if self.choice.startswith(_OWN):
            operators: Any = bpy.ops
            outcome: set[str] = operators.understudy.direction_preset_place(title=self.choice.removeprefix(_OWN))
            return outcome
        part, seconds = next((p, s) for entries in LIBRARY.values() for text, p, s in entries if text == self.choice)
        scene: Any = context.scene
        settings = cast.active(context).understudy
        start = float(scene.frame_current)
        directions.new(settings.directions, self.choice, part, start, start + round(seconds * cast.fps(scene)))
        settings.direction_index = len(settings.directions) - 1
        return {"FINISHED"}


class UNDERSTUDY_MT_directions(bpy.types.Menu):
    """Directions in and out."""

    bl_label = "Directions"

    def draw(self, context: bpy.types.Context) -> None:
        """The menu beside the list."""
        layout: Any = self.layout
        layout.operator_context = "INVOKE_DEFAULT"
        layout.operator("understudy.direction_library", icon="VIEWZOOM")
        layout.menu("UNDERSTUDY_MT_direction_presets", icon="PRESET")
        layout.separator()
        layout.operator("understudy.import_directions", icon="IMPORT")
        layout.operator("understudy.export_directions", icon="EXPORT")
        layout.separator()
        for source, label in (("MARKERS", "From Timeline Markers"), ("TEXT_STRIPS", "From Text Strips")):
            layout.operator("understudy.directions_from_scene", text=label).source = source
        layout.operator("understudy.directions_to_markers", text="To Timeline Markers")
        layout.operator("understudy.directions_to_text_strips", text="To Text Strips")
        layout.separator()
        layout.operator("understudy.direction_clear", icon="TRASH")


CLASSES = (
    UNDERSTUDY_OT_import_directions, UNDERSTUDY_OT_export_directions, UNDERSTUDY_OT_directions_from_scene,
    UNDERSTUDY_OT_directions_to_markers, UNDERSTUDY_OT_directions_to_text_strips, UNDERSTUDY_OT_direction_library, UNDERSTUDY_MT_directions,
)
