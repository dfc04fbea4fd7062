# SPDX-License-Identifier: Apache-2.0
"""Putting newly performed stretches into a performance that stays (METHOD.md point 6).

What is outside is kept as frames, not decoded again, so it is bit-identical. At the edges of a stretch the difference to
its neighbours is carried over into it and fades, so nothing jumps.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from shared import rotations as rot
from shared.edits import Edit, Lock, Range
from shared.motion import Motion
from shared.skeleton import JOINT_COUNT, PART_JOINTS

from . import features
from .tokenizer import DOWN_RATE, Tokenizer

__all__ = ["alike", "extended", "held_ends", "insert", "known_tokens", "lead_to_locks", "misfit", "snap_locks"]

_FPS: Final = 30.0
_FADE_SECONDS: Final = 0.4
_LOCK_SECONDS: Final = 0.5
_CONTEXT_SECONDS: Final = 0.8
"""What is known on either side of a way between poses at least."""
_RETURNS: Final = 0.6
"""Metres: a loop whose end is nearer than this to its beginning comes back to the same place."""


_GROUPS: Final = {"full": ("lower", "upper", "hands", "face"), "lower": ("lower",), "upper": ("upper", "hands", "face"),
                  "left_arm": ("upper", "hands"), "right_arm": ("upper", "hands"), "head": ("upper", "face")}


def _part_groups(part: str, groups: list[str]) -> list[int]:
    """Which token groups a body part's motion is in."""
    if groups == ["body"]:
        return [0]
    return [groups.index(name) for name in _GROUPS[part] if name in groups]


def _smoothstep(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def extended(edit: Edit, frames: int) -> tuple[Motion, list[Range], int]:
    """The base made ready: lengthened to ``frames`` frames, or with its beginning appended for a loop.

    :returns: the motion, all ranges to perform, and how many of its frames belong to the result.
    """
    base, ranges = edit.base, list(edit.ranges)
    length = max(len(base), frames)
    if frames > len(base):
        base = base.take(np.minimum(np.arange(frames), len(base) - 1))
        # the last pose is only held there; perform on from a little before it
        ranges.append(Range(max(0.0, edit.base.duration - 0.3), frames / base.fps))
    if edit.loop:
        tail = min(len(base) - 1, round(base.fps))
        start = base.slice(0, tail)
        if np.linalg.norm(base.translation[-1, [0, 2]] - base.translation[0, [0, 2]]) > _RETURNS:
            step = base.translation[-1] - base.translation[0]
            start.translation = start.translation + step * [1, 0, 1] + (base.translation[-1] - base.translation[-2]) * [1, 0, 1]
        ranges.append(Range(max(0.0, length / base.fps - min(1.5, 0.4 * length / base.fps)), length / base.fps))
        base = base.concatenate(start)
    return base, ranges, length


def held_ends(edit: Edit) -> tuple[Motion, list[Range], list[Lock], int]:
    """The base of a ``between`` with its first and last pose held, so that a single key pose is enough to go by.

    :returns: the motion, its ranges and locks, and how many frames were put before it.
    """
    base, wanted = edit.base, max(1, round(_CONTEXT_SECONDS * edit.base.fps))
    first = min(round(r.start * base.fps) for r in edit.ranges)
    last = len(base) - max(round(r.end * base.fps) for r in edit.ranges)
    front, back = max(0, wanted - first), max(0, wanted - last)
    index = np.clip(np.arange(-front, len(base) + back), 0, len(base) - 1)
    shift = front / base.fps
    ranges = [Range(r.start + shift, r.end + shift, r.part) for r in edit.ranges]
    return base.take(index), ranges, [Lock(lock.time + shift, lock.part) for lock in edit.locks], front


def known_tokens(tokenizer: Tokenizer, base: Motion, ranges: list[Range], tokens: int, locks: list[Lock] | None = None) -> Tensor:
    """Tokens (N, G, L) of the base at 30 frames per second, -1 where a range says to draw anew.

    The token of a locked pose is held, so that what is drawn goes through it. Fingers at rest and a base without expression say
    nothing: then hands and face are drawn throughout.
    """
    at30 = base.resample(_FPS)
    frames = tokens * DOWN_RATE
    index = np.minimum(np.arange(frames), len(at30) - 1)
    q, t = at30.rotations[index].astype(np.float64), at30.translation[index].astype(np.float64)
    hands = bool((rot.angle_between(q[:, features.FIRST_FINGER:], np.array([1.0, 0, 0, 0])) > 1e-3).any())
    parts = features.encode(q, t, at30.contacts[index], hands=hands, expression=at30.expression[index]).parts
    whole = tokenizer.encode({k: torch.from_numpy(v[None]) for k, v in parts.items()})[0]
    known = whole.clone()
    begin = np.arange(tokens) * DOWN_RATE / _FPS
    end = begin + DOWN_RATE / _FPS
    for r in ranges:
        touched = torch.from_numpy((end > r.start) & (begin < r.end))
        for g in _part_groups(r.part, tokenizer.group_names):
            known[touched, g] = -1
    for lock in locks or []:
        if (n := int(lock.time * _FPS / DOWN_RATE)) < tokens:
            for g in _part_groups(lock.part, tokenizer.group_names):
                known[n, g] = whole[n, g]
    return known


def insert(base: Motion, new: Motion, ranges: list[Range]) -> Motion:
    """``base`` with the ranges' frames and joints from ``new``; both of one length and rate.

    The new path is turned and moved to start where the base is, and bent to arrive where the base goes on.
    """
    out = base.slice(0, len(base))
    out.rotations, out.translation = base.rotations.astype(np.float64), base.translation.astype(np.float64)
    out.contacts = base.contacts.copy()
    for r in ranges:
        a, b = max(0, round(r.start * base.fps)), min(len(base), round(r.end * base.fps))
        if b <= a:
            continue
        joints = [j for j in PART_JOINTS[r.part] if j < JOINT_COUNT]
        rotations, translation = new.rotations[a:b].astype(np.float64), new.translation[a:b].astype(np.float64)
        if 0 in joints:
            rotations, translation = _fit_path(out, new, a, b)
            out.contacts[a:b] = new.contacts[a:b]
        fade = max(1, min(round(_FADE_SECONDS * base.fps), (b - a) // 2))
        n = np.arange(b - a)
        if features.JAW in joints:
            _lead_expression(out, new, a, b, fade)
        for joint in joints:
            q = rotations[:, joint]
            # the pelvis has been led from edge to edge with the path
            if a > 0 and joint != 0:
                gap = rot.mul(out.rotations[a - 1, joint], rot.conjugate(new.rotations[a - 1, joint].astype(np.float64)))
                q = rot.mul(_portion(gap, 1 - _smoothstep((n + 1) / fade)), q)
            if b < len(base) and joint != 0:
                gap = rot.mul(out.rotations[b, joint], rot.conjugate(new.rotations[b, joint].astype(np.float64)))
                q = rot.mul(_portion(gap, 1 - _smoothstep((b - a - n) / fade)), q)
            out.rotations[a:b, joint] = q
        if 0 in joints:
            out.translation[a:b] = translation
        # the sign of the frame before the range goes on through it
        before = max(a - 1, 0)
        out.rotations[a:b] = rot.continuous(out.rotations[before:b])[a - before:]
    return out


def _lead_expression(out: Motion, new: Motion, a: int, b: int, fade: int) -> None:
    """Frames ``a`` to ``b`` of ``out``'s expression, in place, from ``new``, led away from its neighbours."""
    out.expression, coming = alike(out.expression, new.expression)
    if not out.expression.shape[1]:
        return
    n, made = np.arange(b - a)[:, None], coming[a:b].copy()
    if a > 0:
        made += (1 - _smoothstep((n + 1) / fade)) * (out.expression[a - 1] - coming[a - 1])
    if b < len(out):
        made += (1 - _smoothstep((b - a - n) / fade)) * (out.expression[b] - coming[b])
    out.expression[a:b] = made


def alike(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Copies of two expressions (T, E) at the width of the wider one: coefficients that one lacks are zero in it."""
    width = max(a.shape[1], b.shape[1])
    first, second = (np.pad(x, ((0, 0), (0, width - x.shape[1]))) for x in (a, b))
    return first, second


def misfit(base: Motion, new: Motion, ranges: list[Range]) -> float:
    """How far ``new`` would have to be bent to fit into the ranges: metres, radians and poses at the edges, in one number.

    A way to the wrong place by a metre counts as one that turns the body wrongly by two radians, or each joint by one.
    """
    total = 0.0
    for r in ranges:
        a, b = max(1, round(r.start * base.fps)) - 1, min(len(base) - 1, round(r.end * base.fps))
        ways = []
        for m in (base, new):
            facing = rot.yaw_quat(-features.heading_of(m.rotations[a:a + 1, 0].astype(np.float64))[0])
            turn = rot.mul(rot.conjugate(m.rotations[a, 0].astype(np.float64)), m.rotations[b, 0].astype(np.float64))
            ways.append((rot.rotate(facing, (m.translation[b] - m.translation[a]).astype(np.float64)), turn))
        (place, turn), (other_place, other_turn) = ways
        poses = [rot.angle_between(new.rotations[f, 1:].astype(np.float64), base.rotations[f, 1:].astype(np.float64))[:21].mean()
                 for f in (a, b)]
        total += float(np.linalg.norm(place - other_place) + 0.5 * rot.angle_between(turn, other_turn) + sum(poses))
    return total


def _portion(turn: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """A rotation (4,) applied by weights (T,): (T, 4)."""
    return rot.slerp(rot.identity(len(weight)), np.broadcast_to(turn, (len(weight), 4)), weight)


def _fit_path(base: Motion, new: Motion, a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (b - a, 55, 4) and translation (b - a, 3) of the new range, led from the base's frame before to the one after."""
    first = max(a - 1, 0)
    last = b if b < len(base) else b - 1
    span = np.arange(first, last + 1)
    q, t = new.rotations[span].astype(np.float64), new.translation[span].astype(np.float64)
    start_turn = rot.mul(base.rotations[first, 0], rot.conjugate(q[0, 0])) if a > 0 else np.array([1.0, 0, 0, 0])
    yaw = features.heading_of(start_turn[None])[0]
    turn = np.broadcast_to(rot.yaw_quat(yaw), (len(span), 4))
    origin = t[0]
    place = base.translation[first] if a > 0 else origin
    t = place + rot.rotate(turn, t - origin)
    q[:, 0] = rot.mul(turn, q[:, 0])
    w = _smoothstep(np.linspace(0, 1, len(span)))[:, None]
    if a > 0:
        q[:, 0] = rot.mul(_portion(rot.mul(base.rotations[first, 0], rot.conjugate(q[0, 0])), 1 - w[:, 0]), q[:, 0])
    if b < len(base):
        t = t + w * (base.translation[b] - t[-1])
        q[:, 0] = rot.mul(_portion(rot.mul(base.rotations[b, 0], rot.conjugate(q[-1, 0])), w[:, 0]), q[:, 0])
    inner = slice(a - first, a - first + (b - a))
    return q[inner], t[inner]


def _lock_frames(locks: list[Lock], fps: float, length: int) -> dict[tuple[int, ...], list[int]]:
    """Frames at which joints are locked: each joint stands under exactly one key, with all frames that any lock gives it."""
    frames: dict[int, set[int]] = {}
    for lock in locks:
        if 0 <= (f := round(lock.time * fps)) < length:
            for j in PART_JOINTS[lock.part]:
                frames.setdefault(j, set()).add(f)
    alike: dict[tuple[int, ...], list[int]] = {}
    for j, found in frames.items():
        alike.setdefault(tuple(sorted(found)), []).append(j)
    return {tuple(joints): list(found) for found, joints in alike.items()}


def lead_to_locks(motion: Motion, base: Motion, locks: list[Lock], ranges: list[Range]) -> Motion:
    """``motion`` led smoothly through every locked pose inside the ranges, where it arrives within rounding."""
    inside = np.zeros(len(motion), bool)
    for r in ranges:
        inside[max(0, round(r.start * base.fps)):round(r.end * base.fps)] = True
    edges = np.flatnonzero(~inside)
    reach = max(2, round(_LOCK_SECONDS * base.fps))
    for joints, frames in _lock_frames(locks, base.fps, len(motion)).items():
        for n, f in enumerate(frames):
            if not inside[f]:
                continue
            # a correction is whole at its own frame and gone at the next locked frame and at the range's edge
            low, high = edges[edges < f], edges[edges > f]
            before = min(reach, f - frames[n - 1] if n else reach, f - int(low[-1]) if len(low) else reach)
            after = min(reach, frames[n + 1] - f if n + 1 < len(frames) else reach, int(high[0]) - f if len(high) else reach)
            span = np.arange(max(0, f - before + 1), min(len(motion), f + after))
            distance = np.where(span < f, (f - span) / before, (span - f) / after)
            weight = 1 - _smoothstep(distance)
            if 0 in joints:
                motion.translation[span] += weight[:, None] * (base.translation[f] - motion.translation[f])
            for j in joints:
                gap = rot.mul(base.rotations[f, j].astype(np.float64), rot.conjugate(motion.rotations[f, j]))
                motion.rotations[span, j] = rot.mul(_portion(gap, weight), motion.rotations[span, j])
            if features.JAW in joints:
                motion.expression, old = alike(motion.expression, base.expression)
                motion.expression[span] += (weight[:, None] * (old[f] - motion.expression[f])).astype(motion.expression.dtype)
    return motion


def snap_locks(motion: Motion, base: Motion, locks: list[Lock], ranges: list[Range]) -> Motion:
    """``motion`` with every locked pose exactly as in ``base``, reached and left by a smooth correction inside the ranges."""
    if not locks:
        return motion
    motion = lead_to_locks(motion, base, locks, ranges)
    for joints, frames in _lock_frames(locks, base.fps, len(motion)).items():
        for f in frames:
            own = list(joints)
            motion.rotations[f, own] = base.rotations[f, own]
            if 0 in joints:
                motion.translation[f] = base.translation[f]
            if features.JAW in joints:
                motion.expression[f] = alike(motion.expression, base.expression)[1][f]
    return motion
