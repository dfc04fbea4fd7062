# SPDX-License-Identifier: Apache-2.0
"""Kimodo's npz and HumanML3D's features: skeletons other than SMPL-X."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.formats.humanml3d import positions_from_features
from shared.formats.kimodo import SOMA_JOINTS
from shared.formats.read import read_motion
from shared.kinematics import forward
from shared.motion import Motion
from shared.skeleton import JOINT_INDEX as J

from . import files


def person(frames: int = 40, seed: int = 0) -> Motion:
    """Somebody who walks forward, turns, and bends the limbs the way limbs bend."""
    g = np.random.default_rng(seed)
    t = np.arange(frames) / 20
    v = g.normal(0, 0.05, (1, 22, 3)) * np.ones((frames, 1, 1))
    v[:, 0] = np.stack((0 * t, 0.4 * t, 0 * t), 1)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        swing = sign * np.sin(4 * t)
        v[:, J[f"{side}_hip"], 0] = 0.4 * swing
        v[:, J[f"{side}_knee"]] = np.stack((0.7 + 0.3 * swing, 0 * t, 0 * t), 1)
        v[:, J[f"{side}_shoulder"]] = np.stack((0 * t, 0.3 * swing, -sign * 0.9 + 0 * t), 1)
        v[:, J[f"{side}_elbow"]] = np.stack((0 * t, -sign * (0.8 + 0.3 * swing), 0 * t), 1)
    place = np.stack((0.1 * t, 0.93 + 0.02 * np.sin(8 * t), 0.9 * t), 1)
    return Motion.from_body(20.0, rot.axis_angle_to_quat(v), place)


def kimodo_file(path: Path, **changes: np.ndarray | None) -> Motion:
    """Kimodo's output of its SMPL-X skeleton."""
    m = person()
    positions, world = forward(m.rotations[:, :22], m.translation)
    arrays = dict(posed_joints=positions, global_rot_mats=rot.quat_to_matrix(world),
                  local_rot_mats=rot.quat_to_matrix(m.rotations[:, :22]), smooth_root_pos=m.translation,
                  foot_contacts=np.tile([True, True, False, False], (len(m), 1)),
                  root_positions=m.translation, global_root_heading=np.zeros((len(m), 2)))
    arrays.update(changes)
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return m


@pytest.mark.parametrize("dropped", [None, "local_rot_mats", "global_rot_mats"])
def test_kimodo_smplx(dropped: str | None, tmp_path: Path) -> None:
    """Older files hold only some of the keys."""
    m = kimodo_file(tmp_path / "k.npz", **({dropped: None} if dropped else {}))
    read = read_motion(tmp_path / "k.npz")
    assert read.fps == 30 and np.degrees(rot.angle_between(read.rotations, m.rotations)).max() < 0.05
    assert np.allclose(read.translation, m.translation, atol=1e-5)
    assert read.contacts[0].tolist() == [1, 1, 0, 0]


def test_kimodo_soma(tmp_path: Path) -> None:
    """SOMA's 77 joints, zero pose a T-pose: limbs must point where SOMA's point, in every frame."""
    joints = SOMA_JOINTS[77]
    names = [n for n, _ in joints]
    assert len(names) == len(set(names)) == 77 and names[40] == "RightArm" and names[-1] == "RightToeEnd"
    assert len(SOMA_JOINTS[30]) == 30
    offsets = {"Hips": (0, 100, 0), "Spine1": (0, 10, 0), "Spine2": (0, 12, 0), "Chest": (0, 12, 1), "Neck1": (0, 22, 0),
               "Neck2": (0, 5, 0), "Head": (0, 5, 1), "LeftShoulder": (4, 16, 0),
               "LeftArm": (13, 1, -1), "LeftForeArm": (27, 0, 0),
               "LeftHand": (25, 0, 0), "LeftLeg": (9, -4, 0), "LeftShin": (0, -43, 1), "LeftFoot": (0, -41, -2),
               "LeftToeBase": (2, -5, 13)}
    offsets.update({n.replace("Left", "Right"): (-x, y, z) for n, (x, y, z) in list(offsets.items()) if n.startswith("Left")})
    frames = 12
    g = np.random.default_rng(3)
    local = Rotation.from_rotvec(g.normal(0, 0.3, (frames * 77, 3))).as_matrix().reshape(frames, 77, 3, 3)
    world, positions = local.copy(), np.zeros((frames, 77, 3))
    for k, (name, parent) in enumerate(joints):
        o = np.array(offsets.get(name, (3 if "Left" in name else -3, 0, 0)), float) / 100
        if parent:
            p = names.index(parent)
            world[:, k] = world[:, p] @ local[:, k]
            positions[:, k] = positions[:, p] + world[:, p] @ o
        else:
            positions[:, k] = o
    np.savez(tmp_path / "s.npz", posed_joints=positions, global_rot_mats=world, local_rot_mats=local)
    read = read_motion(tmp_path / "s.npz")
    assert read.metadata["rest"] == "zero" and read.metadata["joints"] == 77
    ours = read.positions()
    for a, b, c, d in (("left_hip", "left_knee", "LeftLeg", "LeftShin"), ("right_knee", "right_ankle", "RightShin", "RightFoot"),
                       ("left_shoulder", "left_elbow", "LeftArm", "LeftForeArm"),
                       ("right_elbow", "right_wrist", "RightForeArm", "RightHand")):
        u = ours[:, J[b]] - ours[:, J[a]]
        v = positions[:, names.index(d)] - positions[:, names.index(c)]
        cosine = (u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.1, (a, b)


def test_kimodo_robot_is_refused(tmp_path: Path) -> None:
    eye = np.tile(np.eye(3), (5, 34, 1, 1))
    np.savez(tmp_path / "g1.npz", posed_joints=np.zeros((5, 34, 3)), global_rot_mats=eye, local_rot_mats=eye)
    with pytest.raises(UnderstudyError, match="34 joints"):
        read_motion(tmp_path / "g1.npz")
    kimodo_file(tmp_path / "k.npz", local_rot_mats=np.zeros((40, 22, 9)), global_rot_mats=None)
    with pytest.raises(UnderstudyError, match="local_rot_mats has shape"):
        read_motion(tmp_path / "k.npz")


def facing(positions: np.ndarray) -> np.ndarray:
    """Turned so that the first frame faces +Z, as the data set's clips do."""
    across = positions[0, 1] - positions[0, 2] + positions[0, 16] - positions[0, 17]
    ahead = np.cross(across, [0, 1, 0])
    turn = Rotation.from_euler("y", -np.arctan2(ahead[0], ahead[2]))
    return turn.apply(positions.reshape(-1, 3)).reshape(positions.shape)


def features_of(positions: np.ndarray) -> np.ndarray:
    """HumanML3D's layout, written from its published definition with scipy (not from the reader)."""
    across = positions[:, 1] - positions[:, 2] + positions[:, 16] - positions[:, 17]
    ahead = np.cross(across, [0, 1, 0])
    yaw = np.arctan2(ahead[:, 0], ahead[:, 2])
    to_heading = Rotation.from_euler("y", -yaw[:, None])
    n = len(positions) - 1
    x = np.zeros((n, 263))
    # the relative rotation's y component is the sine of half the angle
    x[:, 0] = np.arcsin(((to_heading[1:] * to_heading[:-1].inv()).as_quat())[:, 1])
    step = to_heading[1:].apply(positions[1:, 0] - positions[:-1, 0])
    x[:, 1:3] = step[:, [0, 2]]
    x[:, 3] = positions[:-1, 0, 1]
    centred = positions - positions[:, :1] * [1, 0, 1]
    local = np.stack([to_heading[f].apply(centred[f]) for f in range(n)])
    x[:, 4:67] = local[:, 1:].reshape(n, 63)
    x[:, 259] = 1.0
    assert abs(yaw[0]) < 1e-6, "the data set's clips begin facing +Z"
    return x


def test_humanml3d(tmp_path: Path) -> None:
    m = person(60)
    m.translation[:, [0, 2]] -= m.translation[0, [0, 2]]
    positions = facing(m.positions()[:, :22])
    x = features_of(positions)
    decoded = positions_from_features(x)
    assert np.abs(decoded - positions[:-1]).max() < 1e-6
    np.save(tmp_path / "000612.npy", x.astype(np.float32))
    read = read_motion(tmp_path / "000612.npy")
    assert read.fps == 20 and len(read) == 59 and read.contacts[0].tolist() == [1, 0, 0, 0]
    rebuilt = read.positions()[:, :22]
    apart = np.linalg.norm((rebuilt - rebuilt[:, :1]) - (positions - positions[:, :1])[:-1], axis=-1)
    assert apart.mean() < 0.02 and apart.max() < 0.08
    # bent limbs are found with their twist: within a few degrees of the rotations that made the positions
    knees = rot.angle_between(read.rotations[:, [4, 5]], m.rotations[:-1, [4, 5]])
    elbows = rot.angle_between(read.rotations[:, [18, 19]], m.rotations[:-1, [18, 19]])
    assert np.degrees(knees).mean() < 10 and np.degrees(elbows).mean() < 15
    assert len(read_motion(tmp_path / "000612.npy", fps=30)) == 88


def test_humanml3d_refusals(tmp_path: Path) -> None:
    x = features_of(facing(person(20).positions()[:, :22]))
    for name, array, words in (("normal", (x - x.mean(0)) / (x.std(0) + 0.1), "normalised"), ("wide", np.zeros((10, 251)), "251"),
                               ("nan", np.where(np.arange(263) == 9, np.nan, x), "NaN")):
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(UnderstudyError, match=words):
            read_motion(tmp_path / f"{name}.npy")
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UnderstudyError, match="Python object"):
        read_motion(tmp_path / "object.npy")


def test_sources_of_motion_agree(tmp_path: Path) -> None:
    """The same poses as AMASS SMPL-X and as HY-Motion are the same motion."""
    files.amass_smplx(tmp_path / "x.npz", seed=4)
    a = read_motion(tmp_path / "x.npz")
    p = files.poses(24, 55, 4)
    np.savez(tmp_path / "y.npz", gender=np.array(["neutral"]), Rh=p[:, 0], trans=files.path_of(24), betas=np.zeros((1, 16)),
             poses=p[:, [*range(22), *range(25, 55)]].reshape(24, 156))
    b = read_motion(tmp_path / "y.npz")
    assert np.allclose(a.rotations[:, :22], b.rotations[:, :22], atol=1e-5)
    assert np.allclose(a.rotations[:, 25:], b.rotations[:, 25:], atol=1e-5)
