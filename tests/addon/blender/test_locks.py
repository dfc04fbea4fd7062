# SPDX-License-Identifier: Apache-2.0
"""What is locked, seen and changed: frames, ranges, parts."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import pytest

from .conftest import open_character
from .shot import direct, perform


@pytest.fixture(params=["DENSE", "SIMPLIFIED"])
def character(addon: Any, bridge: Any, request: Any) -> Any:
    character = open_character("mixamo_arkit")
    direct(character, end=121)
    character.understudy.key_mode = request.param
    perform()
    return character


def shown(character: Any) -> list[tuple[int, int, str]]:
    from blender_addon import locks

    return [(x.first, x.last, x.part) for x in locks.of(character)]


def pose(character: Any, frame: int) -> np.ndarray:
    from blender_addon import compat, takes

    take = takes.current(character)
    return np.array([c.evaluate(frame) for s, c in compat.curves_with_slots(take.action) if not take.slot or s == take.slot])


def test_frames_and_ranges_are_shown_by_part(character: Any) -> None:
    from blender_addon import locks

    assert shown(character) == []
    scene = bpy.context.scene
    scene.frame_set(60)
    assert bpy.ops.understudy.lock_keys() == {"FINISHED"}
    bone = character.pose.bones["mixamorig:LeftForeArm"]
    for frame in (20, 21):
        bone.rotation_euler = (0.1, 0.2, 1.4)
        bone.keyframe_insert("rotation_euler", frame=frame)
    locks.changed(character.animation_data.action)
    assert shown(character) == [(20, 21, "left_arm"), (60, 60, "full")]
    assert bpy.ops.understudy.lock_keys(scope="RANGE") == {"CANCELLED"}
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 59, 65
    before = [pose(character, f) for f in range(59, 66)]
    assert bpy.ops.understudy.lock_keys(scope="RANGE") == {"FINISHED"}
    np.testing.assert_allclose([pose(character, f) for f in range(59, 66)], before, atol=1e-5)
    assert shown(character) == [(20, 21, "left_arm"), (59, 65, "full")]
    # performed again, the whole stretch stays to the bit
    locked = [pose(character, f) for f in range(59, 66)]
    scene.use_preview_range = False
    bpy.ops.understudy.perform_range(start=31, end=91)
    assert np.array_equal([pose(character, f) for f in range(59, 66)], locked)
    assert shown(character) == [(20, 21, "left_arm"), (59, 65, "full")]
    bpy.ops.understudy.lock_show(frame=20)
    assert scene.frame_current == 20
    assert bpy.ops.understudy.lock_keys(unlock=True, scope="GIVEN", first=60, last=100) == {"FINISHED"}
    assert shown(character) == [(20, 21, "left_arm"), (59, 59, "full")]


def test_undo_and_another_take_show_other_locks(character: Any) -> None:
    bpy.context.scene.frame_set(40)
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.understudy.lock_keys()
    bpy.ops.ed.undo_push(message="lock")
    assert shown(character) == [(40, 40, "full")]
    bpy.ops.ed.undo()
    character = bpy.context.scene.understudy.character
    assert shown(character) == []
    bpy.ops.understudy.lock_keys()
    perform()
    assert shown(character) == []
    bpy.ops.understudy.take_step(step=-1)
    assert shown(character) == [(40, 40, "full")]


def test_selected_bones_alone(character: Any) -> None:
    bpy.context.view_layer.objects.active = character
    bpy.ops.object.mode_set(mode="POSE")
    bone = character.pose.bones["mixamorig:Head"]
    bpy.ops.pose.select_all(action="DESELECT")
    (bone if hasattr(bone, "select") else bone.bone).select = True
    bpy.context.scene.frame_set(33)
    assert bpy.ops.understudy.lock_keys() == {"FINISHED"}
    assert shown(character) == [(33, 33, "head")]
    bpy.ops.object.mode_set(mode="OBJECT")
