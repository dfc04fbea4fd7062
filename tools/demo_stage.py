# SPDX-License-Identifier: Apache-2.0
"""Floor, light, camera and preview render for the demo; imported inside Blender."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from blender_addon import cast

__all__ = ["build_stage", "render_preview"]

TILE = 0.5
"""Side of a floor tile, metres: a step is seen against it, and so is a foot that slides."""
MARGIN = 14.0
"""Floor around the performance, metres."""
AZIMUTH, ELEVATION = math.radians(24), math.radians(9)
LENS = 50.0
EVERY = 5
"""Frames between two looks at the character."""
SMOOTH_SECONDS = 0.8
CYCLES_SIZE = 0.5


def _watch(scene: Any, armature: Any) -> tuple[np.ndarray, np.ndarray]:
    """Frames (F,) and the world positions (F, B, 3) of the character's bones at them."""
    frames = np.unique(np.append(np.arange(scene.frame_start, scene.frame_end + 1, EVERY), scene.frame_end))
    points = []
    for frame in frames:
        scene.frame_set(int(frame))
        evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        world = evaluated.matrix_world
        points.append([world @ p for b in evaluated.pose.bones for p in (b.head, b.tail)])
    return frames, np.array(points, dtype=float)


def _facing(armature: Any, mapping: Any, frame: int) -> float:
    """Heading of the character at a frame as an angle about Z, from the line between its hips."""
    bpy.context.scene.frame_set(frame)
    evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    left, right = (evaluated.pose.bones.get(mapping.first(f"{side}_hip") or "") for side in ("left", "right"))
    if left is None or right is None:
        return -math.pi / 2
    across = evaluated.matrix_world.to_3x3() @ (left.head - right.head)
    forward = across.cross(Vector((0.0, 0.0, 1.0)))
    return math.atan2(forward.y, forward.x) if forward.length > 1e-3 else -math.pi / 2


def _smooth(path: np.ndarray, width: float) -> np.ndarray:
    """Gaussian along the first axis, ends held."""
    radius = max(1, int(3 * width))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(width, 1e-6)) ** 2)
    padded = np.concatenate((np.repeat(path[:1], radius, 0), path, np.repeat(path[-1:], radius, 0)))
    return np.stack([np.convolve(padded[:, k], kernel / kernel.sum(), "valid") for k in range(path.shape[1])], 1)


def _material(name: str, colour: tuple[float, float, float]) -> Any:
    material = bpy.data.materials.new(name)
    material.diffuse_color = (*colour, 1.0)
    material.use_nodes = True
    shader = next((n for n in material.node_tree.nodes if n.type == "BSDF_PRINCIPLED"), None)
    if shader is not None:
        shader.inputs["Base Color"].default_value = (*colour, 1.0)
        shader.inputs["Roughness"].default_value = 0.8
    return material


def _floor(scene: Any, low: np.ndarray, high: np.ndarray, height: float, collection: Any) -> None:
    """A chequered floor under the whole performance."""
    first = np.floor((low - MARGIN) / TILE).astype(int)
    count = np.ceil((high + MARGIN) / TILE).astype(int) - first
    xs, ys = (first[0] + np.arange(count[0] + 1)) * TILE, (first[1] + np.arange(count[1] + 1)) * TILE
    corners = [(x, y, height) for y in ys for x in xs]
    row = len(xs)
    faces = [(j * row + i, j * row + i + 1, (j + 1) * row + i + 1, (j + 1) * row + i)
             for j in range(count[1]) for i in range(count[0])]
    mesh = bpy.data.meshes.new("Floor")
    mesh.from_pydata(corners, [], faces)
    mesh.materials.append(_material("Floor light", (0.50, 0.52, 0.55)))
    mesh.materials.append(_material("Floor dark", (0.40, 0.42, 0.45)))
    mesh.polygons.foreach_set("material_index", [(i + first[0] + j + first[1]) % 2
                                                 for j in range(count[1]) for i in range(count[0])])
    collection.objects.link(bpy.data.objects.new("Floor", mesh))


def _shadows(armature: Any, mapping: Any, height: float, size: float, collection: Any) -> None:
    """Dark discs on the floor under hips and feet: they show where a foot stands, and how far a jump lifts it.

    Workbench's own shadows cost more than all the rest of a frame where there is no GPU.
    """
    dark, darker = _material("Shadow", (0.33, 0.35, 0.38)), _material("Contact", (0.24, 0.25, 0.28))
    places = [("pelvis", 0.26, dark), *((f"{s}_{j}", r, darker) for s in ("left", "right") for j, r in (("ankle", 0.065), ("foot", 0.08)))]
    for n, (slot, radius, material) in enumerate(places):
        bone = mapping.first(slot)
        if bone is None:
            continue
        mesh = bpy.data.meshes.new(f"Shadow {slot}")
        turns = np.linspace(0, 2 * math.pi, 48, endpoint=False)
        mesh.from_pydata([(size * radius * math.cos(a), size * radius * math.sin(a), 0.0) for a in turns], [], [range(48)])
        mesh.materials.append(material)
        disc = bpy.data.objects.new(mesh.name, mesh)
        # one above the other by a hair, so that they do not flicker
        disc.location.z = height + 0.002 + 0.001 * min(n, 1)
        follow = disc.constraints.new("COPY_LOCATION")
        follow.target, follow.subtarget, follow.use_z = armature, bone, False
        collection.objects.link(disc)


def _light(collection: Any, name: str, direction: tuple[float, float, float], energy: float) -> None:
    light = bpy.data.lights.new(name, "SUN")
    light.energy = energy
    light.angle = 0.3
    ob = bpy.data.objects.new(name, light)
    ob.rotation_euler = Vector(direction).to_track_quat("-Z", "Y").to_euler()
    collection.objects.link(ob)


def build_stage(scene: Any, armature: Any) -> None:
    """Add a floor, lights, and a camera that keeps the whole character in the picture, in a collection of their own."""
    frames, points = _watch(scene, armature)
    collection = bpy.data.collections.new("Stage")
    scene.collection.children.link(collection)
    low, high = points.reshape(-1, 3).min(0), points.reshape(-1, 3).max(0)
    standing = np.median(points[:, :, 2].max(1) - points[:, :, 2].min(1))
    ground = 0.0 if abs(low[2]) < 0.3 * standing else float(np.percentile(points[:, :, 2].min(1), 20))
    mapping = cast.mapping_of(armature)
    _floor(scene, low[:2], high[:2], ground, collection)
    _shadows(armature, mapping, ground, float(standing) / 1.7, collection)
    _light(collection, "Key", (-0.4, 0.7, -0.9), 2.6)
    _light(collection, "Fill", (0.8, 0.5, -0.4), 0.9)

    data = bpy.data.cameras.new("Camera")
    data.lens = LENS
    camera = bpy.data.objects.new("Camera", data)
    collection.objects.link(camera)
    scene.camera = camera
    camera.rotation_mode = "QUATERNION"

    centre = points[:, :, :2].mean(1)
    centre = _smooth(centre, SMOOTH_SECONDS * scene.render.fps / EVERY)
    # how far any bone gets from the middle of the picture, seen from the camera's side
    away = np.abs(points[:, :, :2] - centre[:, None]).max(axis=(1, 2))
    top = max(float(np.percentile(points[:, :, 2], 99.9)), ground + standing) - ground
    tall, wide = top * 1.22, 2 * float(np.percentile(away, 97)) * 1.15
    sensor = data.sensor_width
    aspect = 16 / 9
    distance = LENS / sensor * max(wide, tall * aspect)
    angle = _facing(armature, mapping, int(frames[0])) + AZIMUTH
    offset = distance * np.array((math.cos(angle) * math.cos(ELEVATION), math.sin(angle) * math.cos(ELEVATION),
                                  math.sin(ELEVATION)))
    previous = None
    for frame, (x, y) in zip(frames, centre, strict=True):
        target = np.array((x, y, ground + top * 0.48))
        place = Vector(target + offset)
        turn = (Vector(target) - place).to_track_quat("-Z", "Y")
        if previous is not None:
            turn.make_compatible(previous)
        previous = turn
        camera.matrix_world = Matrix.LocRotScale(place, turn, None)
        camera.keyframe_insert("location", frame=int(frame))
        camera.keyframe_insert("rotation_quaternion", frame=int(frame))
    scene.world = scene.world or bpy.data.worlds.new("World")
    scene.world.color = (0.32, 0.35, 0.40)


def _prepare(scene: Any, engine: str, size: tuple[int, int]) -> None:
    scene.render.engine = engine
    scale = CYCLES_SIZE if engine == "CYCLES" else 1.0
    scene.render.resolution_x, scene.render.resolution_y = (max(16, int(n * scale) // 2 * 2) for n in size)
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"
    if engine == "CYCLES":
        scene.cycles.samples = 4
        scene.cycles.use_denoising = False
        return
    display = scene.display
    # without a GPU, smoothing costs more time than rendering half as many pixels again
    display.render_aa = "OFF"
    shading = display.shading
    shading.light, shading.color_type = "STUDIO", "MATERIAL"
    shading.show_shadows = False
    shading.show_cavity = False
    shading.show_object_outline = False


def render_preview(scene: Any, path: Path, engine: str, size: tuple[int, int], progress: Callable[[float], None]) -> None:
    """Render the scene's frames as H.264 with the sequencer's sound as AAC.

    :param engine: ``BLENDER_WORKBENCH`` or ``CYCLES``.
    :param progress: called with the finished fraction after each frame.
    """
    _prepare(scene, engine, size)
    render = scene.render
    if hasattr(render.image_settings, "media_type"):
        render.image_settings.media_type = "VIDEO"
    render.image_settings.file_format = "FFMPEG"
    render.image_settings.color_mode = "RGB"
    render.ffmpeg.format, render.ffmpeg.codec = "MPEG4", "H264"
    render.ffmpeg.constant_rate_factor, render.ffmpeg.ffmpeg_preset = "HIGH", "GOOD"
    render.ffmpeg.audio_codec, render.ffmpeg.audio_bitrate, render.ffmpeg.audio_mixrate = "AAC", 160, 48_000
    render.use_sequencer, render.use_file_extension, render.use_overwrite = True, False, True
    render.filepath = str(path)
    total = scene.frame_end - scene.frame_start + 1
    done = 0

    def frame_written(*_: Any) -> None:
        nonlocal done
        done += 1
        progress(done / total)

    bpy.app.handlers.render_write.append(frame_written)
    try:
        bpy.ops.render.render(animation=True)
    finally:
        bpy.app.handlers.render_write.remove(frame_written)
