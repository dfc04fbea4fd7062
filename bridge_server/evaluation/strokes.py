# SPDX-License-Identifier: Apache-2.0
"""Where in its strip a gesture's stroke falls, measured with a weights set.

``python -m bridge_server.evaluation.strokes`` performs every gesture of ``script/gestures.json`` with several seeds and prints the
seconds from the strip's start to its stroke: what ``script/suggest.py`` begins a suggestion before its word.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from bridge_server.audio.sound import Audio
from shared.kinematics import forward
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.skeleton import BODY_JOINT_COUNT, JOINT_INDEX
from shared.timeline import Direction

__all__ = ["TABLE", "measure", "stroke_after", "wrist_places"]

TABLE: Final = Path(__file__).parents[1] / "script" / "gestures.json"
STRIP: Final = 2.5
"""Seconds of a strip, as suggestions have."""
_APART: Final = 5.0
"""Seconds from one strip to the next, so that each begins from what is done between them."""
_EDGE: Final = 0.3
"""Seconds at a strip's ends in which the arms come from or go to something else."""
_TOGETHER: Final = 10


def wrist_places(motion: Motion) -> np.ndarray:
    """(T, 2, 3) metres: the wrists in the chest's place, without tremor."""
    positions, _ = forward(motion.rotations[:, :BODY_JOINT_COUNT].astype(np.float64), motion.translation.astype(np.float64))
    place = positions[:, [JOINT_INDEX["left_wrist"], JOINT_INDEX["right_wrist"]]] - positions[:, [JOINT_INDEX["spine3"]]]
    return gaussian_filter1d(place, 0.05 * motion.fps, axis=0, mode="nearest")


def stroke_after(place: np.ndarray, fps: float, start: float, seconds: float = STRIP) -> tuple[float, float]:
    """When a strip at ``start`` has its stroke, by two measures, in seconds from its start, of places (T, 2, 3).

    :returns: the highest speed of a wrist, its way in from the pose before and out to the one after left out; and the first time
        that the wrist which goes furthest has gone four fifths of its way from where it was.
    """
    first, last = round(start * fps), round((start + seconds - _EDGE) * fps)
    speed = np.linalg.norm(np.gradient(place, axis=0), axis=-1).max(1)
    inner = first + round(_EDGE * fps)
    away = np.linalg.norm(place[first:last] - place[first], axis=-1)
    furthest = away[:, int(np.argmax(away.max(0)))]
    return (inner - first + int(np.argmax(speed[inner:last]))) / fps, int(np.argmax(furthest >= 0.8 * furthest.max())) / fps


def measure(generator: Any, gestures: list[dict[str, Any]], audio: Audio | None, seeds: int) -> np.ndarray:
    """(G, seeds, 2) as :func:`stroke_after` gives, for each gesture of the table, over speech or from standing idle."""
    found = np.zeros((len(gestures), seeds, 2))
    for seed in range(seeds):
        for k in range(0, len(gestures), _TOGETHER):
            part = gestures[k:k + _TOGETHER]
            starts = 2.0 + _APART * np.arange(len(part))
            strips = [Direction(t, t + STRIP, g["direction"], "upper") for t, g in zip(starts.tolist(), part, strict=True)]
            request = MotionRequest(duration=float(starts[-1]) + _APART, directions=strips, seed=1000 * seed + k, face=False)
            place = wrist_places(generator.perform(request, audio, lambda stage, fraction: None))
            found[k:k + len(part), seed] = [stroke_after(place, 30.0, t) for t in starts.tolist()]
        print(f"seed {seed + 1} of {seeds}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Measure and print."""
    from bridge_server.audio.decode import decode
    from bridge_server.motion.versa import VersaGenerator

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="starter")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--speech", type=Path, help="over this speech; without it, from standing idle")
    options = parser.parse_args()
    gestures = json.loads(TABLE.read_text(encoding="utf-8"))["gestures"]
    audio = None
    if options.speech is not None:
        sound, _ = decode(options.speech.read_bytes(), options.speech.name)
        audio = Audio(np.tile(sound.samples, 4), sound.rate)
    found = measure(VersaGenerator(options.weights), gestures, audio, options.seeds)
    for gesture, rows in zip(gestures, found, strict=True):
        print(f"{gesture['concept']:22s} " + "   ".join(f"{np.median(x):4.2f} ({' '.join(f'{v:.2f}' for v in x)})" for x in rows.T))
    for name, x in zip(("highest speed", "four fifths of the way"), np.moveaxis(found, 2, 0), strict=True):
        medians = np.median(x, 1)
        print(f"{name}: median {np.median(x):.2f} s; gestures from {np.quantile(medians, 0.1):.2f} to {np.quantile(medians, 0.9):.2f} s; "
              f"standard deviation of gestures' means {x.mean(1).std():.2f} s, of a gesture over seeds {np.sqrt(x.var(1).mean()):.2f} s")


if __name__ == "__main__":
    main()
