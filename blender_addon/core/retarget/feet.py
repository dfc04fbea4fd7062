# SPDX-License-Identifier: GPL-3.0-or-later
"""Feet that stand, stand still: plants found from contacts, held by two-bone IK on the target's own legs and floor.

A *stance* is a stretch of frames in which the ankle or the ball of a foot stands. Inside it there are flat frames (both
stand: the whole foot is held, sole level), heel frames (the ankle is held, the foot may tip) and toe frames (the ball is
held, the foot may roll over it). Between stances the correction fades out and in, so that no frame jumps.
"""

from __future__ import annotations

import numpy as np

from ...shared import rotations as rot
from ...shared.skeleton import JOINT_INDEX
from .axes import LEFT, UP
from .contacts import runs
from .ik import two_bone
from .plan import Plan
from .pose import Pose

__all__ = ["plant"]

_DRIFT = 0.12
"""Metres of the source by which a foot may slide in one stance before it is taken as two stances (a slide, a pivot)."""
_STEP = 0.08
"""Metres of the source above the floor from which a standing foot is taken to stand on something."""


class _Leg:
    """One leg's driven bones and rest points."""

    def __init__(self, plan: Plan, side: str) -> None:
        self.thigh = plan.of_slot(f"{side}_hip") + plan.of_slot(f"{side}_hip_twist")
        self.shin = plan.of_slot(f"{side}_knee") + plan.of_slot(f"{side}_knee_twist")
        self.foot = plan.of_slot(f"{side}_ankle")
        self.toe = plan.of_slot(f"{side}_foot")
        self.complete = bool(self.thigh and self.shin and self.foot)
        if not self.complete:
            return
        body = plan.body
        self.ankle_rest = body.heads[plan.driven[self.foot[0]]]
        if self.toe:
            self.ball_rest = body.heads[plan.driven[self.toe[0]]]
        else:
            tail = body.tails[plan.driven[self.foot[-1]]]
            ahead = tail - self.ankle_rest
            # without toes: a point on the floor in front, where the neutral foot has its ball
            self.ball_rest = tail if np.linalg.norm(ahead[:2]) > 0.05 * body.leg else self.ankle_rest + np.array(
                [0.0, -0.14 * body.scale, 0.037 * body.scale - self.ankle_rest[2] + body.floor])


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


def _fade(held: np.ndarray, values: np.ndarray, frames: int) -> np.ndarray:
    """Corrections (T, 3), known where ``held`` (T,), faded to zero over ``frames`` outside."""
    result = np.where(held[:, None], values, 0.0)
    total = len(held)
    for start, stop in runs(~held):
        length = stop - start
        i = np.arange(length)
        reach = min(frames, length + 1)
        if start > 0:
            result[start:stop] += values[start - 1] * _smoothstep(1 - (i + 1) / reach)[:, None]
        if stop < total:
            result[start:stop] += values[stop] * _smoothstep(1 - (length - i) / reach)[:, None]
    return result


def _split_drifting(stands: np.ndarray, points: np.ndarray, limit: float, gap: int) -> list[tuple[int, int]]:
    """Stances of (T,) bool, cut where the foot has moved by more than ``limit`` since the stance began.

    Between the parts of a stance that was cut lie ``gap`` frames, in which the foot slides from one place to the next.
    """
    result = []
    for start, stop in runs(stands):
        first = start
        while first < stop:
            moved = np.linalg.norm(points[first:stop, :2] - points[first, :2], axis=1) > limit
            end = first + int(np.argmax(moved)) if moved.any() else stop
            cut = end if end == stop else end - gap // 2
            if cut - first >= 2:
                result.append((first, cut))
            first = stop if end == stop else max(end + gap - gap // 2, first + 1)
    return result


def _level(turn: np.ndarray) -> np.ndarray:
    """The turn about the vertical (4,) nearest to the mean of rotations (N, 4)."""
    signs = np.where(turn @ turn[0] < 0, -1.0, 1.0)
    mean = rot.normalise((turn * signs[:, None]).sum(axis=0))
    yaw = np.array([mean[0], 0.0, 0.0, mean[3]])
    return rot.normalise(yaw)


def _lock(points: np.ndarray, height: float, scale: float) -> np.ndarray:
    """The place (3,) where a point that stands in (N, 3) frames is held: on the floor, or at its own height on a step."""
    place = np.median(points, axis=0)
    if abs(place[2] - height) < _STEP * scale:
        place[2] = height
    return place


def _hold(
    plan: Plan, pose: Pose, leg: _Leg, ankle_stands: np.ndarray, ball_stands: np.ndarray, blend: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wanted ankle positions (T, 3) and turns (T, 4) of the foot since rest; (T,) bool, where it is held."""
    body = plan.body
    foot = leg.foot[0]
    rest = body.rest[plan.driven[foot]]
    turn = rot.mul(pose.rotations[:, foot], rot.conjugate(rest))
    arm = leg.ball_rest - leg.ankle_rest
    ankle = pose.head(foot)
    ball = ankle + rot.rotate(turn, np.broadcast_to(arm, ankle.shape))
    ankle_height, ball_height = leg.ankle_rest[2], leg.ball_rest[2]
    frames = len(ankle)
    held = np.zeros(frames, dtype=bool)
    wanted, tip = ankle.copy(), np.zeros((frames, 3))
    for start, stop in _split_drifting(ankle_stands | ball_stands, ball, _DRIFT * body.scale, blend):
        part = slice(start, stop)
        on_ankle, on_ball = ankle_stands[part], ball_stands[part]
        flat = on_ankle & on_ball
        own = turn[part].copy()
        held[part] = True
        ankle_lock: np.ndarray | None = None
        ball_lock: np.ndarray | None = None
        if flat.any():
            level = _level(own[flat])
            keep = rot.quat_to_axis_angle(rot.mul(level, rot.conjugate(own)))
            own = rot.mul(rot.axis_angle_to_quat(_fade(flat, keep, blend)), own)
            ankle_lock = _lock(ankle[part][flat], ankle_height, body.scale)
            ball_lock = ankle_lock + rot.rotate(level, arm)
        else:
            if on_ankle.any():
                ankle_lock = _lock(ankle[part][on_ankle], ankle_height, body.scale)
            if on_ball.any():
                ball_lock = _lock(ball[part][on_ball], ball_height, body.scale)
            if ankle_lock is not None and ball_lock is not None:
                # heel and toe stand one after the other and never together: one place, by the way of the foot
                yaw = _level(own)
                ball_lock = ankle_lock + rot.rotate(yaw, arm)
        rolled = -rot.rotate(own, np.broadcast_to(arm, (stop - start, 3)))
        place = np.empty((stop - start, 3))
        if ankle_lock is not None:
            place[on_ankle] = ankle_lock
        if ball_lock is not None:
            place[~on_ankle] = ball_lock + rolled[~on_ankle]
        wanted[part] = place
        tip[part] = rot.quat_to_axis_angle(rot.mul(own, rot.conjugate(turn[part])))
    correction = _fade(held, wanted - ankle, blend)
    tip = _fade(held, tip, blend)
    new_turn = rot.mul(rot.axis_angle_to_quat(tip), turn)
    new_ankle = ankle + correction
    # a foot in the air does not go through the floor
    new_ball = new_ankle + rot.rotate(new_turn, np.broadcast_to(arm, ankle.shape))
    under = np.maximum(np.maximum(ball_height * 1.0 - new_ball[:, 2], 0.9 * (ankle_height - body.floor) + body.floor
                                  - new_ankle[:, 2]), 0.0)
    new_ankle[:, 2] += np.where(held, 0.0, under)
    return new_ankle, new_turn, held


def _lower_hips(pose: Pose, legs: list[_Leg], wanted: list[np.ndarray], stands: list[np.ndarray], window: int) -> None:
    """Lower the body smoothly where a standing foot would be out of reach."""
    drop = np.zeros(len(pose.offset))
    for leg, target, held in zip(legs, wanted, stands, strict=True):
        hip, knee, ankle = pose.head(leg.thigh[0]), pose.head(leg.shin[0]), pose.head(leg.foot[0])
        reach = 1.0003 * (np.linalg.norm(knee - hip, axis=1) + np.linalg.norm(ankle - knee, axis=1))
        aside = np.sum((hip - target)[:, :2] ** 2, axis=1)
        highest = target[:, 2] + np.sqrt(np.maximum(reach**2 - aside, 0.0))
        drop = np.maximum(drop, np.where(held, hip[:, 2] - highest, 0.0))
    if not np.any(drop > 0):
        return
    padded = np.pad(drop, 2 * window, mode="edge")
    largest = np.lib.stride_tricks.sliding_window_view(padded, 2 * window + 1).max(axis=1)
    # the mean of a running maximum is nowhere below what is needed, and smooth
    kernel = np.hanning(2 * window + 3)[1:-1]
    smooth = np.convolve(largest, kernel / kernel.sum(), mode="valid")
    pose.shift(-smooth[:, None] * UP)


def plant(
    plan: Plan, pose: Pose, contacts: np.ndarray, turns: np.ndarray, fps: float, blend_seconds: float
) -> np.ndarray:
    """Hold standing feet of a pose still, in place.

    :param contacts: (T, 4) bool, columns as :data:`shared.skeleton.CONTACT_NAMES`.
    :param turns: (T, 55, 4) world turns of the source joints, for the knees' hinges.
    :returns: (T, 4) bool, the contacts that are held: without those of legs that are not mapped, and of frames in which a foot slides.
    """
    kept = np.zeros_like(contacts)
    blend = max(1, round(blend_seconds * fps))
    legs, targets, feet, stands, hinges = [], [], [], [], []
    for column, side in ((0, "left"), (2, "right")):
        leg = _Leg(plan, side)
        if not leg.complete:
            continue
        ankle_stands, ball_stands = contacts[:, column], contacts[:, column + 1]
        ankle, foot, held = _hold(plan, pose, leg, ankle_stands, ball_stands, blend)
        kept[:, column : column + 2] = contacts[:, column : column + 2] & held[:, None]
        legs.append(leg)
        targets.append(ankle)
        feet.append(foot)
        stands.append(held)
        hinges.append(rot.rotate(turns[:, JOINT_INDEX[f"{side}_hip"]], np.broadcast_to(LEFT, ankle.shape)))
    if not legs:
        return kept
    _lower_hips(pose, legs, targets, stands, blend)
    for leg, ankle, foot, hinge in zip(legs, targets, feet, hinges, strict=True):
        upper, lower = two_bone(pose.head(leg.thigh[0]), pose.head(leg.shin[0]), pose.head(leg.foot[0]), ankle, hinge)
        pose.turn(leg.thigh, upper)
        pose.turn(leg.shin, lower)
        rest = plan.body.rest[plan.driven[leg.foot[0]]]
        by = rot.mul(foot, rot.conjugate(rot.mul(pose.rotations[:, leg.foot[0]], rot.conjugate(rest))))
        pose.turn(leg.foot + leg.toe, by)
    return kept
