# SPDX-License-Identifier: Apache-2.0
"""Depth, normals, mask and movement from a second Blender, of a scene whose answers are known."""

import subprocess
from pathlib import Path

import bpy
import numpy as np
import pytest

import blender_addon
from blender_addon.film.passes import Passes
from blender_addon.shared.errors import UnderstudyError

SIZE = (48, 32)


@pytest.fixture
def scene():  # type: ignore[no-untyped-def]
    """A wall 5 m before the camera, and before it, at 4 m, a card that the rig carries 0.1 m to the right in each frame."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    blender_addon.register()
    scene = bpy.context.scene
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.rotation_euler = (np.pi / 2, 0, 0)
    camera.data.lens, camera.data.sensor_width = 36.0, 36.0
    scene.collection.objects.link(camera)
    scene.camera = camera

    def card(name: str, half: float, distance: float) -> bpy.types.Object:
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata([(-half, 0, -half), (half, 0, -half), (half, 0, half), (-half, 0, half)], [], [(0, 1, 2, 3)])
        one = bpy.data.objects.new(name, mesh)
        one.location.y = distance
        scene.collection.objects.link(one)
        return one

    card("wall", 8.0, 5.0)
    rig = bpy.data.objects.new("Ava", bpy.data.armatures.new("Ava"))
    scene.collection.objects.link(rig)
    held = card("held", 0.5, 4.0)
    held.parent = rig
    for frame in (1, 5):
        rig.location.x = 0.1 * (frame - 1)
        rig.keyframe_insert("location", index=0, frame=frame)
    for curve in (c for layer in rig.animation_data.action.layers for s in layer.strips for b in s.channelbags for c in b.fcurves) \
            if hasattr(rig.animation_data.action, "layers") else rig.animation_data.action.fcurves:
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"
    yield scene, rig
    blender_addon.unregister()


def test_the_four_passes(scene, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    scene, rig = scene
    passes = Passes(bpy.context, rig, tmp_path / "passes", (2, 3), SIZE)
    while not passes.ended():
        try:
            passes._process.wait(1)
        except subprocess.TimeoutExpired:
            continue
    assert passes.done == 2 and sorted(p.name for p in (tmp_path / "passes").iterdir()) == ["passes_000001.npz", "passes_000002.npz"]
    with np.load(tmp_path / "passes" / "passes_000001.npz") as z:
        depth, normal, mask, flow = z["depth"], z["normal"], z["mask"], z["flow"]
        assert int(z["frame"]) == 2
    assert depth.shape == (32, 48) and normal.shape == (32, 48, 3) and flow.shape == (32, 48, 2)
    # 36 mm of lens on 36 mm of sensor: a metre at 4 m is 12 pixels; the card is 12 wide, from 0.1 m right of the middle
    middle = 24 + 0.1 * 12
    columns = np.flatnonzero(mask[16])
    assert columns.min() == pytest.approx(middle - 6, abs=1) and columns.max() == pytest.approx(middle + 5, abs=1)
    assert mask.sum() == pytest.approx(144, abs=26)
    assert depth[mask] == pytest.approx(4.0, abs=1e-3) and depth[~mask] == pytest.approx(5.0, abs=1e-3)
    assert np.abs(normal - (0, 0, 1)).max() < 1e-3, "both face the camera"
    assert flow[mask] == pytest.approx(np.tile((1.2, 0.0), (mask.sum(), 1)), abs=0.02)
    assert np.abs(flow[~mask]).max() < 1e-3


def test_without_a_camera(scene, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    scene, rig = scene
    scene.camera = None
    with pytest.raises(UnderstudyError, match="no camera"):
        Passes(bpy.context, rig, tmp_path / "passes", (2, 3), SIZE)
    with pytest.raises(RuntimeError, match="No character|no camera"):
        bpy.ops.understudy.film_passes()
    assert not (tmp_path / "passes").exists()
