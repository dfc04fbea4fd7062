# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a performance out of Blender."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy_extras.io_utils import ExportHelper

from . import cast, takes
from .shared.errors import UnderstudyError

if TYPE_CHECKING:
    from .shared.motion import Motion

__all__ = ["CLASSES", "draw", "write_motion", "write_take"]

RIG_SUFFIXES = (".fbx", ".glb")


def write_motion(motion: "Motion", path: Path, *, amass: bool = False) -> None:
    """Write by suffix: ``.npz`` (Understudy's own) or ``.bvh``. A file appears under its name only when complete.

    :param amass: write the npz as AMASS does (SMPL-X, Z up), for other programs.
    :raises UnderstudyError: ``unsupported`` for another suffix, ``file_invalid`` where the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".npz", ".bvh"):
        raise UnderstudyError("unsupported", f"Motion cannot be written as {suffix or 'a file without suffix'}.",
                              "Choose a name that ends in .npz or .bvh.")
    try:
        if suffix == ".npz" and amass:
            from .shared.formats.amass import write_amass

            write_amass(motion, path)
        elif suffix == ".npz":
            motion.save(path)
        else:
            from .shared.formats.bvh import write_bvh

            write_bvh(motion, path)
    except OSError as error:
        raise cast.cannot_write(path, error) from error


@contextmanager
def _selected(context: bpy.types.Context, objects: list[Any]) -> Iterator[None]:
    """Only these objects selected, the first one active; the artist's selection comes back."""
    layer: Any = context.view_layer
    before, active = [o.name for o in layer.objects if o.select_get()], layer.objects.active
    for one in layer.objects:
        one.select_set(one in objects)
    layer.objects.active = objects[0]
    try:
        yield
    finally:
        for one in layer.objects:
            one.select_set(one.name in before)
        layer.objects.active = active


def write_rig(context: bpy.types.Context, character: Any, path: Path, *, unreal: bool = False) -> None:
    """Write the rig, its meshes and the shown take as ``.fbx`` or ``.glb``.

    :param unreal: for FBX, what Unreal's importer wants: deform bones only, smoothing groups, no leaf bones.
    :raises UnderstudyError: ``file_invalid`` where Blender's exporter fails.
    """
    from . import faces

    scene: Any = context.scene
    take = takes.current(character)
    action = take.action if take is not None else character.animation_data.action
    before = (scene.frame_start, scene.frame_end, scene.frame_current)
    first, last = action.frame_range
    temporary = path.with_name(path.stem + ".part" + path.suffix)
    operators: Any = bpy.ops.export_scene
    try:
        scene.frame_start, scene.frame_end = int(first), int(last)
        with takes.assigned(character), _selected(context, [character, *faces.meshes_of(character)]):
            if path.suffix.lower() == ".fbx":
                operators.fbx(
                    filepath=str(temporary), use_selection=True, object_types={"ARMATURE", "MESH"}, add_leaf_bones=False,
                    bake_anim=True, bake_anim_use_nla_strips=False, bake_anim_use_all_actions=False,
                    bake_anim_simplify_factor=0.0, use_armature_deform_only=unreal,
                    mesh_smooth_type="FACE" if unreal else "OFF")
            else:
                operators.gltf(filepath=str(temporary), export_format="GLB", use_selection=True,
                               export_animation_mode="ACTIVE_ACTIONS", export_frame_range=True, export_morph_normal=False)
        temporary.replace(path)
    except (RuntimeError, OSError) as error:
        temporary.unlink(missing_ok=True)
        raise UnderstudyError("file_invalid", f"{path.name} cannot be exported ({str(error).strip().splitlines()[-1]}).",
                              "Choose another place, or another format.") from error
    finally:
        scene.frame_start, scene.frame_end = before[0], before[1]
        scene.frame_set(before[2])


def write_take(context: bpy.types.Context, character: Any, path: Path) -> None:
    """Write the shown take by suffix: the motion (.npz, .bvh) or the rig with it (.fbx, .glb).

    :raises UnderstudyError: ``not_found`` without a take, ``unsupported``, ``file_invalid``.
    """
    take = takes.current(character)
    motion = takes.motion_of(take.action if take else None)
    if path.suffix.lower() in RIG_SUFFIXES:
        write_rig(context, character, path)
    else:
        write_motion(motion, path)


class UNDERSTUDY_OT_export_character(bpy.types.Operator, ExportHelper):
    """Write the rig, its meshes and the shown take: .fbx or .glb by the name's ending"""

    bl_idname = "understudy.export_character"
    bl_label = "Export Character"
    bl_options = {"REGISTER"}

    filename_ext = ".fbx"
    check_extension = None  # type: ignore[assignment]
    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default="*.fbx;*.glb", options={"HIDDEN"})
    unreal: BoolProperty(name="For Unreal", description="Deform bones only, and smoothing groups")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether a take is shown."""
        return UNDERSTUDY_OT_export_motion.poll.__func__(cls, context)  # type: ignore[attr-defined]

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write the file."""
        character = cast.active(context)
        path = Path(bpy.path.abspath(self.filepath))
        try:
            if path.suffix.lower() not in RIG_SUFFIXES:
                raise UnderstudyError("unsupported", f"A character cannot be written as {path.suffix or 'this'}.",
                                      "Choose a name that ends in .fbx or .glb.")
            write_rig(context, character, path, unreal=self.unreal)
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        self.report({"INFO"}, f"Wrote {path.name}")
        return {"FINISHED"}


class UNDERSTUDY_OT_export_motion(bpy.types.Operator, ExportHelper):
    """Write the shown take as a motion file: .npz or .bvh by the name's ending"""

    bl_idname = "understudy.export_motion"
    bl_label = "Export Motion"
    bl_options = {"REGISTER"}

    filename_ext = ".npz"
    check_extension = None  # type: ignore[assignment]
    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default="*.npz;*.bvh", options={"HIDDEN"})
    amass: BoolProperty(name="As AMASS", description="Write the npz as AMASS does (SMPL-X, Z up), for other programs")

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
            write_motion(takes.motion_of(takes.current(character).action), path, amass=self.amass)
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        self.report({"INFO"}, f"Wrote {path.name}")
        return {"FINISHED"}


def draw(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """The panel's content."""
    layout.operator("understudy.import_motion", icon="IMPORT")
    layout.operator("understudy.export_motion", icon="EXPORT")
    layout.operator("understudy.export_character", icon="OUTLINER_OB_ARMATURE")


CLASSES = (UNDERSTUDY_OT_export_motion, UNDERSTUDY_OT_export_character)
