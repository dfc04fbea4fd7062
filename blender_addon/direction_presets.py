# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions of the artist's own, kept under names in the user's folder: saved from what is selected, placed at the current frame."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from . import cast, directions
from .overlay_mouse import selected
from .shared.errors import UnderstudyError

__all__ = ["CLASSES", "folder", "names", "place"]


def folder() -> Path:
    """Where the artist's own directions are."""
    try:
        found = bpy.utils.extension_path_user(__package__ or "", path="directions", create=True)
    except ValueError:  # run from the source tree, not as an extension
        found = bpy.utils.user_resource("CONFIG", path="understudy/directions", create=True)
    return Path(found)


def names() -> list[str]:
    """The names of what is kept."""
    from .core.direction_presets import labels

    return labels(folder())


def place(context: bpy.types.Context, character: Any, name: str) -> int:
    """Add a preset's directions from the current frame on, and select them; returns how many.

    :raises UnderstudyError: where it cannot be read.
    """
    from .core.direction_presets import load

    found = load(folder(), name)
    settings, scene = character.understudy, context.scene
    made = [directions.add(settings.directions, d, float(scene.frame_current), cast.fps(scene)).uuid for d in found]
    for item in settings.directions:
        item.selected = item.uuid in made
    settings.direction_index = len(settings.directions) - 1
    return len(made)


class UNDERSTUDY_OT_direction_preset_save(directions.OnCharacter, bpy.types.Operator):
    """Keep the selected directions under a name, to be placed in any file"""

    bl_idname = "understudy.direction_preset_save"
    bl_label = "Save as Preset"
    bl_options = {"REGISTER"}
    needs_item = True

    # "name" would hide the operator's own property of that name
    title: StringProperty(name="Name", description="One that is there already is replaced")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        """Ask for the name; the words of the first direction are a beginning."""
        items = selected(cast.active(context).understudy)
        if items:
            self.title = min(items, key=lambda d: d.start).text[:40]
        return context.window_manager.invoke_props_dialog(self, width=300)

    def draw(self, context: bpy.types.Context) -> None:
        """The dialog."""
        layout: Any = self.layout
        layout.activate_init = True
        layout.prop(self, "title")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write the file."""
        from .core.direction_presets import save

        character = cast.active(context)
        items = selected(character.understudy)
        try:
            save(folder(), self.title, directions.to_seconds(items, 0.0, cast.fps(context.scene)))
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        cast.clear_notice(character)
        self.report({"INFO"}, f"{len(items)} directions kept as {self.title}")
        return {"FINISHED"}


class UNDERSTUDY_OT_direction_preset_place(directions.OnCharacter, bpy.types.Operator):
    """Add the directions of this preset from the current frame on"""

    bl_idname = "understudy.direction_preset_place"
    bl_label = "Place Preset"
    bl_options = {"REGISTER", "UNDO"}

    title: StringProperty(name="Name")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add them beside what is there."""
        character = cast.active(context)
        try:
            count = place(context, character, self.title)
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        cast.clear_notice(character)
        self.report({"INFO"}, f"{count} directions")
        return {"FINISHED"}


class UNDERSTUDY_OT_direction_preset_remove(bpy.types.Operator):
    """Delete this preset from the user's folder; directions that were placed from it stay"""

    bl_idname = "understudy.direction_preset_remove"
    bl_label = "Delete Preset"
    bl_options = {"REGISTER"}

    title: StringProperty(name="Name")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        """A file is not brought back by Undo, so it is asked for once more."""
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Delete the file."""
        from .core.direction_presets import remove

        try:
            remove(folder(), self.title)
        except UnderstudyError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class UNDERSTUDY_MT_direction_presets(bpy.types.Menu):
    """The artist's own directions."""

    bl_label = "Presets"

    def draw(self, context: bpy.types.Context) -> None:
        """Each by its name, then keeping and deleting."""
        layout: Any = self.layout
        found = names()
        for name in found:
            layout.operator("understudy.direction_preset_place", text=name, icon="PRESET", translate=False).title = name
        if found:
            layout.separator()
        layout.operator_context = "INVOKE_DEFAULT"
        layout.operator("understudy.direction_preset_save", icon="ADD")
        if found:
            layout.menu("UNDERSTUDY_MT_direction_presets_remove", icon="TRASH")


class UNDERSTUDY_MT_direction_presets_remove(bpy.types.Menu):
    """Presets to delete."""

    bl_label = "Delete Preset"

    def draw(self, context: bpy.types.Context) -> None:
        """Each by its name."""
        layout: Any = self.layout
        layout.operator_context = "INVOKE_DEFAULT"
        for name in names():
            layout.operator("understudy.direction_preset_remove", text=name, translate=False).title = name


CLASSES = (
    UNDERSTUDY_OT_direction_preset_save, UNDERSTUDY_OT_direction_preset_place, UNDERSTUDY_OT_direction_preset_remove,
    UNDERSTUDY_MT_direction_presets, UNDERSTUDY_MT_direction_presets_remove,
)
