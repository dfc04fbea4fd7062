# SPDX-License-Identifier: Apache-2.0
"""What the decoder leaves to be put right: sliding feet, drift on the spot, soles under the floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, minimum_filter1d

from shared import rotations as rot
from shared.kinematics import end_point, forward
from shared.skeleton import BODY_JOINT_COUNT, JOINT_INDEX

from .leg_ik import reach_ankle

__all__ = ["Before", "calm", "clean", "contact_spans", "soles"]

_ON: Final = 0.40
_OFF: Final = 0.20
_SHORTEST: Final = 3
_EASE: Final = 5
"""Frames over which a foot is let go of."""
_REACH: Final = 0.15
"""Metres: a point that goes further than this from the middle of its stand has stepped in between."""
_HOP: Final = 31
"""Frames within which a jump comes down again."""
_CLEAR: Final = 0.07
"""Metres above the ground at which a point does not stand, whatever the network says."""
_SWING: Final = 0.020
"""Metres a frame over the floor at which a foot is on its way."""
_CLEARANCE: Final = ((0.012, 0.020, 0.032, 0.052, 0.080, 0.150), (0.0, 0.027, 0.039, 0.047, 0.052, 0.064))
"""Metres a frame over the floor, and how high the lowest point of a foot is that travels so: medians of the captured training clips."""
_STEP: Final = 2
"""Frames on either side of the fastest one in which such a step is taken."""
_AT_REST: Final = 0.012
"""Metres above the floor up to which a standing sole is left where it is: there the soles of captured people are in half of all frames."""
CALM_FRAMES: Final = 1.0
_SOLES: Final = ("left_heel", "left_toe_end", "right_heel", "right_toe_end")


@dataclass
class Before:
    """A frame that is final already, for a stretch that continues from it.

    :ivar frame: its index in the stretch. :ivar translation: (3,) its pelvis. :ivar soles: (4, 3) its heels and toes.
    """

    frame: int
    translation: np.ndarray
    soles: np.ndarray


def soles(positions: np.ndarray, world: np.ndarray) -> np.ndarray:
    """(T, 4, 3): left heel, left toe's end, right heel, right toe's end, from :func:`shared.kinematics.forward`."""
    return np.stack([end_point(name, positions, world) for name in _SOLES], 1)


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


def calm(rotations: np.ndarray, translation: np.ndarray, frames: float = CALM_FRAMES) -> tuple[np.ndarray, np.ndarray]:
    """Take the tremor out: rotations (T, J, 4) and translation (T, 3) under a Gaussian of ``frames`` standard deviation.

    Tokens that are drawn one beside the other meet with small kinks that no body makes. What lasts a tenth of a second stays.
    """
    smooth = gaussian_filter1d(rot.continuous(rotations), frames, axis=0, mode="nearest")
    return rot.normalise(smooth), gaussian_filter1d(translation, frames, axis=0, mode="nearest")


def _standing(contacts: np.ndarray) -> np.ndarray:
    """(T, 4) bool from probabilities."""
    out = np.zeros(contacts.shape, bool)
    for c in range(contacts.shape[1]):
        for a, b in contact_spans(contacts[:, c]):
            out[a:b, c] = True
    return out


def _aloft(points: np.ndarray) -> np.ndarray:
    """(T, 4) bool: points (T, 4, 3) that are well above the lowest of about a second, so that a hop is not pressed to the floor."""
    heights = points[..., 1]
    # feet that the decoder put under the floor say nothing of those that are on it
    lowest = np.maximum(heights.min(1), 0.0)
    ground = gaussian_filter1d(minimum_filter1d(lowest, _HOP, mode="nearest"), _HOP / 6, mode="nearest")
    return heights > ground[:, None] + _CLEAR


def _swinging(points: np.ndarray) -> np.ndarray:
    """(T, 4) bool: points (T, 4, 3) that travel faster than any standing foot slides, whatever the network says."""
    if len(points) < 2:
        return np.zeros(points.shape[:2], bool)
    smooth = gaussian_filter1d(points[..., [0, 2]], 1.0, axis=0, mode="nearest")
    swinging: np.ndarray = np.linalg.norm(np.gradient(smooth, axis=0), axis=-1) > _SWING
    return swinging


def _stands(path: np.ndarray, start: int, stop: int) -> list[tuple[int, int]]:
    """A stretch in which a point (T, 3) is said to stand, in pieces in which it can: cut where it goes fastest."""
    if stop - start < _SHORTEST:
        return []
    there = path[start:stop, [0, 2]]
    away = np.linalg.norm(there - np.median(there, axis=0), axis=1).max()
    if away <= _REACH:
        return [(start, stop)]
    cut = start + 1 + int(np.argmax(np.linalg.norm(np.diff(there, axis=0), axis=1)))
    return _stands(path, start, cut - _STEP) + _stands(path, cut + _STEP, stop)


def _stepping(standing: np.ndarray, points: np.ndarray) -> np.ndarray:
    """``standing`` (T, 4) without the frames in which the points (T, 4, 3) change their place."""
    out = np.zeros_like(standing)
    for c in range(standing.shape[1]):
        for start, stop in contact_spans(standing[:, c].astype(float)):
            for a, b in _stands(points[:, c], start, stop):
                out[a:b, c] = True
    return out


def _carry_root(positions: np.ndarray, world: np.ndarray, standing: np.ndarray) -> np.ndarray:
    """Offsets (T, 3) for the root under which the foot that carries does not slide.

    The path then comes from the feet that carry it, as in walking, not from a velocity that was guessed beside
    them. Where nothing stands, the correction's speed is zero.
    """
    points = soles(positions, world)
    step = np.diff(points, axis=0)
    both = standing[:-1] & standing[1:]
    # the point that slides least is the one that carries: the other foot may already be on its way
    pace = np.where(both, np.linalg.norm(step[..., [0, 2]], axis=-1), np.inf)
    slip = np.zeros((len(positions), 3))
    carried = np.flatnonzero(both.any(1))
    slip[carried + 1] = step[carried, pace[carried].argmin(1)]
    slip[:, 1] = 0.0
    return -np.cumsum(_smooth(slip, 1), axis=0)


def _floor(positions: np.ndarray, world: np.ndarray, standing: np.ndarray) -> np.ndarray:
    """Height offsets (T,) that bring standing soles to the floor, to :data:`_AT_REST` at most, slowly, and no sole under it."""
    heights = soles(positions, world)[..., 1]
    lowest = heights.min(1)
    stands = standing.any(1)
    if stands.any():
        known = np.flatnonzero(stands)
        height = np.where(standing, heights, np.inf).min(1)[known]
        away = np.interp(np.arange(len(lowest)), known, height - np.clip(height, 0.0, _AT_REST))
        offset = -_smooth(away, 8)
    else:
        offset = np.zeros(len(lowest))
    under = np.maximum(0, -(lowest + offset))
    return offset + _smooth(under, 2)


def clean(
    rotations: np.ndarray, translation: np.ndarray, contacts: np.ndarray, before: Before | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Plant the feet and set the floor.

    :param rotations: (T, >= 22, 4), not changed. :param translation: (T, 3). :param contacts: (T, 4) in [0, 1].
    :param before: a final frame from which this stretch goes on: feet that stand on it stay where they are.
    :returns: new rotations and translation; only root, hips, knees and ankles differ.
    """
    rotations, translation = rotations.copy(), translation.copy()
    body = rotations[:, :BODY_JOINT_COUNT]
    positions, world = forward(body, translation)
    points = soles(positions, world)
    standing = _standing(np.where(_aloft(points) | _swinging(points), 0.0, contacts))
    translation += _carry_root(positions, world, standing)
    if before is not None:
        translation[:, [0, 2]] += (before.translation - translation[before.frame])[[0, 2]]
    positions, world = forward(body, translation)
    translation[:, 1] += _floor(positions, world, standing)
    positions, world = forward(body, translation)
    standing = _stepping(standing, soles(positions, world))
    for s, side in enumerate(("left", "right")):
        _settle_foot(side, rotations, positions, world, standing[:, 2 * s:2 * s + 2].all(1))
    positions, world = forward(rotations[:, :BODY_JOINT_COUNT], translation)
    for s, side in enumerate(("left", "right")):
        target, weight = _ankle_targets(side, positions, world, standing[:, 2 * s:2 * s + 2], before)
        if weight.any():
            reach_ankle(side, rotations, positions, world, target, weight)
    _raise_feet(rotations, translation, standing)
    return rot.continuous(rotations), translation


def _settle_foot(side: str, rotations: np.ndarray, positions: np.ndarray, world: np.ndarray, flat: np.ndarray) -> None:
    """Turn one ankle, in place, so that a foot on heel and toe keeps its direction while ``flat`` (T,) bool holds."""
    ankle, knee = JOINT_INDEX[f"{side}_ankle"], JOINT_INDEX[f"{side}_knee"]
    sole = end_point(f"{side}_toe_end", positions, world) - end_point(f"{side}_heel", positions, world)
    turn = rot.identity(len(flat))
    for start, stop in contact_spans(flat.astype(float)):
        stand = np.median(sole[start:stop], axis=0)
        turn[start:stop] = rot.from_two_vectors(sole[start:stop], np.broadcast_to(stand, (stop - start, 3)))
        for step in range(1, _EASE + 1):
            for f, edge in ((start - step, start), (stop - 1 + step, stop - 1)):
                if 0 <= f < len(flat) and not flat[f]:
                    turn[f] = rot.slerp(rot.identity(), turn[edge], np.array(_eased(step)))
    rotations[:, ankle] = rot.mul(rot.conjugate(world[:, knee]), rot.mul(turn, world[:, ankle]))


def _eased(step: int) -> float:
    """How much of a correction is left ``step`` frames outside of where it holds."""
    ease = 1 - step / (_EASE + 1)
    return ease * ease * (3 - 2 * ease)


def _raise_feet(rotations: np.ndarray, translation: np.ndarray, standing: np.ndarray) -> None:
    """Lift ankles, in place: feet on their way over the floor to where such feet are, all others out of it.

    Decoded feet drag: what the tokens leave out of a step is its height.
    """
    positions, world = forward(rotations[:, :BODY_JOINT_COUNT], translation)
    points = soles(positions, world)
    pace = np.linalg.norm(np.gradient(points[..., [0, 2]], axis=0), axis=-1) if len(points) > 1 else np.zeros(points.shape[:2])
    for s, side in enumerate(("left", "right")):
        both = slice(2 * s, 2 * s + 2)
        clearance = np.interp(pace[:, both].min(1), *_CLEARANCE) * ~standing[:, both].any(1)
        low = points[:, both, 1].min(1)
        lift = np.maximum(gaussian_filter1d(np.maximum(0, clearance - low), 1.5, mode="nearest"), 0.0)
        under = np.maximum(0, -(low + lift))
        lift = lift + _smooth(maximum_filter1d(under, 3), 1)
        if lift.any():
            target = positions[:, JOINT_INDEX[f"{side}_ankle"]] + lift[:, None] * np.array([0.0, 1.0, 0.0])
            reach_ankle(side, rotations, positions, world, target, np.ones(len(lift)))


def _ankle_targets(
    side: str, positions: np.ndarray, world: np.ndarray, standing: np.ndarray, before: Before | None
) -> tuple[np.ndarray, np.ndarray]:
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
        for n, (p, stands) in enumerate(zip(points, standing.T, strict=True)):
            for a, b in contact_spans(stands[start:stop].astype(float)):
                there = p[start + a:start + b]
                place = np.median(there, axis=0)
                if before is not None and start + a <= before.frame < start + b:
                    place = before.soles[n + (0 if side == "left" else 2)].copy()
                place[1] = max(0.0, min(place[1], 0.03))
                shift[a:b] += place - there
                pinned[a:b] += 1
        known = np.flatnonzero(pinned)
        if not len(known):
            continue
        shift[known] /= pinned[known, None]
        for axis in range(3):
            shift[:, axis] = np.interp(np.arange(len(shift)), known, shift[known, axis])
        offset[start:stop] = shift
        weight[start:stop] = 1.0
        for step in range(1, _EASE + 1):
            ease = _eased(step)
            for f, edge in ((start - step, shift[0]), (stop - 1 + step, shift[-1])):
                if 0 <= f < len(weight) and weight[f] < ease:
                    offset[f], weight[f] = edge, ease
    return ankle + offset, weight
