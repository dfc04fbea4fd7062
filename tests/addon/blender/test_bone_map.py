# SPDX-License-Identifier: Apache-2.0
"""The bone map by hand, its presets, and motion files of others as takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from .conftest import open_character
from .shot import curves_of, direct, perform, snapshot


@pytest.fixture
def character(addon: Any, bridge: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from blender_addon import bone_map

    (tmp_path / "rigs").mkdir()
    monkeypatch.setattr(bone_map, "folder", lambda: tmp_path / "rigs")
    return open_character("mixamo_arkit")


def slots(character: Any) -> Any:
    from blender_addon import cast

    return cast.mapping_of(character)


def test_a_bone_is_chosen_for_both_sides_and_kept(character: Any, tmp_path: Path) -> None:
    assert slots(character).bones("left_wrist") == ("mixamorig:LeftHand",)
    assert bpy.ops.understudy.bone_set(slot="left_foot", bones="mixamorig:LeftToe_End") == {"FINISHED"} \
        if "mixamorig:LeftToe_End" in character.data.bones else True
    assert bpy.ops.understudy.bone_set(slot="left_wrist", bones="") == {"FINISHED"}
    assert not slots(character).bones("left_wrist") and slots(character).preset == "user"
    assert "left_wrist" in slots(character).missing
    direct(character)
    perform()
    assert not [c for c in curves_of(character) if 'LeftHand"' in c.data_path]
    assert bpy.ops.understudy.bone_set(slot="left_wrist", bones="mixamorig:LeftHand") == {"FINISHED"}
    assert slots(character).bones("right_wrist") == ("mixamorig:RightHand",)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "kept.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "kept.blend"))
    character = bpy.context.scene.understudy.character
    assert slots(character).preset == "user" and slots(character).bones("left_wrist") == ("mixamorig:LeftHand",)
    bpy.ops.understudy.bone_map_reset()
    assert slots(character).preset == "mixamo"
    with pytest.raises(RuntimeError, match="no bone named"):
        bpy.ops.understudy.bone_set(slot="left_wrist", bones="nothing")


def test_presets_are_saved_exported_and_imported(character: Any, tmp_path: Path) -> None:
    bpy.ops.understudy.bone_set(slot="jaw", bones="mixamorig:HeadTop_End", mirror=False) \
        if "mixamorig:HeadTop_End" in character.data.bones else None
    assert bpy.ops.understudy.bone_map_export(filepath=str(tmp_path / "map.json")) == {"FINISHED"}
    wanted = dict(slots(character).slots)
    bpy.ops.understudy.bone_map_reset()
    for bone in character.data.bones:
        bone.name = bone.name.replace("mixamorig:", "zz")
    with pytest.raises(RuntimeError):
        bpy.ops.understudy.bone_map_import(filepath=str(tmp_path / "nothing.json"))
    for bone in character.data.bones:
        bone.name = "mixamorig:" + bone.name[2:]
    assert bpy.ops.understudy.bone_map_import(filepath=str(tmp_path / "map.json")) == {"FINISHED"}
    assert dict(slots(character).slots) == wanted
    # saved, it is recognised in another file by itself
    assert bpy.ops.understudy.bone_map_save(label="Studio rig") == {"FINISHED"}
    other = open_character("mixamo_arkit")
    assert slots(other).label.startswith("Studio rig")


def test_amass_and_bvh_come_back_as_takes(character: Any, tmp_path: Path) -> None:
    from blender_addon import takes

    direct(character)
    first = perform()
    motion = takes.motion_of(first)
    seed = character.understudy.seed
    assert bpy.ops.understudy.export_motion(filepath=str(tmp_path / "a.npz"), amass=True) == {"FINISHED"}
    assert bpy.ops.understudy.export_motion(filepath=str(tmp_path / "b.bvh")) == {"FINISHED"}
    with np.load(tmp_path / "a.npz") as file:
        assert file["poses"].shape == (60, 165) and str(file["surface_model_type"]) == "smplx"
    for name, tolerance in (("a.npz", 1e-3), ("b.bvh", 2e-2)):
        assert bpy.ops.understudy.import_motion(filepath=str(tmp_path / name)) == {"FINISHED"}
        back = takes.motion_of(takes.current(character).action)
        assert len(back) == 60 and character.understudy.seed == seed
        np.testing.assert_allclose(back.positions() - back.translation[:, None], motion.positions() - motion.translation[:, None],
                                   atol=tolerance)
    assert len(character.understudy.takes) == 3
    before = snapshot(character)
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(RuntimeError):
        bpy.ops.understudy.import_motion(filepath=str(tmp_path / "bad.npz"))
    assert snapshot(character) == before
