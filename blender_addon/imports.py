# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion files of other programs as takes."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from . import cast, session
from .shared.errors import UnderstudyError

__all__ = ["CLASSES", "import_motion"]


def import_motion(context: bpy.types.Context, character: Any, path: Path, *, hands: bool = True) -> bpy.types.Action:
    """Read a motion file and put it onto the character as a new take, from the scene's first frame on.

    :param hands: False leaves the fingers at rest.
    :raises UnderstudyError: with the first thing that is wrong; nothing has been changed then.
    """
    from . import staging
    from .shared.formats.read import read_motion

    if session.job_of(character) is not None:
        raise UnderstudyError("busy", f"{character.name} is performing already.", "Wait for it, or cancel it first.")
    rate = cast.fps(context.scene)
    motion = read_motion(path, fps=rate, hands=hands)
    if not len(motion):
        raise UnderstudyError("file_invalid", f"{path.name} holds no frames.", "Choose another file.")
    facts = {"start_frame": float(context.scene.frame_start), "fps": rate, "file": path.name}
    action = staging.apply_motion(character, motion, float(context.scene.frame_start), facts)
    action.name = f"{character.name} {path.stem}"
    character.understudy.takes[-1].name = action.name
    return action


class UNDERSTUDY_OT_import_motion(bpy.types.Operator, ImportHelper):
    """Read a motion file as a new take: npz of Understudy, AMASS and other SMPL-X data, HumanML3D (npy), BVH"""

    bl_idname = "understudy.import_motion"
    bl_label = "Import Motion"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default="*.npz;*.npy;*.bvh", options={"HIDDEN"})
    hands: BoolProperty(name="Fingers", default=True, description="Read the fingers as well, where the file has them")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is a character."""
        if cast.active(context) is None:
            cls.poll_message_set(cast.NO_CHARACTER)
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Read the file and add the take."""
        character = cast.active(context)
        try:
            action = import_motion(context, character, Path(bpy.path.abspath(self.filepath)), hands=self.hands)
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        cast.clear_notice(character)
        self.report({"INFO"}, f"{action.frame_end - action.frame_start + 1:.0f} frames")
        return {"FINISHED"}


CLASSES = (UNDERSTUDY_OT_import_motion,)
