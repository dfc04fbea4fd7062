# SPDX-License-Identifier: Apache-2.0
"""In-betweens: from one key pose to another, in a take and over keys of the artist's own; poses read back from the rig."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import pytest

from .conftest import open_character
from .shot import direct, perform


@pytest.fixture
def character(addon: Any, bridge: Any) -> Any:
    return open_character("mixamo_arkit")


def pose(character: Any, frame: int) -> dict[str, np.ndarray]:
    bpy.context.scene.frame_set(frame)
    bones = character.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
    return {b.name: np.array(b.matrix) for b in bones}


def bend(character: Any, frame: int, **turns: tuple[float, float, float]) -> None:
    for name, turn in turns.items():
        bone = character.pose.bones[f"mixamorig:{name}"]
        bone.rotation_euler = turn
        bone.keyframe_insert("rotation_euler", frame=frame)


def test_between_two_poses_of_a_take(character: Any, bridge: Any) -> None:
    from blender_addon.shared import rotations as rot
    from blender_addon.shared.skeleton import JOINT_INDEX

    direct(character, end=121)
    perform()
    with pytest.raises(RuntimeError, match="no two key poses"):
        bpy.ops.understudy.perform_between()
    bend(character, 40, LeftForeArm=(0.1, 0.2, 1.4))
    bend(character, 70, LeftForeArm=(0.0, 0.3, 0.2), Head=(0.2, 0.1, 0.0))
    before = {f: pose(character, f) for f in (20, 40, 70, 90)}
    bpy.context.scene.frame_set(55)
    assert bpy.ops.understudy.perform_between() == {"FINISHED"}
    edit = bridge.requests[-1].edit
    assert edit.kind == "between"
    assert [(round(r.start * 30), round(r.end * 30), r.part) for r in edit.ranges] == [(40, 69, "full")]
    # the generator is told the artist's poses: the head has been turned only in the second
    motion = edit.base
    head = [rot.quat_to_axis_angle(motion.rotations[n, JOINT_INDEX["head"]].astype(float)) for n in (39, 69, 68)]
    assert np.linalg.norm(head[0]) < 0.02 < 0.15 < np.linalg.norm(head[1]) and np.linalg.norm(head[2]) < 0.02
    for frame, bones in before.items():
        for name, matrix in pose(character, frame).items():
            np.testing.assert_allclose(matrix, bones[name], atol=2e-4, err_msg=f"{name} {frame}")


def test_between_keys_of_ones_own(character: Any, bridge: Any) -> None:
    assert not bpy.ops.understudy.perform_between.poll()
    hips = character.pose.bones["mixamorig:Hips"]
    bend(character, 10, LeftForeArm=(0.1, 0.2, 1.0), RightUpLeg=(0.3, 0.0, 0.1))
    hips.keyframe_insert("location", frame=10)
    bend(character, 50, LeftForeArm=(0.4, 0.0, 0.3), Spine=(0.2, 0.1, 0.0))
    hips.location.y -= 4.0
    hips.keyframe_insert("location", frame=50)
    own = character.animation_data.action
    before = {f: pose(character, f) for f in (10, 50)}
    bpy.context.scene.frame_set(30)
    assert bpy.ops.understudy.perform_between() == {"FINISHED"}
    request = bridge.requests[-1]
    assert request.edit.kind == "between" and request.duration == pytest.approx(41 / 30) and request.audio is None
    action = character.animation_data.action
    assert action != own and tuple(action.frame_range) == (10.0, 50.0)
    for frame, bones in before.items():
        found = pose(character, frame)
        for name in ("LeftForeArm", "LeftHand", "Head", "RightArm"):
            a, b = (m[f"mixamorig:{name}"][:3, :3] / np.linalg.norm(m[f"mixamorig:{name}"][:3, 0]) for m in (found, bones))
            angle = np.degrees(np.arccos(np.clip((np.trace(a @ b.T) - 1) / 2, -1, 1)))
            assert angle < 2.0, (name, frame, angle)
        np.testing.assert_allclose(found["mixamorig:Hips"][:3, 3], bones["mixamorig:Hips"][:3, 3], atol=2.0)
    bpy.ops.understudy.take_step(step=-1)
    assert character.animation_data.action == own


def test_poses_that_leave_nothing_between_are_refused(character: Any, bridge: Any) -> None:
    direct(character, end=121)
    perform()
    count = len(bridge.requests)
    for first, last, words in ((40, 41, "No frame lies between"), (100, 500, "not in the take")):
        with pytest.raises(RuntimeError, match=words):
            bpy.ops.understudy.perform_between(first=first, last=last)
    assert len(bridge.requests) == count and len(character.understudy.takes) == 1
