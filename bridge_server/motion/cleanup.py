# SPDX-License-Identifier: Apache-2.0
"""What the decoder leaves to be put right: sliding feet, drift on the spot, soles under the floor."""

from __future__ import annotations

from typing import Final

import numpy as np

from shared import rotations as rot
from shared.kinematics import end_point, forward
from shared.skeleton import BODY_JOINT_COUNT, JOINT_INDEX

from .leg_ik import reach_ankle

__all__ = ["clean", "contact_spans"]

_ON: Final = 0.55
_OFF: Final = 0.40
_SHORTEST: Final = 3
_EASE: Final = 5
"""Frames over which a foot is let go of."""
_REACH: Final = 0.12
"""Metres: a foot further than this from where it should stand has really stepped, and is left alone."""
_SOLES: Final = ("left_heel", "left_toe_end", "right_heel", "right_toe_end")


def contact_spans(probability: np.ndarray) -> list[tuple[int, int]]:
    """Stretches (start, stop) in which a point stands, by thresholds with hysteresis, from (T,) in [0, 1]."""
    spans: list[tuple[int, int]] = []
    start = None
    for f, p in enumerate(probability):
        if start is None and p >= _ON:
            start = f
        elif start is not None and p < _OFF:
            spans.append((start, f))
            start = None
    if start is not None:
        spans.append((start, len(probability)))
    return [(a, b) for a, b in spans if b - a >= _SHORTEST]


def _smooth(x: np.ndarray, radius: int) -> np.ndarray:
    """Moving average (T, …) with a triangular window of ``2 radius + 1`` frames, ends held."""
    if radius < 1 or len(x) < 2:
        return x
    kernel = np.concatenate((np.arange(1, radius + 2), np.arange(radius, 0, -1))).astype(float)
    kernel /= kernel.sum()
    padded = np.concatenate((np.repeat(x[:1], radius, 0), x, np.repeat(x[-1:], radius, 0)))
    flat = padded.reshape(len(padded), -1)
    return np.stack([np.convolve(c, kernel, "valid") for c in flat.T], 1).reshape(x.shape)


def _standing(contacts: np.ndarray) -> np.ndarray:
    """(T, 4) bool from probabilities."""
    out = np.zeros(contacts.shape, bool)
    for c in range(contacts.shape[1]):
        for a, b in contact_spans(contacts[:, c]):
            out[a:b, c] = True
    return out


def _carry_root(positions: np.ndarray, world: np.ndarray, standing: np.ndarray) -> np.ndarray:
    """Offsets (T, 3) for the root under which standing points do not slide on average.

    The path then comes from the feet that carry it, as in walking, not from a velocity that was guessed beside
    them. Where nothing stands, the correction's speed is zero.
    """
    slip = np.zeros((len(positions), 3))
    count = np.zeros(len(positions))
    for c, name in enumerate(_SOLES):
        p = end_point(name, positions, world)
        both = standing[:-1, c] & standing[1:, c]
        slip[1:][both] += np.diff(p, axis=0)[both]
        count[1:] += both
    slip[count > 0] /= count[count > 0, None]
    slip[:, 1] = 0.0
    return -np.cumsum(_smooth(slip, 1), axis=0)


def _floor(positions: np.ndarray, world: np.ndarray, standing: np.ndarray) -> np.ndarray:
    """Height offsets (T,) that bring standing soles to the floor, slowly, and no sole under it."""
    soles = np.stack([end_point(name, positions, world)[:, 1] for name in _SOLES], 1)
    lowest = soles.min(1)
    stands = standing.any(1)
    if stands.any():
        known = np.flatnonzero(stands)
        height = np.interp(np.arange(len(lowest)), known, np.where(standing, soles, np.inf).min(1)[known])
        offset = -_smooth(height, 8)
    else:
        offset = np.zeros(len(lowest))
    under = np.maximum(0, -(lowest + offset))
    return offset + _smooth(under, 2)


def clean(rotations: np.ndarray, translation: np.ndarray, contacts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Plant the feet and set the floor.

    :param rotations: (T, >= 22, 4), not changed. :param translation: (T, 3). :param contacts: (T, 4) in [0, 1].
    :returns: new rotations and translation; only root, hips, knees and ankles differ.
    """
    rotations, translation = rotations.copy(), translation.copy()
    standing = _standing(contacts)
    body = rotations[:, :BODY_JOINT_COUNT]
    positions, world = forward(body, translation)
    translation += _carry_root(positions, world, standing)
    positions, world = forward(body, translation)
    translation[:, 1] += _floor(positions, world, standing)
    positions, world = forward(body, translation)
    for s, side in enumerate(("left", "right")):
        target, weight = _ankle_targets(side, positions, world, standing[:, 2 * s:2 * s + 2])
        if weight.any():
            reach_ankle(side, rotations, positions, world, target, weight)
    return rot.continuous(rotations), translation


def _ankle_targets(side: str, positions: np.ndarray, world: np.ndarray, standing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the ankle belongs (T, 3), and how firmly (T,)."""
    ankle = positions[:, JOINT_INDEX[f"{side}_ankle"]]
    points = [end_point(f"{side}_{n}", positions, world) for n in ("heel", "toe_end")]
    offset = np.zeros_like(ankle)
    weight = np.zeros(len(ankle))
    held = standing.any(1).astype(float)
    for start, stop in contact_spans(held):
        # the point that stands longest in this stretch is the one that is pinned, handing over from heel to toe
        shift = np.zeros((stop - start, 3))
        pinned = np.zeros(stop - start)
        for p, stands in zip(points, standing.T, strict=True):
            for a, b in contact_spans(stands[start:stop].astype(float)):
                there = p[start + a:start + b]
                place = np.median(there, axis=0)
                place[1] = max(0.0, min(place[1], 0.03))
                shift[a:b] += place - there
                pinned[a:b] += 1
        known = np.flatnonzero(pinned)
        if not len(known):
            continue
        shift[known] /= pinned[known, None]
        for axis in range(3):
            shift[:, axis] = np.interp(np.arange(len(shift)), known, shift[known, axis])
        if np.abs(shift).max() > _REACH:
            continue
        offset[start:stop] = shift
        weight[start:stop] = 1.0
        for n in range(1, _EASE + 1):
            ease = 1 - n / (_EASE + 1)
            ease = ease * ease * (3 - 2 * ease)
            for f, edge in ((start - n, shift[0]), (stop - 1 + n, shift[-1])):
                if 0 <= f < len(weight) and weight[f] < ease:
                    offset[f], weight[f] = edge, ease
    return ankle + offset, weight
