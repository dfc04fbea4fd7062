# SPDX-License-Identifier: Apache-2.0
"""How near a pose track's fine movement is to that of real people: spectra of 2D speed and acceleration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bridge_server.pose_track.bank import FPS, Bank, enliven, normalise
from bridge_server.pose_track.bank_build import Tokens, motion_of
from bridge_server.pose_track.project import camera_for, track_of
from bridge_server.training.clips import Clip

__all__ = ["Spectra", "compare", "distance", "spectra"]

WINDOW: Final = 32


@dataclass
class Spectra:
    """Mean power (17,) at 0 to 15 Hz over all points, windows and tracks; trunk lengths per second, and per second squared.

    :ivar speed: of the 2D velocity. :ivar acceleration: of the 2D acceleration.
    """

    speed: np.ndarray
    acceleration: np.ndarray


def _power(x: np.ndarray) -> np.ndarray | None:
    """(17,) of (T, K): Hann windows of 32 frames with half overlap, means removed."""
    if len(x) < WINDOW:
        return None
    window = np.hanning(WINDOW + 2)[1:-1]
    parts = [x[n: n + WINDOW] for n in range(0, len(x) - WINDOW + 1, WINDOW // 2)]
    power = [np.abs(np.fft.rfft((p - p.mean(0)) * window[:, None], axis=0)) ** 2 for p in parts]
    return np.asarray(np.mean(power, axis=(0, 2)))


def spectra(tracks: Sequence[np.ndarray]) -> Spectra:
    """Of points (T, >= 18, 2) at 30 per second; tracks shorter than 34 frames are left out."""
    speed, acceleration = [], []
    for points in tracks:
        body, _ = normalise(points)
        velocity = np.diff(body.reshape(len(body), -1), axis=0) * FPS
        for store, values in ((speed, velocity), (acceleration, np.diff(velocity, axis=0) * FPS)):
            power = _power(values)
            if power is not None:
                store.append(power)
    if not speed or not acceleration:
        raise ValueError("no track is long enough")
    return Spectra(np.mean(speed, axis=0), np.mean(acceleration, axis=0))


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference of two power spectra in decibels, from 1 Hz up."""
    return float(np.abs(10 * np.log10(np.maximum(a[1:], 1e-12) / np.maximum(b[1:], 1e-12))).mean())


def compare(clips: Sequence[Clip], tokens: Tokens, bank: Bank) -> dict[str, Any]:
    """Real motion against its decoded tokens, projected directly and with the bank, through the same cameras.

    :returns: decibels from the real spectra, ``{"speed": {"direct": , "bank": }, "acceleration": {...}, "pixels": how far the
        bank moves a point on average, in percent of the trunk, "clips": n}``, and the three spectra themselves in decibels.
    """
    real, direct, lively, moved = [], [], [], []
    for clip in clips:
        motion = motion_of(clip)
        if len(motion) < 2 * WINDOW:
            continue
        decoded = tokens.decoded(motion)
        frames = min(len(motion), len(decoded))
        motion, decoded = motion.slice(0, frames), decoded.slice(0, frames)
        # the decoder starts at the origin: the comparison is of movement, so both are seen by a camera of their own
        tracks = [track_of(m, camera_for(m, "whole", 512, 512), occlusion=False) for m in (motion, decoded)]
        real.append(tracks[0].points)
        direct.append(tracks[1].points)
        out = enliven(tracks[1], bank, tokens.codes(decoded))
        lively.append(out.points)
        moved.append(np.linalg.norm(out.points[:, 1:14] - tracks[1].points[:, 1:14], axis=-1).mean() / normalise(direct[-1])[1])
    truth, a, b = spectra(real), spectra(direct), spectra(lively)
    names = ("speed", "acceleration")
    return {name: {"direct": round(distance(getattr(a, name), getattr(truth, name)), 3),
                   "bank": round(distance(getattr(b, name), getattr(truth, name)), 3)} for name in names} | {
        "spectra_db": {name: {which: _decibels(getattr(found, name)) for which, found in (("real", truth), ("direct", a), ("bank", b))}
                       for name in names},
        "moved_percent_of_trunk": round(100 * float(np.mean(moved)), 2), "clips": len(real)}


def _decibels(power: np.ndarray) -> dict[str, float]:
    """Power in decibels at some of the frequencies, for a table: "2 Hz" and so on."""
    step = FPS / WINDOW
    return {f"{hertz} Hz": round(float(10 * np.log10(max(power[round(hertz / step)], 1e-12))), 1) for hertz in (1, 2, 4, 6, 8, 10, 12, 14)}
