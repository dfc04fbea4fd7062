# SPDX-License-Identifier: Apache-2.0
"""The judge learns to tell motions apart, from training splits alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bridge_server.evaluation.evaluator import FEATURES, gesture_windows, mirror_features, motion_features
from bridge_server.evaluation.evaluator_training import EvaluatorOptions, info_nce, load_or_train
from bridge_server.evaluation.items import carried, read_items
from bridge_server.evaluation.metrics import r_precision
from bridge_server.training.clips import mirrored
from shared import rotations as rot
from shared.errors import UnderstudyError

from .sets import move, write_set


def turned(q: np.ndarray, t: np.ndarray, yaw: float) -> tuple[np.ndarray, np.ndarray]:
    turn = rot.yaw_quat(np.full(len(q), yaw))
    q = q.copy()
    q[:, 0] = rot.mul(turn, q[:, 0])
    return q, rot.rotate(turn, t) + [3.0, 0.0, -2.0]


def test_features_do_not_know_where_one_stands_or_looks() -> None:
    q, t = move(0, 40, 1)
    t[:, 0] = 0.02 * np.arange(40)
    x, y = motion_features(q, t), motion_features(*turned(q, t, 1.1))
    assert x.shape == (40, FEATURES) and np.allclose(x, y, atol=1e-4)
    assert not np.allclose(x, motion_features(*move(1, 40, 1)), atol=0.1)


def test_mirrored_features_are_those_of_the_mirrored_motion() -> None:
    q, t = move(0, 40, 1)
    q[:, 0] = rot.mul(rot.yaw_quat(0.02 * np.arange(40)), q[:, 0])
    t[:, 0] = 0.02 * np.arange(40)
    assert np.allclose(mirror_features(motion_features(q, t)), motion_features(*mirrored(q, t)), atol=1e-4)


def test_the_loss_spares_sentences_that_mean_the_same() -> None:
    motion, text = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    scale = torch.tensor(1.0)
    none = torch.zeros(2, 2, dtype=torch.bool)
    spared = info_nce(motion, text, scale, ~torch.eye(2, dtype=torch.bool))
    # with no negatives left there is nothing to lose
    assert float(spared) == pytest.approx(0.0, abs=1e-6) and float(info_nce(motion, text, scale, none)) > 0.3


def test_gesture_windows_of_a_short_body_are_none() -> None:
    assert gesture_windows([move(0, 50, 0)]).shape == (0, 64, 39) and gesture_windows([move(0, 128, 0)]).shape == (
        3,
        64,
        39,
    )


def test_training_is_seeded_kept_and_useful(tmp_path: Path) -> None:
    data = write_set(tmp_path / "data" / "moves", train=24, test=33).parent
    options = EvaluatorOptions(steps=14, gesture_steps=4, batch=16, rate=3e-3)
    first = load_or_train(tmp_path / "a", data, ["moves"], None, options)
    items = read_items(data, ["moves"], "test")
    vectors = first.net.embed([i.body for i in items])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    texts = [i.caption(0) for i in items]
    found = r_precision(vectors, first.embed_texts(texts), carried(items, texts), np.random.default_rng(0))
    assert found[0] > 0.7
    # batches do not change what one body is given, nor does padding
    assert np.allclose(first.net.embed([items[5].body]), vectors[5:6], atol=1e-5)
    again = load_or_train(tmp_path / "a", data, ["moves"], None, options)
    assert (
        np.allclose(again.net.embed([i.body for i in items[:3]]), vectors[:3], atol=1e-6) and again.facts == first.facts
    )
    assert len(list((tmp_path / "a").glob("*.pt"))) == 2
    anew = load_or_train(tmp_path / "b", data, ["moves"], None, options)
    assert np.allclose(anew.net.embed([i.body for i in items[:3]]), vectors[:3], atol=1e-4)


def test_sets_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnderstudyError, match="nowhere"):
        read_items(tmp_path, ["nowhere"], "test")
