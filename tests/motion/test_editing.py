# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from bridge_server.motion.editing import extended, insert, known_tokens, snap_locks
from shared import rotations as rot
from shared.edits import Edit, Lock, Range
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.skeleton import JOINT_INDEX, PART_JOINTS
from shared.wire import decode, encode

from . import nets
from .test_features import wandering


def motion(seed: int, frames: int = 120) -> Motion:
    q, t = wandering(seed, frames)
    return Motion.from_body(30.0, q.astype(np.float32), t.astype(np.float32), contacts=np.ones((frames, 4), np.float32))


def biggest_step(m: Motion) -> float:
    return float(rot.angle_between(m.rotations[1:], m.rotations[:-1]).max())


def test_outside_a_range_every_bit_stays_and_its_edges_do_not_jump() -> None:
    base, new = motion(1), motion(2)
    out = insert(base, new, [Range(1.0, 3.0)])
    outside = np.r_[0:30, 90:120]
    assert np.array_equal(out.rotations.astype(np.float32)[outside], base.rotations[outside])
    assert np.array_equal(out.translation.astype(np.float32)[outside], base.translation[outside])
    assert not np.allclose(out.rotations[40:80], base.rotations[40:80], atol=0.05)
    assert biggest_step(out) < 2.5 * max(biggest_step(base), biggest_step(new)) + 0.05
    steps = np.linalg.norm(np.diff(out.translation, axis=0), axis=1)
    assert steps.max() < 0.25


def test_a_range_for_a_part_changes_only_its_joints() -> None:
    base, new = motion(1), motion(2)
    out = insert(base, new, [Range(1.0, 3.0, "left_arm")])
    others = [j for j in range(55) if j not in PART_JOINTS["left_arm"]]
    assert np.array_equal(out.rotations.astype(np.float32)[:, others], base.rotations[:, others])
    assert np.array_equal(out.translation.astype(np.float32), base.translation)
    shoulder = JOINT_INDEX["left_shoulder"]
    assert np.allclose(rot.angle_between(out.rotations[60, shoulder], new.rotations[60, shoulder]), 0, atol=1e-5)


def test_locked_poses_are_exact_and_approached_smoothly() -> None:
    base, new = motion(1), motion(2)
    ranges, locks = [Range(0.5, 3.5)], [Lock(2.0), Lock(2.5, "left_arm")]
    out = snap_locks(insert(base, new, ranges), base, locks, ranges)
    assert np.array_equal(out.rotations[60].astype(np.float32), base.rotations[60])
    assert np.array_equal(out.translation[60].astype(np.float32), base.translation[60])
    arm = list(PART_JOINTS["left_arm"])
    assert np.array_equal(out.rotations[75][arm].astype(np.float32), base.rotations[75][arm])
    assert biggest_step(out) < 0.9
    assert np.array_equal(out.rotations[:15].astype(np.float32), base.rotations[:15])


def test_known_tokens_are_free_exactly_where_a_range_touches() -> None:
    known = known_tokens(nets.tokenizer(), motion(1), [Range(1.0, 2.0, "upper")], 30)
    free = (known[:, :, 0] < 0).numpy()
    assert not free[:, 0].any()
    assert free[:, 1].tolist() == [7 <= n < 15 for n in range(30)]


def test_extending_and_looping_prepare_the_base() -> None:
    base = motion(1)
    longer, ranges, length = extended(Edit(base, [Range(0, 1)]), 180)
    assert len(longer) == length == 180 and ranges[-1].end == pytest.approx(6.0)
    looped, ranges, length = extended(Edit(base, loop=True), 0)
    assert length == 120 and len(looped) > length and ranges[-1].end == pytest.approx(4.0)
    assert np.array_equal(looped.rotations[120], base.rotations[0])


def test_an_edit_crosses_the_wire_and_contradictions_are_refused() -> None:
    edit = Edit(motion(1), [Range(1, 2)], [Lock(1.5, "head")])
    request = MotionRequest(edit=edit, duration=4.0)
    back = MotionRequest.from_message(decode(encode(request.to_message()), receiver="bridge")).edit
    assert back is not None and back.ranges == edit.ranges and back.locks == edit.locks
    assert np.array_equal(back.base.rotations, edit.base.rotations)
    with pytest.raises(UnderstudyError, match="not after"):
        Edit(motion(1), [Range(2, 2)]).check()
    with pytest.raises(UnderstudyError, match="locked"):
        Edit(motion(1), [Range(1, 1.1)], [Lock(f / 30) for f in range(30, 33)]).check()
    with pytest.raises(UnderstudyError, match="nothing"):
        Edit(motion(1)).check()
