# SPDX-License-Identifier: Apache-2.0
"""Retargeted poses in Blender: evaluated bones against an independent solve and against the source, frames out of order."""

from __future__ import annotations

from dataclasses import replace

import bpy
import numpy as np
import pytest
from mathutils import Euler

from blender_addon.character import add_character
from blender_addon.core.retarget import RetargetOptions, RetargetResult, retarget
from blender_addon.core.retarget.contacts import runs
from blender_addon.rig_reader import detect_rig, read_rig
from blender_addon.shared.motion import Motion
from blender_addon.shared.skeleton import CONTACT_NAMES

from .motions import DATA, SEGMENTS, clip, degrees, directions, solve, walk, wild

FREE = RetargetOptions(plant_feet=False, keep_hands_apart=False)
CHARACTERS = ("mixamo_arkit", "unreal", "makehuman_default")
RIGS = ("mannequin", *CHARACTERS, "metarig")


def _open(name: str) -> bpy.types.Object:
    if name in CHARACTERS:
        path = DATA / "characters" / f"{name}.blend"
        if not path.is_file():
            pytest.skip(f"{path.name} is not beside the repository")
        bpy.ops.wm.open_mainfile(filepath=str(path))
        return next(o for o in bpy.data.objects if o.type == "ARMATURE")
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    if name == "mannequin":
        return add_character(bpy.context)
    import addon_utils

    addon_utils.enable("rigify")
    bpy.ops.object.armature_human_metarig_add()
    return bpy.context.object


def _pose(rig: bpy.types.Object, result: RetargetResult, frame: int) -> None:
    for k, name in enumerate(result.bones):
        bone = rig.pose.bones[name]
        bone.rotation_mode = "QUATERNION"
        bone.rotation_quaternion = result.rotations[frame, k]
    for name, place in result.locations.items():
        rig.pose.bones[name].location = place[frame]
    bpy.context.view_layer.update()


def _evaluated(rig: bpy.types.Object) -> dict[str, np.ndarray]:
    evaluated = rig.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return {bone.name: np.array(bone.matrix) for bone in evaluated.pose.bones}


def _worst(rig: bpy.types.Object, motion: Motion, result: RetargetResult, frames: list[int]) -> dict[str, float]:
    """Largest angle in degrees between limb segments in the world and those of the source, by slot."""
    mapping = detect_rig(rig)
    worst: dict[str, float] = {}
    turn = np.array(rig.matrix_world.to_3x3())
    unturn = np.array(rig.matrix_world.to_quaternion().to_matrix()).T
    for frame in frames:
        _pose(rig, result, frame)
        bones = _evaluated(rig)
        for (a, b), wanted in directions(motion, frame).items():
            first, second = mapping.first(a), mapping.first(b)
            if first is None or second is None:
                continue
            v = unturn @ turn @ (bones[second][:3, 3] - bones[first][:3, 3])
            worst[a] = max(worst.get(a, 0.0), degrees(v, wanted))
    return worst


@pytest.mark.parametrize("name", RIGS)
def test_blender_poses_what_the_channels_say(name: str) -> None:
    rig = _open(name)
    rest = read_rig(rig)
    result = retarget(wild(2), rest, detect_rig(rig))
    for frame in (9, 0, 5):
        _pose(rig, result, frame)
        wanted, bones = solve(rest, result, frame), _evaluated(rig)
        for b, bone in enumerate(rest.names):
            np.testing.assert_allclose(bones[bone], wanted[b], atol=2e-5, err_msg=bone)


@pytest.mark.parametrize("name", RIGS)
def test_limbs_point_where_the_source_points(name: str) -> None:
    rig = _open(name)
    mapping = detect_rig(rig)
    assert all(mapping.first(a) for a, _ in SEGMENTS)
    motion = wild(4)
    worst = _worst(rig, motion, retarget(motion, read_rig(rig), mapping, FREE), [8, 2, 11, 5])
    assert len(worst) == len(SEGMENTS) and max(worst.values()) <= 1.0, worst


@pytest.mark.parametrize("name", RIGS)
def test_real_motion_and_planted_feet(name: str) -> None:
    rig = _open(name)
    rest, mapping = read_rig(rig), detect_rig(rig)
    motion = clip("cmu_text", "walk")
    free = retarget(motion, rest, mapping, FREE)
    worst = _worst(rig, motion, free, [40, 7, 20])
    assert max(worst.values()) <= 1.0, worst
    for source in (motion, walk()):
        planted = retarget(source, rest, mapping)
        assert planted.contacts is not None and planted.contacts.any()
        scale = planted.scale
        feet: dict[str, list[np.ndarray]] = {slot: [] for slot in CONTACT_NAMES}
        for frame in range(len(source)):
            pose = solve(rest, planted, frame)
            for slot in CONTACT_NAMES:
                bone = mapping.first(slot)
                assert bone is not None
                feet[slot].append(pose[rest.index[bone], :3, 3])
        checked = 0
        for column, slot in enumerate(CONTACT_NAMES):
            place = np.array(feet[slot]) / scale
            for start, stop in runs(planted.contacts[:, column]):
                moved = np.ptp(place[start:stop], axis=0).max()
                assert moved <= 0.002, (slot, start, stop, moved)
                checked += stop - start
        assert checked > 20


@pytest.mark.parametrize("placing", ["turned", "scaled", "both", "stretched"])
def test_a_rotated_and_scaled_object_performs_in_its_own_frame(placing: str) -> None:
    rig = _open("mannequin")
    if placing != "scaled":
        rig.rotation_euler = Euler((0.0, 0.0, 1.1))
    if placing != "turned":
        rig.scale = (1.0, 0.8, 1.4) if placing == "stretched" else (0.01, 0.01, 0.01)
    bpy.context.view_layer.update()
    motion = wild(6)
    assert max(_worst(rig, motion, retarget(motion, read_rig(rig), detect_rig(rig), FREE), [3, 9]).values()) <= 1.0


def test_an_armature_that_lies_inside_a_turned_object_is_set_upright() -> None:
    rig = _open("mannequin")
    from mathutils import Matrix

    lying = Matrix.Rotation(-np.pi / 2, 4, "X") @ Matrix.Scale(100, 4)
    rig.data.transform(lying)
    rig.matrix_world = lying.inverted()
    bpy.context.view_layer.update()
    motion = wild(7)
    result = retarget(motion, read_rig(rig), detect_rig(rig), FREE)
    assert result.scale == pytest.approx(100, rel=1e-3)
    mapping = detect_rig(rig)
    for frame in (6, 1):
        _pose(rig, result, frame)
        bones = _evaluated(rig)
        for (a, b), wanted in directions(motion, frame).items():
            v = np.array(rig.matrix_world)[:3, :3] @ (bones[mapping.first(b)][:3, 3] - bones[mapping.first(a)][:3, 3])
            assert degrees(v, wanted) <= 1.0, (a, b)


def test_reading_a_rig_changes_nothing() -> None:
    rig = _open("mannequin")
    rig.pose.bones["left_elbow"].rotation_quaternion = (0.7, 0.7, 0, 0)
    before = [tuple(b.rotation_quaternion) for b in rig.pose.bones]
    read_rig(rig)
    assert before == [tuple(b.rotation_quaternion) for b in rig.pose.bones]
    motion = replace(wild(1), fps=24.0)
    assert retarget(motion, read_rig(rig), detect_rig(rig)).fps == 24.0


@pytest.mark.parametrize("askew", [0.0, 0.7])
def test_limbs_that_ik_constraints_move_are_led_by_their_targets_and_poles(askew: float) -> None:
    """A rig of its own kind: IK on forearms and shins, targets and poles beside the body; only the constraints tell which is which.

    With pole angles that are ``askew`` the rest pose itself is turned by the solver; the keys must hold all the same.
    """
    rig = _open("mannequin")
    bpy.context.view_layer.objects.active = rig
    limbs = [(f"{side}_{a}", f"{side}_{b}", f"{side}_{c}", np.array(away)) for side in ("left", "right")
             for a, b, c, away in (("shoulder", "elbow", "wrist", (0.0, 0.5, 0.0)), ("hip", "knee", "ankle", (0.0, -0.6, 0.0)))]
    bpy.ops.object.mode_set(mode="EDIT")
    bones = rig.data.edit_bones
    for upper, lower, end, away in limbs:
        target, pole = bones.new(f"goal {end}"), bones.new(f"aim {lower}")
        target.head, target.tail = bones[end].head.copy(), bones[end].tail.copy()
        target.roll = bones[end].roll
        # a little bend, so that IK knows where to, and the pole out of its plane
        bones[lower].head = bones[lower].head + type(bones[lower].head)(away * 0.02)
        pole.head = bones[lower].head + type(bones[lower].head)(away + (0.05, 0.0, 0.02))
        pole.tail = pole.head + type(pole.head)((0, 0, 0.1))
    bpy.ops.object.mode_set(mode="OBJECT")
    for upper, lower, end, _ in limbs:
        constraint = rig.pose.bones[lower].constraints.new("IK")
        constraint.target = constraint.pole_target = rig
        constraint.subtarget, constraint.pole_subtarget, constraint.chain_count = f"goal {end}", f"aim {lower}", 2
        # the angle at which the rest pose stays as it is, as a rigger finds it
        step, best = 0.5, 0.0
        while step > 1e-4:
            tried = {}
            for angle in best + step * np.arange(-7 if step == 0.5 else -2, 8 if step == 0.5 else 3):
                constraint.pole_angle = angle
                bpy.context.view_layer.update()
                tried[angle] = (rig.pose.bones[lower].head - rig.data.bones[lower].head_local).length
            best, step = min(tried, key=tried.__getitem__), step / 2
        constraint.pole_angle = best + askew
    bpy.context.view_layer.update()
    still = _evaluated(rig)
    for _, lower, _, _ in limbs if not askew else ():
        np.testing.assert_allclose(still[lower][:3, 3], np.array(rig.data.bones[lower].head_local), atol=5e-4)
    motion = wild(21, amount=0.8)
    result = retarget(motion, read_rig(rig), detect_rig(rig), FREE)
    assert {"goal left_wrist", "aim left_elbow", "aim right_knee"} <= set(result.locations)
    worst = _worst(rig, motion, result, [3, 8, 6, 0, 11, 4])
    limbs_moved = {slot: angle for slot, angle in worst.items() if slot.endswith(("shoulder", "elbow", "hip", "knee"))}
    assert len(limbs_moved) == 8 and max(limbs_moved.values()) <= 0.1, worst
