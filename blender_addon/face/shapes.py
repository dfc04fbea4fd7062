# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape map: what drives each shape key of the face, changed by hand, kept with the character or as a file."""

from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from .. import cast
from ..core.rigs import shape_presets
from ..shared.errors import UnderstudyError

__all__ = ["CLASSES", "ShapeItem", "draw"]


def _checked(self: Any, context: bpy.types.Context) -> None:
    character = cast.active(context)
    try:
        shape_presets.parse(self.drivers)
    except UnderstudyError as error:
        from .. import session

        session.tell(character, error)
    else:
        cast.clear_notice(character)


class ShapeItem(bpy.types.PropertyGroup):
    """One shape key that the artist has given another driver or strength; its name is the shape's."""

    drivers: StringProperty(
        name="Curves", update=_checked,
        description="ARKit curves that drive the shape, as in jawOpen*0.8+mouthFunnel; viseme:PP; empty: it is left alone")
    strength: FloatProperty(name="Strength", default=1.0, min=0.0, max=2.0, description="Scales the shape")


def _put(character: Any, own: dict[str, str], strengths: dict[str, float]) -> None:
    items = character.understudy_face.shapes
    items.clear()
    for name, text in own.items():
        item = items.add()
        item.name, item.drivers, item.strength = name, text, strengths.get(name, 1.0)


class _OnShapes:
    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether the character has shape keys."""
        character = cast.active(context)
        if character is None:
            cls.poll_message_set(cast.NO_CHARACTER)  # type: ignore[attr-defined]
            return False
        from .. import faces

        if not faces.shape_names(character):
            cls.poll_message_set("The character has no shape keys")  # type: ignore[attr-defined]
            return False
        return True


_items: list[tuple[str, str, str]] = []
"""Kept here because Blender does not keep the strings of an enum callback."""


def _choices(self: Any, context: Any) -> list[tuple[str, str, str]]:
    from .. import faces

    character = cast.active(context) if context else None
    _items[:] = [(n, n, "") for n in (faces.shape_names(character) if character else ())] or [("", "None", "")]
    return _items


class UNDERSTUDY_OT_shape_add(_OnShapes, bpy.types.Operator):
    """Choose a shape key to give it another driver or strength"""

    bl_idname = "understudy.shape_add"
    bl_label = "Edit Shape"
    bl_property = "shape"
    bl_options = {"REGISTER", "UNDO"}

    shape: EnumProperty(name="Shape", items=_choices)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """A list to search in."""
        context.window_manager.invoke_search_popup(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add an entry with what drives the shape now."""
        from .. import faces

        character = cast.active(context)
        items = character.understudy_face.shapes
        index = items.find(self.shape)
        if index < 0:
            item = items.add()
            item.name = self.shape
            item.drivers = shape_presets.describe(faces.face_of(character, own=False), self.shape)
            index = len(items) - 1
        character.understudy_face.shape_index = index
        return {"FINISHED"}


class UNDERSTUDY_OT_shape_remove(_OnShapes, bpy.types.Operator):
    """Let the shape be driven as it was recognised again"""

    bl_idname = "understudy.shape_remove"
    bl_label = "As Recognised"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove the active entry."""
        settings = cast.active(context).understudy_face
        if not 0 <= settings.shape_index < len(settings.shapes):
            return {"CANCELLED"}
        settings.shapes.remove(settings.shape_index)
        settings.shape_index = max(0, settings.shape_index - 1)
        return {"FINISHED"}


class UNDERSTUDY_OT_shapes_save(_OnShapes, bpy.types.Operator, ExportHelper):
    """Keep the shape map as a file, for other characters with the same shapes"""

    bl_idname = "understudy.shapes_save"
    bl_label = "Save Shape Map"

    filepath: StringProperty(subtype="FILE_PATH")
    filename_ext = shape_presets.SUFFIX
    filter_glob: StringProperty(default="*" + shape_presets.SUFFIX, options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write the file."""
        from .. import faces

        character = cast.active(context)
        try:
            path = shape_presets.save(*faces.own_shapes(character), character.name, bpy.path.abspath(self.filepath))
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        self.report({"INFO"}, f"Saved {path.name}")
        return {"FINISHED"}


class UNDERSTUDY_OT_shapes_load(_OnShapes, bpy.types.Operator, ImportHelper):
    """Take a shape map from a file"""

    bl_idname = "understudy.shapes_load"
    bl_label = "Load Shape Map"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filename_ext = shape_presets.SUFFIX
    filter_glob: StringProperty(default="*" + shape_presets.SUFFIX, options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Read the file and put it in the place of the present map."""
        from .. import faces

        character = cast.active(context)
        try:
            own, strengths = shape_presets.load(bpy.path.abspath(self.filepath))
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        present = set(faces.shape_names(character))
        _put(character, own, strengths)
        absent = [n for n in own if n not in present]
        if absent:
            self.report({"WARNING"}, f"{len(absent)} of {len(own)} shapes are not on this character, such as {absent[0]}")
        cast.clear_notice(character)
        return {"FINISHED"}


class UNDERSTUDY_UL_shapes(bpy.types.UIList):
    """Shape, curves, strength."""

    def draw_item(self, context: bpy.types.Context, layout: Any, data: Any, item: Any, icon: int,
                  active_data: Any, active_property: str, index: int = 0, flt_flag: int = 0) -> None:
        """One row."""
        row = layout.row(align=True)
        row.label(text=item.name, icon="SHAPEKEY_DATA")
        row.prop(item, "drivers", text="", emboss=False)
        strength = row.row()
        strength.ui_units_x = 2.4
        strength.prop(item, "strength", text="", emboss=False)


def draw(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """What the face can show, and the artist's own entries."""
    from .. import faces

    settings = character.understudy_face
    face = faces.face_of(character)
    layout.label(text=face.summary[:1].upper() + face.summary[1:], icon="SHAPEKEY_DATA")
    if face.drivers or face.visemes:
        for sentence in list(face.missing.values())[:4]:
            layout.label(text=sentence, icon="INFO")
    row = layout.row()
    row.template_list("UNDERSTUDY_UL_shapes", "", settings, "shapes", settings, "shape_index", rows=2)
    column = row.column(align=True)
    column.operator("understudy.shape_add", text="", icon="ADD")
    column.operator("understudy.shape_remove", text="", icon="REMOVE")
    column.operator("understudy.shapes_load", text="", icon="IMPORT")
    column.operator("understudy.shapes_save", text="", icon="EXPORT")


CLASSES = (
    ShapeItem, UNDERSTUDY_OT_shape_add, UNDERSTUDY_OT_shape_remove, UNDERSTUDY_OT_shapes_save, UNDERSTUDY_OT_shapes_load,
    UNDERSTUDY_UL_shapes,
)
