# SPDX-License-Identifier: Apache-2.0
"""Motion files in and out: what is written is read back, by Blender's own importers where they are the ones that count."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from shared.skeleton import JOINT_NAMES

from .conftest import open_character
from .shot import direct, perform

FRAMES = (1, 30, 60)
NAMES = ("mixamorig:Hips", "mixamorig:LeftForeArm", "mixamorig:RightHand", "mixamorig:Head")


def heads(rig: Any, frame: int, names: tuple[str, ...] = NAMES) -> np.ndarray:
    """World positions (N, 3) relative to the first bone's."""
    bpy.context.scene.frame_set(frame)
    found = np.array([rig.matrix_world @ rig.pose.bones[n].head for n in names])
    return found - found[0]


def empty() -> None:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.context.scene.render.fps = 30


def import_fbx(path: Path) -> None:
    if bpy.app.version >= (4, 5, 0):
        bpy.ops.wm.fbx_import(filepath=str(path))
    else:
        bpy.ops.import_scene.fbx(filepath=str(path))


def imported_rig() -> Any:
    return next(o for o in bpy.data.objects if o.type == "ARMATURE")


@pytest.mark.parametrize("suffix", [".fbx", ".glb"])
def test_the_exported_character_moves_alike(addon: Any, bridge: Any, tmp_path: Path, suffix: str) -> None:
    character = open_character("mixamo_arkit")
    direct(character)
    perform()
    expected = {frame: heads(character, frame) for frame in FRAMES}
    own = next(o for o in bpy.data.objects if o.type == "MESH" and o.data.shape_keys)
    assert any(m.type != "ARMATURE" and m.show_viewport for m in own.modifiers)
    jaw = []
    for frame in range(1, 61):
        bpy.context.scene.frame_set(frame)
        jaw.append(own.data.shape_keys.key_blocks["jawOpen"].value)
    selected = [o.name for o in bpy.context.view_layer.objects if o.select_get()]
    path = tmp_path / f"character{suffix}"
    assert bpy.ops.understudy.export_character(filepath=str(path)) == {"FINISHED"}
    assert selected == [o.name for o in bpy.context.view_layer.objects if o.select_get()]
    assert any(m.type != "ARMATURE" and m.show_viewport for m in own.modifiers)
    assert os.listdir(tmp_path / "state") and [p.name for p in tmp_path.glob("character*")] == [path.name]
    empty()
    if suffix == ".glb":
        bpy.ops.import_scene.gltf(filepath=str(path))
    else:
        import_fbx(path)
    rig = imported_rig()
    # importers shift the first key to frame 0 or 1
    first = rig.animation_data.action.frame_range[0]
    for frame, wanted in expected.items():
        np.testing.assert_allclose(heads(rig, int(round(frame - 1 + first))), wanted, atol=0.01)
    # the mesh has a modifier besides the armature, which must not cost it the face
    mesh = next(o for o in bpy.data.objects if o.type == "MESH" and o.data.shape_keys)
    keys = mesh.data.shape_keys
    values = []
    for frame in range(1, 61):
        bpy.context.scene.frame_set(int(round(frame - 1 + first)))
        values.append(keys.key_blocks["jawOpen"].value)
    np.testing.assert_allclose(values, jaw, atol=0.01)
    assert np.ptp(jaw) > 0.05


def test_for_unreal_there_are_deform_bones_alone_and_no_scale(addon: Any, bridge: Any, tmp_path: Path) -> None:
    character = open_character("mixamo_arkit")
    bpy.context.view_layer.objects.active = character
    bpy.ops.object.mode_set(mode="EDIT")
    control = character.data.edit_bones.new("CTRL")
    control.head, control.tail, control.use_deform = (0, 0, 0), (0, 0, 0.2), False
    bpy.ops.object.mode_set(mode="OBJECT")
    direct(character)
    perform()
    expected = {frame: heads(character, frame) for frame in FRAMES}
    deforming = {b.name for b in character.data.bones if b.use_deform}
    path = tmp_path / "unreal.fbx"
    assert bpy.ops.understudy.export_character(filepath=str(path), unreal=True) == {"FINISHED"}
    empty()
    import_fbx(path)
    rig = imported_rig()
    assert {b.name for b in rig.data.bones} == deforming and "CTRL" not in deforming
    np.testing.assert_allclose(rig.matrix_world.to_scale(), 1.0, atol=1e-4)
    first = rig.animation_data.action.frame_range[0]
    for frame, wanted in expected.items():
        np.testing.assert_allclose(heads(rig, int(round(frame - 1 + first))), wanted, atol=0.01)
    # the heading states metres, so that nothing needs a scale of 100
    assert _unit_scale(path) == 100.0


def test_names_say_which_variant_is_written(addon: Any, bridge: Any, tmp_path: Path) -> None:
    """In scripts and batches there is no box to tick."""
    from blender_addon.commands import main

    direct(open_character("mixamo_arkit"))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    names = ("plain.fbx", "hero.unreal.fbx", "own.npz", "Hero.AMASS.npz")
    (tmp_path / "shots.csv").write_text("file,output,exports\nshot.blend,out.blend," + ";".join(f"x/{n}" for n in names) + "\n")
    assert main(["batch", str(tmp_path / "shots.csv")]) == 0
    folder = tmp_path / "x"
    assert _unit_scale(folder / "hero.unreal.fbx") == 100.0 and _unit_scale(folder / "plain.fbx") == 1.0
    with np.load(folder / "Hero.AMASS.npz") as amass, np.load(folder / "own.npz") as own:
        assert "poses" in amass and "poses" not in own and "rotations" in own
    assert main(["generate", "--output", str(tmp_path / "y.blend"), "--export", str(folder / "y.amass.npz"),
                 "--export", str(folder / "y.unreal.fbx")]) == 0
    with np.load(folder / "y.amass.npz") as amass:
        assert "poses" in amass
    assert _unit_scale(folder / "y.unreal.fbx") == 100.0
    bpy.ops.understudy.export_motion(filepath=str(folder / "z.amass.npz"))
    bpy.ops.understudy.export_character(filepath=str(folder / "z.unreal.fbx"))
    with np.load(folder / "z.amass.npz") as amass:
        assert "poses" in amass
    assert _unit_scale(folder / "z.unreal.fbx") == 100.0
    assert main(["generate", "--export", str(folder / "x.amass.fbx2")]) == 1


def _unit_scale(path: Path) -> float:
    """UnitScaleFactor of a binary FBX: the double behind the property's four strings."""
    content = path.read_bytes()
    at = content.index(b"UnitScaleFactor")
    at = content.index(b"D", content.index(b"Number", at) + 6)
    return float(np.frombuffer(content[at + 1: at + 9], "<f8")[0])


def test_a_hidden_character_is_not_exported_in_silence(addon: Any, bridge: Any, tmp_path: Path) -> None:
    character = open_character("mixamo_arkit")
    direct(character)
    perform()
    character.hide_set(True)
    with pytest.raises(RuntimeError, match="is hidden"):
        bpy.ops.understudy.export_character(filepath=str(tmp_path / "x.fbx"))
    character.hide_set(False)
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeError, match="There is no folder"):
        bpy.ops.understudy.export_character(filepath=str(tmp_path / "file" / "x.fbx"))
    with pytest.raises(RuntimeError, match="cannot be written as .mov"):
        bpy.ops.understudy.export_character(filepath=str(tmp_path / "x.mov"))
    assert not list(tmp_path.glob("x*"))


def test_the_exported_bvh_stands_in_blender_as_the_motion_says(addon: Any, bridge: Any, tmp_path: Path) -> None:
    from blender_addon import takes

    bpy.ops.understudy.add_character()
    bpy.context.scene.render.fps = 30
    character = bpy.context.scene.understudy.character
    direct(character)
    perform()
    motion = takes.motion_of(takes.current(character).action)
    path = tmp_path / "m.bvh"
    assert bpy.ops.understudy.export_motion(filepath=str(path)) == {"FINISHED"}
    empty()
    # the file is in centimetres, as BVH is read elsewhere
    bpy.ops.import_anim.bvh(filepath=str(path), global_scale=0.01, axis_forward="-Z", axis_up="Y", use_fps_scale=False, frame_start=1)
    rig = imported_rig()
    names = tuple(n for n in ("pelvis", "left_elbow", "right_wrist", "head", "left_foot") if n in rig.pose.bones)
    assert len(names) == 5, [b.name for b in rig.pose.bones]
    positions = motion.positions()
    for frame in FRAMES:
        there = positions[frame - 1][[JOINT_NAMES.index(n) for n in names]]
        there = np.stack((there[:, 0], -there[:, 2], there[:, 1]), 1)
        np.testing.assert_allclose(heads(rig, frame, names), there - there[0], atol=2e-3)


@pytest.mark.parametrize("fps", [24, 30, 59.94])
def test_amass_out_and_in_at_another_rate(addon: Any, bridge: Any, tmp_path: Path, fps: float) -> None:
    """What comes back is the motion at the scene's instants, to the accuracy of its interpolation."""
    from blender_addon import takes

    bpy.ops.understudy.add_character()
    scene = bpy.context.scene
    scene.render.fps = 30
    character = scene.understudy.character
    direct(character)
    perform()
    motion = takes.motion_of(takes.current(character).action)
    path = tmp_path / "m.npz"
    assert bpy.ops.understudy.export_motion(filepath=str(path), amass=True) == {"FINISHED"}
    scene.render.fps, scene.render.fps_base = (60, 60 / fps) if fps == 59.94 else (int(fps), 1.0)
    assert bpy.ops.understudy.import_motion(filepath=str(path)) == {"FINISHED"}
    back = takes.motion_of(takes.current(character).action)
    assert abs(back.fps - fps) < 1e-3 and abs(back.duration - motion.duration) <= 1 / fps + 1 / 30
    wanted = motion.resample(back.fps)
    count = min(len(back), len(wanted))
    body = slice(0, 22)
    # of unit quaternions of either sign
    cosine = np.abs((back.rotations[:count, body] * wanted.rotations[:count, body]).sum(-1))
    assert np.degrees(2 * np.arccos(np.clip(cosine, 0, 1))).max() < 0.2
    np.testing.assert_allclose(back.translation[:count], wanted.translation[:count], atol=2e-3)


def test_what_an_import_can_be_told(addon: Any, tmp_path: Path) -> None:
    """A rate that the file states wrongly, and an axis that it does not state."""
    bpy.ops.understudy.add_character()
    bpy.context.scene.render.fps = 30
    poses = np.zeros((121, 156))
    poses[:, 3] = np.linspace(0, 1, 121)
    np.savez(tmp_path / "a.npz", trans=np.tile([0.0, 0.95, 0.0], (121, 1)), gender="neutral", betas=np.zeros(16), poses=poses,
             mocap_framerate=120.0, dmpls=np.zeros((121, 8)))
    character = bpy.context.scene.understudy.character
    assert bpy.ops.understudy.import_motion(filepath=str(tmp_path / "a.npz"), source_fps=60.0, up="Y") == {"FINISHED"}
    assert character.animation_data.action.frame_range[1] == 61
    bpy.context.scene.frame_set(61)
    upright = character.pose.bones["head"].head.z - character.pose.bones["pelvis"].head.z if "head" in character.pose.bones else 1.0
    assert upright > 0.3
    assert bpy.ops.understudy.import_motion(filepath=str(tmp_path / "a.npz"), up="Y") == {"FINISHED"}
    assert character.animation_data.action.frame_range[1] == 31
