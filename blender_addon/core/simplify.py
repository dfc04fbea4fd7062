# SPDX-License-Identifier: GPL-3.0-or-later
"""Few keys instead of one per frame: cubic Bézier segments within a given error.

Channels that belong together (the components of one bone's rotation) get their keys at the same frames, so that an
animator finds whole poses to edit. Handles lie at a third of the segment, which makes the curve an ordinary cubic in
time: ``y(u) = (1-u)³ y0 + 3(1-u)²u h0 + 3(1-u)u² h1 + u³ y1``. The handles of a segment are the least squares fit with
the ends held on the samples (Schneider, "An Algorithm for Automatically Fitting Digitized Curves", Graphics Gems I,
1990); a segment whose largest error is above the limit is split where that error is. All segments of all groups are
handled at once, level by level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["SparseKeys", "evaluate", "simplify"]


@dataclass(frozen=True)
class SparseKeys:
    """The keys of one group of D channels.

    :ivar index: (K,) sample numbers, ascending, the first and the last sample among them.
    :ivar values: (K, D) values at the keys.
    :ivar left: (K, D) values of the left handles, a third of the way to the key before.
    :ivar right: (K, D) values of the right handles, a third of the way to the key after.
    :ivar aligned: (K,) bool: both handles lie on one line in every channel.
    """

    index: np.ndarray
    values: np.ndarray
    left: np.ndarray
    right: np.ndarray
    aligned: np.ndarray


def _fit(samples: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fit S segments; samples (N, D), starts and ends (S,) as sample numbers, both belonging to the segment.

    Returns both handles (S, D), the largest error (S,) and the sample where it is (S,).
    """
    lengths = ends - starts + 1
    offsets = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    segment = np.repeat(np.arange(len(starts)), lengths)
    local = np.arange(lengths.sum()) - offsets[segment]
    u = (local / (lengths - 1)[segment])[:, None]
    v = 1 - u
    y = samples[starts[segment] + local]
    y0, y1 = samples[starts], samples[ends]
    b1, b2 = 3 * v * v * u, 3 * v * u * u
    rest = y - (v**3 * y0[segment] + u**3 * y1[segment])
    a11, a12, a22 = (np.add.reduceat(w, offsets) for w in (b1 * b1, b1 * b2, b2 * b2))
    c1, c2 = (np.add.reduceat(w, offsets) for w in (b1 * rest, b2 * rest))
    determinant = a11 * a22 - a12 * a12
    # with fewer than two inner samples there is nothing to fit: a straight line
    solvable = (determinant > 1e-9) & (lengths > 3)[:, None]
    safe = np.where(solvable, determinant, 1.0)
    h0 = np.where(solvable, (a22 * c1 - a12 * c2) / safe, y0 + (y1 - y0) / 3)
    h1 = np.where(solvable, (a11 * c2 - a12 * c1) / safe, y1 - (y1 - y0) / 3)
    error = np.linalg.norm(rest - b1 * h0[segment] - b2 * h1[segment], axis=1)
    worst = np.maximum.reduceat(error, offsets)
    place = np.flatnonzero(error >= worst[segment])
    first = np.full(len(starts), -1)
    first[segment[place][::-1]] = (starts[segment] + local)[place][::-1]
    return h0, h1, worst, first


def simplify(samples: np.ndarray, limits: np.ndarray) -> list[SparseKeys]:
    """Keys for G groups of channels.

    :param samples: (G, T, D) values at T frames.
    :param limits: (G,) largest Euclidean distance in D dimensions between the curve and any sample.
    """
    groups, frames, channels = samples.shape
    if frames < 2:
        return [SparseKeys(np.arange(frames), s, s, s, np.ones(frames, bool)) for s in samples]
    flat = (samples / np.asarray(limits)[:, None, None]).reshape(-1, channels).astype(np.float64)
    starts = np.arange(groups) * frames
    ends = starts + frames - 1
    done: list[tuple[np.ndarray, ...]] = []
    while len(starts):
        h0, h1, error, place = _fit(flat, starts, ends)
        good = error <= 1.0
        done.append((starts[good], ends[good], h0[good], h1[good]))
        starts, ends, place = starts[~good], ends[~good], place[~good]
        # a split must leave something on both sides; where the error is near an end, the middle does better
        margin = np.maximum((ends - starts) // 8, 1)
        place = np.clip(place, starts + margin, ends - margin)
        starts, ends = np.concatenate((starts, place)), np.concatenate((place, ends))
    first, last, right, left = (np.concatenate(part) for part in zip(*done, strict=True))
    order = np.argsort(first, kind="stable")
    first, last, right, left = first[order], last[order], right[order], left[order]
    owner = first // frames
    result = []
    for group in range(groups):
        mine = owner == group
        limit = float(np.asarray(limits)[group])
        result.append(_assemble(flat[group * frames:(group + 1) * frames], first[mine] - group * frames,
                                last[mine] - group * frames, right[mine], left[mine], limit))
    return result


def _assemble(samples: np.ndarray, first: np.ndarray, last: np.ndarray, right: np.ndarray, left: np.ndarray,
              limit: float) -> SparseKeys:
    """Join the segments of one group; align handles where that keeps the error; back to the channels' own units."""
    index = np.concatenate((first, last[-1:]))
    values = samples[index]
    span = np.diff(index)[:, None]
    slope_right = 3 * (right - values[:-1]) / span
    slope_left = 3 * (values[1:] - left) / span
    inner_left, inner_right = slope_left[:-1], slope_right[1:]
    weight = span[:-1] / (span[:-1] + span[1:])
    # the longer segment's slope is the better known one
    shared = weight * inner_left + (1 - weight) * inner_right
    out, into = slope_right.copy(), slope_left.copy()
    out[1:], into[:-1] = shared, shared
    keys = SparseKeys(index, values, values - np.concatenate((out[:1], into)) * np.concatenate((span[:1], span)) / 3,
                      values + np.concatenate((out, into[-1:])) * np.concatenate((span, span[-1:])) / 3,
                      np.ones(len(index), bool))
    error = np.linalg.norm(evaluate(keys, len(samples)) - samples, axis=1)
    wrong = np.maximum.reduceat(error, first) > 1.0 if len(first) else np.zeros(0, bool)
    # where the aligned curve strays, both ends of the segment keep the handles that were fitted
    free = np.zeros(len(index), bool)
    free[:-1] |= wrong
    free[1:] |= wrong
    while True:
        use_left, use_right = keys.left.copy(), keys.right.copy()
        fitted_left = np.concatenate((keys.left[:1], left))
        fitted_right = np.concatenate((right, keys.right[-1:]))
        use_left[free], use_right[free] = fitted_left[free], fitted_right[free]
        result = SparseKeys(index, values * limit, use_left * limit, use_right * limit, ~free)
        trial = SparseKeys(index, values, use_left, use_right, ~free)
        error = np.linalg.norm(evaluate(trial, len(samples)) - samples, axis=1)
        wrong = np.maximum.reduceat(error, first) > 1.0 + 1e-6
        grown = free.copy()
        grown[:-1] |= wrong
        grown[1:] |= wrong
        if np.array_equal(grown, free):
            return result
        free = grown


def evaluate(keys: SparseKeys, frames: int) -> np.ndarray:
    """The values (frames, D) of the curve at every sample."""
    at = np.arange(frames)
    n = np.clip(np.searchsorted(keys.index, at, side="right") - 1, 0, max(len(keys.index) - 2, 0))
    if len(keys.index) < 2:
        return np.repeat(keys.values, frames, axis=0)
    u = ((at - keys.index[n]) / (keys.index[n + 1] - keys.index[n]))[:, None]
    v = 1 - u
    return (v**3 * keys.values[n] + 3 * v * v * u * keys.right[n] + 3 * v * u * u * keys.left[n + 1]
            + u**3 * keys.values[n + 1])
