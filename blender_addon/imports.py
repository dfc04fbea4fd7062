# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion files of other programs as takes."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from . import cast, session
from .shared.errors import UnderstudyError

__all__ = ["CLASSES", "import_motion"]


UP_AXES = [
    ("AUTO", "As Found", "The axis that the file states, or that its motion stands upright along"),
    ("Y", "Y Up", "The file's Y points up"),
    ("Z", "Z Up", "The file's Z points up"),
]


def import_motion(context: bpy.types.Context, character: Any, path: Path, *, hands: bool = True, source_fps: float = 0.0,
                  up: str = "AUTO", mean_hands: str = "") -> bpy.types.Action:
    """Read a motion file and put it onto the character as a new take, from the scene's first frame on.

    Whatever the file's rate is, it is resampled in time to the scene's.

    :param hands: False leaves the fingers at rest.
    :param source_fps: the file's true rate where it states a wrong one or none, else 0.
    :param up: of :data:`UP_AXES`; :param mean_hands: an SMPL-X model file, for files whose fingers are offsets from its mean hands.
    :raises UnderstudyError: with the first thing that is wrong; nothing has been changed then.
    """
    from . import staging
    from .shared.formats.read import read_motion

    if session.job_of(character) is not None:
        raise UnderstudyError("busy", f"{character.name} is performing already.", "Wait for it, or cancel it first.")
    rate = cast.fps(context.scene)
    motion = read_motion(path, fps=rate, hands=hands, source_fps=source_fps or None, up=None if up == "AUTO" else up.lower(),
                         mean_hands=mean_hands or None)
    if not len(motion):
        raise UnderstudyError("file_invalid", f"{path.name} holds no frames.", "Choose another file.")
    facts = {"start_frame": float(context.scene.frame_start), "fps": rate, "file": path.name}
    action = staging.apply_motion(character, motion, float(context.scene.frame_start), facts)
    action.name = f"{character.name} {path.stem}"
    character.understudy.takes[-1].name = action.name
    return action


class UNDERSTUDY_OT_import_motion(cast.OnCharacter, bpy.types.Operator, ImportHelper):
    """Read a motion file as a new take: npz of Understudy, AMASS and other SMPL-X data, HumanML3D (npy), BVH"""

    bl_idname = "understudy.import_motion"
    bl_label = "Import Motion"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default="*.npz;*.npy;*.bvh", options={"HIDDEN"})
    hands: BoolProperty(name="Fingers", default=True, description="Read the fingers as well, where the file has them")
    mean_hands: StringProperty(
        name="Mean Hands", subtype="FILE_PATH",
        description="Your SMPL-X model file (npz). Files as those of BEAT2 hold fingers as offsets from its mean hands")
    source_fps: FloatProperty(
        name="Rate of the File", default=0.0, min=0.0, max=1000.0,
        description="Frames per second, where the file states a wrong rate or none; 0: as it states")
    up: EnumProperty(name="Up", items=UP_AXES, default="AUTO", description="Which way is up in the file")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Read the file and add the take."""
        character = cast.active(context)
        try:
            action = import_motion(
                context, character, Path(bpy.path.abspath(self.filepath)), hands=self.hands, source_fps=self.source_fps, up=self.up,
                mean_hands=bpy.path.abspath(self.mean_hands))
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        cast.clear_notice(character)
        self.report({"INFO"}, f"{action.frame_end - action.frame_start + 1:.0f} frames")
        return {"FINISHED"}


CLASSES = (UNDERSTUDY_OT_import_motion,)
