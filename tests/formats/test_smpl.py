# SPDX-License-Identifier: Apache-2.0
"""Pose files of the SMPL family, in every dialect, against scipy's rotations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from shared.errors import UnderstudyError
from shared.formats.amass import write_amass
from shared.formats.read import read_motion
from shared.motion import Motion

from . import files

Y_FROM_Z = Rotation.from_euler("x", -90, degrees=True)


def as_scipy(q: np.ndarray) -> Rotation:
    return Rotation.from_quat(np.asarray(q, np.float64)[..., [1, 2, 3, 0]].reshape(-1, 4))


def off(q: np.ndarray, expected: Rotation) -> float:
    """Largest angle between quaternions (…, 4) wxyz and scipy rotations, degrees."""
    return float(np.degrees((as_scipy(q).inv() * expected).magnitude()).max())


@pytest.mark.parametrize(("write", "model"), [
    (files.amass_smplh, "smplh"), (files.amass_smplx, "smplx"), (files.meshcapade, "smplx")])
def test_z_up_files_are_turned_upright(write: Callable, model: str, tmp_path: Path) -> None:
    a = write(tmp_path / "m.npz")
    motion = read_motion(tmp_path / "m.npz")
    joints = a["poses"].shape[1] // 3
    theirs = a["poses"].reshape(len(motion), joints, 3)
    ours = motion.rotations if joints == 55 else motion.rotations[:, [*range(22), *range(25, 55)]]
    assert off(ours[:, 0], Y_FROM_Z * Rotation.from_rotvec(theirs[:, 0])) < 1e-3
    assert off(ours[:, 1:], Rotation.from_rotvec(theirs[:, 1:].reshape(-1, 3))) < 1e-3
    x, y, z = (a["trans"] + files.PELVIS[model]).T
    assert np.allclose(motion.translation, np.stack((x, z, -y), 1), atol=1e-6)
    # somebody who stands by x90 in a Z-up file faces +Z here, and walking along -Y is walking forward
    assert np.allclose(motion.rotations[:, 0], [1, 0, 0, 0], atol=1e-6)
    assert motion.translation[-1, 2] > motion.translation[0, 2] and motion.translation[0, 1] > 0.8
    if joints == 52:
        assert np.allclose(motion.rotations[:, 22:25], [1, 0, 0, 0])


@pytest.mark.parametrize("z_up", [True, False])
def test_meshcapade_files_say_nothing_of_the_up_axis(z_up: bool, tmp_path: Path) -> None:
    files.meshcapade(tmp_path / "m.npz", z_up=z_up)
    motion = read_motion(tmp_path / "m.npz")
    assert motion.fps == 60 and motion.metadata["format"] == "meshcapade"
    assert np.allclose(motion.rotations[:, 0], [1, 0, 0, 0], atol=1e-6)
    assert np.allclose(read_motion(tmp_path / "m.npz", up="z" if z_up else "y").rotations, motion.rotations)


def test_stage_two_object_arrays_are_never_opened(tmp_path: Path) -> None:
    files.amass_smplx(tmp_path / "m.npz")
    motion = read_motion(tmp_path / "m.npz")
    assert motion.fps == 120 and motion.metadata["gender"] == "male" and len(motion.metadata["betas"]) == 16


def test_hy_motion_is_y_up_at_30(tmp_path: Path) -> None:
    a = files.hy_motion(tmp_path / "m.npz")
    motion = read_motion(tmp_path / "m.npz")
    assert motion.fps == 30 and motion.metadata["gender"] == "neutral"
    assert np.allclose(motion.translation, a["trans"] + files.PELVIS["smplh"], atol=1e-6)
    assert off(motion.rotations[:, 25:], Rotation.from_rotvec(a["poses"][:, 66:].reshape(-1, 3))) < 1e-3


def test_beat2_hands_are_offsets_and_amass_hands_are_not(tmp_path: Path) -> None:
    a = files.beat2(tmp_path / "b.npz")
    mean = np.random.default_rng(5).normal(0, 0.4, (2, 45))
    np.savez(tmp_path / "SMPLX_NEUTRAL_2020.npz", hands_meanl=mean[0], hands_meanr=mean[1], v_template=np.zeros((3, 3)))
    with pytest.raises(UnderstudyError, match="offsets from SMPL-X's mean hand") as caught:
        read_motion(tmp_path / "b.npz")
    assert caught.value.code == "file_missing" and "SMPLX_NEUTRAL_2020" in caught.value.fix
    motion = read_motion(tmp_path / "b.npz", mean_hands=tmp_path / "SMPLX_NEUTRAL_2020.npz")
    absolute = a["poses"][:, 75:].astype(float) + mean.reshape(-1)
    assert off(motion.rotations[:, 25:], Rotation.from_rotvec(absolute.reshape(-1, 3))) < 1e-3
    assert np.array_equal(motion.rotations, read_motion(tmp_path / "b.npz", mean_hands=mean).rotations)
    assert np.allclose(motion.expression, a["expressions"], atol=1e-6) and motion.fps == 30
    assert np.allclose(motion.translation, a["trans"] + files.PELVIS["smplx"], atol=1e-6)
    bare = read_motion(tmp_path / "b.npz", hands=False)
    assert np.allclose(bare.rotations[:, 25:], [1, 0, 0, 0]) and np.array_equal(bare.rotations[:, :25], motion.rotations[:, :25])
    # absolute hands take no mean hand, given or not
    h = files.amass_smplh(tmp_path / "h.npz")
    hands = Rotation.from_rotvec(h["poses"][:, 66:].reshape(-1, 3))
    assert off(read_motion(tmp_path / "h.npz", mean_hands=mean).rotations[:, 25:], hands) < 1e-3
    with pytest.raises(UnderstudyError, match="not an SMPL-X model"):
        read_motion(tmp_path / "b.npz", mean_hands=tmp_path / "h.npz")


def test_kimodo_export_comes_back_as_it_was(tmp_path: Path) -> None:
    """Written by Kimodo's formula: x90, then 180 degrees about Z, pelvis removed."""
    frames = 20
    local = files.poses(frames, 55)
    local[:, 0] = [0, 0.4, 0]
    place = files.path_of(frames)
    turn = Rotation.from_euler("z", 180, degrees=True) * Rotation.from_euler("x", 90, degrees=True)
    root = (turn * Rotation.from_rotvec(local[:, 0])).as_rotvec()
    np.savez(tmp_path / "k.npz", trans=turn.apply(place) - files.PELVIS["smplx"], root_orient=root,
             pose_body=local[:, 1:22].reshape(frames, 63), pose_hand=local[:, 25:].reshape(frames, 90),
             pose_jaw=np.zeros((frames, 3)), pose_eye=np.zeros((frames, 6)), betas=np.zeros(16), num_betas=16,
             gender="neutral", surface_model_type="smplx", mocap_frame_rate=30.0, mocap_time_length=frames / 30)
    motion = read_motion(tmp_path / "k.npz")
    assert motion.metadata["format"] == "kimodo-amass"
    assert np.allclose(motion.translation, place, atol=1e-5)
    assert off(motion.rotations[:, 0], Rotation.from_rotvec(local[:, 0])) < 1e-3
    assert off(motion.rotations[:, 25:], Rotation.from_rotvec(local[:, 25:].reshape(-1, 3))) < 1e-3


@pytest.mark.parametrize("fps", [20.0, 24.0, 29.97, 30.0, 50.0, 144.0])
def test_resampling_is_by_time_and_not_by_stride(fps: float, tmp_path: Path) -> None:
    a = files.amass_smplh(tmp_path / "m.npz", frames=51, fps=100.0)
    motion = read_motion(tmp_path / "m.npz", fps=fps)
    times = np.arange(len(motion)) / fps
    assert motion.fps == fps and times[-1] <= 0.5 + 1e-9 and times[-1] + 1 / fps > 0.5
    elbow = Slerp(np.arange(51) / 100, Rotation.from_rotvec(a["poses"].reshape(51, 52, 3)[:, 18]))(np.minimum(times, 0.5))
    assert off(motion.rotations[:, 18], elbow) < 2e-2
    whole = read_motion(tmp_path / "m.npz").translation
    assert np.allclose(motion.translation[:, 2], np.interp(times, np.arange(51) / 100, whole[:, 2]), atol=1e-5)


def test_a_stated_rate_can_be_overruled(tmp_path: Path) -> None:
    files.amass_smplx(tmp_path / "m.npz", fps=120.0)
    assert read_motion(tmp_path / "m.npz", source_fps=60.0).fps == 60


def test_written_amass_reads_back(tmp_path: Path) -> None:
    g = np.random.default_rng(1)
    q = Rotation.from_rotvec(files.poses(30, 55, 3).reshape(-1, 3)).as_quat()[:, [3, 0, 1, 2]].reshape(30, 55, 4)
    motion = Motion(30.0, q.astype(np.float32), files.path_of(30).astype(np.float32), g.normal(0, 1, (30, 10)).astype(np.float32),
                    metadata={"gender": "female", "betas": [0.5, -0.25]})
    write_amass(motion, tmp_path / "out.npz")
    back = read_motion(tmp_path / "out.npz")
    assert off(back.rotations, as_scipy(motion.rotations)) < 1e-3
    assert np.allclose(back.translation, motion.translation, atol=1e-5)
    assert np.allclose(back.expression, motion.expression, atol=1e-5)
    assert back.metadata["gender"] == "female" and back.metadata["betas"][:3] == [0.5, -0.25, 0.0]
    with np.load(tmp_path / "out.npz", allow_pickle=False) as z:
        assert {"trans", "gender", "betas", "poses", "mocap_frame_rate", "root_orient", "pose_hand",
                "surface_model_type"} <= set(z.files)
        assert z["poses"].shape == (30, 165) and z["betas"].shape == (16,)
        up = Rotation.from_rotvec(z["root_orient"]).apply([0, 1, 0])
        assert up[:, 2].min() > 0.99  # Z up
    assert not list(tmp_path.glob("*.part"))


def test_our_own_file(tmp_path: Path) -> None:
    motion = Motion.rest(10)
    motion.save(tmp_path / "m.npz")
    assert len(read_motion(tmp_path / "m.npz", fps=60)) == 19


def _spoil(path: Path, **changes: object) -> None:
    with np.load(path, allow_pickle=True) as z:
        arrays = {k: z[k] for k in z.files}
    arrays.update(changes)
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})


@pytest.mark.parametrize(("changes", "words"), [
    ({"poses": np.array([{"a": 1}], dtype=object)}, "Python objects"),
    ({"trans": np.full((24, 3), np.nan)}, r"NaN or infinite \(first in frame 0\)"),
    ({"trans": np.zeros((20, 3))}, "trans has 20 frames and the poses 24"),
    ({"trans": np.zeros((24, 2))}, "trans has shape"),
    ({"poses": np.zeros((24, 100))}, "100 numbers a frame"),
    ({"poses": np.zeros((0, 156)), "trans": np.zeros((0, 3))}, "no frames"),
    ({"mocap_framerate": None, "poses": np.zeros((24, 165))}, "how many frames a second"),
    ({"mocap_framerate": np.array(0.0)}, "frame rate is 0"),
    ({"trans": None}, "no motion file that is known"),
    ({"poses": np.full((24, 156), "x")}, "no numbers"),
])
def test_spoilt_files_are_refused_in_one_sentence(changes: dict, words: str, tmp_path: Path) -> None:
    files.amass_smplh(tmp_path / "m.npz")
    _spoil(tmp_path / "m.npz", **changes)
    with pytest.raises(UnderstudyError, match=words) as caught:
        read_motion(tmp_path / "m.npz")
    assert caught.value.code == "file_invalid" and caught.value.fix and "m.npz" in caught.value.message


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "clip.fbx").write_bytes(b"Kaydara")
    files.amass_smplh(tmp_path / "cut.npz")
    content = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    for name in ("text.npz", "empty.npz", "clip.fbx", "cut.npz"):
        with pytest.raises(UnderstudyError) as caught:
            read_motion(tmp_path / name)
        assert caught.value.code == "file_invalid"
    with pytest.raises(UnderstudyError) as caught:
        read_motion(tmp_path / "absent.npz")
    assert caught.value.code == "file_missing"
    files.amass_smplh(tmp_path / "good.npz")
    with pytest.raises(UnderstudyError, match="resample"):
        read_motion(tmp_path / "good.npz", fps=0)
