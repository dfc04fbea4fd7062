# SPDX-License-Identifier: GPL-3.0-or-later
"""The words as a list in the panel."""

from typing import Any

import bpy

__all__ = ["CLASSES", "draw"]


class UNDERSTUDY_UL_words(bpy.types.UIList):
    """Word, sounds and times."""

    def draw_item(self, context: bpy.types.Context, layout: Any, data: Any, item: Any, icon: int,
                  active_data: Any, active_property: str, index: int = 0, flt_flag: int = 0) -> None:
        """One row."""
        from ..core.words_lane import unpack

        row = layout.row(align=True)
        row.prop(item, "selected", text="", icon="CHECKBOX_HLT" if item.selected else "CHECKBOX_DEHLT", emboss=False)
        row.prop(item, "text", text="", emboss=False)
        sounds = row.row(align=True)
        sounds.active = False
        sounds.label(text=" ".join(n for _, _, n in unpack(item.phones)) or "…")
        times = row.row(align=True)
        times.ui_units_x = 3.4
        times.alignment = "RIGHT"
        times.label(text=f"{item.start:.0f}–{item.end:.0f}")


def draw(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """The list with its buttons."""
    settings = character.understudy_face
    row = layout.row()
    row.template_list("UNDERSTUDY_UL_words", "", settings, "words", settings, "word_index", rows=4)
    column = row.column(align=True)
    for action, icon in (("ADD", "ADD"), ("DELETE", "REMOVE"), ("SPLIT", "SNAP_MIDPOINT"), ("MERGE", "AUTOMERGE_ON")):
        column.operator("understudy.words", text="", icon=icon).action = action
    column.separator()
    column.operator("understudy.words", text="", icon="LOOP_BACK").action = "RESET"
    column.prop(context.window_manager.understudy_words, "show", text="", icon="NLA")
    if 0 <= settings.word_index < len(settings.words):
        item = settings.words[settings.word_index]
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(item, "text")
        times = column.row(align=True)
        times.prop(item, "start")
        times.prop(item, "end", text="")


CLASSES = (UNDERSTUDY_UL_words,)
