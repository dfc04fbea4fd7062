# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a performance out of Blender."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import StringProperty
from bpy_extras.io_utils import ExportHelper

from . import cast, takes
from .shared.errors import UnderstudyError

if TYPE_CHECKING:
    from .shared.motion import Motion

__all__ = ["CLASSES", "draw", "write_motion"]


def write_motion(motion: "Motion", path: Path) -> None:
    """Write by suffix: ``.npz`` (Understudy's own) or ``.bvh``. A file appears under its name only when complete.

    :raises UnderstudyError: ``unsupported`` for another suffix, ``file_invalid`` where the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".npz", ".bvh"):
        raise UnderstudyError("unsupported", f"Motion cannot be written as {suffix or 'a file without suffix'}.",
                              "Choose a name that ends in .npz or .bvh.")
    try:
        if suffix == ".npz":
            motion.save(path)
        else:
            from .shared.formats.bvh import write_bvh

            write_bvh(motion, path)
    except OSError as error:
        raise cast.cannot_write(path, error) from error


class UNDERSTUDY_OT_export_motion(bpy.types.Operator, ExportHelper):
    """Write the shown take as a motion file: .npz or .bvh by the name's ending"""

    bl_idname = "understudy.export_motion"
    bl_label = "Export Motion"
    bl_options = {"REGISTER"}

    filename_ext = ".npz"
    check_extension = None  # type: ignore[assignment]
    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default="*.npz;*.bvh", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether a take is shown."""
        character = cast.active(context)
        if character is None or takes.current(character) is None:
            cls.poll_message_set("No take is shown: press Perform first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write the file."""
        character = cast.active(context)
        path = Path(bpy.path.abspath(self.filepath))
        try:
            write_motion(takes.motion_of(takes.current(character).action), path)
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        self.report({"INFO"}, f"Wrote {path.name}")
        return {"FINISHED"}


def draw(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """The panel's content."""
    layout.operator("understudy.export_motion", icon="EXPORT")


CLASSES = (UNDERSTUDY_OT_export_motion,)
