# SPDX-License-Identifier: GPL-3.0-or-later
"""Skinning weights of the mannequin's skin: smooth functions of where a vertex lies along its limb.

In the T-pose every limb lies along an axis, so a weight is a product of smooth steps at the joints. No distance search,
no bleeding from one finger to the next.
"""

from __future__ import annotations

import numpy as np

from ..shared.skeleton import JOINT_INDEX, JOINT_NAMES
from .body import joint
from .expressions import jaw_share

__all__ = ["skin_weights"]

_MAX_INFLUENCES = 4


def _step(x: np.ndarray, centre: float | np.ndarray, half: float | np.ndarray) -> np.ndarray:
    t = np.clip((x - centre) / (2 * half) + 0.5, 0.0, 1.0)
    return t * t * (3 - 2 * t)


def _chain(along: np.ndarray, joints: list[float], halves: list[float] | list[np.ndarray]) -> list[np.ndarray]:
    """Shares (len(joints) + 1) of (V,) of consecutive bones, split at the joints with soft steps; they sum to one."""
    steps = [_step(along, centre, half) for centre, half in zip(joints, halves, strict=True)]
    shares, rest = [], np.ones_like(along)
    for step in steps:
        shares.append(rest * (1 - step))
        rest = rest * step
    return [*shares, rest]


def _fingers(p: np.ndarray, side: str, hand: np.ndarray, weights: np.ndarray) -> None:
    """Share the hand's weight (V,) among palm and fingers."""
    sign = 1.0 if side == "left" else -1.0
    knuckles = {f: joint(f"{side}_{f}1") for f in ("index", "middle", "ring", "pinky")}
    x, z = sign * p[:, 0], p[:, 2]
    # fingers are told apart by z; between two knuckles the boundary is the middle of the gap
    order = ("index", "middle", "ring", "pinky")
    bounds = [(knuckles[a][2] + knuckles[b][2]) / 2 for a, b in zip(order, order[1:], strict=False)]
    # the web between two knuckles gives way softly, the fingers beyond it are apart
    web = 1 - _step(x, sign * float(knuckles["ring"][0]) + 0.012, 0.012)
    belongs = _chain(-z, [-b for b in bounds], [0.0012 + 0.0075 * web] * 3)
    # the thumb: in front of a line from the wrist to between thumb and index
    base = joint(f"{side}_thumb1")
    direction = joint(f"{side}_thumb3") - base
    direction = direction / np.linalg.norm(direction)
    offset = p - base
    t = offset @ direction
    away = np.linalg.norm(offset - np.clip(t, 0.0, 0.09)[:, None] * direction, axis=1)
    beyond_index = _step(z, float(knuckles["index"][2]) + 0.011, 0.0085)
    thumb = np.maximum(_step(-away, -0.024, 0.006) * _step(t, 0.006, 0.016) * beyond_index, 0.0)
    thumb *= _step(-x, -(sign * base[0] + 0.075), 0.006)
    ends = [float((joint(f"{side}_thumb{n}") - base) @ direction) for n in (2, 3)]
    for n, share in enumerate(_chain(t, ends, [0.009, 0.008]), start=1):
        weights[:, JOINT_INDEX[f"{side}_thumb{n}"]] += hand * thumb * share
    hand = hand * (1 - thumb)
    palm = hand.copy()
    for finger, share in zip(order, belongs, strict=True):
        marks = [sign * float(joint(f"{side}_{finger}{n}")[0]) for n in (1, 2, 3)]
        parts = _chain(x, marks, [0.010, 0.008, 0.0075])
        for n in (1, 2, 3):
            own = hand * share * parts[n]
            weights[:, JOINT_INDEX[f"{side}_{finger}{n}"]] += own
            palm -= own
    weights[:, JOINT_INDEX[f"{side}_wrist"]] += np.maximum(palm, 0.0)


def _arm(p: np.ndarray, side: str, rest: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Put an arm's share on its bones; returns what is left for the trunk."""
    sign = 1.0 if side == "left" else -1.0
    x = sign * p[:, 0]
    height = _step(p[:, 1], 1.325, 0.055)
    shoulder, elbow, wrist = (sign * float(joint(f"{side}_{j}")[0]) for j in ("shoulder", "elbow", "wrist"))
    # above, the shoulder gives way over a long stretch; below, the armpit is a fold at the joint
    arm = _step(x, shoulder + 0.004, 0.062 + 0.03 * _step(p[:, 1], 1.40, 0.03))
    arm = np.maximum(arm * height, _step(x, 0.250, 0.025))
    collar = (1 - arm) * _step(x, 0.095, 0.075) * _step(p[:, 1], 1.355, 0.07)
    upper, fore, hand = _chain(x, [elbow, wrist], [0.045, 0.026])
    weights[:, JOINT_INDEX[f"{side}_collar"]] += rest * collar
    weights[:, JOINT_INDEX[f"{side}_shoulder"]] += rest * arm * upper
    weights[:, JOINT_INDEX[f"{side}_elbow"]] += rest * arm * fore
    _fingers(p, side, rest * arm * hand, weights)
    return rest * (1 - arm) * (1 - collar / np.maximum(1 - arm, 1e-9))


def _leg(p: np.ndarray, side: str, rest: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Put a leg's share on its bones; returns that share. Those of both legs sum to at most one."""
    sign = 1.0 if side == "left" else -1.0
    below = _step(-p[:, 1], -(0.885 + 0.10 * np.clip(sign * p[:, 0] - 0.05, 0, 0.1)), 0.075)
    # the buttock hangs on longer than the groin
    below = np.minimum(below, _step(-p[:, 1], -(0.885 - 0.02 * _step(-p[:, 2], 0.02, 0.05)), 0.08))
    mine = below * _step(sign * p[:, 0], 0.0, 0.012 + 0.03 * _step(p[:, 1], 0.83, 0.04))
    thigh, shin, foot = _chain(-p[:, 1], [-0.48, -0.085], [0.055, 0.035])
    ball = float(joint(f"{side}_foot")[2])
    toes = foot * _step(p[:, 2], ball, 0.022)
    weights[:, JOINT_INDEX[f"{side}_hip"]] += rest * mine * thigh
    weights[:, JOINT_INDEX[f"{side}_knee"]] += rest * mine * shin
    weights[:, JOINT_INDEX[f"{side}_ankle"]] += rest * mine * (foot - toes)
    weights[:, JOINT_INDEX[f"{side}_foot"]] += rest * mine * toes
    return rest * mine


def skin_weights(p: np.ndarray) -> np.ndarray:
    """(V, 55) for skin vertices (V, 3), Y up: at most four influences each, every row sums to one."""
    weights = np.zeros((len(p), len(JOINT_NAMES)))
    rest = np.ones(len(p))
    for side in ("left", "right"):
        rest = _arm(p, side, rest, weights)
    rest = rest - _leg(p, "left", rest, weights) - _leg(p, "right", rest, weights)
    # the neck leans: its steps follow a line that is lower in front
    y = p[:, 1] + 0.35 * p[:, 2]
    trunk = _chain(p[:, 1], [1.035, 1.165, 1.255], [0.075, 0.065, 0.06])
    neck, head = _step(y, 1.462, 0.035), _step(y, 1.535, 0.035)
    head = np.maximum(head, _step(p[:, 2], 0.060, 0.012) * _step(p[:, 1], 1.478, 0.012))
    # the jaw's share is the shape's, so that bone and shape key open the same mouth
    jaw = jaw_share(p)
    weights[:, JOINT_INDEX["jaw"]] += rest * jaw
    rest = rest * (1 - jaw)
    for name, share in zip(("pelvis", "spine1", "spine2", "spine3"), trunk, strict=True):
        weights[:, JOINT_INDEX[name]] += rest * share * (1 - neck) * (1 - head)
    weights[:, JOINT_INDEX["neck"]] += rest * neck * (1 - head)
    weights[:, JOINT_INDEX["head"]] += rest * head
    smallest = np.sort(weights, axis=1)[:, -_MAX_INFLUENCES][:, None]
    weights = np.where((weights >= smallest) & (weights > 1e-3), weights, 0.0)
    return weights / weights.sum(axis=1, keepdims=True)
