# SPDX-License-Identifier: Apache-2.0
"""The Motion container: resampling, joining, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.kinematics import forward, local_rotations, world_rotations
from shared.motion import Motion
from shared.skeleton import JOINT_COUNT, MIRROR, NEUTRAL_OFFSETS, PARENTS, rest_positions

seeds = st.integers(0, 2**32 - 1)


def random_motion(seed: int, frames: int, fps: float = 30.0, curves: int = 2) -> Motion:
    """Smooth random frames in float32."""
    g = np.random.default_rng(seed)
    steps = g.normal(0, 0.05, (frames, JOINT_COUNT, 3)).cumsum(axis=0)
    return Motion(
        fps,
        rot.continuous(rot.axis_angle_to_quat(steps)).astype(np.float32),
        g.normal(0, 0.01, (frames, 3)).cumsum(0).astype(np.float32),
        g.normal(0, 1, (frames, 5)).astype(np.float32),
        {f"curve{n}": g.random(frames, dtype=np.float32) for n in range(curves)},
        g.random((frames, 4), dtype=np.float32),
        {"seed": seed},
    )


@given(seeds, st.integers(1, 40), st.sampled_from([12.0, 23.976, 24.0, 25.0, 30.0, 59.94, 60.0, 120.0]))
@settings(max_examples=40)
def test_resampling_hits_the_exact_times(seed: int, frames: int, fps: float) -> None:
    motion = random_motion(seed, frames)
    other = motion.resample(fps)
    # as many samples as lie within the last frame's time
    assert (len(other) - 1) / fps <= (frames - 1) / 30 + 1e-5
    assert len(other) / fps > (frames - 1) / 30 - 1e-5
    np.testing.assert_allclose(np.linalg.norm(other.rotations, axis=-1), 1, atol=1e-5)
    # linear quantities are numpy's own interpolation
    for k in range(3):
        np.testing.assert_allclose(
            other.translation[:, k], np.interp(other.times, motion.times, motion.translation[:, k]), atol=1e-5
        )
    np.testing.assert_allclose(
        other.face["curve0"], np.interp(other.times, motion.times, motion.face["curve0"]), atol=1e-5
    )


@given(seeds, st.integers(2, 30), st.integers(2, 5))
@settings(max_examples=30)
def test_finer_and_back_is_the_same(seed: int, frames: int, times: int) -> None:
    motion = random_motion(seed, frames)
    back = motion.resample(30.0 * times).resample(30.0)
    assert len(back) == frames
    np.testing.assert_allclose(np.abs(np.sum(back.rotations * motion.rotations, axis=-1)), 1, atol=1e-5)
    np.testing.assert_allclose(back.translation, motion.translation, atol=1e-5)


def test_a_minute_is_1800_frames() -> None:
    assert len(Motion.rest(3600, 60.0).resample(30.0)) == 1800
    assert Motion.rest(1800).duration == 60.0


@given(seeds, st.integers(2, 20), st.integers(2, 20), st.data())
@settings(max_examples=40)
def test_joining(seed: int, a: int, b: int, data: st.DataObject) -> None:
    blend = data.draw(st.integers(0, min(a, b)))
    first, second = random_motion(seed, a), random_motion(seed + 1, b, curves=3)
    joined = first.concatenate(second, blend)
    assert len(joined) == a + b - blend
    np.testing.assert_array_equal(joined.translation[: a - blend], first.translation[: a - blend])
    np.testing.assert_array_equal(joined.translation[a:], second.translation[blend:])
    assert (np.sum(joined.rotations[1:] * joined.rotations[:-1], axis=-1) >= 0).all()
    assert set(joined.face) == {"curve0", "curve1", "curve2"}


def test_joining_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="rates"):
        Motion.rest(5).concatenate(Motion.rest(5, 25.0))
    with pytest.raises(ValueError, match="blend"):
        Motion.rest(5).concatenate(Motion.rest(3), 4)


@given(seeds, st.integers(0, 20), st.integers(0, 3))
@settings(max_examples=20)
def test_file_round_trip_is_exact(seed: int, frames: int, curves: int) -> None:
    motion = random_motion(seed, frames, curves=curves)
    back = Motion.from_bytes(motion.to_bytes())
    for name in ("rotations", "translation", "expression", "contacts"):
        np.testing.assert_array_equal(getattr(back, name), getattr(motion, name))
    assert back.fps == motion.fps and back.metadata == motion.metadata and list(back.face) == list(motion.face)
    for name, curve in motion.face.items():
        np.testing.assert_array_equal(back.face[name], curve)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_motion(content: bytes) -> None:
    with pytest.raises(UnderstudyError) as caught:
        Motion.from_bytes(content)
    assert caught.value.code == "file_invalid"


def test_damaged_file(tmp_path: Path) -> None:
    content = Motion.rest(30).to_bytes()
    for cut in range(0, len(content) - 1, 97):
        with pytest.raises(UnderstudyError):
            Motion.from_bytes(content[:cut])
    with pytest.raises(UnderstudyError, match="no file"):
        Motion.load(tmp_path / "absent.npz")


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="translation"):
        Motion(30, rot.identity(4, JOINT_COUNT), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="fps"):
        Motion.rest(3, 0.0)
    with pytest.raises(ValueError, match="jawOpen"):
        Motion(30, rot.identity(4, JOINT_COUNT), np.zeros((4, 3)), face={"jawOpen": np.zeros(3)})


@given(seeds)
@settings(max_examples=20)
def test_forward_kinematics_against_matrices(seed: int) -> None:
    motion = random_motion(seed, 3)
    rotations = rot.normalise(motion.rotations.astype(np.float64))
    positions, _ = forward(rotations, motion.translation.astype(np.float64))
    matrices = rot.quat_to_matrix(rotations)
    for t in range(3):
        world = [np.eye(4)] * JOINT_COUNT
        for j in range(JOINT_COUNT):
            local = np.eye(4)
            local[:3, :3] = matrices[t, j]
            local[:3, 3] = motion.translation[t] if j == 0 else NEUTRAL_OFFSETS[j]
            world[j] = local if j == 0 else world[PARENTS[j]] @ local
        np.testing.assert_allclose(positions[t], [w[:3, 3] for w in world], atol=1e-9)


@given(seeds)
@settings(max_examples=20)
def test_local_and_world_rotations_are_inverse(seed: int) -> None:
    local = random_motion(seed, 4).rotations.astype(np.float64)
    np.testing.assert_allclose(local_rotations(world_rotations(local)), local, atol=1e-6)


def test_skeleton_is_symmetric_and_stands_on_the_floor() -> None:
    rest = rest_positions()
    np.testing.assert_allclose(rest[list(MIRROR)], rest * [-1, 1, 1], atol=1e-12)
    assert all(parent < child for child, parent in enumerate(PARENTS))
    assert -0.02 < rest[:, 1].min() < 0.12
    np.testing.assert_allclose(Motion.rest(2).positions()[1], rest, atol=1e-12)


def test_resampling_from_a_sample_on_gives_the_rest() -> None:
    rng = np.random.default_rng(3)
    motion = Motion(30.0, rot.continuous(rot.normalise(rng.normal(size=(50, 55, 4)))), rng.normal(size=(50, 3)))
    for fps in (30.0, 24.0, 60.0):
        whole = motion.resample(fps)
        for first in (0, 7, len(whole)):
            rest = motion.resample(fps, first=first)
            assert len(rest) == len(whole) - first and np.array_equal(rest.translation, whole.translation[first:])
            # the sign is that of the samples alone
            assert np.allclose(np.abs(np.sum(rest.rotations * whole.rotations[first:], -1)), 1, atol=1e-9)
