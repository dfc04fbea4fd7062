# SPDX-License-Identifier: Apache-2.0
"""Metrics against cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bridge_server.evaluation import metrics


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_r_precision_counts_the_rank_of_the_right_description() -> None:
    # on a line: motion 0 has its own description nearest, motion 1 second, motion 2 third
    motion = np.array([[0.0], [10.0], [20.0]])
    text = np.array([[0.0], [14.0], [9.0]])
    # distances: 0 -> 0, 14, 9; 10 -> 10, 4, 1; 20 -> 20, 6, 11: ranks of the own one are 1, 2 and 2
    found = metrics.r_precision(motion, text, np.eye(3, dtype=bool), rng(), top=3, pool=3, rounds=2)
    assert found == pytest.approx([1 / 3, 1.0, 1.0])


def test_a_caption_that_the_clip_carries_counts_wherever_it_stands() -> None:
    motion, text = np.array([[0.0], [10.0]]), np.array([[9.0], [1.0]])
    strict = metrics.r_precision(motion, text, np.eye(2, dtype=bool), rng(), top=1, pool=2)
    shared = metrics.r_precision(motion, text, np.ones((2, 2), dtype=bool), rng(), top=1, pool=2)
    assert strict == pytest.approx([0.0]) and shared == pytest.approx([1.0])


def test_r_precision_of_noise_is_chance_and_a_pool_must_be_full() -> None:
    g = rng(3)
    found = metrics.r_precision(g.standard_normal((320, 8)), g.standard_normal((320, 8)), np.eye(320, dtype=bool), g)
    assert found == pytest.approx([1 / 32, 2 / 32, 3 / 32], abs=0.02)
    # one space, one place: ties are broken by the pool's order and not in favour of the right one
    same = np.zeros((320, 8))
    assert metrics.r_precision(same, same, np.eye(320, dtype=bool), g)[2] == pytest.approx(3 / 32, abs=0.001)
    with pytest.raises(ValueError, match="do not fill"):
        metrics.r_precision(same[:31], same[:31], np.eye(31, dtype=bool), g)


def test_frechet_distance_of_known_samples() -> None:
    # means 0 and (3, 4), variances 1 and 4 (unbiased) on one axis, the other axis constant: 25 + (1 + 4 - 2 * 2) = 26
    a = np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    b = np.array([[1.0, 4.0], [3.0, 4.0], [5.0, 4.0]])
    assert metrics.frechet_distance(a, b) == pytest.approx(26.0)
    assert metrics.frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)


def test_frechet_distance_agrees_with_the_matrix_square_root() -> None:
    from scipy.linalg import sqrtm

    g = rng(1)
    a, b = g.standard_normal((60, 5)) @ g.standard_normal((5, 5)), g.standard_normal((80, 5)) + 1
    sa, sb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(sa + sb - 2 * sqrtm(sa @ sb).real)
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert metrics.frechet_distance(a, b) == pytest.approx(metrics.frechet_distance(b, a), rel=1e-6)


def test_distances_of_embeddings() -> None:
    motion = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert metrics.mm_distance(motion, np.array([[0.0, 1.0], [0.0, 0.0]])) == pytest.approx(3.0)
    # two embeddings: every pair is 5 apart, never an embedding with itself
    assert metrics.diversity(motion, rng()) == pytest.approx(5.0)
    assert metrics.diversity(motion[:1], rng()) == 0.0
    # one caption, three motions on a line at 0, 1, 3: pairs 1, 3, 2
    assert metrics.multimodality(np.array([[[0.0], [1.0], [3.0]]])) == pytest.approx(2.0)


def test_poses() -> None:
    # one joint besides the root, at x = 0 and x = 2: mean 1, so each frame is 1 away
    moving = np.zeros((2, 2, 3))
    moving[1, 1, 0] = 2.0
    assert metrics.l1_diversity(moving) == pytest.approx(1.0)
    truth = np.zeros((1, 2, 3))
    off = truth + [5.0, 0.0, 0.0]
    off[0, 1] += [0.03, 0.04, 0.0]
    # the root's own place does not count: joints are 0 and 50 mm away
    assert metrics.mpjpe(off, truth) == pytest.approx(25.0)


def test_codes() -> None:
    assert metrics.code_perplexity(np.array([0, 1, 2, 3]), 8) == pytest.approx(4.0)
    assert metrics.code_perplexity([5, 5, 5], 8) == pytest.approx(1.0)
    # p = 3/4, 1/4: exp(0.75 ln(4/3) + 0.25 ln 4) = 4 / 3^0.75
    assert metrics.code_perplexity([0, 0, 0, 1], 8) == pytest.approx(4 / 3**0.75)
    assert metrics.code_usage(np.array([[0, 1], [1, 1]]), 8) == 0.25


def test_the_distance_of_endless_samples() -> None:
    rng = np.random.default_rng(3)
    scale = np.linspace(0.5, 1.5, 8)
    a, b, c = (rng.normal(size=(150, 8)) * scale for _ in range(3))
    c[:, 0] += 1.0
    alike = metrics.frechet_distance_unbiased(a, b, np.random.default_rng(0))
    assert abs(alike) < 0.4 * metrics.frechet_distance(a, b)
    # the true distance is that of the means: 1
    assert abs(metrics.frechet_distance_unbiased(a, c, np.random.default_rng(0)) - 1.0) < 0.35
    halves = metrics.frechet_distance_of_halves(a, np.random.default_rng(0))
    assert halves > 1.5 * metrics.frechet_distance(a, b) > 0
