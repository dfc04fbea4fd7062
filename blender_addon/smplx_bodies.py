# SPDX-License-Identifier: GPL-3.0-or-later
"""A body from the artist's own SMPL-X model file, wearing the take that is shown."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from . import cast
from .shared.errors import UnderstudyError

__all__ = ["CLASSES", "add_body", "betas_of"]


def betas_of(text: str) -> list[float]:
    """Shape coefficients from "0.5, -1, 2". :raises UnderstudyError: ``request_invalid`` for what is no number."""
    try:
        return [float(part) for part in text.replace(";", ",").replace(" ", ",").split(",") if part]
    except ValueError as error:
        raise UnderstudyError("request_invalid", f"The shape {text!r} is not a list of numbers.",
                              "Write the betas with commas between them, as in 0.5, -1, 2.") from error


def add_body(context: bpy.types.Context, path: Path, betas: list[float], performer: Any = None) -> Any:
    """Build the body; with ``performer``, an armature with a take, it performs that take from the same frame on.

    :raises UnderstudyError: for a file that is no SMPL-X model, or a shape that it does not have; nothing has been changed then.
    """
    from . import staging, takes
    from .character.smplx_body import build_smplx_body
    from .shared.formats.smplx_model import read_model

    model = read_model(path)
    model.checked(betas)
    take = None if performer is None else takes.current(performer)
    action = None if take is None else take.action
    # read before anything is built, so that a take that cannot be read leaves the scene as it is
    motion = None if action is None else takes.motion_of(action)
    body = build_smplx_body(context, model, betas)
    context.scene.understudy.character = body
    if motion is not None and action is not None:
        facts = takes.facts_of(action)
        made = staging.apply_motion(body, motion, float(facts.get("start_frame", context.scene.frame_start)), facts)
        body.understudy.takes[-1].name = made.name
    return body


class UNDERSTUDY_OT_add_smplx_body(cast.InObjectMode, bpy.types.Operator, ImportHelper):
    """Add a body from your own SMPL-X model file (npz), with its shape and skin. The file's licence goes with the body"""

    bl_idname = "understudy.add_smplx_body"
    bl_label = "Add SMPL-X Body"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})
    betas: StringProperty(
        name="Shape", description="Shape coefficients (betas) with commas between them; empty is the average person of the file")
    with_take: BoolProperty(
        name="With the Take", default=True, description="The body performs the take that the present character shows")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Read the file and build the body."""
        performer = cast.active(context) if self.with_take else None
        try:
            body = add_body(context, Path(bpy.path.abspath(self.filepath)), betas_of(self.betas), performer)
        except UnderstudyError as error:
            if performer is not None:
                return cast.refuse(self, performer, error)
            self.report({"ERROR"}, f"{error.message} {error.fix}")
            return {"CANCELLED"}
        self.report({"INFO"}, f"{body.name}: {body['licence']}")
        return {"FINISHED"}


def menu(self: Any, context: bpy.types.Context) -> None:
    """The entry in Add, Armature."""
    self.layout.operator("understudy.add_smplx_body", text="SMPL-X Body from File…", icon="ARMATURE_DATA")


CLASSES = (UNDERSTUDY_OT_add_smplx_body,)
