# SPDX-License-Identifier: Apache-2.0
"""Figures that tell whether a set is plausible: strokes against stresses, jitter against captured data, feet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, sosfiltfilt

from shared import rotations as rot
from shared.kinematics import end_point, forward
from shared.skeleton import JOINT_INDEX, NEUTRAL_OFFSETS

__all__ = ["feet", "in_trunk", "jitter", "measure", "read", "stroke_offsets"]

_WRISTS = {"left": JOINT_INDEX["left_wrist"], "right": JOINT_INDEX["right_wrist"]}


def read(folder: Path) -> list[dict[str, Any]]:
    """Records of a set in the ``cmu_text`` layout with their arrays as ``q`` (T, 22, 4) and ``t`` (T, 3)."""
    clips: list[dict[str, Any]] = json.loads((folder / "clips.json").read_text("utf-8"))["clips"]
    shards: dict[int, dict[str, np.ndarray]] = {}
    for clip in clips:
        number = clip["shard"]
        if number not in shards:
            with np.load(folder / f"shard_{number:02d}.npz", allow_pickle=False) as z:
                shards[number] = {"rot": z["rot"], "trans": z["trans"]}
        a, b = clip["first"], clip["first"] + clip["frames"]
        clip["q"] = rot.normalise(shards[number]["rot"][a:b].astype(np.float64))
        clip["t"] = shards[number]["trans"][a:b].astype(np.float64)
    return clips


def stroke_offsets(clip: dict[str, Any], fps: float = 30.0) -> np.ndarray:
    """Seconds from each hand gesture's stressed beat to the hand's top speed near it; negative is before the beat.

    Measured on the motion itself: the frame of top speed of the gesture's hand relative to the chest, within 0.35 s
    before and 0.25 s after the beat.
    """
    positions, world = forward(clip["q"], clip["t"], NEUTRAL_OFFSETS)
    chest = JOINT_INDEX["spine3"]
    found = []
    for gesture in clip["gestures"]:
        if gesture["kind"] == "notation":
            continue
        side = "right" if gesture["hands"] in ("right", "both") else "left"
        local = rot.rotate(rot.conjugate(world[:, chest]), positions[:, _WRISTS[side]] - positions[:, chest])
        speed = np.linalg.norm(np.gradient(local, axis=0), axis=1) * fps
        a = max(int((gesture["stress"] - 0.35) * fps), 0)
        b = min(int((gesture["stress"] + 0.25) * fps) + 1, len(speed))
        if b - a > 3:
            found.append((a + int(np.argmax(speed[a:b]))) / fps - gesture["stress"])
    return np.array(found)


def jitter(clip: dict[str, Any], joints: list[int], fps: float = 30.0) -> float:
    """Root mean square angular acceleration, rad/s^2, of the part of the joints' rotation above 6 Hz.

    People move their limbs below about 6 Hz; what is above is noise of capture or of synthesis.
    """
    if len(clip["q"]) < 30:
        return float("nan")
    vector = rot.quat_to_axis_angle(rot.mul(rot.conjugate(clip["q"][:-1]), clip["q"][1:]))[:, joints] * fps
    high = sosfiltfilt(butter(4, 6.0, "highpass", fs=fps, output="sos"), vector, axis=0)
    return float(np.sqrt(np.mean(np.square(np.diff(high, axis=0) * fps))))


def feet(clip: dict[str, Any], fps: float = 30.0) -> dict[str, float]:
    """``slide``: mm a frame of the ankles while lower than 12 cm and slow; ``low``, ``high``: the toes, metres."""
    positions, _ = forward(clip["q"], clip["t"], NEUTRAL_OFFSETS)
    ankles = positions[:, [JOINT_INDEX["left_ankle"], JOINT_INDEX["right_ankle"]]]
    step = np.linalg.norm(np.diff(ankles[..., [0, 2]], axis=0), axis=-1)
    down = (ankles[1:, :, 1] < 0.12) & (step * fps < 0.6)
    toes = positions[:, [JOINT_INDEX["left_foot"], JOINT_INDEX["right_foot"]], 1]
    return {"slide": float(step[down].mean() * 1000) if down.any() else 0.0, "low": float(toes.min()),
            "high": float(np.median(toes))}


def in_trunk(clip: dict[str, Any]) -> float:
    """Share of frames in which a wrist, the middle of a hand or of a forearm is inside the trunk.

    The trunk is an elliptic cylinder of half axes 0.14 and 0.10 m round the spine, from the hips to the chest.
    """
    positions, world = forward(clip["q"], clip["t"], NEUTRAL_OFFSETS)
    chest, inside = JOINT_INDEX["spine3"], np.zeros(len(positions), dtype=bool)
    for side, wrist in _WRISTS.items():
        hand = end_point(f"{side}_hand_end", positions, world)
        elbow = positions[:, JOINT_INDEX[f"{side}_elbow"]]
        for point in (positions[:, wrist], (positions[:, wrist] + hand) / 2, hand, (positions[:, wrist] + elbow) / 2):
            p = rot.rotate(rot.conjugate(world[:, chest]), point - positions[:, chest])
            round_spine = np.square(p[:, 0] / 0.14) + np.square(p[:, 2] / 0.10) < 1
            inside |= round_spine & (p[:, 1] > -0.28) & (p[:, 1] < 0.12)
    return float(inside.mean())


def measure(folder: Path, reference: Path | None = None) -> dict[str, float]:
    """Figures of a set; with ``reference`` (the folder ``free_extra``) also the ratios of jitter to captured motion."""
    clips = read(folder)
    offsets = np.concatenate([stroke_offsets(c) for c in clips])
    arms = [j for name, j in JOINT_INDEX.items() if j < 22 and name.split("_")[-1] in ("collar", "shoulder", "elbow")]
    trunk = [JOINT_INDEX[n] for n in ("pelvis", "spine1", "spine2", "spine3", "neck", "head")]
    legs = [j for name, j in JOINT_INDEX.items() if name.split("_")[-1] in ("hip", "knee", "ankle")]
    result = {
        "strokes": float(len(offsets)), "stroke_median_s": float(np.median(offsets)),
        "stroke_before_or_at": float(np.mean(offsets <= 0.034)),
        "strokes_per_minute": len(offsets) / sum(c["seconds"] for c in clips) * 60,
        "slide_mm": float(np.mean([feet(c)["slide"] for c in clips])),
    }
    result["in_trunk"] = float(np.mean([in_trunk(c) for c in clips]))
    speeds = []
    for c in clips:
        positions, _ = forward(c["q"], c["t"], NEUTRAL_OFFSETS)
        for wrist in _WRISTS.values():
            speeds.append(gaussian_filter1d(np.linalg.norm(np.diff(positions[:, wrist], axis=0), axis=1) * 30, 1))
    result["hand_speed_99"] = float(np.percentile(np.concatenate(speeds), 99))
    groups = {"arms": arms, "trunk": trunk, "legs": legs}
    own = {k: float(np.nanmean([jitter(c, j) for c in clips])) for k, j in groups.items()}
    result.update({f"jitter_{k}": v for k, v in own.items()})
    if reference is not None:
        real = read(reference)
        idle = [c for c in real if c["subject"]]
        signals = [c for c in real if not c["subject"]]
        for k, j in groups.items():
            result[f"jitter_{k}_to_idle"] = own[k] / float(np.nanmean([jitter(c, j) for c in idle]))
            result[f"jitter_{k}_to_signals"] = own[k] / float(np.nanmean([jitter(c, j) for c in signals]))
        result["in_trunk_real_idle"] = float(np.mean([in_trunk(c) for c in idle]))
        result["slide_mm_real_idle"] = float(np.mean([feet(c)["slide"] for c in idle]))
    return result
