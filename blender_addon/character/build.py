# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the mannequin into Blender: armature, one skinned mesh with shape keys, materials."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Vector

from ..core.retarget.axes import vector_to_z_up
from ..shared.skeleton import END_POINTS, JOINT_INDEX, JOINT_NAMES, PARENTS
from .body import JOINTS, MOUTH, body_mesh
from .expressions import shapes
from .face_parts import HALF_MOUTH, MATERIALS, Part, face_parts
from .weights import skin_weights

__all__ = ["NAME", "bind", "build_character", "make_armature"]

NAME = "Understudy"
_COLOURS = {
    "Skin": (0.62, 0.56, 0.51), "Lips": (0.47, 0.27, 0.25), "Eye White": (0.87, 0.87, 0.86), "Iris": (0.14, 0.27, 0.33),
    "Pupil": (0.01, 0.01, 0.01), "Brow": (0.10, 0.075, 0.06), "Mouth": (0.10, 0.025, 0.025), "Teeth": (0.83, 0.81, 0.76),
}
_JAW = np.array([0.0, 1.492, 0.092]) - JOINTS[JOINT_INDEX["jaw"]]
"""From the jaw's joint to the chin."""
_TAIL_AT = {"pelvis": "spine1", "spine1": "spine2", "spine2": "spine3", "spine3": "neck", "neck": "head"}
for _side in ("left", "right"):
    _TAIL_AT |= {f"{_side}_{a}": f"{_side}_{b}" for a, b in (
        ("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"), ("collar", "shoulder"), ("shoulder", "elbow"), ("elbow", "wrist"),
        *((f"{f}{n}", f"{f}{n + 1}") for f in ("index", "middle", "ring", "pinky", "thumb") for n in (1, 2)))}


def _tail(name: str, joints: np.ndarray) -> np.ndarray:
    """(3,) end of a bone of a body with joints (55, 3), Y up."""
    def at(joint_name: str) -> np.ndarray:
        place: np.ndarray = joints[JOINT_INDEX[joint_name]]
        return place

    head = at(name)
    if name in _TAIL_AT:
        return at(_TAIL_AT[name])
    if name == "head":
        return head + np.array(END_POINTS["head_top"][1])
    if name == "jaw":
        return head + _JAW
    if name.endswith("_eye"):
        return head + np.array([0.0, 0.0, 0.03])
    if name.endswith("_foot"):
        return head + np.array(END_POINTS[f"{name[:-5]}_toe_end"][1])
    if name.endswith("_wrist"):
        return at(name.replace("wrist", "middle1"))
    before = at(name[:-1] + "2")
    return head + (head - before) * 0.85


def _roll_axis(name: str) -> Vector:
    """Where a bone's +Z looks, Blender's axes: forward for trunk and legs, up for arms, hands and feet."""
    part = name.partition("_")[2] or name
    lying = part.rstrip("123") in ("collar", "shoulder", "elbow", "wrist", "index", "middle", "ring", "pinky", "thumb",
                                   "ankle", "foot", "eye") or name == "jaw"
    return Vector((0, 0, 1)) if lying else Vector((0, -1, 0))


def make_armature(context: bpy.types.Context, collection: bpy.types.Collection, title: str, joints: np.ndarray) -> bpy.types.Object:
    """An armature of bones with SMPL-X's names, heads at joints (55, 3), metres, Y up; the active object afterwards."""
    data = bpy.data.armatures.new(title)
    rig = bpy.data.objects.new(title, data)
    collection.objects.link(rig)
    view_layer = context.view_layer
    for other in context.selected_objects:
        other.select_set(False)
    view_layer.objects.active = rig
    rig.select_set(True)
    bpy.ops.object.mode_set(mode="EDIT")
    heads = vector_to_z_up(joints)
    for j, name in enumerate(JOINT_NAMES):
        bone = data.edit_bones.new(name)
        bone.head, bone.tail = Vector(heads[j]), Vector(vector_to_z_up(_tail(name, joints)))
        bone.align_roll(_roll_axis(name))
        if PARENTS[j] >= 0:
            bone.parent = data.edit_bones[PARENTS[j]]
    bpy.ops.object.mode_set(mode="OBJECT")
    data.display_type = "STICK"
    rig.show_in_front = True
    return rig


def _materials() -> list[bpy.types.Material]:
    result = []
    for name in MATERIALS:
        full = f"{NAME} {name}"
        material = bpy.data.materials.get(full)
        if material is None:
            material = bpy.data.materials.new(full)
            colour = (*_COLOURS[name], 1.0)
            material.diffuse_color = colour  # type: ignore[assignment]
            material.roughness = 0.35 if name in ("Eye White", "Iris", "Pupil", "Teeth", "Lips") else 0.6
            material.use_nodes = True
            shader = material.node_tree.nodes.get("Principled BSDF") if material.node_tree else None
            if shader is not None:
                shader.inputs["Base Color"].default_value = colour
                shader.inputs["Roughness"].default_value = material.roughness
        result.append(material)
    return result


def _skin_materials(vertices: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Material of each quad of the skin: the inside of the mouth is dark."""
    centre = vertices[quads].mean(axis=1)
    inside = ((np.abs(centre[:, 0]) < 0.027) & (np.abs(centre[:, 1] - MOUTH[1]) < 0.0145)
              & (centre[:, 2] < MOUTH[2] - 0.0045 - 7.0 * centre[:, 0] ** 2) & (centre[:, 2] > 0.035))
    # skin that the lips cover would show as a light patch in the corners of an open mouth
    covered = (((centre[:, 0] / HALF_MOUTH) ** 2 + ((centre[:, 1] - MOUTH[1]) / 0.0052) ** 2 < 0.9)
               & (centre[:, 2] > 0.05))
    return np.where(inside | covered, MATERIALS.index("Mouth"), 0)


def _fill(mesh: bpy.types.Mesh, vertices: np.ndarray, quads: np.ndarray, parts: list[Part]) -> None:
    """Write all vertices and faces in bulk."""
    corners, sizes, materials = [quads.ravel()], [np.full(len(quads), 4)], [_skin_materials(vertices, quads)]
    start, points = len(vertices), [vertices]
    for part in parts:
        sizes.append(np.array([len(face) for face in part.faces]))
        corners.append(np.concatenate([np.array(face) for face in part.faces]) + start)
        materials.append(np.array(part.materials))
        points.append(part.vertices)
        start += len(part.vertices)
    loops, size = np.concatenate(corners).astype(np.int32), np.concatenate(sizes).astype(np.int32)
    mesh.vertices.add(start)
    mesh.vertices.foreach_set("co", vector_to_z_up(np.concatenate(points)).astype(np.float32).ravel())
    mesh.loops.add(len(loops))
    mesh.loops.foreach_set("vertex_index", loops)
    mesh.polygons.add(len(size))
    mesh.polygons.foreach_set("loop_start", np.concatenate(([0], np.cumsum(size)[:-1])).astype(np.int32))
    mesh.polygons.foreach_set("material_index", np.concatenate(materials).astype(np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(size), dtype=bool))
    mesh.update(calc_edges=True)
    mesh.validate()


def bind(body: bpy.types.Object, weights: np.ndarray) -> None:
    """Vertex groups from (V, 55); vertices of equal weight are added together, which is what makes it quick."""
    rounded = np.round(weights * 255.0).astype(np.int32)
    for j, name in enumerate(JOINT_NAMES):
        group = body.vertex_groups.new(name=name)
        column = rounded[:, j]
        used = np.flatnonzero(column)
        order = used[np.argsort(column[used], kind="stable")]
        values, starts = np.unique(column[order], return_index=True)
        for value, indices in zip(values, np.split(order, starts[1:]), strict=True):
            group.add(indices.tolist(), float(value) / 255.0, "REPLACE")


def _shape_keys(body: bpy.types.Object, base: np.ndarray, fields: dict[str, np.ndarray]) -> None:
    body.shape_key_add(name="Basis", from_mix=False)
    for name, moved in fields.items():
        key = body.shape_key_add(name=name, from_mix=False)
        key.slider_min, key.slider_max = 0.0, 1.0
        key.data.foreach_set("co", vector_to_z_up(base + moved).astype(np.float32).ravel())
        key.value = 0.0
    body.data.shape_keys.name = f"{NAME} Face"


def build_character(context: bpy.types.Context) -> bpy.types.Object:
    """Make the mannequin at the 3D cursor; returns its armature, which is the active object. Object Mode only."""
    collection = context.collection or context.scene.collection
    skin, quads = body_mesh()
    parts = face_parts(skin)
    everything = np.concatenate([skin, *(part.vertices for part in parts)])
    weights = np.zeros((len(everything), len(JOINT_NAMES)))
    weights[: len(skin)] = skin_weights(skin)
    start = len(skin)
    for part in parts:
        rows = slice(start, start + len(part.vertices))
        if part.kind == "lips":
            weights[rows, JOINT_INDEX["jaw"]] = part.lower
            weights[rows, JOINT_INDEX["head"]] = 1 - part.lower
        else:
            weights[rows, JOINT_INDEX[part.bone]] = 1.0
        start += len(part.vertices)

    rig = make_armature(context, collection, NAME, JOINTS)
    mesh = bpy.data.meshes.new(f"{NAME} Body")
    for material in _materials():
        mesh.materials.append(material)
    _fill(mesh, skin, quads, parts)
    body = bpy.data.objects.new(f"{NAME} Body", mesh)
    collection.objects.link(body)
    body.parent = rig
    bind(body, weights)
    _shape_keys(body, everything, shapes(skin, parts))
    modifier = body.modifiers.new("Armature", "ARMATURE")
    modifier.object = rig
    rig.location = context.scene.cursor.location
    for bone in rig.pose.bones:
        bone.rotation_mode = "QUATERNION"
    return rig
