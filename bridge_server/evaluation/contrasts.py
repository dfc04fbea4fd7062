# SPDX-License-Identifier: Apache-2.0
"""What style words and sliders do to the body: the same directions and seeds with one thing changed, measured and printed.

``python -m bridge_server.evaluation.contrasts`` prints two tables in Markdown, as they stand in ``docs/evaluation.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from bridge_server.audio.sound import Audio
from shared import rotations as rot
from shared.kinematics import forward
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.skeleton import BODY_JOINT_COUNT, JOINT_INDEX
from shared.timeline import Direction

__all__ = ["SLIDERS", "STYLES", "gesturing", "sliders", "styles", "walking"]

STYLES: Final = ("a person walks forward", "a person walks forward energetically", "a person walks forward in an exhausted way",
                 "a person walks forward like an old person", "a person walks happily", "a person walks sadly", "a person walks angrily")
SLIDERS: Final = (("amplitude", (0.5, 1.0, 1.5)), ("tempo", (0.7, 1.0, 1.4)), ("energy", (0.5, 1.0, 1.5)))
_WRISTS: Final = [JOINT_INDEX["left_wrist"], JOINT_INDEX["right_wrist"]]
_MARGIN: Final = 1.0
"""Seconds at a strip's start and end that are not measured."""


def _world(motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    return forward(motion.rotations[:, :BODY_JOINT_COUNT].astype(np.float64), motion.translation.astype(np.float64))


def _down(turns: np.ndarray, joint: str) -> float:
    """Degrees that a joint's forward axis points down on average; ``turns`` (T, J, 4) are world rotations."""
    ahead = rot.rotate(turns[:, JOINT_INDEX[joint]], np.broadcast_to([0.0, 0.0, 1.0], (len(turns), 3)))
    return float(np.degrees(np.arcsin(np.clip(-ahead[:, 1], -1, 1))).mean())


def walking(motion: Motion) -> dict[str, float]:
    """Speed of the pelvis over the floor (m/s), pitch of head and upper spine (degrees, down is positive), swing of the wrists
    along the way (cm, twice the standard deviation), steps a second (one foot passing the other)."""
    positions, turns = _world(motion)
    way = motion.translation[-1, [0, 2]] - motion.translation[0, [0, 2]]
    ahead = np.array([way[0], 0.0, way[1]]) / max(float(np.linalg.norm(way)), 1e-6)
    swing = (positions[:, _WRISTS] - positions[:, [0]]) @ ahead
    feet = (positions[:, JOINT_INDEX["left_ankle"]] - positions[:, JOINT_INDEX["right_ankle"]]) @ ahead
    ahead_left = np.sign(gaussian_filter1d(feet, 0.05 * motion.fps, mode="nearest"))
    steps = int((np.diff(ahead_left[ahead_left != 0]) != 0).sum())
    path = np.linalg.norm(np.diff(gaussian_filter1d(motion.translation[:, [0, 2]].astype(np.float64), 3, axis=0), axis=0), axis=1).sum()
    return {"speed m/s": float(path / motion.duration), "head down °": _down(turns, "head"), "spine down °": _down(turns, "spine3"),
            "arm swing cm": float(200 * swing.std(0).mean()), "steps/s": steps / motion.duration}


def gesturing(motion: Motion) -> dict[str, float]:
    """Room that the wrists take (cm, diagonal of the box that holds nine tenths of their places to the chest), their mean speed (m/s), how
    many strokes they make a second (peaks of their speed over 0.25 m/s), and the kinetic energy of two hands of 0.5 kg (mJ)."""
    positions, _ = _world(motion)
    place = positions[:, _WRISTS] - positions[:, [JOINT_INDEX["spine3"]]]
    velocity = np.gradient(gaussian_filter1d(place, 0.04 * motion.fps, axis=0, mode="nearest"), axis=0) * motion.fps
    pace = np.linalg.norm(velocity, axis=-1)
    fastest = pace.max(1)
    peaks = (fastest[1:-1] > fastest[:-2]) & (fastest[1:-1] >= fastest[2:]) & (fastest[1:-1] > 0.25)
    low, high = np.quantile(place, (0.05, 0.95), axis=0)
    return {"wrist range cm": float(100 * np.linalg.norm(high - low, axis=-1).mean()), "wrist speed m/s": float(pace.mean()),
            "strokes/s": float(peaks.sum() / motion.duration), "energy mJ": float(1000 * 0.25 * (pace ** 2).sum(1).mean())}


def _mean(measure: Callable[[Motion], dict[str, float]], motions: Sequence[Motion]) -> dict[str, tuple[float, float]]:
    """Mean and standard error of every figure."""
    rows = [measure(m) for m in motions]
    return {k: (float(np.mean([r[k] for r in rows])), float(np.std([r[k] for r in rows]) / max(1, len(rows) - 1) ** 0.5)) for k in rows[0]}


def _quiet(stage: str, fraction: float) -> None:
    del stage, fraction


def styles(
    generator: Any, seeds: Sequence[int], texts: Sequence[str] = STYLES, seconds: float = 5.0
) -> dict[str, dict[str, tuple[float, float]]]:
    """Figures of :func:`walking` for each text."""
    found = {}
    for text in texts:
        asked = MotionRequest(directions=[Direction(0.0, seconds, text)], face=False)
        takes = [generator.perform(replace(asked, seed=s), None, _quiet) for s in seeds]
        found[text] = _mean(walking, [m.slice(round(_MARGIN * m.fps), len(m) - round(_MARGIN * m.fps)) for m in takes])
    return found


def sliders(generator: Any, audio: Audio, seeds: Sequence[int], seconds: float = 10.0) -> dict[str, dict[str, tuple[float, float]]]:
    """Figures of :func:`gesturing` for speech alone, at each setting of each slider."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for name, values in SLIDERS:
        for value in values:
            label = "as generated" if value == 1.0 else f"{name} {value:g}"
            if label not in found:
                asked = MotionRequest(duration=seconds, face=False)
                setattr(asked, name, value)
                takes = [generator.perform(replace(asked, seed=s), audio, _quiet) for s in seeds]
                found[label] = _mean(gesturing, takes)
    return found


def table(rows: dict[str, dict[str, tuple[float, float]]], head: str) -> str:
    """Rows as a table in Markdown."""
    columns = list(next(iter(rows.values())))
    lines = [f"| {head} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(f"{m:.3g} ± {e:.2g}" for m, e in (row[c] for c in columns)) + " |" for name, row in rows.items()]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    from bridge_server.audio.decode import decode
    from bridge_server.motion.versa import VersaGenerator

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="starter", help="for the sliders")
    parser.add_argument("--style-weights", default="starter-nc", help="for the style words")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--speech", type=Path, default=Path("examples/speech.wav"))
    options = parser.parse_args()
    seeds = range(options.seeds)
    print(table(styles(VersaGenerator(options.style_weights), seeds), options.style_weights), flush=True)
    audio, _ = decode(options.speech.read_bytes(), options.speech.name)
    print("\n" + table(sliders(VersaGenerator(options.weights), audio, seeds), options.weights))


if __name__ == "__main__":
    main()
