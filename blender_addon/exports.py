# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a performance out of Blender."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy_extras.io_utils import ExportHelper

from . import cast, compat, preferences, takes
from .shared.errors import UnderstudyError

if TYPE_CHECKING:
    from .shared.motion import Motion

__all__ = ["CLASSES", "draw", "suggestion", "write_motion", "write_rig", "write_take"]

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
        # a command has no window, and then no selection in the context; the exporters look for both there
        with compat.window_override(), context.temp_override(selected_objects=objects, active_object=objects[0], object=objects[0]):
            yield
    finally:
        for one in layer.objects:
            one.select_set(one.name in before)
        layer.objects.active = active


def _shown_objects(context: bpy.types.Context, character: Any) -> list[Any]:
    """The armature and those of its meshes that can be selected. :raises UnderstudyError: where the armature cannot."""
    from . import faces

    layer: Any = context.view_layer
    there = {o.name for o in layer.objects if o.visible_get(view_layer=layer)}
    if character.name not in there:
        raise UnderstudyError("character_missing", f"{character.name} is hidden in this scene, or not part of it.",
                              "Show it in the viewport, then export it.")
    return [character, *(o for o in faces.meshes_of(character) if o.name in there)]


@contextmanager
def _without_modifiers(objects: list[Any]) -> Iterator[None]:
    """Meshes with shapes without all modifiers but the armature: where one is applied, the FBX exporter leaves out the shapes."""
    off = [(m, m.show_viewport, m.show_render) for o in objects if o.type == "MESH" and o.data.shape_keys is not None
           for m in o.modifiers if m.type != "ARMATURE" and (m.show_viewport or m.show_render)]
    for modifier, _, _ in off:
        modifier.show_viewport = modifier.show_render = False
    try:
        yield
    finally:
        for modifier, viewport, render in off:
            modifier.show_viewport, modifier.show_render = viewport, render


def _fbx(path: Path, *, unreal: bool) -> None:
    # Unreal takes the armature for the root bone, and a factor on it for a scale of everything below it: with the units in the
    # file's heading there is none. It wants a key at both ends, and smoothing by faces
    special: dict[str, Any] = {
        "use_armature_deform_only": True, "apply_scale_options": "FBX_SCALE_UNITS", "mesh_smooth_type": "FACE", "use_tspace": True,
        "bake_anim_force_startend_keying": True} if unreal else {}
    operators: Any = bpy.ops.export_scene
    operators.fbx(filepath=str(path), use_selection=True, object_types={"ARMATURE", "MESH"}, add_leaf_bones=False, bake_anim=True,
                  bake_anim_use_nla_strips=False, bake_anim_use_all_actions=False, bake_anim_simplify_factor=0.0, **special)


def _glb(path: Path) -> None:
    operators: Any = bpy.ops.export_scene
    operators.gltf(filepath=str(path), export_format="GLB", use_selection=True, export_animation_mode="ACTIVE_ACTIONS",
                   export_frame_range=True, export_morph_normal=False)


def _reason(error: Exception) -> str:
    """The line of an exporter's failure that says what it is; a traceback goes before it, and a place after."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Location:")]
    return lines[-1] if lines else type(error).__name__


def write_rig(context: bpy.types.Context, character: Any, path: Path, *, unreal: bool = False) -> None:
    """Write the rig, its meshes and the shown take as ``.fbx`` or ``.glb``, face and all.

    :param unreal: for FBX, what Unreal's importer wants: deform bones only, smoothing groups, units that need no scale.
    :raises UnderstudyError: ``file_invalid`` where Blender's exporter fails.
    """
    scene: Any = context.scene
    take = takes.current(character)
    action = take.action if take is not None else character.animation_data.action
    before = (scene.frame_start, scene.frame_end, scene.frame_current)
    first, last = action.frame_range
    temporary = path.with_name(path.stem + ".part" + path.suffix)
    objects = _shown_objects(context, character)
    if not path.parent.is_dir():
        raise UnderstudyError("file_missing", f"There is no folder {path.parent}.", "Make it, or choose another place.")
    try:
        scene.frame_start, scene.frame_end = int(first), int(last)
        with takes.assigned(character), _selected(context, objects):
            if path.suffix.lower() == ".fbx":
                with _without_modifiers(objects):
                    _fbx(temporary, unreal=unreal)
            else:
                _glb(temporary)
        temporary.replace(path)
    except (RuntimeError, OSError) as error:
        temporary.unlink(missing_ok=True)
        raise UnderstudyError("file_invalid", f"{path.name} cannot be exported ({_reason(error)}).",
                              "Choose another place, or another format.") from error
    finally:
        scene.frame_start, scene.frame_end = before[0], before[1]
        scene.frame_set(before[2])


def write_take(context: bpy.types.Context, character: Any, path: Path) -> None:
    """Write the shown take by suffix: the motion (.npz, .amass.npz, .bvh) or the rig with it (.fbx, .unreal.fbx, .glb).

    :raises UnderstudyError: ``not_found`` without a take, ``unsupported``, ``file_invalid``.
    """
    from .shared.shots import export_variant

    take = takes.current(character)
    motion = takes.motion_of(take.action if take else None)
    variant = export_variant(path)
    if path.suffix.lower() in RIG_SUFFIXES:
        write_rig(context, character, path, unreal=variant == ".unreal.fbx")
    else:
        write_motion(motion, path, amass=variant == ".amass.npz")


class _Export(takes.OnShownTake, ExportHelper):
    """Mix-in: a file chosen by the artist, written, and told of."""

    bl_options = {"REGISTER"}
    # the format is chosen by the ending, so that no ending is put behind the one that is typed
    check_extension = None  # type: ignore[assignment]

    filepath: StringProperty(subtype="FILE_PATH")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """The file browser, in the folder of the preferences."""
        if not self.filepath:
            self.filepath = str(suggestion(cast.active(context), self.filename_ext))  # type: ignore[attr-defined]
        result: set[str] = super().invoke(context, event)
        return result

    def write(self, context: bpy.types.Context, character: Any, path: Path) -> None:
        """Write the file. :raises UnderstudyError:"""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write the file."""
        character = cast.active(context)
        path = Path(bpy.path.abspath(self.filepath))
        try:
            self.write(context, character, path)
        except UnderstudyError as error:
            return cast.refuse(self, character, error)  # type: ignore[arg-type]
        self.report({"INFO"}, f"Wrote {path.name}")  # type: ignore[attr-defined]
        return {"FINISHED"}


def suggestion(character: Any, suffix: str) -> Path:
    """A path for an export of the shown take, in the folder that the preferences name."""
    chosen = str(preferences.get().export_folder) or "//"
    # "//" is the folder of a .blend that was never saved: nowhere
    folder = Path(bpy.path.abspath(chosen)) if bpy.data.filepath or not chosen.startswith("//") else Path.home()
    return folder / (bpy.path.clean_name(takes.current(character).name) + suffix)


class UNDERSTUDY_OT_export_character(_Export, bpy.types.Operator):
    """Write the rig, its meshes and the shown take: .fbx or .glb by the name's ending"""

    bl_idname = "understudy.export_character"
    bl_label = "Export Character"

    filename_ext = ".fbx"
    filter_glob: StringProperty(default="*.fbx;*.glb", options={"HIDDEN"})
    unreal: BoolProperty(name="For Unreal", description="FBX with deform bones only, smoothing groups, and units that need no scale")

    def write(self, context: bpy.types.Context, character: Any, path: Path) -> None:
        """Write the file."""
        from .shared.shots import export_variant

        if path.suffix.lower() not in RIG_SUFFIXES:
            raise UnderstudyError("unsupported", f"A character cannot be written as {path.suffix or 'this'}.",
                                  "Choose a name that ends in .fbx or .glb.")
        write_rig(context, character, path, unreal=self.unreal or export_variant(path) == ".unreal.fbx")


class UNDERSTUDY_OT_export_motion(_Export, bpy.types.Operator):
    """Write the shown take as a motion file: .npz or .bvh by the name's ending"""

    bl_idname = "understudy.export_motion"
    bl_label = "Export Motion"

    filename_ext = ".npz"
    filter_glob: StringProperty(default="*.npz;*.bvh", options={"HIDDEN"})
    amass: BoolProperty(name="As AMASS", description="Write the npz as AMASS does (SMPL-X, Z up), for other programs")

    def write(self, context: bpy.types.Context, character: Any, path: Path) -> None:
        """Write the file."""
        from .shared.shots import export_variant

        write_motion(takes.motion_of(takes.current(character).action), path,
                     amass=self.amass or export_variant(path) == ".amass.npz")


def draw(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """The panel's content."""
    layout.operator("understudy.import_motion", icon="IMPORT")
    layout.operator("understudy.add_smplx_body", icon="ARMATURE_DATA")
    layout.operator("understudy.export_motion", icon="EXPORT")
    layout.operator("understudy.export_character", icon="OUTLINER_OB_ARMATURE")


CLASSES = (UNDERSTUDY_OT_export_motion, UNDERSTUDY_OT_export_character)
