# SPDX-License-Identifier: Apache-2.0
"""Hand paths: minimum-jerk moves between key poses (Flash & Hogan 1985), slightly arched, with drifting holds.

Paths are made at :data:`FINE` samples a second, rounded off, and sampled at the frame rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from .gestures import HandPose
from .persona import Persona
from .planning import HandMove, Plan

__all__ = ["FINE", "HandPath", "hand_path", "minimum_jerk", "slow_noise"]

FINE: Final = 120
FPS: Final = 30.0


@dataclass
class HandPath:
    """One hand over T frames: ``position`` (T, 3) left-hand coordinates (mirrored for the right), ``palm``, ``bend``,
    ``tilt`` (T,), and ``weight`` (T,): 0 where the arm is as in the base motion."""

    position: np.ndarray
    palm: np.ndarray
    bend: np.ndarray
    tilt: np.ndarray
    weight: np.ndarray


def minimum_jerk(u: np.ndarray) -> np.ndarray:
    """Position from 0 to 1 over time u from 0 to 1, at rest at both ends."""
    u = np.clip(u, 0.0, 1.0)
    return u**3 * (10 - 15 * u + 6 * u * u)


def slow_noise(rng: np.random.Generator, count: int, width: int, rate: float, seconds: float) -> np.ndarray:
    """(count, width) smooth random curves of about unit size that change over ``seconds``."""
    sigma = max(seconds * rate, 1e-3)
    pad = int(4 * sigma) + 1
    raw = gaussian_filter1d(rng.normal(size=(count + 2 * pad, width)), sigma, axis=0, mode="wrap")[pad:pad + count]
    return raw * np.sqrt(2 * sigma * np.sqrt(np.pi))


def _pack(pose: HandPose) -> np.ndarray:
    return np.concatenate((pose.position, (pose.palm, pose.bend, pose.tilt)))


def hand_path(moves: list[HandMove], plan: Plan, persona: Persona, rest: np.ndarray, rest_weight: float,
              frames: int, rng: np.random.Generator) -> HandPath:
    """The path of one hand.

    :param moves: its strokes in order of time. Their phases are written into ``plan.gestures``.
    :param rest: (T, 6) where the hand rests: position, palm, bend, tilt, left-hand coordinates.
    :param rest_weight: weight of the computed arm at rest, 0 for the base motion's own arm.
    """
    count = int(np.ceil(frames / FPS * FINE)) + 1
    t = np.arange(count) / FINE
    frame_times = np.arange(frames) / FPS
    resting = np.stack([np.interp(t, frame_times, rest[:, k]) for k in range(6)], 1)
    value = resting.copy()
    weight = np.full(count, rest_weight)
    clock = 0.0  # up to here the path is final
    held: np.ndarray | None = None  # pose in which the hand is now; None = at rest

    def segment(a: float, b: float, start: np.ndarray | None, end: np.ndarray | None, arch: float) -> None:
        """Move from pose to pose (None: rest, which itself moves) in [a, b]."""
        i, j = np.searchsorted(t, (a, b))
        if j <= i:
            return
        u = (t[i:j] - a) / (b - a)
        s = minimum_jerk(u)[:, None]
        p = resting[i:j] if start is None else start
        q = resting[i:j] if end is None else end
        value[i:j] = (1 - s) * p + s * q
        # hands go in shallow arcs; the palm and wrist follow a little later than the arm
        travel = value[j - 1, :3] - value[i, :3]
        across = np.cross(travel, np.array((0.35, 0.25, 1.0)))
        across[1] = abs(across[1]) * 0.5
        value[i:j, :3] += arch * across * (np.sin(np.pi * s) ** 2)
        late = minimum_jerk(np.clip((u - 0.12) / 0.88, 0, 1))[:, None]
        value[i:j, 3:] = (1 - late) * (p[..., 3:]) + late * (q[..., 3:])
        if start is None or end is None:
            ramp = minimum_jerk(u / 0.6) if start is None else 1 - minimum_jerk((u - 0.4) / 0.6)
            weight[i:j] = rest_weight + (1 - rest_weight) * ramp
        else:
            weight[i:j] = 1.0

    def keep(a: float, b: float, pose: np.ndarray) -> np.ndarray:
        """Hold a pose in [a, b], sinking a little; returns where it ends."""
        i, j = np.searchsorted(t, (a, b))
        seconds = np.maximum(t[i:j] - a, 0)
        sink = np.zeros((j - i, 6))
        sink[:, 1] = -0.020 * (1 - np.exp(-seconds / 1.2))
        sink[:, 2] = -0.010 * (1 - np.exp(-seconds / 1.2))
        value[i:j] = pose + sink
        weight[i:j] = 1.0
        return pose + (sink[-1] if j > i else 0)

    def seconds_for(distance: float) -> float:
        return float(np.clip((0.24 + 0.85 * distance) / persona.tempo, 0.24, 0.75))

    def rest_at(x: float) -> np.ndarray:
        return resting[min(int(x * FINE), count - 1)]

    def note(move: HandMove, phase: str, a: float, b: float) -> None:
        if b - a > 0.01:
            plan.gestures[move.gesture].phases.append(
                {"phase": phase, "hand": move.side, "start": round(a, 3), "end": round(b, 3)})

    for k, move in enumerate(moves):
        before, after = _pack(move.stroke.before), _pack(move.stroke.after)
        if held is not None and k:
            # relative forms start from where the hand is, so that a row of beats does not jump about
            drift = 0.45 * (held[:3] - before[:3])
            if np.linalg.norm(held[:3] - before[:3]) < 0.16:
                before[:3] += drift
                after[:3] += drift
        # a hand has its top speed: a short stroke is a small one
        farthest = (move.stroke_end - move.stroke_start - 0.06) * 1.15
        length = float(np.linalg.norm(after[:3] - before[:3]))
        if length > farthest:
            before[:3] = after[:3] + (before[:3] - after[:3]) * (farthest / length)
        origin = rest_at(move.stroke_start) if held is None else held
        away = float(np.linalg.norm(before[:3] - origin[:3]))
        begin = max(move.stroke_start - seconds_for(away) * rng.uniform(0.95, 1.25), clock)
        reachable = max((move.stroke_start - begin - 0.06) * 1.3, 0.02)
        if away > reachable:
            lost = (before[:3] - origin[:3]) * (1 - reachable / away)
            before[:3] -= lost
            after[:3] -= lost
        if held is not None:
            held = keep(clock, begin, held)
            if begin > clock:
                note(moves[k - 1], "hold", clock, begin)
        segment(begin, move.stroke_start, held, before, persona.curve * 0.6)
        note(move, "preparation", begin, move.stroke_start)
        # the stroke runs a little past its end pose and settles back
        past = after + 0.10 * (after - before) * np.array((1, 1, 1, 0.3, 0.5, 0.5))
        segment(move.stroke_start, move.stroke_end, before, past, persona.curve)
        note(move, "stroke", move.stroke_start, move.stroke_end)
        settle = move.stroke_end + 0.16
        if plan.gestures[move.gesture].kind == "beat":
            # most beats rebound a little instead of stopping dead
            after = after + rng.uniform(0, 0.45) * (before - after)
            settle += 0.10
        following = moves[k + 1] if k + 1 < len(moves) else None
        if following is not None:
            settle = min(settle, max(move.stroke_end, following.stroke_start - 0.22))
        segment(move.stroke_end, settle, past, after, 0.0)
        clock, held = settle, after if settle > move.stroke_end else past
        gap = np.inf if following is None else following.stroke_start - move.stroke_end
        if gap > persona.unit_gap + 0.9:
            leave = max(move.hold_end, clock) + (
                rng.uniform(0, 0.35) if following is not None else rng.uniform(0.1, 0.5)
            )
            leave = min(leave, clock + persona.unit_gap)
            held = keep(clock, leave, held)
            distance = float(np.linalg.norm(held[:3] - rest_at(leave)[:3]))
            home = leave + 1.35 * seconds_for(distance) * rng.uniform(0.9, 1.25)
            if following is not None:
                home = min(home, following.stroke_start - 0.2)
            segment(leave, home, held, None, persona.curve * 0.5)
            note(move, "hold", clock, leave)
            note(move, "retraction", leave, home)
            clock, held = home, None
    value[:, :3] += slow_noise(rng, count, 3, FINE, 0.35) * np.array((0.0045, 0.006, 0.0045)) * weight[:, None]
    value[:, :3] += slow_noise(rng, count, 3, FINE, 1.0) * np.array((0.008, 0.009, 0.007)) * weight[:, None]
    value[:, 3:] += slow_noise(rng, count, 3, FINE, 0.5) * 0.05 * weight[:, None]
    value = gaussian_filter1d(value, 0.024 * FINE, axis=0, mode="nearest")
    weight = gaussian_filter1d(weight, 0.04 * FINE, axis=0, mode="nearest")
    at = np.stack([np.interp(frame_times, t, value[:, k]) for k in range(6)], 1)
    return HandPath(at[:, :3], at[:, 3], at[:, 4], at[:, 5], np.interp(frame_times, t, weight))
