# SPDX-License-Identifier: Apache-2.0
"""Do gestures keep time with speech? Onsets of sound, beats of motion, and how well the two agree.

All times are seconds as floats: peaks are placed between rows and between frames by a parabola, and nothing is rounded
to a hop or a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.signal import find_peaks

from bridge_server.audio.features import mel_features
from shared.kinematics import forward
from shared.skeleton import BODY_JOINT_COUNT, JOINT_INDEX

__all__ = ["SIGMA", "BeatScore", "beat_consistency", "beat_score", "kinematic_beats", "onset_times"]

SIGMA: Final = 0.1
"""Seconds; the width of Liu et al., "Learning Hierarchical Cross-Modal Association" (HA2G), CVPR 2022."""
_RATE: Final = 200.0
_APART: Final = 0.10
_LEAD: Final = 0.0138
"""Seconds by which the 40 ms window of the features hears an onset before its middle reaches it, as bursts of noise
show."""
_UPPER: Final = tuple(
    JOINT_INDEX[name]
    for name in "spine1 spine2 spine3 neck left_collar right_collar head left_shoulder right_shoulder left_elbow "
    "right_elbow left_wrist right_wrist".split()
)
"""The upper body of Liu et al., "EMAGE", CVPR 2024."""


def _refined(curve: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Places of the peaks between samples, from the parabola through each and its neighbours."""
    inside = np.clip(peaks, 1, len(curve) - 2)
    left, middle, right = curve[inside - 1], curve[inside], curve[inside + 1]
    bend = left - 2 * middle + right
    shift = np.where(np.abs(bend) > 1e-12, 0.5 * (left - right) / np.where(np.abs(bend) > 1e-12, bend, 1.0), 0.0)
    shifted: np.ndarray = peaks + np.where(peaks == inside, np.clip(shift, -0.5, 0.5), 0.0)
    return shifted


def onset_times(samples: np.ndarray, rate: int) -> np.ndarray:
    """Times of the onsets in mono sound (N,), seconds.

    Peaks of the spectral flux (Bello et al., "A Tutorial on Onset Detection in Music Signals", 2005): the rise of the
    log-mel bands within 15 ms, smoothed over 35 ms, above its own moving median, at least 100 ms apart. Rises within
    sounds 20 dB or more under the loud parts are not counted.
    """
    rows = int(len(samples) / rate * _RATE)
    if rows < 8:
        return np.zeros(0)
    features = mel_features(samples, rate, rows, _RATE)
    bands, energy = features[:, :-2], features[:, -2]
    rise = np.zeros(rows)
    rise[3:] = np.maximum(bands[3:] - bands[:-3], 0).mean(1)
    window = np.hanning(9)[1:-1]
    flux = np.convolve(rise, window / window.sum(), "same")
    padded = np.pad(flux, 30, mode="reflect" if rows > 30 else "edge")
    base = np.median(np.lib.stride_tricks.sliding_window_view(padded, 61), axis=1)
    peaks, _ = find_peaks(flux, distance=max(1, int(_APART * _RATE)), prominence=0.15 * float(flux.max() or 1.0))
    # column -2 is in units of 3 nepers of power: 20 dB are 1.5
    loud = np.array([energy[p : p + 12].max() > -1.5 for p in peaks], dtype=bool)
    peaks = peaks[(flux[peaks] > 1.3 * base[peaks] + 1e-9) & loud] if len(peaks) else peaks
    # a row's rise lies between it and the one 15 ms before
    return (_refined(flux, peaks) - 1.5) / _RATE + _LEAD


def kinematic_beats(rotations: np.ndarray, translation: np.ndarray, fps: float = 30.0) -> np.ndarray:
    """Times of the kinematic beats of a body (T, >= 22, 4), (T, 3), seconds.

    Local minima of the kinetic velocity (Li et al., "AI Choreographer", ICCV 2021), here of the mean speed of the upper
    body's joints relative to the pelvis. Minima shallower than a tenth of the mean speed are noise and are left out.
    """
    if len(rotations) < 5:
        return np.zeros(0)
    positions, _ = forward(rotations[:, :BODY_JOINT_COUNT].astype(np.float64), translation.astype(np.float64))
    relative = positions[:, _UPPER] - positions[:, :1]
    speed = np.linalg.norm(np.diff(relative, axis=0), axis=-1).mean(1) * fps
    smooth = np.convolve(np.pad(speed, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    minima, _ = find_peaks(-smooth, prominence=0.1 * float(smooth.mean()) + 1e-9)
    # speed k is that between frames k and k + 1
    return (_refined(-smooth, minima) + 0.5) / fps


def beat_consistency(motion: np.ndarray, audio: np.ndarray, sigma: float = SIGMA) -> float:
    """Beat consistency in [0, 1] of motion beats (M,) with audio beats (A,), seconds; 0 without any.

    ``1/M sum_i exp(-min_j (m_i - a_j)^2 / (2 sigma^2))``: the beat alignment of Li et al., "AI Choreographer", ICCV
    2021, with onsets of speech for the beats of music, as in EMAGE. The mean is over the motion's beats, so that more
    of them do not raise it.
    """
    if not len(motion) or not len(audio):
        return 0.0
    nearest = np.abs(motion[:, None] - audio[None]).min(1)
    return float(np.exp(-np.square(nearest) / (2 * sigma * sigma)).mean())


@dataclass
class BeatScore:
    """:ivar consistency: as performed. :ivar mean: of the shifted ones, :ivar std: their standard deviation.

    :ivar recall: the same measure the other way round, over the onsets (Liu et al., "BEAT", ECCV 2022).
    """

    consistency: float
    mean: float
    std: float
    recall: float
    beats: int
    onsets: int

    @property
    def sigmas(self) -> float:
        """By how many standard deviations the performance is better in time than its own shifts."""
        return (self.consistency - self.mean) / self.std if self.std > 0 else 0.0


def beat_score(
    motion: np.ndarray, audio: np.ndarray, seconds: float, generator: np.random.Generator, shifts: int = 100
) -> BeatScore:
    """Consistency beside that of the same motion at ``shifts`` random times: its beats are moved round a circle of
    ``seconds``.

    A shift is uniform over the circle; motion that has nothing to do with the sound scores about 0 sigmas.
    """
    offsets = generator.uniform(0, seconds, shifts)
    shifted = np.array([beat_consistency((motion + o) % seconds, audio) for o in offsets])
    return BeatScore(
        beat_consistency(motion, audio),
        float(shifted.mean()),
        float(shifted.std(ddof=1)),
        beat_consistency(audio, motion),
        len(motion),
        len(audio),
    )
