# SPDX-License-Identifier: Apache-2.0
"""A body from an SMPL-X model file (made up, in the published layout): its skin against linear blending in numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from shared import rotations as rot
from shared.formats.smplx_model import SmplxModel, read_model
from shared.kinematics import forward
from shared.motion import Motion
from shared.skeleton import JOINT_NAMES, NEUTRAL_OFFSETS
from tests.formats.model_file import VERTICES, write_model

BETAS = (1.0, -0.5)
OWNER = np.array([JOINT_NAMES[n % len(JOINT_NAMES)] for n in range(VERTICES)])
"""The joint that carries most of each vertex of the made-up model."""
TRUNK = np.isin(OWNER, ("pelvis", "spine1", "spine2", "spine3", "neck", "head", "jaw", "left_hip", "right_hip"))
LIMBS = np.array([not n.rstrip("123").endswith(("index", "middle", "ring", "pinky", "thumb")) for n in OWNER])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "SMPLX_NEUTRAL.npz")


def blended(model: SmplxModel, motion: Motion, frame: int) -> np.ndarray:
    """(V, 3) of linear blending, Blender's axes: every vertex carried by its joints from where they rest."""
    shape = model.checked(BETAS)
    place = [*-model.joints(shape)[0, :1], -model.surface(shape)[:, 1].min(), -model.joints(shape)[0, 2]]
    rest, joints = model.surface(shape) + place, model.joints(shape) + place
    q = motion.rotations[frame:frame + 1].astype(float)
    # the motion is that of the neutral skeleton; this body stands as high as its own legs are long
    positions, world = forward(q, np.array([[0.0, joints[0, 1], 0.0]]), model.offsets(shape))
    weights = model.skin_weights()
    out = np.zeros_like(rest)
    for j in range(len(JOINT_NAMES)):
        out += weights[:, j:j + 1] * (positions[0, j] + rot.rotate(np.broadcast_to(world[0, j], (len(rest), 4)), rest - joints[j]))
    return out[:, [0, 2, 1]] * [1, -1, 1]


def surface(rig: Any) -> np.ndarray:
    mesh = next(o for o in bpy.data.objects if o.type == "MESH" and o.parent == rig)
    evaluated = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    out = np.empty(3 * len(evaluated.vertices), np.float32)
    evaluated.vertices.foreach_get("co", out)
    return out.reshape(-1, 3).astype(float)


def moving(frames: int = 12) -> Motion:
    """Arms, trunk and fingers in motion on a neutral body that stands."""
    g = np.random.default_rng(3)
    vectors = np.zeros((frames, 55, 3))
    for name in ("spine2", "left_shoulder", "right_elbow", "left_index1", "right_thumb2", "neck"):
        vectors[:, JOINT_NAMES.index(name)] = np.cumsum(g.normal(0, 0.06, (frames, 3)), 0)
    return Motion(30.0, rot.axis_angle_to_quat(vectors), np.tile([0.0, NEUTRAL_OFFSETS[0][1], 0.0], (frames, 1)),
                  np.tile(np.linspace(-1, 1, frames)[:, None], (1, 10)).astype(np.float32))


def test_the_body_has_the_models_joints_skin_and_terms(addon: Any, model: Path) -> None:
    assert bpy.ops.understudy.add_smplx_body(filepath=str(model), betas="1, -0.5") == {"FINISHED"}
    rig = bpy.context.scene.understudy.character
    content = read_model(model)
    shape = content.checked(BETAS)
    pelvis, lift = content.joints(shape)[0], -content.surface(shape)[:, 1].min()
    for name in ("pelvis", "left_wrist", "right_index2", "jaw", "left_foot"):
        x, y, z = content.joints(shape)[JOINT_NAMES.index(name)]
        assert np.allclose(rig.data.bones[name].head_local, (x - pelvis[0], pelvis[2] - z, y + lift), atol=1e-5)
    still = moving(1)
    still.rotations[:] = rot.identity(1, 55)
    assert np.abs(surface(rig) - blended(content, still, 0)).max() < 1e-5
    assert surface(rig)[:, 2].min() == pytest.approx(0, abs=1e-6)
    assert "non-commercial" in rig["licence"]
    names = [k.name for k in next(iter(bpy.data.shape_keys)).key_blocks]
    assert names[0] == "Basis" and names[1:] == [f"Exp{n:03d}" for n in range(10)]


def test_a_motion_on_the_body_is_the_motion(addon: Any, model: Path, tmp_path: Path) -> None:
    """Vertices are where linear blending puts them, frames visited out of order; expressions are keyed and shown."""
    content = read_model(model)
    motion = moving()
    bpy.context.scene.render.fps = 30
    bpy.ops.understudy.add_smplx_body(filepath=str(model), betas="1, -0.5")
    rig = bpy.context.scene.understudy.character
    rig.understudy.key_mode = "DENSE"
    motion.save(tmp_path / "m.npz")
    assert bpy.ops.understudy.import_motion(filepath=str(tmp_path / "m.npz")) == {"FINISHED"}
    keys = next(iter(bpy.data.shape_keys)).key_blocks
    body = next(o for o in bpy.data.objects if o.type == "MESH")
    for frame in (7, 0, 11, 3):
        bpy.context.scene.frame_set(1 + frame)
        assert keys["Exp004"].value == pytest.approx(motion.expression[frame, 4], abs=1e-4)
        shown = surface(rig)
        for key in keys[1:]:
            key.mute = True
        bare = surface(rig)
        for key in keys[1:]:
            key.mute = False
        assert np.abs(shown - bare).max() > 1e-3
        # how high a body stands goes by its legs, not by its lowest vertex
        away = bare - blended(content, motion, frame)
        lift = away[:, 2].mean()
        assert abs(lift) < 0.01
        distance = np.linalg.norm(away - [0, 0, lift], axis=1)
        assert distance[TRUNK].max() < 2e-4
        # limbs keep the directions that they have on the neutral skeleton, whose rest pose differs a little from this shape's
        assert distance[LIMBS].max() < 0.003 and distance.max() < 0.01
    assert body.parent == rig


def test_the_shown_take_comes_along(addon: Any, bridge: Any, model: Path) -> None:
    from .shot import direct, perform

    bpy.ops.understudy.add_character()
    first = bpy.context.scene.understudy.character
    direct(first)
    perform()
    assert bpy.ops.understudy.add_smplx_body(filepath=str(model)) == {"FINISHED"}
    body = bpy.context.scene.understudy.character
    assert body != first and len(body.understudy.takes) == 1
    assert body.animation_data.action is not None and body.animation_data.action != first.animation_data.action
    bpy.context.scene.frame_set(20)
    assert any(not np.allclose(b.rotation_quaternion, (1, 0, 0, 0), atol=1e-3) for b in body.pose.bones)


def test_what_is_wrong_is_said_and_nothing_is_added(addon: Any, model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", v_template=np.zeros((3, 3)))
    before = set(bpy.data.objects)
    for arguments, words in (
        ({"filepath": str(tmp_path / "other.npz")}, "not an SMPL-X model file"),
        ({"filepath": str(tmp_path / "none.npz")}, "no SMPL-X model file"),
        ({"filepath": str(model), "betas": "tall"}, "not a list of numbers"),
        ({"filepath": str(model), "betas": ",".join(["1"] * 11)}, "shape coefficients"),
    ):
        with pytest.raises(RuntimeError, match=words):
            bpy.ops.understudy.add_smplx_body(**arguments)
    assert set(bpy.data.objects) == before
