# SPDX-License-Identifier: Apache-2.0
"""Bodies: the neutral one, and SMPL-X on a made-up model file against the smplx package's own forward pass."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest

from bridge_server.body import NeutralBody, load_body
from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.formats.read import read_motion
from shared.kinematics import forward
from shared.motion import Motion
from shared.skeleton import NEUTRAL_OFFSETS

from . import files
from .model_file import ORIGIN, VERTICES, write_model
from .test_skeletons import person

needs_smplx = pytest.mark.skipif(importlib.util.find_spec("smplx") is None, reason="the smplx package is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    write_model(path / "SMPLX_NEUTRAL.npz")
    return path


def motion(frames: int = 5, expression: int = 10) -> Motion:
    g = np.random.default_rng(7)
    q = rot.continuous(rot.axis_angle_to_quat(g.normal(0, 0.3, (frames, 55, 3))))
    return Motion(30.0, q, g.normal(0, 1, (frames, 3)), g.normal(0, 1, (frames, expression)))


def package_output(path: Path, m: Motion, betas: np.ndarray, mean_hands: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, 55, 3) and vertices of the package itself, pelvis put where the motion has it."""
    import smplx
    import torch

    with contextlib.redirect_stdout(io.StringIO()):
        model = smplx.create(str(path), "smplx", ext="npz", use_pca=False, flat_hand_mean=not mean_hands, num_betas=10,
                             num_expression_coeffs=10, batch_size=len(m))
    pose = torch.as_tensor(rot.quat_to_axis_angle(m.rotations), dtype=torch.float32)
    expression = torch.zeros(len(m), 10)
    width = min(10, m.expression.shape[1])
    expression[:, :width] = torch.as_tensor(m.expression[:, :width])
    with torch.no_grad():
        out = model(betas=torch.as_tensor(betas, dtype=torch.float32).expand(len(m), -1), global_orient=pose[:, 0],
                    body_pose=pose[:, 1:22].reshape(len(m), -1), jaw_pose=pose[:, 22],
                    leye_pose=pose[:, 23], reye_pose=pose[:, 24],
                    left_hand_pose=pose[:, 25:40].reshape(len(m), -1), right_hand_pose=pose[:, 40:].reshape(len(m), -1),
                    expression=expression)
    joints = out.joints[:, :55].numpy()
    shift = m.translation[:, None] - joints[:, :1]
    return joints + shift, out.vertices.numpy() + shift


@needs_smplx
@pytest.mark.parametrize("width", [4, 10])
def test_joints_and_surface_are_those_of_the_package(folder: Path, width: int) -> None:
    betas = np.array([1.5, -2, 0.5, 3, 0, 0, 0, 0, 0, 0])
    body = load_body(folder, betas=betas)
    m = motion(expression=width)
    joints, vertices = package_output(folder / "SMPLX_NEUTRAL.npz", m, betas[None])
    assert np.abs(body.joints(m) - joints).max() < 2e-5
    for frame in (0, 3, -1):
        mesh = body.mesh(m, frame)
        assert mesh.vertices.shape == (VERTICES, 3) and np.abs(mesh.vertices - vertices[frame]).max() < 2e-5
        assert mesh.faces.shape[1] == 3 and mesh.faces.max() < VERTICES
    if width == 10:
        still = Motion(30.0, m.rotations, m.translation)
        assert np.abs(body.joints(still) - joints).max() > 1e-3, "the expression moves jaw and eyes a little"


@needs_smplx
def test_offset_hands_become_the_same_hands(folder: Path, tmp_path: Path) -> None:
    """A BEAT2 file read with the model's mean hands is what the package shows with flat_hand_mean=False."""
    a = files.beat2(tmp_path / "b.npz", frames=4)
    m = read_motion(tmp_path / "b.npz", mean_hands=folder / "SMPLX_NEUTRAL.npz")
    m.expression = m.expression[:, :0]
    stored = Motion(30.0, rot.axis_angle_to_quat(a["poses"].astype(float).reshape(4, 55, 3)), m.translation)
    joints, _ = package_output(folder / "SMPLX_NEUTRAL.npz", stored, np.zeros((1, 10)), mean_hands=True)
    assert np.abs(load_body(folder).joints(m) - joints).max() < 1e-4
    assert np.abs(load_body(folder).joints(stored) - joints).max() > 0.01


def test_rest_offsets_are_one_skeleton_with_ours(folder: Path) -> None:
    """The file was built on our skeleton, so its offsets are ours; a taller shape has longer bones."""
    body = load_body(folder / "SMPLX_NEUTRAL.npz")
    offsets = body.rest_offsets()
    assert np.allclose(offsets[1:], NEUTRAL_OFFSETS[1:], atol=1e-5)
    tall = load_body(folder, betas=[2.0])
    assert np.allclose(tall.rest_offsets()[1:], 1.12 * NEUTRAL_OFFSETS[1:], atol=1e-5)
    assert tall.rest_offsets()[0, 1] > offsets[0, 1] > 0.8
    m = motion(expression=0)
    assert np.allclose(tall.joints(m), forward(m.rotations, m.translation, tall.rest_offsets())[0], atol=1e-6)
    pelvis, legs = body.proportions([2.0])  # type: ignore[attr-defined]
    assert np.allclose(pelvis, 1.12 * (NEUTRAL_OFFSETS[0] - ORIGIN), atol=1e-5) and legs == pytest.approx(0.83 * 1.12, abs=1e-4)


def test_newer_files_have_300_and_100_columns(tmp_path: Path) -> None:
    write_model(tmp_path / "SMPLX_NEUTRAL_2020.npz", columns=400)
    body = load_body(tmp_path, betas=np.zeros(300))
    assert body.shape_count == 300 and body.expression_count == 100  # type: ignore[attr-defined]
    m = motion(expression=100)
    still = Motion(30.0, m.rotations, m.translation)
    moved = np.linalg.norm(body.joints(m) - body.joints(still), axis=-1)
    assert moved[:, 22].max() > 1e-3 and moved[:, :12].max() < 1e-9


def test_what_goes_wrong_is_said(folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", v_template=np.zeros((3, 3)))
    for make, code, words in (
        (lambda: load_body(tmp_path / "absent.npz"), "file_missing", "no SMPL-X model file"),
        (lambda: load_body(folder, gender="male"), "file_missing", "SMPLX_MALE.npz"),
        (lambda: load_body(folder, gender="robot"), "request_invalid", "robot"),
        (lambda: load_body(tmp_path / "other.npz"), "file_invalid", "it has no f"),
        (lambda: load_body(folder, betas=np.ones(16)), "request_invalid", "16 shape coefficients"),
        (lambda: load_body(folder, betas=[np.nan]), "request_invalid", "NaN"),
    ):
        with pytest.raises(UnderstudyError, match=words) as caught:
            make()
        assert caught.value.code == code and caught.value.fix
    assert load_body(folder, betas=np.zeros(16)).betas.shape == (10,)  # type: ignore[attr-defined]


def test_without_the_package_only_the_surface_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "smplx" else find(name, *a))
    body = load_body(folder)
    assert body.joints(motion()).shape == (5, 55, 3)
    with pytest.raises(UnderstudyError, match="package smplx") as caught:
        body.mesh(motion(), 0)
    assert "pip install smplx" in caught.value.fix and "non-commercial" in caught.value.fix


def test_the_neutral_body_answers_the_same_questions() -> None:
    body = load_body()
    assert isinstance(body, NeutralBody) and np.array_equal(body.rest_offsets(), NEUTRAL_OFFSETS)
    m = person(6)
    assert np.array_equal(body.joints(m), m.positions())
    mesh = body.mesh(m, 2)
    assert mesh.faces.max() == len(mesh.vertices) - 1 and mesh.vertices.dtype == np.float32
    p = m.positions()[2]
    assert np.linalg.norm(mesh.vertices[:, None] - p[None], axis=-1).min(0).max() < 0.01, "every joint is a corner"
    # closed and turned outwards: the volume by the divergence theorem is positive
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(float) for k in range(3))
    assert (np.cross(a, b) * c).sum() / 6 > 1e-4
    with pytest.raises(IndexError):
        body.mesh(m, 6)
