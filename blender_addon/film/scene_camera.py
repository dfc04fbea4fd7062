# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene's camera as matrices, for pose tracks through exactly this camera."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import StringProperty
from bpy_extras.io_utils import ExportHelper

from ..shared.errors import UnderstudyError

__all__ = ["CLASSES", "camera_at", "camera_matrices", "check_camera", "picture_size", "write_camera"]

FORMAT = "understudy-camera-1"


def check_camera(scene: Any) -> None:
    """:raises UnderstudyError: ``request_invalid`` without a camera, or for a panoramic one."""
    camera = scene.camera
    if camera is None or camera.type != "CAMERA":
        raise UnderstudyError("request_invalid", "The scene has no camera.", "Add a camera, or use one of the film's framings.")
    if camera.data.type not in ("PERSP", "ORTHO"):
        raise UnderstudyError("request_invalid", "A panoramic camera cannot film a pose track.",
                              "Set the camera's lens to Perspective or Orthographic.")


def picture_size(scene: Any) -> tuple[int, int]:
    """(width, height) of the scene's pictures in pixels."""
    render = scene.render
    return (max(int(render.resolution_x * render.resolution_percentage / 100), 1),
            max(int(render.resolution_y * render.resolution_percentage / 100), 1))


def camera_at(scene: Any, graph: Any, size: tuple[int, int], performer: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """View and projection (4, 4) of the evaluated camera.

    :param performer: the armature object whose space is viewed; None for the scene's own, turned to +Y up.
    """
    from ..core.retarget.axes import vector_to_z_up

    turn = np.eye(4)
    turn[:3, :3] = vector_to_z_up(np.eye(3)).T
    seen = scene.camera.evaluated_get(graph)
    pose = np.eye(4) if performer is None else np.array(performer.evaluated_get(graph).matrix_world)
    render = scene.render
    # a scaled camera object looks no different
    view = np.array(seen.matrix_world.normalized().inverted()) @ pose @ turn
    projection = np.array(seen.calc_matrix_camera(
        graph, x=size[0], y=size[1], scale_x=render.pixel_aspect_x, scale_y=render.pixel_aspect_y))
    return view, projection


def camera_matrices(
    scene: bpy.types.Scene, performer: Any, start: float, frames: int, fps: float
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """The camera in each frame of a performance.

    Lens, shift, sensor fit, shape of pixels and orthographic cameras are in the projection, as Blender itself computes it.

    :param performer: the armature object; its own transform is part of the view, because a performance is in its space.
    :param start: scene frame of the performance's first frame. :param fps: of the performance.
    :returns: (T, 4, 4) views from the performance's space (metres, +Y up) to the camera's, (T, 4, 4) OpenGL projections, and the
        picture's (width, height) in pixels.
    :raises UnderstudyError: ``request_invalid`` without a camera, or for a panoramic one.
    """
    check_camera(scene)
    size, rate = picture_size(scene), scene.render.fps / scene.render.fps_base
    before, part = scene.frame_current, scene.frame_subframe
    views, projections = [], []
    try:
        for n in range(frames):
            at = start + n * rate / fps
            scene.frame_set(int(np.floor(at)), subframe=float(at - np.floor(at)))
            view, projection = camera_at(scene, bpy.context.evaluated_depsgraph_get(), size, performer)
            views.append(view)
            projections.append(projection)
    finally:
        scene.frame_set(before, subframe=part)
    return np.array(views), np.array(projections), size


def write_camera(path: Path, views: np.ndarray, projections: np.ndarray, size: tuple[int, int], fps: float) -> None:
    """Write npz for ``understudy film --camera``. :raises UnderstudyError: ``file_invalid`` where it cannot be written."""
    temporary = path.with_name("part-" + path.name)
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, format=np.array(FORMAT), view=views, projection=projections, width=np.array(size[0]),
                                height=np.array(size[1]), fps=np.array(float(fps)))
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UnderstudyError("file_invalid", f"{path} cannot be written ({error.strerror}).", "Choose another place.") from error


class UNDERSTUDY_OT_export_camera(bpy.types.Operator, ExportHelper):
    """Write the scene's camera over the scene's frames, for a film of the active character's performance"""

    bl_idname = "understudy.export_camera"
    bl_label = "Export Film Camera"
    bl_options = {"REGISTER"}

    filename_ext = ".npz"
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """An armature must be active, and the scene must have a camera."""
        active = context.object
        if active is None or active.type != "ARMATURE":
            cls.poll_message_set("Select the character first.")
            return False
        if context.scene.camera is None:
            cls.poll_message_set("The scene has no camera.")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write the file; says what is wrong otherwise."""
        scene = context.scene
        rate = scene.render.fps / scene.render.fps_base
        try:
            found = camera_matrices(scene, context.object, scene.frame_start, scene.frame_end - scene.frame_start + 1, rate)
            write_camera(Path(self.properties.filepath), *found, rate)
        except UnderstudyError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"The camera of {len(found[0])} frames was written.")
        return {"FINISHED"}


CLASSES = (UNDERSTUDY_OT_export_camera,)
