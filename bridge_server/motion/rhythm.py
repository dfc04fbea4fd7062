# SPDX-License-Identifier: Apache-2.0
"""Strokes on stressed syllables: the upper body's time bent a little, where speech alone drives it.

A gesture's stroke ends on or just before the syllable it belongs to (Kendon; McNeill), and listeners notice when it does
not. Tokens are four frames long and the audio branch places strokes only roughly. So the ends of strokes, which are the
minima of the upper body's speed (the kinematic beats of Li et al., "AI Choreographer", ICCV 2021), are led to the onset
of a syllable near by, as Davis and Agrawala ("Visual Rhythm and Beat", CVPR 2018) bend the time of a film to music.
Legs and path keep their own time. In pauses, where there is no syllable to lead a stroke to, the upper body is calmed:
speakers hold their hands or let them sink (the post-stroke hold of Kendon, "Gesture", 2004), they do not beat time.

Everything here looks at most :data:`HOLD` frames ahead, so that what has been streamed never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from shared import rotations as rot
from shared.kinematics import forward
from shared.skeleton import BODY_JOINT_COUNT, JOINT_INDEX

from .features import UPPER_JOINTS

__all__ = ["HOLD", "Rhythm", "bend", "hold_in_pauses", "retime", "strong_rise", "syllable_onsets", "upper_speed"]

HOLD: Final = 60
"""Frames at the end of what is known whose timing may still change."""
_SETTLED: Final = 14
"""Frames after which a minimum of speed is known to be one."""
_MOST: Final = 0.25
"""Seconds by which a stroke is moved at most."""
_LET_GO: Final = 0.6
"""Seconds after a stroke in which the time runs straight again, unless another follows."""
_SLOWEST, _FASTEST = 0.45, 2.2
"""How slow or fast the time between two strokes may run."""
_SHALLOW: Final = 0.01
"""Metres a second by which a minimum lies below its surroundings at least."""
_APART: Final = 0.1
_PAUSE: Final = (0.2, 0.35, 2.0, 3.0)
"""Seconds from the nearest onset: a pause begins, is one altogether, begins to be a silence, is no pause any more."""
_CALM: Final = 6.0
"""Frames, the spread of the Gaussian that calms pauses: what sways slower than about once in a second and a half stays."""
_FPS: Final = 30.0
"""Frames of a second as performed, before the tempo."""
_TRUNK_AND_ARMS: Final = tuple(JOINT_INDEX[n] for n in (
    "spine1", "spine2", "spine3", "neck", "head", "left_collar", "right_collar", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist"))


@dataclass
class Rhythm:
    """:ivar onsets: (S,) seconds, as performed, of syllables. :ivar strength: (S,) in (0, 1].

    :ivar spoken: (T,) in [0, 1], how far each frame is driven by speech alone.
    :ivar undirected: (T,) in [0, 1], the same with the pauses of speech, where nothing is directed either.
    """

    onsets: np.ndarray
    strength: np.ndarray
    spoken: np.ndarray
    undirected: np.ndarray


def _refined(curve: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Places of peaks between samples, from the parabola through each and its neighbours."""
    if not len(peaks):
        return peaks.astype(float)
    a, b, c = curve[peaks - 1], curve[peaks], curve[peaks + 1]
    bend = a - 2 * b + c
    return peaks + np.clip(np.divide(0.5 * (a - c), bend, out=np.zeros(len(peaks)), where=np.abs(bend) > 1e-12), -0.5, 0.5)


def _rise(rows: np.ndarray) -> np.ndarray:
    """(R,) how steeply sound sets in, of features (R, width)."""
    rise: np.ndarray = np.convolve(rows[:, -1].astype(np.float64), [0.25, 0.5, 0.25], "same")
    rise[rows[:, -2] < -1.5] *= 0.2
    return rise


def strong_rise(runs: Sequence[np.ndarray]) -> float:
    """What a strong onset is in a recording, by runs (R, width) of its features."""
    return float(np.quantile(np.concatenate([_rise(rows) for rows in runs]), 0.995)) or 1.0


def syllable_onsets(rows: np.ndarray, rate: float, first: float, strongest: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Times (S,) in seconds of the onsets of syllables, and how strong each is, (S,) in (0, 1].

    :param rows: (R, 42) features of :mod:`bridge_server.audio.features`. :param rate: rows per second. :param first: time of row 0.
    :param strongest: what a strong onset is in the whole recording where this is a stretch of it, see :func:`strong_rise`.
    """
    if len(rows) < 5:
        return np.zeros(0), np.zeros(0)
    energy = rows[:, -2]
    rise = _rise(rows)
    strongest = strongest or strong_rise([rows])
    peaks, _ = find_peaks(rise, distance=max(1, round(_APART * rate)), prominence=0.15 * strongest)
    peaks = peaks[(peaks > 0) & (peaks < len(rows) - 1)]
    # loud after the onset: a syllable, not a click
    loud = np.array([energy[p:p + max(2, round(0.08 * rate))].max() for p in peaks])
    peaks, loud = peaks[loud > -1.2], loud[loud > -1.2]
    strength = np.clip(rise[peaks] / strongest, 0.05, 1) * np.clip(1 + loud / 1.5, 0.2, 1)
    # a row's rise is that from two rows before it
    return first + (_refined(rise, peaks) - 1) / rate, strength


def upper_speed(rotations: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """Mean speed (T,) in metres a second of trunk, head and arms against the pelvis; row k from frame k - 1 to k.

    :param rotations: (T, >= 22, 4). :param before: the frame before the first one, or None.
    """
    q = rotations[:, :BODY_JOINT_COUNT]
    q = np.concatenate((q[:1] if before is None else before[None, :BODY_JOINT_COUNT], q))
    positions, _ = forward(q, np.zeros((len(q), 3)))
    relative = positions[:, _TRUNK_AND_ARMS] - positions[:, :1]
    speed: np.ndarray = np.linalg.norm(np.diff(relative, axis=0), axis=-1).mean(1) * _FPS
    return speed


def _stroke_ends(speed: np.ndarray, last: bool) -> np.ndarray:
    """Frames (K,), as floats, of the minima of ``speed`` that no later frame can change."""
    if len(speed) < 5:
        return np.zeros(0)
    smooth = np.convolve(np.pad(speed, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    minima, _ = find_peaks(-smooth, prominence=_SHALLOW, wlen=2 * _SETTLED - 1)
    minima = minima[(minima > 0) & (minima < len(speed) - (1 if last else _SETTLED))]
    # row k is the step from frame k - 1 to k
    return _refined(-smooth, minima) - 0.5


def retime(speed: np.ndarray, rhythm: Rhythm, last: bool = True) -> np.ndarray:
    """For each frame the frame (T,), as a float, whose upper body it shows.

    :param speed: (T,) of :func:`upper_speed`.
    :param last: no further frames come; else the last :data:`HOLD` entries may still change when they do.
    """
    frames = np.arange(len(speed), dtype=np.float64)
    led: list[tuple[float, float]] = []
    spoken, goals, final = rhythm.spoken, rhythm.onsets * _FPS, len(rhythm.spoken) - 1
    for end in _stroke_ends(speed, last):
        if spoken[int(end)] < 0.5:
            continue
        near = np.abs(goals - end) <= _MOST * _FPS
        # the last frame is where it is
        near &= (final - goals > (final - end) / _FASTEST) & (final - goals < (final - end) / _SLOWEST)
        if led:
            source, target = led[-1]
            gap = end - source
            near &= (goals - target > gap / _FASTEST) & (goals - target < gap / _SLOWEST)
        if near.any():
            # the nearest, or a stronger one not much further
            worth = np.where(near, 0.6 * rhythm.strength - np.square((goals - end) / (0.12 * _FPS)), -np.inf)
            led.append((float(end), float(goals[int(np.argmax(worth))])))
    shift = np.zeros(len(frames))
    reach = _LET_GO * _FPS
    knots: list[tuple[float, float]] = []
    for source, target in led:
        if knots and target - knots[-1][0] > 2 * reach:
            knots += [(knots[-1][0] + reach, 0.0), (target - reach, 0.0)]
        elif not knots:
            knots.append((target - reach, 0.0))
        knots.append((target, source - target))
    if knots:
        knots.append((min(knots[-1][0] + reach, final), 0.0))
        x, y = np.array(knots).T
        k = np.clip(np.searchsorted(x, frames, side="right") - 1, 0, len(x) - 2)
        u = np.clip((frames - x[k]) / (x[k + 1] - x[k]), 0, 1)
        shift = y[k] + (y[k + 1] - y[k]) * u * u * (3 - 2 * u)
    return np.clip(frames + shift * spoken[:len(frames)], 0, len(frames) - 1)


def bend(rotations: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Rotations (T, J, 4) whose upper body in row k is that of row ``source[k]``, which may lie between two."""
    low = np.clip(np.floor(source).astype(int), 0, len(rotations) - 1)
    high = np.minimum(low + 1, len(rotations) - 1)
    out = rotations.copy()
    upper = rotations[:, UPPER_JOINTS]
    out[:, UPPER_JOINTS] = rot.slerp(upper[low], upper[high], (source - low)[:, None])
    return rot.continuous(out)


def hold_in_pauses(rotations: np.ndarray, rhythm: Rhythm, first: int = 0) -> np.ndarray:
    """Rotations (T, J, 4) whose upper body is smoothed in pauses of speech where nothing is directed.

    Looks three spreads of :data:`_CALM` to both sides.

    :param first: frame of row 0.
    """
    if not len(rhythm.onsets) or not len(rotations):
        return rotations
    frames = np.arange(first, first + len(rotations))
    distance = np.abs(frames[:, None] / _FPS - rhythm.onsets).min(1)
    weight = np.interp(distance, _PAUSE, (0.0, 1.0, 1.0, 0.0))
    weight = weight * weight * (3 - 2 * weight) * rhythm.undirected[np.minimum(frames, len(rhythm.undirected) - 1)]
    if not weight.any():
        return rotations
    out = rot.continuous(rotations)
    upper = out[:, UPPER_JOINTS]
    calm = gaussian_filter1d(upper, _CALM, axis=0, mode="nearest", truncate=3.0)
    out[:, UPPER_JOINTS] = rot.slerp(upper, calm / np.linalg.norm(calm, axis=-1, keepdims=True), weight[:, None])
    return rot.continuous(out)
