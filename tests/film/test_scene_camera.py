# SPDX-License-Identifier: Apache-2.0
"""Pose tracks through Blender's own camera: every point within half a pixel of ``world_to_camera_view``."""

from pathlib import Path

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

from blender_addon.core.retarget.axes import vector_to_z_up
from blender_addon.film.scene_camera import camera_matrices, write_camera
from blender_addon.shared.errors import UnderstudyError
from bridge_server.pose_track.camera_file import read_camera
from bridge_server.pose_track.landmarks import landmarks
from shared import rotations as rot
from shared.motion import Motion
from shared.skeleton import JOINT_INDEX

FRAMES = 6


def scene_with(kind: str, size: tuple[int, int], aspect: tuple[float, float], fit: str) -> tuple[bpy.types.Scene, bpy.types.Object]:
    """An animated camera with a shifted lens, and a performer who is moved, turned and scaled."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    data = bpy.data.cameras.new("camera")
    data.type, data.sensor_fit, data.lens, data.ortho_scale, data.shift_x, data.shift_y = kind, fit, 35, 4.2, 0.1, -0.15
    camera = bpy.data.objects.new("camera", data)
    performer = bpy.data.objects.new("performer", bpy.data.armatures.new("performer"))
    for one in (camera, performer):
        scene.collection.objects.link(one)
    scene.camera = camera
    for frame, place, turn in ((1, (1.0, -5.0, 1.3), (1.45, 0.05, 0.2)), (20, (-1.0, -4.0, 1.8), (1.3, -0.1, -0.2))):
        camera.location, camera.rotation_euler = place, turn
        camera.keyframe_insert("location", frame=frame)
        camera.keyframe_insert("rotation_euler", frame=frame)
    camera.scale = (2.0, 2.0, 2.0)
    performer.location, performer.rotation_euler, performer.scale = (0.3, 0.2, 0.1), (0, 0, 0.4), (1.1, 1.1, 1.1)
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = *size, 50
    render.pixel_aspect_x, render.pixel_aspect_y, render.fps = *aspect, 24
    scene.frame_set(3)
    return scene, performer


@pytest.mark.parametrize(("kind", "size", "aspect", "fit"), [
    ("PERSP", (1280, 720), (1.0, 1.0), "AUTO"), ("PERSP", (600, 1000), (1.0, 1.4), "AUTO"),
    ("PERSP", (1280, 720), (1.5, 1.0), "VERTICAL"), ("ORTHO", (900, 1000), (1.0, 1.2), "HORIZONTAL"),
])
def test_points_are_where_blender_sees_them(kind: str, size: tuple[int, int], aspect: tuple[float, float], fit: str,
                                            tmp_path: Path) -> None:
    scene, performer = scene_with(kind, size, aspect, fit)
    motion = Motion.rest(FRAMES, 30.0)
    motion.rotations[:, JOINT_INDEX["left_shoulder"]] = rot.axis_angle_to_quat(np.linspace(0, 1.2, FRAMES)[:, None] * [0.0, 0, 1])
    views, projections, pixels = camera_matrices(scene, performer, 2.0, FRAMES, motion.fps)
    assert pixels == (size[0] // 2, size[1] // 2) and scene.frame_current == 3
    write_camera(tmp_path / "camera.npz", views, projections, pixels, motion.fps)
    camera = read_camera(tmp_path / "camera.npz", FRAMES, motion.fps)
    points, _ = landmarks(motion)
    ours, _ = camera.project(points)
    worst = 0.0
    for n in range(FRAMES):
        at = 2.0 + n * 24 / 30
        scene.frame_set(int(at), subframe=at - int(at))
        for k, point in enumerate(vector_to_z_up(points[n])):
            seen = world_to_camera_view(scene, scene.camera, performer.matrix_world @ Vector(point))
            worst = max(worst, abs(seen.x * pixels[0] - ours[n, k, 0]), abs((1 - seen.y) * pixels[1] - ours[n, k, 1]))
    assert worst < 0.5


def test_what_cannot_be_filmed() -> None:
    scene, performer = scene_with("PERSP", (640, 360), (1, 1), "AUTO")
    scene.camera.data.type = "PANO"
    with pytest.raises(UnderstudyError, match="panoramic"):
        camera_matrices(scene, performer, 1.0, 2, 24.0)
    scene.camera = None
    with pytest.raises(UnderstudyError, match="no camera"):
        camera_matrices(scene, performer, 1.0, 2, 24.0)
