# SPDX-License-Identifier: Apache-2.0
"""BVH: parsing, writing, and other skeletons' motion on the SMPL-X joints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge_server.training.clips import read_set
from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.formats.bvh import write_bvh
from shared.formats.bvh_reader import UNITS, BvhClip, bvh_to_motion, read_bvh
from shared.formats.read import read_motion
from shared.kinematics import world_rotations
from shared.motion import Motion
from shared.skeleton import JOINT_INDEX as J
from shared.skeleton import JOINT_NAMES, NEUTRAL_OFFSETS, PARENTS

from .test_skeletons import person

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SAMPLES = DATA / "bvh_samples"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the BVH samples are not here")
LIMBS = [J[f"{s}_{n}"] for s in ("left", "right") for n in ("hip", "knee", "ankle", "shoulder", "elbow")]
ENDS = [J[f"{s}_{n}"] for s in ("left", "right") for n in ("knee", "ankle", "foot", "elbow", "wrist")]


def full_motion(frames: int = 12) -> Motion:
    g = np.random.default_rng(0)
    q = rot.continuous(rot.axis_angle_to_quat(g.normal(0, 0.3, (1, 55, 3)) + g.normal(0, 0.03, (frames, 55, 3)).cumsum(0)))
    return Motion(30.0, q, np.array([0, 0.96, 0]) + g.normal(0, 0.02, (frames, 3)).cumsum(0))


def directions(positions: np.ndarray) -> np.ndarray:
    v = positions[:, ENDS] - positions[:, [PARENTS[j] for j in ENDS]]
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def worst_degrees(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1))).max())


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    motion = full_motion()
    write_bvh(motion, tmp_path / "m.bvh")
    back = read_motion(tmp_path / "m.bvh")
    assert back.fps == 30 and back.metadata["convention"] == "smplx" and back.metadata["unit"] == 0.01
    assert np.degrees(rot.angle_between(back.rotations, motion.rotations)).max() < 0.02
    assert np.allclose(back.translation, motion.translation, atol=1e-4)


def bvh_text(order: str, angles: tuple[float, float, float], name: str = "Hips") -> str:
    channels = " ".join(f"{c}rotation" for c in order)
    return (f"HIERARCHY\nROOT {name}\n{{\n OFFSET 1 2 3\n CHANNELS 6 Xposition Yposition Zposition {channels}\n"
            f" JOINT my joint\n {{\n  OFFSET 0 5 0\n  CHANNELS 3 {channels}\n"
            "  End Site\n  {\n   OFFSET 0 1 0\n  }\n }\n}\nMOTION\nFrames: 2\n"
            f"Frame Time: .0083333\n10 20 30 0 0 0 {angles[0]} {angles[1]} {angles[2]}\n10 20 30 90 0 0 0 0 0\n")


@pytest.mark.parametrize("order", ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"])
def test_channels_apply_in_the_order_in_which_they_stand(order: str, tmp_path: Path) -> None:
    (tmp_path / "m.bvh").write_text(bvh_text(order, (10, 20, 30)))
    clip = read_bvh(tmp_path / "m.bvh")
    assert clip.names == ("Hips", "my joint") and clip.parents == (-1, 0) and clip.fps == 120
    assert clip.ends["my joint"].tolist() == [0, 1, 0] and clip.offsets[0].tolist() == [1, 2, 3]
    expected = np.eye(3)
    for axis, angle in zip(order, (10, 20, 30), strict=True):
        v = np.zeros(3)
        v["XYZ".index(axis)] = np.radians(angle)
        expected = expected @ rot.quat_to_matrix(rot.axis_angle_to_quat(v))
    assert np.allclose(rot.quat_to_matrix(clip.rotations[0, 1]), expected, atol=1e-9)
    # the root's position channels stand for its offset
    _, positions = clip.world()
    assert positions[0, 0].tolist() == [10, 20, 30] and np.allclose(positions[0, 1], [10, 25, 30])


@pytest.mark.parametrize(("change", "words"), [
    (("HIERARCHY", "HIERARCHIE"), "does not begin with HIERARCHY"), (("MOTION\n", ""), "no MOTION part"),
    (("Frames: 2", "Frames: 3"), "promises 3 frames of 9 numbers and holds 18"), (("Frames: 2", "Frames: two"), "two"),
    (("Frames: 2", "Frames: 0"), "no frames"), (("Frame Time: .0083333", "Frame Time: 0"), "frame time"),
    (("Xrotation", "Xscale"), "xscale"), (("OFFSET 0 5 0", "OFFSET 0 five 0"), "five"), (("10 20 30 90", "10 20 nan 90"), "NaN"),
    (("End Site\n", "Fin\n"), "'Fin' is not expected"), ((" }\n}\nMOTION", " }\nMOTION"), "brace is not closed"),
    (("10 20 30 90", "10 20 x 90"), "could not convert"),
])
def test_broken_files_say_what_is_broken(change: tuple[str, str], words: str, tmp_path: Path) -> None:
    text = bvh_text("ZXY", (0, 0, 0))
    assert change[0] in text
    (tmp_path / "m.bvh").write_text(text.replace(*change))
    with pytest.raises(UnderstudyError, match=words) as caught:
        read_bvh(tmp_path / "m.bvh")
    assert caught.value.code == "file_invalid"


def test_an_unknown_skeleton_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.bvh").write_text(bvh_text("ZXY", (0, 0, 0), "Tentacle"))
    with pytest.raises(UnderstudyError, match="no left hip, left knee.*Tentacle") as caught:
        read_motion(tmp_path / "m.bvh")
    assert caught.value.code == "rig_unknown"


MOTIONBUILDER = {"pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck", "head": "Head"}
for _side, _s in (("left", "Left"), ("right", "Right")):
    MOTIONBUILDER.update({f"{_side}_{a}": _s + b for a, b in (
        ("hip", "UpLeg"), ("knee", "Leg"), ("ankle", "Foot"), ("foot", "ToeBase"), ("collar", "Shoulder"), ("shoulder", "Arm"),
        ("elbow", "ForeArm"), ("wrist", "Hand"))})


def as_clip(
    motion: Motion, *, prefix: str = "", scale: float = 1.0, z_up: bool = False, bases: np.ndarray | None = None
) -> BvhClip:
    """The body of a motion as a MotionBuilder skeleton whose joints have other local axes in their zero pose."""
    joints = [j for j, name in enumerate(JOINT_NAMES) if name in MOTIONBUILDER]
    where = {j: k for k, j in enumerate(joints)}
    parents = [where.get(PARENTS[j], -1) for j in joints]
    turn = rot.axis_angle_to_quat(np.array([np.pi / 2, 0, 0])) if z_up else rot.identity()
    bases = rot.identity(len(joints)) if bases is None else bases
    local = np.zeros((len(motion), len(joints), 4))
    offsets = np.zeros((len(joints), 3))
    for k, j in enumerate(joints):
        q, o = motion.rotations[:, j].astype(float), np.array(NEUTRAL_OFFSETS[j])
        above = rot.conjugate(bases[parents[k]]) if parents[k] >= 0 else turn
        local[:, k] = rot.mul(rot.mul(above, q), bases[k])
        offsets[k] = rot.rotate(above, o) * scale if parents[k] >= 0 else 0
    places = np.tile(offsets, (len(motion), 1, 1))
    places[:, 0] = rot.rotate(turn, motion.translation.astype(float)) * scale
    names = tuple(prefix + MOTIONBUILDER[JOINT_NAMES[j]] for j in joints)
    return BvhClip("made.bvh", names, tuple(parents), offsets, {}, motion.fps, local, places)


@pytest.mark.parametrize("z_up", [False, True])
@pytest.mark.parametrize("prefix", ["", "mixamorig:"])
def test_other_names_units_and_axes(z_up: bool, prefix: str) -> None:
    m = person(30)
    zero = rot.axis_angle_to_quat(np.array([np.pi / 2, 0, 0])) if z_up else rot.identity()
    clip = as_clip(m, prefix=prefix, scale=39.37, z_up=z_up)
    if z_up:  # a Z-up file's zero pose stands along Z, so its offsets do and its root does not turn
        bases = np.tile(rot.conjugate(zero), (len(clip.names), 1))
        clip = as_clip(m, prefix=prefix, scale=39.37, z_up=True, bases=bases)
    back = bvh_to_motion(clip)
    assert back.metadata["up"] == ("z" if z_up else "y") and back.metadata["unit"] == UNITS["inch"]
    assert np.degrees(rot.angle_between(back.rotations[:, :22], m.rotations[:, :22])).max() < 0.05
    assert np.allclose(back.translation, m.translation, atol=1e-3)
    half = bvh_to_motion(clip, unit=0.0127, keep_size=True)
    assert np.allclose(half.translation - half.translation[0], (m.translation - m.translation[0]) / 2, atol=0.04)


def test_any_local_axes_with_a_t_pose_in_front() -> None:
    """A zero pose that is no person (LAFAN1 and others): the T-pose in front says where the bones are."""
    m = person(30)
    posed = Motion(m.fps, np.concatenate((rot.identity(1, 55), m.rotations)), np.concatenate((m.translation[:1], m.translation)))
    bases = rot.axis_angle_to_quat(np.random.default_rng(2).normal(0, 1.5, (22, 3)))
    back = bvh_to_motion(as_clip(posed, bases=bases))
    assert back.metadata["rest"] == "0" and back.metadata["skipped_frames"] == 1 and len(back) == 30
    assert np.degrees(rot.angle_between(back.rotations[:, :22], m.rotations[:, :22])).max() < 0.05
    # without one, the joints' positions decide: the limbs point where they pointed
    bare = bvh_to_motion(as_clip(m, bases=bases), rest="none")
    assert worst_degrees(directions(bare.positions()), directions(m.positions())) < 25
    assert np.degrees(rot.angle_between(bare.rotations[:, 0], m.rotations[:, 0])).max() < 15
    assert bvh_to_motion(as_clip(m, bases=bases)).metadata["rest"] == "positions"


@pytest.mark.parametrize("degrees", [30, 45, 80])
def test_a_zero_pose_with_lowered_arms(degrees: int) -> None:
    """An A-pose, or arms that hang, in the zero pose: the rest-pose difference is taken out."""
    m = person(20)
    a_pose = Motion.rest(1)
    for side, sign in (("left", -1), ("right", 1)):
        a_pose.rotations[:, J[f"{side}_shoulder"]] = rot.axis_angle_to_quat(np.array([0, 0, sign * np.radians(degrees)]))
    joints = [j for j, name in enumerate(JOINT_NAMES) if name in MOTIONBUILDER]
    back = bvh_to_motion(as_clip(m, bases=rot.conjugate(world_rotations(a_pose.rotations)[0, joints])))
    assert back.metadata["rest"] == "zero"
    assert np.degrees(rot.angle_between(back.rotations[:, :22], m.rotations[:, :22])).max() < 0.05


def test_parameters_are_checked() -> None:
    clip = as_clip(person(5))
    with pytest.raises(UnderstudyError, match="no frame 9"):
        bvh_to_motion(clip, rest=9)
    with pytest.raises(ValueError, match="up must be"):
        bvh_to_motion(clip, up="x")


@needs_samples
@pytest.mark.parametrize(("file", "clip", "frames", "fps"), [
    ("cmu_07_01_walk", "07_01", 316, 120.0), ("cmu_05_02_expressive_arms", "05_02.1", 1123, 120.0),
    ("wave_hello", "fair1_wave_hello", 839, 119.875)])
def test_samples_agree_with_the_set_made_from_them(file: str, clip: str, frames: int, fps: float) -> None:
    """``cmu_text`` holds the same takes, brought to our skeleton by another program: arms and legs agree to a degree or two."""
    motion = read_motion(SAMPLES / f"{file}.bvh")
    assert len(motion) == frames and motion.fps == pytest.approx(fps, abs=0.01)
    theirs = next(c for c in read_set(DATA / "cmu_text", ("train", "val", "test")) if c.name == clip)
    first = round(theirs.record["trial_start"] * 30)
    ours = motion.resample(30.0).slice(first, first + len(theirs))
    a = world_rotations(ours.rotations[: len(theirs), :22].astype(float))
    b = world_rotations(theirs.rotations[: len(ours)].astype(float))
    apart = np.degrees(rot.angle_between(a, b))
    assert apart[:, [0, 1, 2, 4, 5]].mean() < 1.0, "pelvis and legs"
    assert apart[:, 16:22].mean() < 3.0, "arms"
    p, r = ours.positions(), Motion.from_body(30.0, theirs.rotations, theirs.translation).positions()
    assert np.linalg.norm((p - p[:, :1] - r + r[:, :1])[:, :22], axis=-1).mean() < 0.02


@needs_samples
def test_samples_stand_upright_with_left_on_the_left() -> None:
    for file in sorted(SAMPLES.glob("*.bvh")):
        motion = read_motion(file, fps=10)
        p, world = motion.positions(), world_rotations(motion.rotations.astype(float))
        assert (p[:, J["head"], 1] - p[:, 0, 1]).min() > 0.35 and p[:, 0, 1].min() > 0.7, file.name
        left = rot.rotate(rot.conjugate(world[:, 0]), p[:, J["left_hip"]] - p[:, J["right_hip"]])
        assert left[:, 0].min() > 0.1
        feet = p[:, J["left_foot"]] - p[:, J["left_ankle"]] + p[:, J["right_foot"]] - p[:, J["right_ankle"]]
        toes = rot.rotate(rot.conjugate(world[:, 0]), feet)
        assert np.median(toes[:, 2]) > 0.1, "toes point forward"
    walk = read_motion(SAMPLES / "cmu_07_01_walk.bvh", fps=30)
    gone = walk.translation[-1] - walk.translation[0]
    assert gone[2] > 2.5 and abs(gone[0]) < 0.6 and np.abs(rot.heading(walk.rotations[:, 0])).max() < 0.5
    wave = read_motion(SAMPLES / "wave_hello.bvh", fps=30).slice(105, 140).positions()
    assert wave[:, J["right_wrist"], 1].max() > wave[0, J["right_shoulder"], 1] > wave[:, J["left_wrist"], 1].max()
