# SPDX-License-Identifier: Apache-2.0
"""Rigify's generated control rig: keys on the controls move the deforming bones as the source moves."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import numpy as np
import pytest

import blender_addon
from blender_addon import staging
from blender_addon.core.retarget import RetargetOptions, retarget
from blender_addon.core.retarget.axes import quat_to_z_up
from blender_addon.rig_reader import detect_rig, read_rig
from blender_addon.shared import kinematics
from blender_addon.shared import rotations as rot
from blender_addon.shared.motion import Motion
from blender_addon.shared.skeleton import JOINT_INDEX

from .motions import degrees, directions, wild

DEFORM = {"hip": "DEF-thigh", "knee": "DEF-shin", "ankle": "DEF-foot", "shoulder": "DEF-upper_arm", "elbow": "DEF-forearm",
          "wrist": "DEF-hand", "index1": "DEF-f_index.01", "index2": "DEF-f_index.02", "index3": "DEF-f_index.03",
          "pinky1": "DEF-f_pinky.01", "pinky2": "DEF-f_pinky.02"}


@pytest.fixture(scope="module")
def generated() -> Iterator[bpy.types.Object]:
    import addon_utils

    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    if addon_utils.enable("rigify", default_set=True) is None:
        pytest.skip("this Blender comes without Rigify")
    bpy.ops.object.armature_human_metarig_add()
    metarig = bpy.context.object
    # without the face, which has no part in this and takes most of the time
    bpy.ops.object.mode_set(mode="EDIT")
    bones = metarig.data.edit_bones
    for bone in [bones["face"], *bones["face"].children_recursive]:
        bones.remove(bone)
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.pose.rigify_generate()
    blender_addon.register()
    yield next(o for o in bpy.data.objects if o.type == "ARMATURE" and o is not metarig)
    blender_addon.unregister()


def _bones(rig: bpy.types.Object) -> dict[str, np.ndarray]:
    evaluated = rig.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return {bone.name: np.array(bone.matrix) for bone in evaluated.pose.bones}


def _check(rig: bpy.types.Object, motion: Motion, frame: int) -> int:
    bones, checked = _bones(rig), 0
    for (a, b), wanted in directions(motion, frame).items():
        side, part = a.split("_")
        _, end = b.split("_")
        if part in DEFORM and end in DEFORM:
            letter = side[0].upper()
            first, second = (bones[f"{DEFORM[p]}.{letter}"][:3, 3] for p in (part, end))
            assert degrees(second - first, wanted) <= 1.0, (a, frame)
            checked += 1
    world = quat_to_z_up(kinematics.world_rotations(motion.rotations[frame : frame + 1])[0])
    for bone, joint in (("ORG-spine", "pelvis"), ("ORG-spine.003", "spine3"), ("DEF-spine.006", "head"), ("ORG-shoulder.L", "left_collar")):
        rest = np.array(rig.data.bones[bone].matrix_local)[:3, :3]
        turn = rot.matrix_to_quat(bones[bone][:3, :3] @ rest.T)
        assert np.degrees(rot.angle_between(turn, world[JOINT_INDEX[joint]])) <= 1.0, bone
    for letter in "LR":
        for control, bone in (("hand_ik", "DEF-hand"), ("foot_ik", "DEF-foot")):
            assert np.linalg.norm(bones[f"{control}.{letter}"][:3, 3] - bones[f"{bone}.{letter}"][:3, 3]) < 1e-4
    return checked


def test_the_controls_are_recognised(generated: bpy.types.Object) -> None:
    mapping = detect_rig(generated)
    assert mapping.preset == "rigify" and not mapping.missing_core
    assert not any(bone.startswith(("DEF-", "ORG-", "MCH-")) for bone in mapping.mapped_bones)
    assert mapping.first("left_wrist") == "hand_fk.L" and mapping.properties["thigh_parent.R:IK_FK"] == 1.0


def test_fk_controls_move_the_deforming_bones(generated: bpy.types.Object) -> None:
    rig, motion = generated, wild(8, amount=0.9)
    result = retarget(motion, read_rig(rig), detect_rig(rig), RetargetOptions(plant_feet=False, keep_hands_apart=False))
    for path, value in result.properties.items():
        _, bone, _, name, _ = path.split('"')
        owner = rig.pose.bones[bone]
        owner[name] = type(owner[name])(value)
    for frame in (9, 2, 6):
        for k, name in enumerate(result.bones):
            rig.pose.bones[name].rotation_mode = "QUATERNION"
            rig.pose.bones[name].rotation_quaternion = result.rotations[frame, k]
        for name, place in result.locations.items():
            rig.pose.bones[name].location = place[frame]
        rig.update_tag()
        bpy.context.view_layer.update()
        assert _check(rig, motion, frame) >= 12


def test_a_stretched_object_is_told_of(generated: bpy.types.Object) -> None:
    rig = generated
    assert not retarget(wild(1), read_rig(rig), detect_rig(rig)).notes
    rig.scale = (1.0, 0.8, 1.4)
    bpy.context.view_layer.update()
    notes = retarget(wild(1), read_rig(rig), detect_rig(rig)).notes
    rig.scale = (1.0, 1.0, 1.0)
    bpy.context.view_layer.update()
    assert len(notes) == 1 and "stretched" in notes[0] and "Apply" in notes[0]


def test_a_take_switches_the_limbs_to_fk(generated: bpy.types.Object) -> None:
    rig = generated
    for bone in rig.pose.bones:
        bone.matrix_basis.identity()
    for name in ("thigh_parent.L", "upper_arm_parent.R"):
        rig.pose.bones[name]["IK_FK"] = 0.0
    motion = wild(9, amount=0.7)
    motion.face.clear()
    action = staging.apply_motion(rig, motion, 1.0, {})
    assert action is not None
    # the take's own foot plants and midline rule may bend limbs; the chain above them must still obey
    bpy.context.scene.frame_set(7)
    bones = _bones(rig)
    assert rig.pose.bones["thigh_parent.L"]["IK_FK"] == 1.0 and rig.pose.bones["upper_arm_parent.R"]["IK_FK"] == 1.0
    world = quat_to_z_up(kinematics.world_rotations(motion.rotations[6:7])[0])
    rest = np.array(rig.data.bones["DEF-spine.006"].matrix_local)[:3, :3]
    turn = rot.matrix_to_quat(bones["DEF-spine.006"][:3, :3] @ rest.T)
    assert np.degrees(rot.angle_between(turn, world[JOINT_INDEX["head"]])) <= 3.0


def _limbs(rig: bpy.types.Object) -> dict[str, np.ndarray]:
    """Places (3, 3) of shoulder, elbow and wrist, and of hip, knee and ankle."""
    bones = _bones(rig)
    return {f"{chain[0]}.{letter}": np.array([bones[f"ORG-{part}.{letter}"][:3, 3] for part in chain]) for letter in "LR"
            for chain in (("upper_arm", "forearm", "hand"), ("thigh", "shin", "foot"))}


def _side(limb: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """To which side (3,) of a line a limb bends."""
    return (limb[1] - limb[0]) - axis * (axis @ (limb[1] - limb[0]))


@pytest.mark.parametrize("root", ["hips", "bone"])
def test_switched_to_ik_the_limbs_bend_to_the_same_side(generated: bpy.types.Object, root: str) -> None:
    """Hands and feet stay to the millimetre; elbows and knees in their plane. How far they bend is left to the rig, whose IK stretches."""
    from blender_addon import compat

    rig = generated
    motion = wild(12, amount=0.7)
    motion.face.clear()
    rig.understudy.root = root
    try:
        action = staging.apply_motion(rig, motion, 1.0, {})
    finally:
        rig.understudy.root = "hips"
    poles = {path.split('"')[1] for c in compat.action_curves(action) if (path := c.data_path).endswith("location")}
    assert {f"{limb}_ik_target.{letter}" for limb in ("upper_arm", "thigh") for letter in "LR"} <= poles
    for curve in [c for c in compat.action_curves(action) if c.data_path.endswith('["IK_FK"]')]:
        curve.mute = True
    checked = 0
    for frame in (9, 3, 6):
        shown = []
        for share in (1.0, 0.0):
            for name in ("upper_arm_parent", "thigh_parent"):
                for letter in "LR":
                    rig.pose.bones[f"{name}.{letter}"]["IK_FK"] = share
            bpy.context.scene.frame_set(frame)
            rig.update_tag()
            bpy.context.view_layer.update()
            shown.append(_limbs(rig))
        for name, by_fk in shown[0].items():
            by_ik = shown[1][name]
            assert np.linalg.norm(by_ik[[0, 2]] - by_fk[[0, 2]], axis=1).max() < 0.001, name
            if degrees(by_fk[1] - by_fk[0], by_fk[2] - by_fk[1]) > 5:
                axis = (by_fk[2] - by_fk[0]) / np.linalg.norm(by_fk[2] - by_fk[0])
                assert degrees(_side(by_fk, axis), _side(by_ik, axis)) < 1.0, (name, frame)
                checked += 1
    assert checked >= 10
