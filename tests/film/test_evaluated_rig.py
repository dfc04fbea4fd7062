# SPDX-License-Identifier: Apache-2.0
"""The pose track of the rig as the scene shows it: every point within half a pixel of ``world_to_camera_view``."""

from pathlib import Path

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view

import blender_addon
from blender_addon import cast, staging
from blender_addon.core.film_face import curves_of_shapes
from blender_addon.core.rigs.face_shapes import recognise
from blender_addon.core.rigs.mapping import Mapping
from blender_addon.film.performer import read_performer
from bridge_server.pose_track.camera import Camera
from bridge_server.pose_track.layout import INDEX
from bridge_server.pose_track.performer import Joints
from bridge_server.pose_track.project import track_of
from shared import rotations as rot
from shared.kinematics import forward
from shared.motion import Motion
from shared.skeleton import JOINT_INDEX, JOINT_NAMES

CHARACTERS = Path(__file__).resolve().parents[3] / "shared" / "data" / "characters"
FRAMES = 8
JOINT_POINTS = [f"{side}_{name}" for side in ("left", "right") for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle",
                                                                          "thumb2", "index1", "pinky3")]


@pytest.fixture(autouse=True)
def registered():  # type: ignore[no-untyped-def]
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    blender_addon.register()
    yield
    blender_addon.unregister()


def motion() -> Motion:
    out = Motion.rest(FRAMES, 24.0)
    time = np.arange(FRAMES) / FRAMES
    for name, axis, size in (("left_shoulder", (0, 0, -1.0), 1.2), ("right_shoulder", (0, 0, 1.0), 1.1), ("left_elbow", (0, -1.0, 0), 1.0),
                             ("head", (0, 1.0, 0), 0.5), ("spine2", (1.0, 0, 0), 0.3), ("right_hip", (-1.0, 0, 0), 0.6),
                             ("right_knee", (1.0, 0, 0), 0.8), ("pelvis", (0, 1.0, 0), 0.7), ("left_index1", (0, 0, -1.0), 0.6)):
        out.rotations[:, JOINT_INDEX[name]] = rot.axis_angle_to_quat(np.outer(time * size, axis))
    out.translation[:, 0] = 0.3 * time
    out.face = {"jawOpen": (0.8 * time).astype(np.float32), "mouthSmileLeft": np.full(FRAMES, 0.25, np.float32)}
    return out


def character(kind: str) -> bpy.types.Object:
    scene = bpy.context.scene
    if kind == "own":
        bpy.ops.understudy.add_character()
        return scene.understudy.character
    path = CHARACTERS / f"{kind}.blend"
    if not path.is_file():
        pytest.skip("the test characters are not there")
    with bpy.data.libraries.load(str(path)) as (there, here):
        here.objects = there.objects
    for one in here.objects:
        scene.collection.objects.link(one)
    return next(o for o in here.objects if o.type == "ARMATURE")


def camera(kind: str) -> None:
    scene = bpy.context.scene
    data = bpy.data.cameras.new("camera")
    data.type, data.lens, data.ortho_scale, data.shift_x, data.shift_y = kind, 40, 4.0, 0.05, -0.1
    one = bpy.data.objects.new("camera", data)
    scene.collection.objects.link(one)
    scene.camera = one
    for frame, place, turn in ((1, (0.6, -5.0, 1.2), (1.5, 0.03, 0.1)), (FRAMES, (-0.8, -4.5, 1.6), (1.4, -0.05, -0.15))):
        one.location, one.rotation_euler = place, turn
        one.keyframe_insert("location", frame=frame)
        one.keyframe_insert("rotation_euler", frame=frame)
        data.lens = 40 + frame
        data.keyframe_insert("lens", frame=frame)
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage, render.pixel_aspect_x = 1280, 720, 100, 1.25
    render.fps = 24


@pytest.mark.parametrize("kind", ["own", "mixamo_arkit", "makehuman_default", "unreal"])
def test_points_are_where_blender_sees_the_bones(kind: str) -> None:
    scene, rig = bpy.context.scene, character(kind)
    camera("PERSP")
    rig.location, rig.rotation_euler = (0.2, 0.1, 0.05), (0.0, 0.0, 0.3)
    if kind == "own":
        rig.scale = (1.3, 1.3, 1.3)
    bpy.context.view_layer.update()
    staging.apply_motion(rig, motion(), 1.0, {"fps": 24.0})
    # what the artist changes afterwards is seen too: a constraint on the left forearm
    mapping = cast.mapping_of(rig)
    turned = rig.pose.bones[mapping.first("left_elbow")].constraints.new("LIMIT_ROTATION")
    turned.use_limit_x, turned.min_x, turned.max_x, turned.owner_space = True, 0.4, 0.4, "LOCAL"
    assert _worst(scene, rig, mapping) < 0.5
    scene.camera.data.type = "ORTHO"
    assert _worst(scene, rig, mapping) < 0.5


def _worst(scene: bpy.types.Scene, rig: bpy.types.Object, mapping: Mapping) -> float:
    """Largest distance in pixels along one axis, over all joints of all frames."""
    scene.frame_set(2)
    frames = [1.0 + n for n in range(FRAMES)]
    seen = read_performer(scene, rig, frames, camera=True)
    assert scene.frame_current == 2
    joints = Joints(24.0, seen.joints.positions, seen.joints.turns, known=seen.joints.known, offsets=seen.joints.offsets)
    track = track_of(joints, Camera(*seen.size, seen.views, seen.projections), occlusion=False)
    worst, count = 0.0, 0
    for n in range(FRAMES):
        scene.frame_set(n + 1)
        posed = rig.evaluated_get(bpy.context.evaluated_depsgraph_get())
        for name in JOINT_POINTS:
            bone = mapping.first(name)
            if bone is None:
                assert (track.confidence[:, INDEX[name]] == 0).all()
                continue
            place = world_to_camera_view(scene, scene.camera, posed.matrix_world @ posed.pose.bones[bone].head)
            ours = track.points[n, INDEX[name]]
            worst = max(worst, abs(place.x * 1280 - ours[0]), abs((1 - place.y) * 720 - ours[1]))
            count += 1
    assert count >= 12 * FRAMES
    return worst


@pytest.mark.parametrize("kind", ["own", "mixamo_arkit", "makehuman_default"])
def test_turns_and_face_are_those_that_were_performed(kind: str) -> None:
    scene, rig = bpy.context.scene, character(kind)
    scene.render.fps = 24
    performed = motion()
    staging.apply_motion(rig, performed, 1.0, {"fps": 24.0})
    seen = read_performer(scene, rig, [1.0 + n for n in range(FRAMES)], camera=False)
    _, world = forward(performed.rotations.astype(np.float64), performed.translation.astype(np.float64))
    for name in ("pelvis", "head", "left_shoulder", "right_elbow", "left_wrist", "right_hip", "left_index1"):
        j = JOINT_INDEX[name]
        if seen.joints.known[j] and name in JOINT_NAMES:
            apart = rot.angle_between(world[:, j], seen.joints.turns[:, j])
            # feet are planted and hands kept apart on the way to the rig
            assert float(np.degrees(apart).max()) < 12.0, name
    # the nose goes where the head looks: to the left, +X, in the scene's axes
    points = track_of(Joints(24.0, seen.joints.positions, seen.joints.turns, offsets=seen.joints.offsets),
                      Camera(512, 512, np.array([[1.0, 0, 0, 0], [0, 1, 0, -1.5], [0, 0, 1, -4], [0, 0, 0, 1]]),
                             np.array([[2.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, -1, -0.2], [0, 0, -1, 0]])))
    nose = points.points[:, INDEX["nose"]] - points.points[:, INDEX["neck"]]
    assert nose[-1, 0] - nose[0, 0] > 3
    if "jawOpen" in seen.face:
        assert seen.face["jawOpen"] == pytest.approx(performed.face["jawOpen"], abs=0.12)


def test_shapes_back_to_curves() -> None:
    names = ["jawOpen", "mouthSmileLeft", "mouthSmileRight", "eyeBlinkLeft", "browInnerUp"]
    face = recognise(names)
    wanted = {name: np.linspace(0, 0.2 * n, 5, dtype=np.float32) for n, name in enumerate(names)}
    back = curves_of_shapes(face, face.values(wanted))
    for name in names:
        assert back[name] == pytest.approx(wanted[name], abs=1e-4)
    visemes = recognise([f"viseme_{v}" for v in ("sil", "PP", "FF", "aa", "E", "ou", "oh", "SS")])
    assert visemes.visemes
    shown = visemes.values({"jawOpen": np.array([0.0, 0.7], np.float32)})
    assert curves_of_shapes(visemes, shown)["jawOpen"][1] > 0.2
