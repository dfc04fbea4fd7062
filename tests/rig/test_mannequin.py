# SPDX-License-Identifier: Apache-2.0
"""The mannequin: its bones, its skin, its weights, its face."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import numpy as np
import pytest

from blender_addon.character import add_character
from blender_addon.core.rigs.face_shapes import recognise
from blender_addon.rig_reader import detect_rig, read_rig
from blender_addon.shared.face_curves import ARKIT
from blender_addon.shared.skeleton import JOINT_INDEX, JOINT_NAMES, PARENTS, rest_positions


@pytest.fixture(scope="module")
def rig() -> Iterator[bpy.types.Object]:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.context.scene.cursor.location = (1.0, 2.0, 0.5)
    yield add_character(bpy.context)


@pytest.fixture(scope="module")
def body(rig: bpy.types.Object) -> bpy.types.Object:
    (mesh,) = (o for o in bpy.data.objects if o.type == "MESH")
    return mesh


def _vertices(body: bpy.types.Object, key: str | None = None) -> np.ndarray:
    source = body.data.vertices if key is None else body.data.shape_keys.key_blocks[key].data
    flat = np.empty(len(source) * 3, dtype=np.float32)
    source.foreach_get("co", flat)
    return flat.reshape(-1, 3)


def _weights(body: bpy.types.Object) -> np.ndarray:
    result = np.zeros((len(body.data.vertices), len(body.vertex_groups)))
    for vertex in body.data.vertices:
        for group in vertex.groups:
            result[vertex.index, group.group] = group.weight
    return result


def test_bones_are_the_source_joints(rig: bpy.types.Object) -> None:
    rest = read_rig(rig)
    assert set(rest.names) == set(JOINT_NAMES)
    places = rest_positions()
    for j, name in enumerate(JOINT_NAMES):
        b = rest.index[name]
        x, y, z = places[j]
        np.testing.assert_allclose(rest.heads[b], [x, -z, y], atol=1e-5, err_msg=name)
        parent = int(rest.parents[b])
        assert (rest.names[parent] if parent >= 0 else None) == (JOINT_NAMES[PARENTS[j]] if PARENTS[j] >= 0 else None)
    assert detect_rig(rig).summary == "SMPL-X · 55/55 bones"


def test_it_stands_at_the_cursor_and_is_active(rig: bpy.types.Object, body: bpy.types.Object) -> None:
    assert tuple(rig.location) == (1.0, 2.0, 0.5) and bpy.context.view_layer.objects.active == rig
    assert body.parent == rig and body.modifiers["Armature"].object == rig and bpy.context.mode == "OBJECT"


def test_left_and_right_bones_mirror_each_other(rig: bpy.types.Object) -> None:
    for name in JOINT_NAMES:
        if name.startswith("left_"):
            one, two = (rig.data.bones[n] for n in (name, name.replace("left_", "right_")))
            mirrored = [-one.tail_local[0], one.tail_local[1], one.tail_local[2]]
            np.testing.assert_allclose(two.tail_local, mirrored, atol=1e-5, err_msg=name)


def test_the_skin_is_sound(body: bpy.types.Object) -> None:
    points = _vertices(body)
    assert np.all(np.isfinite(points)) and 20_000 < len(points) < 60_000
    assert 1.68 < np.ptp(points[:, 2]) < 1.74 and abs(points[:, 2].min()) < 0.005
    assert np.abs(points[:, 0]).max() == pytest.approx(0.88, abs=0.03)
    # skin faces look outwards: the volume by the divergence theorem is that of a person
    mesh = body.data
    mesh.calc_loop_triangles()
    corners = np.empty(len(mesh.loop_triangles) * 3, dtype=np.int32)
    mesh.loop_triangles.foreach_get("vertices", corners)
    a, b, c = (points[corners.reshape(-1, 3)[:, i]].astype(np.float64) for i in range(3))
    volume = np.sum(a * np.cross(b, c)) / 6
    assert 0.045 < volume < 0.085
    used = np.bincount(corners, minlength=len(points))
    assert np.all(used > 0), "loose vertices"


def test_weights_are_normalised_few_and_smooth(body: bpy.types.Object) -> None:
    weights = _weights(body)
    assert {g.name for g in body.vertex_groups} == set(JOINT_NAMES)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=0.02)
    assert (weights > 0).sum(axis=1).max() <= 4
    edges = np.array([e.vertices[:] for e in body.data.edges])
    points = _vertices(body)
    length = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    # no bone's weight jumps along an edge of the skin; between the lips it must
    step = np.abs(weights[edges[:, 0]] - weights[edges[:, 1]])
    step[:, JOINT_INDEX["jaw"]] = step[:, JOINT_INDEX["head"]] = 0
    assert step[length > 1e-5].max() < 0.55
    for name in ("left_index3", "right_thumb2", "left_foot", "jaw", "left_eye"):
        assert weights[:, body.vertex_groups[name].index].max() > 0.9, name


def test_fingers_do_not_pull_on_their_neighbours(body: bpy.types.Object) -> None:
    weights, points = _weights(body), _vertices(body)
    tips = points[:, 0] > 0.83
    owners = [weights[tips][:, [body.vertex_groups[f"left_{f}{n}"].index for n in (1, 2, 3)]].sum(axis=1)
              for f in ("index", "middle", "ring", "pinky")]
    assert np.all(np.max(owners, axis=0) > 0.98)


def test_the_face_has_all_arkit_shapes_and_left_is_left(body: bpy.types.Object) -> None:
    keys = body.data.shape_keys.key_blocks
    assert [k.name for k in keys[1:]] and set(k.name for k in keys[1:]) == set(ARKIT)
    assert recognise(k.name for k in keys[1:]).score == 1.0
    basis = _vertices(body, "Basis")
    np.testing.assert_allclose(basis, _vertices(body), atol=1e-6)
    for name in ARKIT:
        moved = np.linalg.norm(_vertices(body, name) - basis, axis=1)
        assert moved.max() > 0.001, name
        assert moved[basis[:, 2] < 1.40].max() < 1e-4, name
        if name.endswith(("Left", "Right")) and name not in ("mouthLeft", "mouthRight", "jawLeft", "jawRight"):
            side = basis[np.argmax(moved), 0]
            assert (side > 0) == name.endswith("Left"), name


def test_jaw_bone_and_jaw_shape_open_the_mouth_alike(rig: bpy.types.Object, body: bpy.types.Object) -> None:
    rig.pose.bones["jaw"].matrix_basis.identity()

    def shown() -> np.ndarray:
        evaluated = body.evaluated_get(bpy.context.evaluated_depsgraph_get())
        flat = np.empty(len(evaluated.data.vertices) * 3, dtype=np.float32)
        evaluated.data.vertices.foreach_get("co", flat)
        return flat.reshape(-1, 3)

    still = shown()
    key = body.data.shape_keys.key_blocks["jawOpen"]
    key.value = 1.0
    bpy.context.view_layer.update()
    by_shape = shown() - still
    key.value = 0.0
    rest = rig.data.bones["jaw"].matrix_local.to_quaternion()
    from mathutils import Quaternion

    turn = Quaternion((1, 0, 0), 0.33)
    rig.pose.bones["jaw"].rotation_quaternion = rest.inverted() @ turn @ rest
    bpy.context.view_layer.update()
    by_bone = shown() - still
    rig.pose.bones["jaw"].matrix_basis.identity()
    bpy.context.view_layer.update()
    assert by_shape[:, 2].min() < -0.015
    assert np.linalg.norm(by_shape - by_bone, axis=1).max() < 0.004


def test_lips_close_over_an_open_jaw(body: bpy.types.Object) -> None:
    basis, jaw, close = (_vertices(body, k) for k in ("Basis", "jawOpen", "mouthClose"))
    lips = body.data.materials.find("Understudy Lips")
    inside = {v for p in body.data.polygons if p.material_index == lips for v in p.vertices}
    rows = np.array([v for v in sorted(inside) if basis[v, 1] < -0.085])
    open_by = np.abs(jaw[rows] - basis[rows])[:, 2].max()
    left_open = np.abs(jaw[rows] + close[rows] - 2 * basis[rows])[:, 2].max()
    assert open_by > 0.012 and left_open < 0.1 * open_by


def test_a_second_character_is_its_own(rig: bpy.types.Object) -> None:
    bpy.context.scene.cursor.location = (-1.0, 0.0, 0.0)
    second = add_character(bpy.context)
    assert second is not rig and second.data is not rig.data and second.name != rig.name
    assert sum(m.name.startswith("Understudy Skin") for m in bpy.data.materials) == 1
