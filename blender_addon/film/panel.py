# SPDX-License-Identifier: GPL-3.0-or-later
"""The Film panel in the sidebar, and its small sister in the Image Editor."""

import textwrap
from typing import Any

import bpy

from .. import cast, session
from ..shared.errors import UnderstudyError
from ..sidebar import OfCharacter
from . import job as jobs
from . import order, picture, preview
from .settings import film_of, picture_of

__all__ = ["CLASSES"]


def _sentences(layout: Any, context: bpy.types.Context, text: str, icon: str = "INFO") -> None:
    """Sentences in lines that fit the region."""
    scale = context.preferences.system.ui_scale
    width = max(20, int(context.region.width / (7 * scale)) - 6) if context.region else 40
    column = layout.column(align=True)
    for sentence in filter(None, text.split("\n")):
        for n, line in enumerate(textwrap.wrap(sentence, width)):
            column.label(text=line, icon=icon if n == 0 else "BLANK1")


def _picture(layout: Any, context: bpy.types.Context, character: Any) -> None:
    settings = film_of(character)
    row = layout.row(align=True)
    row.prop(settings, "photo", text="", icon="IMAGE_DATA")
    row.operator("understudy.film_picture", text="", icon="FILE_FOLDER")
    image = settings.photo
    if image is None:
        layout.label(text="Choose the photograph of one person", icon="INFO")
        return
    kept = picture_of(image)
    try:
        permitted = picture.permitted(image)
    except UnderstudyError as error:
        _sentences(layout, context, error.message, "ERROR")
        return
    row = layout.row()
    if permitted:
        row.label(text=kept.permission, icon="CHECKMARK")
        row.operator("understudy.film_permit", text="", icon="GREASEPENCIL")
    else:
        row.operator("understudy.film_permit", icon="QUESTION")
    row = layout.row(align=True)
    if jobs.looking_at(image) is not None:
        row.label(text="Looking at the picture", icon="SORTTIME")
    else:
        row.operator("understudy.film_look", icon="VIEWZOOM")
    row.operator("understudy.film_edit_points", icon="EMPTY_AXIS")
    points = picture.points_of(image)
    if points:
        by = {"": "by hand", "proportion": "from the face"}.get(kept.placed_by, f"by {kept.placed_by}")
        layout.label(text=f"{sum(p.shown for p in points)} of {len(points)} points placed {by}", icon="OUTLINER_OB_ARMATURE")
    else:
        layout.label(text="Without points only head and trunk move", icon="INFO")
    _sentences(layout, context, kept.notes)


def _choices(layout: Any, context: bpy.types.Context, character: Any) -> None:
    settings = film_of(character)
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(settings, "framing")
    if settings.framing == "scene" and context.scene.camera is None:
        column.label(text="The scene has no camera", icon="ERROR")
    renderer = order.renderer_of(character)
    split = column.split(factor=0.4)
    split.alignment = "RIGHT"
    split.label(text="Renderer")
    split.menu("UNDERSTUDY_MT_film_renderer", text=settings.renderer)
    if renderer.why_not:
        _sentences(column, context, renderer.why_not, "ERROR")
    column.prop(settings, "quality")
    row = column.row(align=True)
    row.prop(settings, "short_side")
    row.prop(settings, "shape", text="")
    column.prop(settings, "span")
    if settings.span == "FRAMES":
        row = column.row(align=True)
        row.prop(settings, "first")
        row.prop(settings, "last")
    column.prop(settings, "seed")
    column.prop(settings, "mark")
    column.prop(settings, "landing")
    column.prop(settings, "file_format")
    column.prop(settings, "folder")
    first, last = order.film_frames(context, character)
    frames, (width, height) = max(last - first + 1, 0), order.film_shape(context, character)
    layout.label(text=f"{frames / cast.fps(context.scene):.1f} s · {width} × {height} · {frames} frames", icon="FILE_MOVIE")
    layout.label(text=renderer.estimate(width, height, frames, settings.quality), icon="TIME")


def _main(layout: Any, context: bpy.types.Context, character: Any) -> None:
    job = jobs.job_of(character)
    if job is not None:
        row = layout.row(align=True)
        row.progress(factor=job.fraction, text=job.label, type="BAR")
        row.operator("understudy.film_cancel", text="", icon="X")
        if preview.icon():
            layout.template_icon(icon_value=preview.icon(), scale=9.0)
        return
    main = layout.row()
    main.scale_y = 1.5
    main.operator("understudy.film", icon="OUTLINER_OB_CAMERA")
    if reason := order.reason_not_to_film(context):
        _sentences(layout, context, reason)
    settings = film_of(character)
    if settings.made_path:
        column = layout.column(align=True)
        column.label(text=bpy.path.basename(settings.made_path), icon="FILE_MOVIE")
        row = column.row(align=True)
        row.prop(settings, "again_first")
        row.prop(settings, "again_last")
        column.operator("understudy.film_again", icon="FILE_REFRESH")
    if settings.framing == "scene":
        row = layout.row(align=True)
        row.operator("understudy.film_passes", icon="RENDERLAYERS")
        row.operator("understudy.export_camera", text="", icon="EXPORT")


class UNDERSTUDY_PT_film(OfCharacter, bpy.types.Panel):
    """From the performance and one picture to a film."""

    bl_label = "Film"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Picture, choices, button."""
        session.ask_for_offers()
        character = cast.active(context)
        _picture(self.layout, context, character)
        self.layout.separator()
        _choices(self.layout, context, character)
        _main(self.layout, context, character)


class UNDERSTUDY_PT_film_points(bpy.types.Panel):
    """The body's points, beside the picture they lie on."""

    bl_label = "Body Points"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Understudy"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Shown over a character's reference picture."""
        character = cast.active(context)
        return character is not None and film_of(character).photo is not None and film_of(character).photo == context.space_data.image

    def draw(self, context: bpy.types.Context) -> None:
        """What can be done, and how."""
        layout, settings = self.layout, film_of(cast.active(context))
        layout.operator("understudy.film_look", icon="VIEWZOOM")
        layout.prop(settings, "show_points")
        layout.prop(settings, "show_performance")
        _sentences(layout, context, "Drag a point to where it is in the picture.\nX over a point: the picture does not show it.")
        _sentences(layout, context, "Blue is the person's left, orange the right.")
        if notes := picture_of(settings.photo).notes:
            _sentences(layout, context, notes)
        if error := session.notices.get(0):
            _sentences(layout, context, error.message, "ERROR")


CLASSES = (UNDERSTUDY_PT_film, UNDERSTUDY_PT_film_points)
