# SPDX-License-Identifier: Apache-2.0
"""Eyes: blinks at natural rates that fall into pauses, small saccades, and gaze at a target."""

from __future__ import annotations

from typing import Final

import numpy as np

from bridge_server.face.prosody import noise

__all__ = ["BLINKS_PER_MINUTE", "EYE_RANGE", "Blinks", "Saccades", "blink_curve", "gaze_curves", "lids"]

BLINKS_PER_MINUTE: Final = 16.0
"""People in conversation blink 10 to 25 times a minute (Bentivoglio et al. 1997)."""
EYE_RANGE: Final = np.radians(30.0)
"""Turn of the eye, radians, at which an ``eyeLook`` curve is 1."""
_CLOSE, _SHUT, _OPEN = 0.08, 0.045, 0.17


class Blinks:
    """When the lids meet, found as the speech becomes known.

    Intervals are drawn from a gamma distribution; a blink that falls within 0.6 s of the start of a pause is
    moved there, because speakers blink as they finish a phrase.

    :param duration: seconds of the take. :param rate: how often, 1 as people do; 0: never.
    """

    def __init__(self, duration: float, seed: int, rate: float = 1.0) -> None:
        self._duration, self._rate = duration, rate
        self._rng = np.random.default_rng((seed & 0xFFFFFFFFFFFFFFFF, 1))
        self._next = float(self._rng.uniform(0.6, 2.5)) if rate > 0 else np.inf
        self._found: list[float] = []

    def until(self, seconds: float, pauses: np.ndarray) -> np.ndarray:
        """(K,) seconds of the blinks that are certain when ``pauses`` (M, 2) are those up to 0.9 s after ``seconds``."""
        rng, found, t = self._rng, self._found, self._next
        starts = pauses[:, 0] + 0.08
        while t < min(seconds, self._duration):
            nearest = starts[np.argmin(np.abs(starts - t))] if len(starts) else np.inf
            moved = float(nearest) if abs(nearest - t) < 0.6 and nearest > (found[-1] + 0.7 if found else 0.3) else t
            found.append(moved)
            if rng.random() < 0.08:  # now and then two in a row
                found.append(moved + float(rng.uniform(0.34, 0.45)))
            pause = 0.9 + float(rng.gamma(2.2, (60 / BLINKS_PER_MINUTE * 1.08 - 0.9) / 2.2))
            t = max(t, found[-1]) + max(pause / self._rate, 0.5)
        self._next = t
        return np.array([b for b in found if b < self._duration - 0.05])


def blink_curve(times: np.ndarray, blinks: np.ndarray) -> np.ndarray:
    """(T,) lid closure: fast down, shut for a frame, slower up."""
    out = np.zeros(len(times))
    for b in blinks:
        first, last = np.searchsorted(times, (b - _CLOSE - _SHUT, b + _SHUT + _OPEN))
        t = times[first:last] - b
        down = 0.5 * (1 + np.cos(np.pi * np.clip((-t - _SHUT / 2) / _CLOSE, 0, 1)))
        up = 0.5 * (1 + np.cos(np.pi * np.clip((t - _SHUT / 2) / _OPEN, 0, 1)))
        out[first:last] = np.maximum(out[first:last], np.where(t < 0, down, up))
    return out


class Saccades:
    """Small jumps of the eyes between fixations of 0.3 to 3 s, given from the start on.

    Two thirds come back to the target. A jump takes 21 ms plus 2.2 ms per degree (the main sequence), which at
    30 frames a second is one frame.

    :param duration: seconds of the take.
    """

    def __init__(self, duration: float, seed: int) -> None:
        self._duration, self._seed = duration, seed
        self._rng = np.random.default_rng((seed & 0xFFFFFFFFFFFFFFFF, 2))
        self._next, self._place = float(self._rng.uniform(0.3, 1.2)), np.zeros(2)
        # the jump under way: where it began, by how much, when, and for how long
        self._base, self._way, self._began, self._takes = np.zeros(2), np.zeros(2), 0.0, 1.0

    def _jump(self) -> None:
        rng, t = self._rng, self._next
        aside = rng.random() < 0.34
        target = rng.normal(0, (np.radians(5.0), np.radians(2.5))) if aside else rng.normal(0, np.radians(0.7), 2)
        target = np.clip(target, -np.radians(12), np.radians(12))
        self._base = self._base + self._way
        self._way, self._began = target - self._place, t
        self._takes = 0.021 + 0.0022 * np.degrees(np.abs(self._way).max())
        self._place = target
        self._next = t + float(np.clip(rng.gamma(1.8, 0.6 if not aside else 0.35), 0.25, 3.0))

    def at(self, times: np.ndarray) -> np.ndarray:
        """(T, 2) yaw to the left and pitch up, radians, at times (T,) after those of the call before."""
        out = np.empty((len(times), 2))
        first = 0
        while True:
            last = int(np.searchsorted(times, self._next)) if self._next < self._duration else len(times)
            phase = np.clip((times[first:last] - self._began) / self._takes, 0, 1)
            out[first:last] = self._base + (phase * phase * (3 - 2 * phase))[:, None] * self._way
            if last == len(times):
                break
            first = last
            self._jump()
        drift = np.stack((noise(times, self._seed, 21, 0.7), noise(times, self._seed, 22, 0.7)), axis=1)
        return out + drift * np.radians(0.15)


def gaze_curves(yaw: np.ndarray, pitch: np.ndarray) -> dict[str, np.ndarray]:
    """The eight ``eyeLook`` curves of both eyes turned alike.

    :param yaw: (T,) radians to the character's left.
    :param pitch: (T,) radians up.
    """
    left, up = np.asarray(yaw) / EYE_RANGE, np.asarray(pitch) / EYE_RANGE
    curves = {
        "eyeLookOutLeft": left,
        "eyeLookInLeft": -left,
        "eyeLookInRight": left,
        "eyeLookOutRight": -left,
        "eyeLookUpLeft": up,
        "eyeLookUpRight": up,
        "eyeLookDownLeft": -up,
        "eyeLookDownRight": -up,
    }
    return {name: np.clip(value, 0, 1) for name, value in curves.items()}


def lids(blink: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """(T,) closure of the lids: blinks, and they follow the gaze downwards (``pitch`` (T,) radians up)."""
    return np.maximum(blink, 0.35 * np.clip(-np.asarray(pitch) / EYE_RANGE, 0, 1))
