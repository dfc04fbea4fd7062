# SPDX-License-Identifier: Apache-2.0
"""What is measured, and the baselines."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bridge_server.evaluation.items import Item, carried, cut, mean_pose, random_clips, read_items, right_clips, thin
from bridge_server.training.clips import Clip
from shared import rotations as rot

from .sets import move, write_set


def clip(frames: int, *captions: str) -> Clip:
    q, t = move(0, frames, 0)
    return Clip("c", "set", q, t, {"split": "test", "captions": [{"text": c} for c in captions]})


def item(name: str, frames: int, *captions: str, kind: int = 0) -> Item:
    return Item(name, "set", *move(kind, frames, 1), captions)


def test_long_clips_are_cut_into_equal_pieces() -> None:
    pieces = cut(clip(750, "a person dances"))
    assert [len(p) for p in pieces] == [250, 250, 250] and [p.name for p in pieces] == ["c@0", "c@250", "c@500"]
    assert [len(p) for p in cut(clip(300, "x"))] == [300] and cut(clip(20, "x")) == []


def test_captions_take_turns_and_are_carried() -> None:
    (one,) = cut(clip(60, "a ", "b", "a"))
    assert one.captions == ("a", "b") and [one.caption(r) for r in range(3)] == ["a", "b", "a"]
    other = item("o", 60, "b")
    assert carried([one, other], ["a", "b"]).tolist() == [[True, True], [False, True]]


def test_clips_that_need_objects_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    write_set(tmp_path / "moves")
    assert len(read_items(tmp_path, ["moves"], "test")) == 39
    assert len(read_items(tmp_path, ["moves"], "test", with_objects=True)) == 40
    assert {i.record["split"] for i in read_items(tmp_path, ["moves"], "train")} == {"train"}


def test_the_random_clip_never_carries_a_right_caption() -> None:
    training = [item("t0", 90, "a", kind=0), item("t1", 40, "b", kind=1)]
    chosen = random_clips([item("x", 60, "a", "c"), item("y", 60, "b")], training, np.random.default_rng(0))
    assert np.array_equal(chosen[0][0], training[1].rotations) and np.array_equal(
        chosen[1][0], training[0].rotations[:60]
    )


class Letters:
    """A sentence encoder: which of the letters a, b, c a sentence has."""

    width, digest = 3, ""

    def encode(self, texts: list[str]) -> np.ndarray:
        rows = np.array([[float(x in t) for x in "abc"] for t in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_knowing_clip_carries_what_is_asked_or_the_nearest() -> None:
    training = [item("t0", 90, "a", kind=0), item("t1", 90, "b", kind=1)]
    wanted = [item("x", 60, "a"), item("y", 60, "b b")]
    chosen = right_clips(wanted, ["a", "b b"], training, Letters(), np.random.default_rng(0))
    assert [np.array_equal(q, t.rotations[:60]) for (q, _), t in zip(chosen, training, strict=True)] == [True, True]


def test_the_mean_pose_is_a_pose_without_heading() -> None:
    training = [item("t", 90, "a", kind=2)]
    ((q, t),) = mean_pose([item("x", 60, "a")], training)
    assert q.shape == (60, 22, 4) and t.shape == (60, 3) and np.allclose(np.linalg.norm(q, axis=-1), 1)
    # the clip only turns on the spot: without its heading the mean is the rest pose
    assert np.allclose(q, rot.identity(60, 22), atol=1e-3) and abs(float(t[0, 1]) - 0.96) < 0.01


def test_thinning_keeps_the_ends_and_the_order() -> None:
    items = [item(str(n), 40, "a") for n in range(10)]
    assert (
        [i.name for i in thin(items, 4)] == ["0", "3", "6", "9"]
        and thin(items, 0) == items
        and thin(items, 99) == items
    )
