# SPDX-License-Identifier: Apache-2.0
"""Projection, alignment and the composite: against values worked out by hand and against Blender's own camera."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bridge_server.pose_track import align, camera, composite, project
from bridge_server.pose_track.landmarks import landmarks
from bridge_server.pose_track.layout import BODY, INDEX, LEFT_HAND, NAMES, RIGHT_HAND, TREE
from bridge_server.pose_track.track import PoseTrack
from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.skeleton import JOINT_INDEX


def posed(frames: int = 2, **turns: tuple[float, float, float]) -> Motion:
    """The T-pose with joints turned by rotation vectors."""
    motion = Motion.rest(frames, 25.0)
    for joint, vector in turns.items():
        motion.rotations[:, JOINT_INDEX[joint]] = rot.axis_angle_to_quat(np.array(vector))
    return motion


ARMS_DOWN = {"left_shoulder": (0.0, 0.0, -1.35), "right_shoulder": (0.0, 0.0, 1.35)}


def test_every_point_has_a_bone_and_parents_come_first() -> None:
    done = {INDEX["neck"]}
    for parent, child in TREE:
        assert parent in done and child not in done
        done.add(child)
    assert done == set(range(len(NAMES)))


def test_perspective_by_hand() -> None:
    # 90 degrees across a square picture: 2 m away, 1 m to the right is half way to the rim
    view = camera.look_at(np.array([0.0, 0.0, 2.0]), np.zeros(3))
    lens = camera.lens_projection(200, 200, lens=18.0, sensor=(36.0, 24.0))
    pixels, depth = camera.Camera(200, 200, view, lens).project(np.array([[[1.0, 0.5, 0.0], [0.0, 0.0, 5.0]]]))
    assert pixels[0, 0] == pytest.approx([150.0, 75.0])
    assert depth[0] == pytest.approx([2.0, -3.0])
    assert np.isnan(pixels[0, 1]).all()


def test_shift_and_pixel_shape_by_hand() -> None:
    # shift .25 of the fitted side moves the picture by a quarter; pixels twice as tall halve what the height counts
    lens = camera.lens_projection(400, 100, ortho_scale=4.0, shift=(0.25, 0.0), pixel_aspect=(1.0, 2.0))
    cam = camera.Camera(400, 100, np.eye(4), lens)
    assert cam.orthographic
    pixels, _ = cam.project(np.array([[[0.0, 0.5, -1.0]]]))
    assert pixels[0, 0] == pytest.approx([100.0, 25.0])


BLENDER = Path(os.environ.get("UNDERSTUDY_BLENDER_PYTHON", Path(__file__).resolve().parents[2] / ".venv-blender/bin/python"))


@pytest.mark.skipif(not BLENDER.exists(), reason="no Blender environment")
def test_lens_agrees_with_blender(tmp_path: Path) -> None:
    """Within half a pixel of ``world_to_camera_view``, on an animated, shifted camera with non-square pixels."""
    cases = [{"fit": fit, "kind": kind, "size": size, "aspect": aspect, "shift": [0.12, -0.2]}
             for fit, kind, size, aspect in (("AUTO", "PERSP", [640, 360], [1, 1]), ("AUTO", "PERSP", [360, 640], [1, 1.5]),
                                             ("VERTICAL", "PERSP", [640, 360], [1.4, 1]), ("HORIZONTAL", "ORTHO", [300, 500], [1, 1.2]))]
    script = tmp_path / "ask.py"
    script.write_text(f"""
import bpy, json, sys
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector
points = {[[0.3, 0.2, 1.4], [-0.5, -0.3, 0.1], [0.0, 0.4, 1.0]]!r}
out = []
scene = bpy.context.scene
data = bpy.data.cameras.new("c"); ob = bpy.data.objects.new("c", data); scene.collection.objects.link(ob)
ob.location = (1.0, -4.0, 1.2); ob.rotation_euler = (1.4, 0.05, 0.2)
ob.keyframe_insert("location", frame=1); ob.keyframe_insert("rotation_euler", frame=1)
ob.location = (0.4, -3.0, 1.6); ob.rotation_euler = (1.3, 0.0, 0.1)
ob.keyframe_insert("location", frame=9); ob.keyframe_insert("rotation_euler", frame=9)
for case in json.loads({json.dumps(json.dumps(cases))}):
    data.type = case["kind"]; data.sensor_fit = case["fit"]; data.shift_x, data.shift_y = case["shift"]
    data.lens = 42; data.ortho_scale = 3.1
    r = scene.render; r.resolution_x, r.resolution_y = case["size"]; r.resolution_percentage = 100
    r.pixel_aspect_x, r.pixel_aspect_y = case["aspect"]
    for frame in (1, 4, 9):
        scene.frame_set(frame)
        seen = [list(world_to_camera_view(scene, ob, Vector(p)))[:2] for p in points]
        matrix = ob.calc_matrix_camera(bpy.context.evaluated_depsgraph_get(), x=r.resolution_x, y=r.resolution_y,
                                       scale_x=r.pixel_aspect_x, scale_y=r.pixel_aspect_y)
        out.append(dict(case, seen=seen, view=[list(v) for v in ob.matrix_world.inverted()], matrix=[list(v) for v in matrix],
                        sensor=[data.sensor_width, data.sensor_height], points=points))
print("ANSWER" + json.dumps(out))
""")
    done = subprocess.run([str(BLENDER), str(script)], capture_output=True, text=True, timeout=240)
    answer = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert answer, done.stdout[-2000:] + done.stderr[-2000:]
    for case in json.loads(answer[0][6:]):
        width, height = case["size"]
        expected = np.array([[x * width, (1 - y) * height] for x, y in case["seen"]])
        ours = camera.lens_projection(width, height, lens=42, sensor=tuple(case["sensor"]), fit=case["fit"],
                                      shift=tuple(case["shift"]), pixel_aspect=tuple(case["aspect"]),
                                      ortho_scale=3.1 if case["kind"] == "ORTHO" else None)
        for projection in (ours, np.array(case["matrix"])):
            pixels, _ = camera.Camera(width, height, np.array(case["view"]), projection).project(np.array([case["points"]]))
            assert np.abs(pixels[0] - expected).max() < 0.5


@pytest.mark.parametrize("framing", camera.FRAMINGS)
def test_framing_shows_what_it_says(framing: camera.Framing) -> None:
    motion = posed(3, **ARMS_DOWN)
    motion.rotations[:, 0] = rot.yaw_quat(2.0)
    track = project.track_of(motion, project.camera_for(motion, framing, 512, 512))
    inside = {name for name in NAMES if track.confidence[0, INDEX[name]] > 0}
    assert {"nose", "left_eye", "left_shoulder", "right_shoulder"} <= inside
    assert ("left_hip" in inside) == (framing != "head")
    assert ("left_wrist" in inside) == (framing != "head")
    assert ("left_ankle" in inside) == (framing == "whole")
    # upright, and seen from the front: the left side is to the right in the picture
    assert track.points[0, INDEX["left_shoulder"], 0] > track.points[0, INDEX["right_shoulder"], 0]
    assert track.points[0, INDEX["nose"], 1] < track.points[0, INDEX["neck"], 1]
    assert 0.03 * 512 < track.face_size < 0.7 * 512


def test_camera_follows_a_walk_but_not_a_sway() -> None:
    motion = posed(100, **ARMS_DOWN)
    motion.translation[:, 0] += np.sin(np.arange(100) / 25 * 2 * np.pi * 2) * 0.05
    track = project.track_of(motion, project.camera_for(motion, "half", 256, 256))
    sway = np.ptp(track.points[20:80, INDEX["neck"], 0])
    assert sway > 10
    motion.translation[:, 0] += np.linspace(0, 3, 100)
    track = project.track_of(motion, project.camera_for(motion, "half", 256, 256))
    assert np.ptp(track.points[30:70, INDEX["neck"], 0]) < 2.5 * sway


def test_what_the_body_hides_loses_its_confidence() -> None:
    behind = posed(1, left_shoulder=(0.0, 1.1, -1.1), left_elbow=(0.0, 1.6, 0.0))
    front = posed(1, left_shoulder=(0.0, -1.1, -1.1), left_elbow=(0.0, -1.6, 0.0))
    seen = {}
    for name, motion in (("behind", behind), ("front", front)):
        points, _ = landmarks(motion)
        assert (points[0, INDEX["left_wrist"], 2] < 0) == (name == "behind")
        seen[name] = project.track_of(motion, project.camera_for(motion, "half", 512, 512)).confidence[0]
    assert seen["behind"][INDEX["left_wrist"]] < 0.3 < 0.9 < seen["front"][INDEX["left_wrist"]]
    assert (seen["front"][list(range(18))][[0, 1, 2, 5, 14, 15]] > 0.9).all()
    side = posed(1)
    side_track = project.track_of(side, project.camera_for(side, "half", 512, 512, azimuth=np.pi / 2))
    near, far = side_track.confidence[0, [INDEX["left_ear"], INDEX["right_ear"]]]
    assert near > 0.9 and far < 0.3


def test_composite_keeps_the_body_and_a_mask_of_one_size() -> None:
    motion = posed(4, **ARMS_DOWN)
    motion.rotations[:, JOINT_INDEX["head"]] = rot.yaw_quat(np.linspace(-1, 1, 4))
    track = composite.composite(project.track_of(motion, project.camera_for(motion, "half", 256, 256)), head_size=40)
    assert (track.confidence[:, [0, 14, 15, 16, 17]] == 0).all() and (track.confidence[:, 1:8] > 0).all()
    for frame in range(4):
        mask = composite.head_mask(track, frame)
        assert (mask > 0).sum() == 1600
        rows, columns = np.nonzero(mask)
        assert np.abs([columns.mean() + 0.5, rows.mean() + 0.5] - track.face_centre[frame]).max() <= 0.5
    track.face_centre[:] = (5.0, 250.0)
    assert (composite.head_mask(track, 0) > 0).sum() == 25 * 26


def make(points: np.ndarray, size: int = 200) -> PoseTrack:
    return PoseTrack(25.0, size, size, points, np.ones(points.shape[:2]), np.zeros(points.shape[:2]), points[:, 0], 10.0)


def test_linear_fit_finds_scale_and_offset() -> None:
    points = np.random.default_rng(0).uniform(20, 180, (5, 66, 2))
    points[:] = points[:1]
    track = make(points)
    moved = align.fit_linear(track, points[0, :18] * 0.7 + (11, 5), np.ones(18))
    assert np.abs(moved.points - (points * 0.7 + (11, 5))).max() < 1e-6
    assert moved.face_size == pytest.approx(7.0)
    with pytest.raises(UnderstudyError) as caught:
        align.fit_linear(track, points[0, :18], np.zeros(18))
    assert caught.value.code == "request_invalid"


def test_reproportion_changes_lengths_and_keeps_directions() -> None:
    motion = posed(6, **ARMS_DOWN)
    motion.rotations[:, JOINT_INDEX["left_elbow"]] = rot.axis_angle_to_quat(np.linspace(0, 1.5, 6)[:, None] * [0, -1.0, 0])
    track = project.track_of(motion, project.camera_for(motion, "whole", 512, 512), occlusion=False)
    photo = track.points[0].copy() * 0.5 + 60
    longer = INDEX["left_wrist"], INDEX["right_wrist"]
    for wrist, elbow in zip(longer, (INDEX["left_elbow"], INDEX["right_elbow"]), strict=True):
        photo[wrist] = photo[elbow] + (photo[wrist] - photo[elbow]) * 2
    fitted = align.reproportion(track, photo[:18], np.ones(18))
    assert fitted.points[0, INDEX["neck"]] == pytest.approx(photo[INDEX["neck"]])
    # an elbow that bends towards the camera looks a little longer in perspective, which the percentile counts
    assert np.abs(fitted.points[0, BODY] - photo[BODY]).max() < 1
    for parent, child in TREE:
        a, b = (t.points[:, child] - t.points[:, parent] for t in (track, fitted))
        assert np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).max() < 1e-6
    for hand in (LEFT_HAND, RIGHT_HAND):
        assert np.isfinite(fitted.points[:, hand]).all()
    with pytest.raises(UnderstudyError):
        align.reproportion(track, photo[:18], np.zeros(18))


def test_track_file(tmp_path: Path) -> None:
    track = make(np.random.default_rng(0).uniform(0, 200, (3, 66, 2)))
    track.save(tmp_path / "track.npz")
    again = PoseTrack.load(tmp_path / "track.npz")
    assert np.abs(again.points - track.points).max() < 1e-4 and again.face_size == 10 and again.width == 200
    (tmp_path / "bad.npz").write_bytes(b"PK no")
    for name, code in (("bad.npz", "file_invalid"), ("none.npz", "file_missing")):
        with pytest.raises(UnderstudyError) as caught:
            PoseTrack.load(tmp_path / name)
        assert caught.value.code == code
