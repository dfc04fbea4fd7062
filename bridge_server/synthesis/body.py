# SPDX-License-Identifier: Apache-2.0
"""From a plan to a moving body: stance and trunk of captured idle motion, arms by inverse kinematics, head, breath."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from shared import rotations as rot
from shared.skeleton import JOINT_INDEX

from . import arm_ik
from .paths import FPS, HandPath, hand_path, minimum_jerk, slow_noise
from .persona import Persona
from .planning import Plan
from .sources import NotationClip, Sources, chest_points, mirror
from .speech import Speech

__all__ = ["notation_window", "perform"]

_J = JOINT_INDEX
_RESTS: Final = {
    # position of the left wrist, palm, bend, tilt; the right hand is its mirror
    "clasp": (0.052, -0.265, 0.205, -0.25, 0.15, -0.1),
    "ready": (0.165, -0.205, 0.235, 0.05, 0.05, 0.0),
    "low": (0.105, -0.300, 0.185, 0.0, 0.1, 0.0),
}


def perform(speech: Speech, plan: Plan, persona: Persona, sources: Sources,
            rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, str]:
    """Make the motion of a clip.

    :returns: rotations (T, 22, 4) local wxyz, translation (T, 3) metres, and the name of the idle trial underneath. The
        clip starts at x = z = 0 and faces +Z on the whole. The hands' phases are written into ``plan.gestures``.
    """
    frames = int(np.floor(speech.duration * FPS))
    q, translation, name = _base(frames, persona, sources, rng)
    voice = _envelope(speech, frames)
    _trunk(q, speech, persona, voice, rng)
    paths = {side: _path(side, q, plan, persona, frames, rng) for side in ("left", "right")}
    _keep_apart(paths)
    _follow(q, paths, plan, persona)
    shrugs = _bumps(frames, [(m.stroke_start, m.stroke_end, m.hold_end) for m in plan.hands
                             if plan.gestures[m.gesture].kind == "shrug"])
    for side, path in paths.items():
        _arm(side, q, path, persona, shrugs, rng)
    _head(q, plan, persona, rng)
    for placement in plan.placements:
        _place(q, sources.notation[placement.clip], placement.time, persona)
    return rot.continuous(rot.normalise(q)), translation, name


def _base(frames: int, persona: Persona, sources: Sources,
          rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, str]:
    """A stretch of idle motion, turned to face +Z; the head's wandering is damped, since a speaker faces listeners."""
    fitting = [t for t in sources.idle if len(t.rotations) >= frames + 2] or sources.idle
    candidates = []
    for _ in range(10):  # of some stretches the one with quiet feet, and arms that can rest as they are
        trial = fitting[rng.integers(len(fitting))]
        start = int(rng.integers(max(len(trial.rotations) - frames, 1)))
        stop = start + frames
        travel = np.ptp(trial.feet[start:stop], axis=0).max()
        busy = (2.0 if persona.rest == "idle" else 0.1) * (1 - trial.plain[start:stop].mean())
        candidates.append((float(travel + busy + rng.uniform(0, 0.12)), start, trial))
    _, start, trial = min(candidates, key=lambda c: c[0])
    index = start + np.arange(frames)
    last = len(trial.rotations) - 1
    # where a trial is too short it is played back and forth
    index = np.where(index <= last, index, np.abs(2 * last - index) % (last + 1))
    q, t = trial.rotations[index].copy(), trial.translation[index].copy()
    if rng.random() < 0.5:
        q, t = mirror(q, t)
    turn = rot.yaw_quat(-np.arctan2(*np.mean([(np.sin(a), np.cos(a)) for a in rot.heading(q[:, 0])], axis=0)))
    q[:, 0] = rot.mul(turn, q[:, 0])
    t = rot.rotate(turn, (t - t[0] * (1, 0, 1)))
    t = t - t[0] * (1, 0, 1)
    neck, head = _J["neck"], _J["head"]
    for j, keep in ((neck, 0.35), (head, 0.5)):
        mean = rot.normalise(np.sum(rot.continuous(q[:, j]), axis=0))
        q[:, j] = rot.slerp(np.broadcast_to(mean, q[:, j].shape), q[:, j], keep)
    # take out what is left of a look aside or down, so that the face points to the front
    around = _world(q, head)
    aside = float(np.median(rot.heading(around)))
    forward = rot.rotate(around, np.broadcast_to((0.0, 0.0, 1.0), (frames, 3)))
    down = float(np.median(-np.arcsin(np.clip(forward[:, 1], -1, 1))))
    pull = np.array([-(down - persona.gaze_pitch) * 0.8, -aside * 0.85, 0.0])
    q[:, neck] = rot.mul(q[:, neck], rot.axis_angle_to_quat(pull))
    return q, t, trial.name


def _world(q: np.ndarray, joint: int) -> np.ndarray:
    from shared.skeleton import PARENTS

    chain = [joint]
    while PARENTS[chain[-1]] >= 0:
        chain.append(PARENTS[chain[-1]])
    world = q[:, 0]
    for j in reversed(chain[:-1]):
        world = rot.mul(world, q[:, j])
    return world


def _envelope(speech: Speech, frames: int) -> np.ndarray:
    """(T,) 1 while there is speech, 0 in pauses, softened."""
    t = np.arange(frames) / FPS
    on = np.zeros(frames)
    for word in speech.words:
        on[(t >= word.start - 0.05) & (t <= word.end + 0.15)] = 1.0
    return on


def _trunk(q: np.ndarray, speech: Speech, persona: Persona, voice: np.ndarray, rng: np.random.Generator) -> None:
    """Breath, posture shifts at sentence boundaries (Cassell et al. 2001) and slow sway, added to the spine."""
    frames = len(q)
    t = np.arange(frames) / FPS
    # lungs: air goes out while talking, comes in quickly in a pause, and goes to and fro in a long silence
    air, volume, phase = np.empty(frames), 0.5, float(rng.uniform(0, 6.28))
    for k in range(frames):
        if voice[k]:
            volume -= volume * 0.28 / FPS
        else:
            volume += (0.75 + 0.35 * np.sin(phase + 2 * np.pi * 0.27 * t[k]) - volume) * 2.2 / FPS
        air[k] = volume
    air = gaussian_filter1d(air - air.mean(), 0.12 * FPS) * persona.breath
    shift = np.zeros((frames, 3))  # pitch, yaw, roll
    starts = sorted({w.sentence: w.start for w in reversed(speech.words)}.values())
    for start in starts:
        if rng.random() < 0.65:
            target = rng.normal(size=3) * np.radians((2.2, 4.0, 1.8)) * persona.sway
            seconds = rng.uniform(0.8, 1.5)
            step = minimum_jerk((t - (start - rng.uniform(0.2, 0.6))) / seconds)[:, None]
            shift = shift * (1 - step) + target * step
    shift += slow_noise(rng, frames, 3, FPS, 1.4) * np.radians((0.5, 1.0, 0.5)) * persona.sway
    shift[:, 0] += np.radians(1.2) * gaussian_filter1d(voice, 0.4 * FPS)  # lean in while speaking
    for joint, share in (("spine1", 0.35), ("spine2", 0.35), ("spine3", 0.30)):
        vector = shift * share
        if joint == "spine3":
            vector = vector - np.stack((np.radians(2.0) * air, 0 * air, 0 * air), 1)
        q[:, _J[joint]] = rot.mul(q[:, _J[joint]], rot.axis_angle_to_quat(vector))
    # the head stays nearer to the front than the trunk
    q[:, _J["neck"]] = rot.mul(
        rot.axis_angle_to_quat(-0.55 * shift + np.stack((np.radians(1.2) * air, 0 * air, 0 * air), 1)), q[:, _J["neck"]]
    )
    for side, sign in (("left", 1.0), ("right", -1.0)):
        lift = np.stack((0 * air, 0 * air, sign * np.radians(2.2) * air), 1)
        q[:, _J[f"{side}_collar"]] = rot.mul(q[:, _J[f"{side}_collar"]], rot.axis_angle_to_quat(lift))


def _path(side: str, q: np.ndarray, plan: Plan, persona: Persona, frames: int, rng: np.random.Generator) -> HandPath:
    captured = chest_points(q, (_J[f"{side}_wrist"],))[:, 0]
    captured = captured if side == "left" else arm_ik.mirror_points(captured)
    rest = np.zeros((frames, 6))
    if persona.rest == "idle":
        rest[:, :3], weight = captured, 0.0
    else:
        pose = np.array(_RESTS[persona.rest])
        pose[:3] += persona.rest_offset
        if persona.rest == "clasp":
            pose[0] = 0.052
            pose[2] += 0.035 if side == "left" else 0.0  # one hand lies over the other
        wander = slow_noise(rng, frames, 6, FPS, 1.1) * (0.006, 0.007, 0.006, 0.03, 0.03, 0.02)
        rest[:], weight = pose + wander, 1.0
    moves = sorted((m for m in plan.hands if m.side == side), key=lambda m: m.stroke_end)
    return hand_path(moves, plan, persona, rest, weight, frames, rng)


def _keep_apart(paths: dict[str, HandPath]) -> None:
    """Hands stay out of the chest and belly, and off each other, as far as their weights say."""
    for path in paths.values():
        p = path.position
        # trunk: an upright elliptic cylinder of half axes 0.155 and 0.125 m round the spine, plus half a wrist
        inside = 1 - np.sqrt(np.square(p[:, 0] / 0.185) + np.square((p[:, 2] - 0.0) / 0.155))
        low = np.clip((0.16 - p[:, 1]) / 0.05, 0, 1)
        p[:, 2] += np.where(p[:, 2] > -0.03, 0.17 * np.clip(inside, 0, None) * low, 0) * path.weight
    left, right = paths["left"].position, paths["right"].position
    gap = left - right * np.array((-1.0, 1.0, 1.0))
    near = np.linalg.norm(gap, axis=1)
    push = np.clip(0.085 - near, 0, None) * 0.5 * np.minimum(paths["left"].weight, paths["right"].weight)
    left[:, 0] += push
    right[:, 0] += push


def _follow(q: np.ndarray, paths: dict[str, HandPath], plan: Plan, persona: Persona) -> None:
    """The trunk turns and leans a little with the arms."""
    ahead = {s: p.weight * (p.position[:, 2] - 0.15) for s, p in paths.items()}
    wide = {s: p.weight * (p.position[:, 0] - 0.18) for s, p in paths.items()}
    yaw = 0.20 * (ahead["right"] - ahead["left"]) + 0.10 * (wide["left"] - wide["right"])
    pitch = 0.06 * (ahead["left"] + ahead["right"])
    # strong accents are carried by the whole upper body
    t = np.arange(len(q)) / FPS
    for accent in plan.accents:
        if accent.strength > 0.55:
            dip = 0.022 * (accent.strength - 0.3) * persona.nod
            pitch += dip * np.exp(-0.5 * np.square((t - accent.time) / 0.16))
    vector = gaussian_filter1d(np.stack((pitch, yaw, 0 * yaw), 1), 0.14 * FPS, axis=0)
    for joint in ("spine1", "spine2", "spine3"):
        q[:, _J[joint]] = rot.mul(q[:, _J[joint]], rot.axis_angle_to_quat(vector / 3))
    q[:, _J["neck"]] = rot.mul(rot.axis_angle_to_quat(-0.7 * vector), q[:, _J["neck"]])


def _bumps(frames: int, spans: list[tuple[float, float, float]]) -> np.ndarray:
    """(T,) rises from 0 to 1 between the first two times of a span, falls within half a second after the third."""
    t = np.arange(frames) / FPS
    total = np.zeros(frames)
    for a, b, c in spans:
        total = np.maximum(total, minimum_jerk((t - a) / (b - a)) * (1 - minimum_jerk((t - c) / 0.5)))
    return total


def _arm(
    side: str, q: np.ndarray, path: HandPath, persona: Persona, shrug: np.ndarray, rng: np.random.Generator
) -> None:
    joints = [_J[f"{side}_{part}"] for part in ("collar", "shoulder", "elbow", "wrist")]
    base = q[:, joints] if side == "left" else arm_ik.mirror_quats(q[:, joints])
    frames = len(q)
    zero = np.zeros(frames)
    collar = rot.mul(base[:, 0], rot.axis_angle_to_quat(np.stack((zero, zero, np.radians(11) * shrug), 1)))
    collar = arm_ik.swing_collar(collar, path.position)
    wrist = arm_ik.clamp_reach(path.position, arm_ik.shoulder_position(collar))
    pole = arm_ik.ELBOW_POLE + np.stack(
        (persona.elbow_out + 0.06 * slow_noise(rng, frames, 1, FPS, 1.2)[:, 0], zero, zero), 1
    )
    # the wrist lags: a hand that is drawn upwards hangs, one that goes down trails upwards
    speed = gaussian_filter1d(np.gradient(wrist[:, 1]) * FPS, 0.03 * FPS)
    bend = path.bend + np.clip(0.22 * speed, -0.3, 0.3)
    shoulder, elbow = arm_ik.solve(collar, wrist, pole, 0.6 * path.palm)
    hand = rot.mul(rot.axis_angle_to_quat(np.stack((-0.4 * path.palm, zero, zero), 1)),
                   rot.axis_angle_to_quat(np.stack((zero, -path.tilt, -bend), 1)))
    made = np.stack((collar, shoulder, elbow, hand), 1)
    mixed = rot.slerp(base, made, np.broadcast_to(path.weight[:, None], (frames, 4)))
    # shoulders breathe and shrug also where the arm rests
    q[:, joints] = mixed if side == "left" else arm_ik.mirror_quats(mixed)


def _head(q: np.ndarray, plan: Plan, persona: Persona, rng: np.random.Generator) -> None:
    frames = len(q)
    t = np.arange(frames) / FPS
    turn = np.zeros((frames, 3))  # pitch down, yaw left, roll
    for move in plan.head:
        if move.kind == "nod":
            sigma = move.seconds / 5
            turn[:, 0] += move.size * (np.exp(-0.5 * np.square((t - move.time) / sigma))
                                       - 0.3 * np.exp(-0.5 * np.square((t - move.time + 2.3 * sigma) / sigma)))
        elif move.kind == "shake":
            u = (t - move.time) / move.seconds
            window = np.where(np.abs(u) < 0.5, np.square(np.cos(np.pi * u)), 0.0)
            turn[:, 1] += move.size * window * np.sin(2 * np.pi * 1.9 * (t - move.time))
        else:
            rise = minimum_jerk((t - (move.time - move.seconds / 2 - 0.2)) / 0.6)
            fall = minimum_jerk((t - (move.time + move.seconds / 2 - 0.2)) / 0.7)
            turn[:, 2] += move.size * rise * (1 - fall)
    # looking from listener to listener: steps in yaw, and small wandering
    moment = float(rng.uniform(1.0, 4.0))
    gaze = 0.0
    while moment < frames / FPS:
        target = float(rng.normal(0, 0.13))
        turn[:, 1] += (target - gaze) * minimum_jerk((t - moment) / rng.uniform(0.4, 0.7))
        gaze, moment = target, moment + float(rng.gamma(3.0, 1.1)) + 0.8
    turn += slow_noise(rng, frames, 3, FPS, 0.55) * (0.014, 0.016, 0.010)
    half = rot.axis_angle_to_quat(turn / 2)
    for joint in ("neck", "head"):
        q[:, _J[joint]] = rot.mul(q[:, _J[joint]], half)


def notation_window(clip: NotationClip, time: float, persona: Persona) -> tuple[float, float, float, float]:
    """Where a notation gesture falls when its stroke ends at ``time``.

    :returns: start and end, seconds, and the clip's rates before and after the stroke (clip seconds per second).
    """
    before = clip.apex - clip.start
    wanted = float(np.clip(before / persona.tempo, 0.45, 0.95))
    after = float(np.clip(persona.tempo, 0.9, 1.25))
    return time - wanted, time + (clip.end - clip.apex) / after, before / wanted, after


def _place(q: np.ndarray, clip: NotationClip, time: float, persona: Persona) -> None:
    """Blend a notation gesture in, warped in time so that its stroke ends at ``time``."""
    start, end, before, after = notation_window(clip, time, persona)
    t = np.arange(len(q)) / FPS
    inside = np.flatnonzero((t > start - 0.15) & (t < end))
    if len(inside) < 2:
        return
    t = t[inside]
    # the two rates meet smoothly over the stroke's end
    rate = before + (after - before) * minimum_jerk((t - time + 0.15) / 0.3)
    own = np.concatenate(([0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 / FPS)))
    own += clip.apex - np.interp(time, t, own)
    position = np.clip(own * FPS, 0, len(clip.rotations) - 1.001)
    low = position.astype(int)
    source = rot.slerp(clip.rotations[low], clip.rotations[low + 1], (position - low)[:, None])
    weight = minimum_jerk((t - start + 0.15) / 0.35) * (1 - minimum_jerk((t - (end - 0.6)) / 0.6))
    joints = [_J[f"{s}_{p}"] for s, on in zip(("left", "right"), clip.arms, strict=True) if on
              for p in ("collar", "shoulder", "elbow", "wrist")]
    for j in joints:
        q[inside, j] = rot.slerp(q[inside, j], source[:, j], weight)
    if clip.head:
        for j in (_J["neck"], _J["head"]):
            change = rot.mul(rot.conjugate(np.broadcast_to(clip.rotations[2, j], source[:, j].shape)), source[:, j])
            q[inside, j] = rot.mul(q[inside, j], rot.slerp(rot.identity(len(inside)), change, 0.9 * weight))
