# SPDX-License-Identifier: Apache-2.0
"""What can be measured in speech ten times per tenth of a second: level, voicing, pitch, bands, mel spectrum.

Row ``k`` of every array is centred on time ``k * HOP`` exactly (the audio is padded by half a window), so any
other time is reached by interpolation between rows and nothing drifts over a long take.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy.signal import resample_poly

from bridge_server.audio.sound import Audio

__all__ = ["HOP", "MELS", "RATE", "Acoustics", "analyse", "log_mel", "mono16", "sample"]

RATE: Final = 16_000
HOP: Final = 0.01
"""Seconds between rows."""
MELS: Final = 40
_STEP: Final = int(RATE * HOP)
_WINDOW: Final = 400
_FFT: Final = 512
_PITCH_WINDOW: Final = 640
_SILENCE_DB: Final = -55.0
"""A clip whose loud parts stay under this level (dB of full scale) holds no speech."""


@dataclass(frozen=True)
class Acoustics:
    """Measurements of one clip, N rows.

    :ivar level: (N,) loudness in [0, 1]: 0 at the noise floor or 40 dB under the clip's loud parts, 1 at those.
    :ivar voiced: (N,) in [0, 1].
    :ivar pitch: (N,) Hz, interpolated through unvoiced parts; 0 throughout where nothing is voiced.
    :ivar f1: (N,) in [0, 1], how open the vowel sounds (energy of 550-1100 Hz in 150-1100 Hz).
    :ivar f2: (N,) in [0, 1], from back and rounded (0) to front and spread (1).
    :ivar hiss: (N,) share of energy above 3.5 kHz, in [0, 1].
    :ivar mel: (N, 40) natural logarithm of mel band energies, not normalised.
    :ivar speech: whether the clip is loud enough to hold speech at all.
    """

    level: np.ndarray
    voiced: np.ndarray
    pitch: np.ndarray
    f1: np.ndarray
    f2: np.ndarray
    hiss: np.ndarray
    mel: np.ndarray
    speech: bool

    def __len__(self) -> int:
        return len(self.level)

    @property
    def times(self) -> np.ndarray:
        """(N,) seconds."""
        return np.arange(len(self)) * HOP


@lru_cache(maxsize=1)
def _mel_bank() -> np.ndarray:
    """(257, 40) triangular filters from 60 to 7,600 Hz, equal area, on the mel scale of O'Shaughnessy."""
    low, high = 2595 * np.log10(1 + np.array([60.0, 7600.0]) / 700)
    edges = 700 * (10 ** (np.linspace(low, high, MELS + 2) / 2595) - 1)
    f = np.fft.rfftfreq(_FFT, 1 / RATE)[:, None]
    rise = (f - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - f) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0, np.minimum(rise, fall)) / (edges[2:] - edges[:-2])
    return bank.astype(np.float32) * 100


def mono16(audio: Audio) -> np.ndarray:
    """The samples (N,) float32 at 16 kHz, not-a-number as silence."""
    x = np.nan_to_num(np.asarray(audio.samples, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if audio.rate != RATE:
        common = int(np.gcd(int(audio.rate), RATE))
        x = resample_poly(x, RATE // common, int(audio.rate) // common).astype(np.float32)
    return x


def _blocks(x: np.ndarray, width: int) -> Iterator[np.ndarray]:
    """(<= 3000, width) windows of ``x`` centred on multiples of the hop, 30 s at a time to bound the memory."""
    count = len(x) // _STEP + 1
    padded = np.pad(x, (width // 2, width // 2 + _STEP))
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)[: count * _STEP : _STEP]
    for first in range(0, count, 3000):
        yield windows[first : first + 3000]


def _power(frames: np.ndarray) -> np.ndarray:
    window = np.hanning(_WINDOW + 1)[:_WINDOW].astype(np.float32)
    return np.abs(np.fft.rfft(frames * window, _FFT, axis=1)).astype(np.float32) ** 2 / _WINDOW


def log_mel(samples: np.ndarray) -> np.ndarray:
    """(N, 40) float32 log mel energies of mono samples at 16 kHz, as in :class:`Acoustics`."""
    blocks = _blocks(np.asarray(samples, dtype=np.float32), _WINDOW)
    return np.concatenate([np.log(_power(b) @ _mel_bank() + 1e-8) for b in blocks])


def _pitch(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Voicing (N,) and pitch (N,) in Hz by the normalised autocorrelation, 70 to 400 Hz."""
    window = np.hanning(_PITCH_WINDOW + 1)[:_PITCH_WINDOW].astype(np.float32)

    def autocorrelation(y: np.ndarray) -> np.ndarray:
        return np.fft.irfft(np.abs(np.fft.rfft(y, 2048, axis=-1)) ** 2, axis=-1)[..., :_PITCH_WINDOW]

    # divided by the window's own autocorrelation, or long periods would look weaker than they are (Boersma 1993)
    shape = np.maximum(autocorrelation(window) / autocorrelation(window)[0], 0.05)
    low, high = RATE // 400, RATE // 70
    lags = np.arange(low, high)
    voicing, pitch = [], []
    for frames in _blocks(x, _PITCH_WINDOW):
        r = autocorrelation((frames - frames.mean(axis=1, keepdims=True)) * window)
        r = (r / np.maximum(r[:, :1], 1e-9) / shape)[:, low:high]
        best = np.argmax(r - 0.0004 * lags, axis=1)
        voicing.append(np.clip((np.take_along_axis(r, best[:, None], 1)[:, 0] - 0.35) / 0.35, 0, 1))
        pitch.append(RATE / lags[best])
    return np.concatenate(voicing), np.concatenate(pitch)


def _spectra(x: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Band energies and centroid (N,) by name, and log mel energies (N, 40)."""
    f = np.fft.rfftfreq(_FFT, 1 / RATE)
    edges = {"total": (80, 8000), "first": (150, 1100), "open": (550, 1100), "high": (3500, 8000)}
    second = (f >= 800) & (f < 2800)
    rows: list[np.ndarray] = []
    mels: list[np.ndarray] = []
    for frames in _blocks(x, _WINDOW):
        power = _power(frames)
        bands = [power[:, (f >= a) & (f < b)].sum(axis=1, dtype=np.float64) for a, b in edges.values()]
        emphasised = power[:, second] * (f[second] / 1000) ** 2
        bands.append((emphasised @ f[second]) / (emphasised.sum(axis=1) + 1e-9))
        rows.append(np.stack(bands))
        mels.append(np.log(power @ _mel_bank() + 1e-8))
    return dict(zip((*edges, "centroid"), np.concatenate(rows, axis=1), strict=True)), np.concatenate(mels)


def _smooth(x: np.ndarray, seconds: float) -> np.ndarray:
    """Centred triangular mean over about ``seconds``; no lag."""
    n = max(1, int(round(seconds / HOP / 2)) * 2 + 1)
    kernel = np.bartlett(n + 2)[1:-1]
    return np.convolve(np.pad(x, n // 2, mode="edge"), kernel / kernel.sum(), mode="valid")


def analyse(audio: Audio) -> Acoustics:
    """Measure a clip. Not-a-number samples count as silence; any rate is brought to 16 kHz first."""
    x = mono16(audio)
    x = x - (x.mean() if len(x) else 0.0)
    band, mel = _spectra(x)
    total = band["total"] + 1e-12
    db = 10 * np.log10(total / _FFT + 1e-12)
    peak = np.percentile(db, 95)
    floor = max(np.percentile(db, 10) + 4, peak - 40)
    floor = min(floor, peak - 12)
    level = np.clip((db - floor) / (peak + 2 - floor), 0, 1)
    voicing, pitch = _pitch(x)
    voiced = voicing * np.clip(level * 4, 0, 1)
    sure = voiced > 0.5
    if sure.any():
        centre = np.median(pitch[sure])
        sure &= (pitch > centre / 1.8) & (pitch < centre * 1.8)
    pitch = np.interp(np.arange(len(pitch)), np.flatnonzero(sure), pitch[sure]) if sure.any() else np.zeros(len(pitch))
    return Acoustics(
        level=_smooth(level, 0.04),
        voiced=_smooth(voiced, 0.05),
        pitch=_smooth(pitch, 0.07),
        f1=_smooth(np.clip((band["open"] / (band["first"] + 1e-12)) ** 0.7, 0, 1), 0.06),
        f2=_smooth(np.clip((band["centroid"] - 1300) / 900, 0, 1), 0.06),
        hiss=_smooth(band["high"] / total, 0.03),
        mel=mel,
        speech=bool(len(x) >= _STEP and peak > _SILENCE_DB),
    )


def sample(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Rows (N, …) at :data:`HOP` read at any ``times`` (T,), linearly; held at both ends."""
    position = np.clip(np.asarray(times, dtype=np.float64) / HOP, 0, len(values) - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    w = (position - low).reshape(-1, *[1] * (values.ndim - 1))
    return (1 - w) * values[low] + w * values[high]
