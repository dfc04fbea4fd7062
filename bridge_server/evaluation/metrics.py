# SPDX-License-Identifier: Apache-2.0
"""Measures of what a generator makes, by their published definitions: embeddings, poses and codes.

Embeddings are (N, D); what the pairs, pools and draws are is the caller's business. Measures of bodies against the
floor are in :mod:`.physics`, those of rhythm in :mod:`.beats`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

__all__ = [
    "POOL",
    "code_perplexity",
    "code_usage",
    "diversity",
    "frechet_distance", "frechet_distance_of_halves", "frechet_distance_unbiased",
    "l1_diversity",
    "mm_distance",
    "mpjpe",
    "multimodality",
    "r_precision",
]

POOL: Final = 32
"""Descriptions among which one is looked for (Guo et al. 2022)."""


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances (N, M)."""
    square = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2 * a @ b.T
    return np.sqrt(np.maximum(square, 0.0))


def r_precision(
    motion: np.ndarray,
    text: np.ndarray,
    carried: np.ndarray,
    generator: np.random.Generator,
    *,
    top: int = 3,
    pool: int = POOL,
    rounds: int = 20,
) -> np.ndarray:
    """R-precision (top,): how often a right description is among the 1, 2, … ``top`` nearest of a pool.

    Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022, section 5: each motion is
    compared by Euclidean distance with its own description and those of 31 others. Their descriptions are practically
    all different; where a set repeats its captions, a pool may hold the same sentence several times, and so a
    description counts as right when the motion's clip carries that very sentence. Equal distances are broken in the
    pool's random order.

    :param motion: (N, D). :param text: (N, D) the description of each motion.
    :param carried: (N, N) bool: ``[i, j]`` says that the clip of motion i carries description j; its diagonal is True.
    :param rounds: how often the motions are dealt into pools anew; the result is the mean.
    :raises ValueError: with fewer motions than ``pool``.
    """
    count = len(motion)
    if count < pool:
        raise ValueError(f"{count} motions do not fill a pool of {pool}")
    hits = np.zeros(top)
    seen = 0
    for _ in range(rounds):
        order = generator.permutation(count)
        for a in range(0, count - pool + 1, pool):
            dealt = order[a : a + pool]
            nearest = np.argsort(_distances(motion[dealt], text[dealt]), axis=1, kind="stable")[:, :top]
            right = np.take_along_axis(carried[np.ix_(dealt, dealt)], nearest, axis=1)
            hits += (np.cumsum(right, axis=1) > 0).sum(0)
            seen += pool
    return hits / seen


def mm_distance(motion: np.ndarray, text: np.ndarray) -> float:
    """Multimodal distance: the mean Euclidean distance of each motion (N, D) to its description (N, D) (Guo et al.
    2022)."""
    return float(np.linalg.norm(motion - text, axis=1).mean())


def _root(symmetric: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(symmetric)
    root: np.ndarray = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of the normal distributions fitted to embeddings (N, D) and (M, D).

    Heusel et al., NIPS 2017 (FID): ``|mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))``. With motion embeddings it
    is the FID of Guo et al. 2022, with those of gesture windows the FGD of Yoon et al., "Speech Gesture Generation from
    the Trimodal Context", 2020. Covariances are unbiased; the trace of the root is taken from ``S_a^(1/2) S_b
    S_a^(1/2)``, which is symmetric and has the same eigenvalues.
    """
    cov_a, cov_b = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    half = _root(cov_a)
    eigenvalues = np.linalg.eigvalsh(half @ cov_b @ half)
    cross = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    mean = np.square(a.mean(0) - b.mean(0)).sum()
    return float(mean + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


def frechet_distance_unbiased(a: np.ndarray, b: np.ndarray, generator: np.random.Generator, draws: int = 12) -> float:
    """The Fréchet distance that endless samples would have: FID-infinity of Chong and Forsyth, CVPR 2020.

    A distance from few samples is too large, by an amount that falls with one over their number: two halves of the same
    set lie far apart. So it is measured on subsets of both, of seven sizes from 40 % up, and the straight line over
    ``1 / n`` is read off at zero. May come out slightly below zero for like sets. ``draws`` subsets a size.
    """
    n = min(len(a), len(b))
    sizes = np.unique(np.linspace(max(3, 0.4 * n), n, 7).round().astype(int))
    if len(sizes) < 2:
        return frechet_distance(a, b)
    found = [np.mean([frechet_distance(a[generator.choice(len(a), k, replace=False)], b[generator.choice(len(b), k, replace=False)])
                      for _ in range(draws)]) for k in sizes]
    return float(np.polyfit(1 / sizes, found, 1)[1])


def frechet_distance_of_halves(a: np.ndarray, generator: np.random.Generator, draws: int = 30) -> float:
    """Mean Fréchet distance between random halves of one set: what chance alone makes of sets of half this size."""
    half = len(a) // 2
    orders = [generator.permutation(len(a)) for _ in range(draws)]
    return float(np.mean([frechet_distance(a[o[:half]], a[o[half:2 * half]]) for o in orders]))


def diversity(motion: np.ndarray, generator: np.random.Generator, pairs: int = 300) -> float:
    """Diversity: the mean distance of two random subsets of ``pairs`` embeddings, one by one (Guo et al.,
    "Action2Motion", 2020).

    The subsets are drawn without repetition where there are enough embeddings; an embedding is never paired with
    itself.
    """
    count = len(motion)
    if count < 2:
        return 0.0
    first = generator.choice(count, pairs, replace=count < pairs)
    second = (first + generator.integers(1, count, pairs)) % count
    return float(np.linalg.norm(motion[first] - motion[second], axis=1).mean())


def multimodality(motion: np.ndarray) -> float:
    """Multimodality: the mean distance of motions made from the same description (Guo et al., "Action2Motion", 2020).

    They draw ten pairs a description; here all pairs are taken, which is that draw's expectation.

    :param motion: (descriptions, K, D), K >= 2 motions of each.
    """
    k = motion.shape[1]
    first, second = np.triu_indices(k, 1)
    return float(np.linalg.norm(motion[:, first] - motion[:, second], axis=-1).mean())


def l1_diversity(positions: np.ndarray) -> float:
    """L1 diversity of gestures: how much poses differ from the clip's mean pose, metres.

    Li et al., "Audio2Gestures", ICCV 2021, in the form that Liu et al., "EMAGE", CVPR 2024, measure: the mean over
    frames of the L1 norm of the joints' difference to the mean pose.

    :param positions: (T, J, 3) joints relative to the pelvis, in the heading frame.
    """
    return float(np.abs(positions - positions.mean(0)).sum((1, 2)).mean())


def mpjpe(positions: np.ndarray, truth: np.ndarray) -> float:
    """Mean per joint position error, mm: the mean Euclidean distance after the root is put at the same place.

    Ionescu et al., "Human3.6M", 2014. Joint 0 is the root; nothing is rotated or scaled.

    :param positions: (T, J, 3) metres, and ``truth`` the same.
    """
    a, b = positions - positions[:, :1], truth - truth[:, :1]
    return float(1000 * np.linalg.norm(a - b, axis=-1).mean())


def code_usage(index: np.ndarray, codes: int) -> float:
    """Share of the book's codes that occur in ``index`` (any shape)."""
    return len(np.unique(index)) / codes


def code_perplexity(index: np.ndarray | Sequence[int], codes: int) -> float:
    """Perplexity of the use of a book: ``exp(-sum p log p)``, at most ``codes`` (van den Oord et al. 2017)."""
    p = np.bincount(np.asarray(index).ravel(), minlength=codes).astype(np.float64)
    p = p[p > 0] / p.sum()
    return float(np.exp(-(p * np.log(p)).sum()))
