# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels of the sidebar share, and the operators that stay while a job goes on."""

import textwrap
from typing import Any

import bpy

from . import cast

__all__ = ["OfCharacter", "Sidebar", "Staying", "paragraph"]


class Sidebar:
    """Mix-in for panels in the tab."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Understudy"


class OfCharacter(Sidebar):
    """Mix-in for panels about the character, under the main one."""

    bl_parent_id = "UNDERSTUDY_PT_main"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Shown once there is a character."""
        return cast.active(context) is not None


def paragraph(layout: Any, context: bpy.types.Context, text: str, icon: str) -> None:
    """A text in lines that fit the sidebar, the icon before the first one."""
    # about 7 pixels a letter at a scale of 1; there is no call that measures a label
    width = max(20, int(context.region.width / (7 * context.preferences.system.ui_scale)) - 6) if context.region else 40
    for n, line in enumerate(textwrap.wrap(text, width)):
        layout.label(text=line, icon=icon if n == 0 else "BLANK1", translate=False)


class Staying:
    """Mix-in for operators that begin a job and stay, with a window, to hear Esc and to report the end."""

    _timer: Any = None

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Like execute, and stay to hear Esc and to report the end."""
        done: set[str] = self.execute(context)  # type: ignore[attr-defined]
        if bpy.app.background or done != {"FINISHED"}:
            return done
        self._timer = context.window_manager.event_timer_add(0.2, window=context.window)
        context.window_manager.modal_handler_add(self)  # type: ignore[arg-type]
        return {"RUNNING_MODAL"}

    @staticmethod
    def given_up(context: bpy.types.Context, event: bpy.types.Event) -> bool:
        """Whether this is Esc, and meant for the job: while something plays it belongs to the playback."""
        return event.type == "ESC" and event.value == "PRESS" and not context.screen.is_animation_playing

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender ends the operator, as when a file is loaded."""
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
