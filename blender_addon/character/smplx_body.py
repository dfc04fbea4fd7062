# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a body from the user's own SMPL-X model file into Blender: armature, skinned mesh, expressions as shape keys.

Proportions are those of the shape (betas). The skin is the model's own weights under Blender's linear blending; the model's
corrections of the surface by pose (``posedirs``) are left out, since Blender has no counterpart that keys nothing.
"""

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from ..core.retarget.axes import vector_to_z_up
from ..shared.formats.smplx_model import SMPLX_LICENCE, SmplxModel
from .build import bind, make_armature

__all__ = ["EXPRESSIONS", "build_smplx_body"]

EXPRESSIONS = 10
"""Expression coefficients that become shape keys, named Exp000 and on as in Meshcapade's add-on; each at 1 is one standard deviation."""


def build_smplx_body(context: bpy.types.Context, model: SmplxModel, betas: Sequence[float] = ()) -> Any:
    """Make the body at the 3D cursor, soles on the ground; returns its armature, which is the active object. Object Mode only.

    :raises UnderstudyError: ``request_invalid`` for betas that the model does not have, ``file_invalid`` for bad weights.
    """
    shape = model.checked(betas)
    weights = model.skin_weights()
    vertices, joints = model.surface(shape), model.joints(shape)
    # the pelvis over the cursor, the soles on the ground
    place = np.array([-joints[0, 0], -float(vertices[:, 1].min()), -joints[0, 2]])
    vertices, joints = vertices + place, joints + place

    collection = context.collection or context.scene.collection
    rig = make_armature(context, collection, "SMPL-X", joints)
    mesh = bpy.data.meshes.new("SMPL-X Body")
    _fill(mesh, vertices, model.faces)
    body = bpy.data.objects.new("SMPL-X Body", mesh)
    collection.objects.link(body)
    body.parent = rig
    bind(body, weights)
    _expressions(body, vertices, model)
    body.modifiers.new("Armature", "ARMATURE").object = rig
    rig.location = Vector(context.scene.cursor.location)
    for bone in rig.pose.bones:
        bone.rotation_mode = "QUATERNION"
    # the terms go with the file
    rig["licence"] = body["licence"] = SMPLX_LICENCE
    return rig


def _fill(mesh: bpy.types.Mesh, vertices: np.ndarray, faces: np.ndarray) -> None:
    count = len(faces)
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", vector_to_z_up(vertices).astype(np.float32).ravel())
    mesh.loops.add(3 * count)
    mesh.loops.foreach_set("vertex_index", faces.astype(np.int32).ravel())
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(count, dtype=bool))
    mesh.update(calc_edges=True)


def _expressions(body: Any, vertices: np.ndarray, model: SmplxModel) -> None:
    """One shape key a coefficient."""
    body.shape_key_add(name="Basis", from_mix=False)
    for n in range(min(EXPRESSIONS, model.expression_count)):
        key = body.shape_key_add(name=f"Exp{n:03d}", from_mix=False)
        key.slider_min, key.slider_max = -5.0, 5.0
        key.data.foreach_set("co", vector_to_z_up(vertices + model.expression_directions[:, :, n]).astype(np.float32).ravel())
        key.value = 0.0
