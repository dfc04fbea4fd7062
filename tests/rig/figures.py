# SPDX-License-Identifier: Apache-2.0
"""How well a rig performs in Blender: directions of its limbs, feet that stand, and an independent forward solve; frames out of order."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field

import bpy
import numpy as np
from mathutils import Matrix, Vector

from blender_addon.core.retarget import RetargetOptions, RetargetResult, retarget
from blender_addon.core.retarget.contacts import runs
from blender_addon.rig_reader import detect_rig, read_rig
from blender_addon.shared.motion import Motion
from blender_addon.shared.skeleton import CONTACT_NAMES

from .motions import SEGMENTS, degrees, directions, solve
from .published import Published

FREE = RetargetOptions(plant_feet=False, keep_hands_apart=False)
VARIANTS = ("plain", "rolled", "moved", "stretched")
HEADING = 1.1
"""Radians by which the object is turned in ``moved`` and ``stretched``."""
LEGS = ("hip", "knee")


@dataclass
class Figures:
    """Of one rig in one form.

    :ivar mapped: bones in slots, :ivar bones: of how many.
    :ivar free: largest angle in degrees between a limb segment and the source's, feet not planted, by slot.
    :ivar planted: the same with everything on, of the limbs that planting does not touch.
    :ivar feet: largest move in mm of a joint of the foot while it stands, :ivar stands: frames in which one does.
    :ivar solved: largest distance in mm between Blender's bones and those of the forward solve.
    """

    mapped: int = 0
    bones: int = 0
    free: dict[str, float] = field(default_factory=dict)
    planted: dict[str, float] = field(default_factory=dict)
    feet: float = 0.0
    stands: int = 0
    solved: float = 0.0


def build(rig: Published, pose: str, variant: str = "plain") -> bpy.types.Object:
    """The rig as an armature object in an empty file."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    data = bpy.data.armatures.new(rig.label)
    armature = bpy.data.objects.new(rig.label, data)
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    heads = rig.heads(pose)
    tails = rig.tails(heads)
    rng = np.random.default_rng(5)
    if variant == "rolled":
        # as FBX files come in whose bones lie along another axis than Blender's: the tails say nothing
        aside = rng.normal(size=heads.shape)
        tails = heads + 0.05 * aside / np.linalg.norm(aside, axis=1, keepdims=True)
    bpy.ops.object.mode_set(mode="EDIT")
    made = []
    for name, parent, head, tail in zip(rig.names, rig.parents, heads, tails, strict=True):
        bone = data.edit_bones.new(name)
        bone.head, bone.tail = Vector(head), Vector(tail)
        bone.roll = rng.uniform(-3, 3) if variant == "rolled" else 0.0
        bone.parent = made[parent] if parent >= 0 else None
        made.append(bone)
    bpy.ops.object.mode_set(mode="OBJECT")
    place(armature, variant)
    return armature


def place(armature: bpy.types.Object, variant: str) -> None:
    """Turn and scale the armature and its object as the variant says."""
    turn = Matrix.Rotation(HEADING, 4, "Z")
    if variant == "moved":
        # lying on its back in centimetres, set upright by its object: what an FBX import leaves
        lying = Matrix.Rotation(-np.pi / 2, 4, "X") @ Matrix.Scale(100, 4)
        armature.data.transform(lying)
        armature.matrix_world = Matrix.Translation((0.4, -0.3, 0.0)) @ turn @ lying.inverted() @ armature.matrix_world
    elif variant == "stretched":
        armature.matrix_world = turn @ Matrix.Diagonal((1.0, 0.8, 1.4, 1.0)) @ armature.matrix_world
    bpy.context.view_layer.update()


def roll_bones(armature: bpy.types.Object) -> None:
    """Another roll for every bone, the same each time."""
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    rng = np.random.default_rng(7)
    for bone in armature.data.edit_bones:
        bone.roll += rng.uniform(-3, 3)
    bpy.ops.object.mode_set(mode="OBJECT")


def show(armature: bpy.types.Object, result: RetargetResult, frame: int) -> dict[str, np.ndarray]:
    """Pose the rig by the channels alone; Blender's evaluated bones (4, 4) in armature space."""
    for k, name in enumerate(result.bones):
        bone = armature.pose.bones[name]
        bone.rotation_mode = "QUATERNION"
        bone.rotation_quaternion = result.rotations[frame, k]
    for name, location in result.locations.items():
        armature.pose.bones[name].location = location[frame]
    armature.update_tag()
    bpy.context.view_layer.update()
    evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return {bone.name: np.array(bone.matrix) for bone in evaluated.pose.bones}


def measure(
    armature: bpy.types.Object, wild: Motion, walk: Motion, *, heading: float = 0.0, every: int = 1,
    read: MappingType[str, str] | None = None,
) -> Figures:
    """:param wild: all joints turn freely; :param walk: feet stand. :param heading: of the object, radians.
    :param every: look at each so-manieth frame of the walk.
    :param read: slot -> bone to look at, where that is not the mapped one (controls that move deforming bones).
    """
    rest, mapping = read_rig(armature), detect_rig(armature)
    seen = dict(read) if read is not None else {slot: chain[0] for slot, chain in mapping.slots.items()}
    figures = Figures(len(mapping.mapped_bones), mapping.bone_count)
    back = np.array(Matrix.Rotation(-heading, 3, "Z")) @ np.array(armature.matrix_world)[:3, :3]

    def compare(motion: Motion, frame: int, bones: dict[str, np.ndarray], into: dict[str, float], legs: bool) -> None:
        for (a, b), wanted in directions(motion, frame).items():
            if a in seen and b in seen and (legs or not a.endswith(LEGS)):
                v = back @ (bones[seen[b]][:3, 3] - bones[seen[a]][:3, 3])
                into[a] = max(into.get(a, 0.0), degrees(v, wanted))

    result = retarget(wild, rest, mapping, FREE)
    _obey(armature, result)
    for frame in np.random.default_rng(1).permutation(len(wild)):
        bones = show(armature, result, int(frame))
        compare(wild, int(frame), bones, figures.free, legs=True)
        _agree(figures, armature, solve(rest, result, int(frame)), rest.names, bones, controls=read is not None)

    result = retarget(walk, rest, mapping)
    assert result.contacts is not None
    feet = {slot: np.full((len(walk), 3), np.nan) for slot in CONTACT_NAMES if slot in seen}
    world = np.array(armature.matrix_world)[:3, :3]
    for frame in np.random.default_rng(2).permutation(np.arange(0, len(walk), every)):
        bones = show(armature, result, int(frame))
        compare(walk, int(frame), bones, figures.planted, legs=False)
        for slot, places in feet.items():
            places[frame] = world @ bones[seen[slot]][:3, 3]
    for column, slot in enumerate(CONTACT_NAMES):
        for start, stop in runs(result.contacts[:, column]) if slot in feet else ():
            span = feet[slot][start:stop]
            span = span[np.isfinite(span[:, 0])]
            if len(span):
                figures.feet = max(figures.feet, 1000 * float(np.linalg.norm(span[:, None] - span[None], axis=2).max()))
                figures.stands += len(span)
    return figures


def _obey(armature: bpy.types.Object, result: RetargetResult) -> None:
    """Set the custom properties by which a control rig follows the keys."""
    for path, value in result.properties.items():
        _, bone, _, name, _ = path.split('"')
        owner = armature.pose.bones[bone]
        if name in owner.keys():
            owner[name] = type(owner[name])(value)


def _agree(figures: Figures, armature: bpy.types.Object, solved: np.ndarray, names: tuple[str, ...], bones: dict[str, np.ndarray], *,
           controls: bool) -> None:
    """Compare with the forward solve; bones with constraints, and all below them, are not told by channels alone."""
    if controls:
        return
    scale = 1000 * float(np.linalg.norm(np.array(armature.matrix_world)[:3, 0]))
    off = max(float(np.abs(bones[name][:3, 3] - solved[b][:3, 3]).max()) for b, name in enumerate(names))
    figures.solved = max(figures.solved, off * scale)
