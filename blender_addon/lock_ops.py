# SPDX-License-Identifier: GPL-3.0-or-later
"""Locking and releasing keys of a take, and the list of what is locked."""

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty

from . import cast, locks, takes

__all__ = ["CLASSES", "draw"]

SCOPES = [
    ("FRAME", "Current Frame", "The pose at the current frame"),
    ("RANGE", "Preview Range", "All poses of the preview range"),
    ("GIVEN", "Given Frames", "The frames from the first to the last given"),
]
MOST_LINES = 12
LABELS = {"full": "Full Body", "upper": "Upper Body", "lower": "Lower Body", "left_arm": "Left Arm", "right_arm": "Right Arm",
          "head": "Head", "face": "Face"}


class UNDERSTUDY_OT_lock_keys(takes.OnShownTake, bpy.types.Operator):
    """Keep the pose when the take is performed again, or let it go (of the selected bones in Pose Mode, else of all)"""

    bl_idname = "understudy.lock_keys"
    bl_label = "Lock Keys"
    bl_options = {"REGISTER", "UNDO"}

    unlock: BoolProperty(name="Unlock", description="Let the keys be performed again")
    scope: EnumProperty(name="Frames", items=SCOPES, options={"SKIP_SAVE"})
    first: IntProperty(name="First Frame", options={"SKIP_SAVE"})
    last: IntProperty(name="Last Frame", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, context: bpy.types.Context, properties: Any) -> str:
        """The tooltip of locking or of unlocking."""
        if properties.unlock:
            return "Let these keys be performed again (of the selected bones in Pose Mode, else of all)"
        return "Keep the pose when the take is performed again (of the selected bones in Pose Mode, else of all)"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Set keys of the type KEYFRAME, or give those there the type GENERATED."""
        character, scene = cast.active(context), context.scene
        take = takes.current(character)
        if self.scope == "RANGE" and not scene.use_preview_range:
            self.report({"WARNING"}, "There is no preview range: set one in the timeline (P)")
            return {"CANCELLED"}
        first, last = {"FRAME": (scene.frame_current,) * 2, "RANGE": (scene.frame_preview_start, scene.frame_preview_end),
                       "GIVEN": (self.first, self.last)}[self.scope]
        begin, end = take.action.frame_range
        first, last = max(first, round(begin)), min(last, round(end))
        chosen = None
        if self.scope != "GIVEN" and context.mode == "POSE" and context.object == character:
            chosen = {bone.name for bone in context.selected_pose_bones or ()}
        count = locks.set_locked(take.action, take.slot, first, last, chosen, not self.unlock) if last >= first else 0
        if self.unlock and chosen is None:
            for part in take.parts:
                if part.action is not None and (part.action != take.action or part.slot != take.slot):
                    count += locks.set_locked(part.action, part.slot, first, last, None, False)
        if not count:
            self.report({"INFO"}, f"There is nothing to {'unlock' if self.unlock else 'lock'} at frame {scene.frame_current}")
            return {"CANCELLED"}
        return {"FINISHED"}


class UNDERSTUDY_OT_lock_show(takes.OnShownTake, bpy.types.Operator):
    """Go to this frame"""

    bl_idname = "understudy.lock_show"
    bl_label = "Go to Locked Frame"
    bl_options = {"INTERNAL"}

    frame: IntProperty(name="Frame")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Set the current frame."""
        context.scene.frame_set(self.frame)
        return {"FINISHED"}


def draw(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """The switch, the padlocks, the list."""
    settings = character.understudy
    if takes.current(character) is None:
        return
    row = layout.row(align=True)
    row.prop(settings, "keep_hand_set")
    scope = "RANGE" if context.scene.use_preview_range else "FRAME"
    for unlock, icon in ((False, "LOCKED"), (True, "UNLOCKED")):
        button = row.operator("understudy.lock_keys", text="", icon=icon)
        button.unlock, button.scope = unlock, scope
    found = locks.of(character)
    if not found:
        return
    column = layout.column(align=True)
    column.active = settings.keep_hand_set
    for locked in found[:MOST_LINES]:
        line = column.row(align=True)
        frames = str(locked.first) if locked.first == locked.last else f"{locked.first}–{locked.last}"
        line.operator("understudy.lock_show", text=frames, icon="LOCKED").frame = locked.first
        line.label(text=LABELS[locked.part])
        button = line.operator("understudy.lock_keys", text="", icon="X")
        button.unlock, button.scope, button.first, button.last = True, "GIVEN", locked.first, locked.last
    if len(found) > MOST_LINES:
        column.label(text=f"+ {len(found) - MOST_LINES}")


CLASSES = (UNDERSTUDY_OT_lock_keys, UNDERSTUDY_OT_lock_show)
