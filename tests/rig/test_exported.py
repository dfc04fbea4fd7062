# SPDX-License-Identifier: Apache-2.0
"""Exports of rigs of other kinds, read back by Blender's importers: bones stand in the world where they stood, those of controls too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

import blender_addon
from blender_addon import exports, staging
from blender_addon.shared.motion import Motion

from .motions import DATA, walk

FRAMES = (31, 2, 17)
BONES = {
    "unreal": ("pelvis", "spine_03", "lowerarm_l", "hand_r", "index_03_l", "calf_l", "ball_r", "head"),
    "makehuman_default": ("root", "spine01", "lowerarm02.L", "wrist.R", "finger2-3.L", "lowerleg02.L", "foot.R", "head"),
    "rigify": ("DEF-spine", "DEF-spine.003", "DEF-forearm.L", "DEF-hand.R", "DEF-f_index.03.L", "DEF-shin.L", "DEF-toe.R", "DEF-spine.006"),
}


@pytest.fixture(autouse=True)
def _addon() -> Iterator[None]:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    blender_addon.register()
    yield
    blender_addon.unregister()


def _character(name: str) -> Any:
    if name != "rigify":
        path = DATA / "characters" / f"{name}.blend"
        if not path.is_file():
            pytest.skip(f"{path.name} is not beside the repository")
        bpy.ops.wm.open_mainfile(filepath=str(path))
        return next(o for o in bpy.data.objects if o.type == "ARMATURE")
    import addon_utils

    if addon_utils.enable("rigify", default_set=True) is None:
        pytest.skip("this Blender comes without Rigify")
    bpy.ops.object.armature_human_metarig_add()
    metarig = bpy.context.object
    bpy.ops.object.mode_set(mode="EDIT")
    bones = metarig.data.edit_bones
    for bone in [bones["face"], *bones["face"].children_recursive]:
        bones.remove(bone)
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.pose.rigify_generate()
    rig = next(o for o in bpy.data.objects if o.type == "ARMATURE" and o is not metarig)
    bpy.data.objects.remove(metarig)
    return rig


def _heads(rig: Any, frame: int, names: tuple[str, ...]) -> np.ndarray:
    """World places (N, 3) as evaluated."""
    bpy.context.scene.frame_set(frame)
    evaluated = rig.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return np.array([evaluated.matrix_world @ evaluated.pose.bones[name].head for name in names])


def _read(path: Path) -> Any:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.context.scene.render.fps = 30
    if path.suffix == ".glb":
        bpy.ops.import_scene.gltf(filepath=str(path))
    elif bpy.app.version >= (4, 5, 0):
        bpy.ops.wm.fbx_import(filepath=str(path))
    else:
        bpy.ops.import_scene.fbx(filepath=str(path))
    return next(o for o in bpy.data.objects if o.type == "ARMATURE")


@pytest.mark.parametrize("ending", [".fbx", ".glb", ".unreal.fbx"])
@pytest.mark.parametrize("name", list(BONES))
def test_a_rig_of_another_kind_moves_alike_when_it_is_read_back(name: str, ending: str, tmp_path: Path) -> None:
    character = _character(name)
    bpy.context.scene.render.fps = 30
    motion: Motion = walk(40)
    staging.apply_motion(character, motion, 1.0, {})
    wanted = {frame: _heads(character, frame, BONES[name]) for frame in FRAMES}
    assert np.linalg.norm(wanted[31] - wanted[2], axis=1).max() > 0.02
    deforming = {bone.name for bone in character.data.bones if bone.use_deform}
    path = tmp_path / f"hero{ending}"
    exports.write_rig(bpy.context, character, path, unreal=ending == ".unreal.fbx")
    rig = _read(path)
    if ending == ".unreal.fbx":
        # of the others the exporter keeps those that carry one which deforms
        assert deforming <= {bone.name for bone in rig.data.bones} and "hand_ik.L" not in rig.data.bones
        assert all(bone.name in deforming or any(below.name in deforming for below in bone.children_recursive) for bone in rig.data.bones)
        np.testing.assert_allclose(rig.matrix_world.to_scale(), 1.0, atol=1e-4)
    first = int(round(rig.animation_data.action.frame_range[0]))
    for frame, there in wanted.items():
        np.testing.assert_allclose(_heads(rig, frame - 1 + first, BONES[name]), there, atol=0.002, err_msg=f"{name} {frame}")
