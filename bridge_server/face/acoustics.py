# SPDX-License-Identifier: Apache-2.0
"""What can be measured in speech ten times per tenth of a second: level, voicing, pitch, bands, mel spectrum.

Row ``k`` of every array is centred on time ``k * HOP`` exactly (the audio is padded by half a window), so any
other time is reached by interpolation between rows and nothing drifts over a long take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
from scipy import fft
from scipy.signal import resample_poly

from bridge_server.audio.sound import Audio

__all__ = ["HOP", "MELS", "RATE", "Acoustics", "Measured", "Scale", "analyse", "log_mel", "mono16", "row_count", "sample"]

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


@dataclass(frozen=True)
class Measured:
    """What is measured of N rows before anything is set in relation to the clip: each row by itself.

    :ivar bands: (5, N) band energies and the centroid, as :func:`_spectra` names them. :ivar mel: (N, 40).
    :ivar voicing: (N,) in [0, 1]. :ivar pitch: (N,) Hz, right only where it is voiced.
    """

    bands: np.ndarray
    mel: np.ndarray
    voicing: np.ndarray
    pitch: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, first: int = 0, stop: int | None = None) -> Measured:
        """Rows ``first`` to ``stop`` of mono samples (N,) at 16 kHz."""
        bands, mel = _spectra(x, first, stop)
        return cls(bands, mel, *_pitch(x, first, stop))

    @classmethod
    def joined(cls, parts: Sequence[Measured]) -> Measured:
        """Several in a row."""
        bands = np.concatenate([p.bands for p in parts], axis=1)
        return cls(bands, *(np.concatenate([getattr(p, n) for p in parts]) for n in ("mel", "voicing", "pitch")))

    def slice(self, first: int, stop: int) -> Measured:
        """Rows ``first`` to ``stop``."""
        return Measured(self.bands[:, first:stop], self.mel[first:stop], self.voicing[first:stop], self.pitch[first:stop])

    def __len__(self) -> int:
        return len(self.voicing)

    @property
    def decibels(self) -> np.ndarray:
        """(N,) level of all bands."""
        return 10 * np.log10((self.bands[0] + 1e-12) / _FFT + 1e-12)


@dataclass(frozen=True)
class Scale:
    """What a clip as a whole is measured by.

    :ivar peak: level of its loud parts, dB. :ivar floor: level that counts as silence, dB.
    :ivar pitch: the speaker's usual one, Hz; 0 where nothing is voiced.
    """

    peak: float
    floor: float
    pitch: float

    @classmethod
    def of(cls, measured: Measured) -> Scale:
        """Of all rows of a clip, or of some from everywhere in it."""
        db = measured.decibels
        peak = float(np.percentile(db, 95))
        floor = min(max(float(np.percentile(db, 10)) + 4, peak - 40), peak - 12)
        sure = measured.voicing * np.clip(np.clip((db - floor) / (peak + 2 - floor), 0, 1) * 4, 0, 1) > 0.5
        return cls(peak, floor, float(np.median(measured.pitch[sure])) if sure.any() else 0.0)

    def applied(self, measured: Measured) -> Acoustics:
        """Measurements of a clip, or of a stretch of it, as they are used."""
        band = dict(zip(_BANDS, measured.bands, strict=True))
        total = band["total"] + 1e-12
        level = np.clip((measured.decibels - self.floor) / (self.peak + 2 - self.floor), 0, 1)
        voiced = measured.voicing * np.clip(level * 4, 0, 1)
        pitch = measured.pitch
        sure = (voiced > 0.5) & (pitch > self.pitch / 1.8) & (pitch < self.pitch * 1.8)
        pitch = np.interp(np.arange(len(pitch)), np.flatnonzero(sure), pitch[sure]) if sure.any() else np.zeros(len(pitch))
        return Acoustics(
            level=_smooth(level, 0.04),
            voiced=_smooth(voiced, 0.05),
            pitch=_smooth(pitch, 0.07),
            f1=_smooth(np.clip((band["open"] / (band["first"] + 1e-12)) ** 0.7, 0, 1), 0.06),
            f2=_smooth(np.clip((band["centroid"] - 1300) / 900, 0, 1), 0.06),
            hiss=_smooth(band["high"] / total, 0.03),
            mel=measured.mel,
            speech=self.peak > _SILENCE_DB,
        )


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


def row_count(x: np.ndarray) -> int:
    """Rows that samples (N,) at 16 kHz have."""
    return len(x) // _STEP + 1


def _blocks(x: np.ndarray, width: int, first: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """(<= 3000, width) windows of ``x`` centred on multiples of the hop, 30 s at a time to bound the memory."""
    count = row_count(x) if stop is None else stop
    for at in range(first, count, 3000):
        rows = min(3000, count - at)
        start, end = at * _STEP - width // 2, (at + rows - 1) * _STEP + width - width // 2
        part = np.pad(x[max(0, start) : end], (max(0, -start), max(0, end - max(len(x), max(0, start)))))
        yield np.lib.stride_tricks.sliding_window_view(part, width)[::_STEP]


def _power(frames: np.ndarray) -> np.ndarray:
    window = np.hanning(_WINDOW + 1)[:_WINDOW].astype(np.float32)
    return np.abs(fft.rfft(frames * window, _FFT, axis=1)).astype(np.float32) ** 2 / _WINDOW


def log_mel(samples: np.ndarray) -> np.ndarray:
    """(N, 40) float32 log mel energies of mono samples at 16 kHz, as in :class:`Acoustics`."""
    blocks = _blocks(np.asarray(samples, dtype=np.float32), _WINDOW)
    return np.concatenate([np.log(_power(b) @ _mel_bank() + 1e-8) for b in blocks])


def _pitch(x: np.ndarray, first: int = 0, stop: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Voicing (N,) and pitch (N,) in Hz by the normalised autocorrelation, 70 to 400 Hz."""
    window = np.hanning(_PITCH_WINDOW + 1)[:_PITCH_WINDOW].astype(np.float32)
    low, high = RATE // 400, RATE // 70
    lags = np.arange(low, high)

    def autocorrelation(y: np.ndarray) -> np.ndarray:
        # long enough that the lags that are looked at do not wrap around
        spectrum = fft.rfft(y, 1024, axis=-1)
        return fft.irfft(np.square(spectrum.real) + np.square(spectrum.imag), axis=-1)[..., :high]

    # divided by the window's own autocorrelation, or long periods would look weaker than they are (Boersma 1993)
    shape = np.maximum(autocorrelation(window) / autocorrelation(window)[0], 0.05)
    voicing, pitch = [], []
    for frames in _blocks(x, _PITCH_WINDOW, first, stop):
        r = autocorrelation((frames - frames.mean(axis=1, keepdims=True)) * window)
        r = (r / np.maximum(r[:, :1], 1e-9) / shape)[:, low:high]
        best = np.argmax(r - 0.0004 * lags, axis=1)
        voicing.append(np.clip((np.take_along_axis(r, best[:, None], 1)[:, 0] - 0.35) / 0.35, 0, 1))
        pitch.append(RATE / lags[best])
    return np.concatenate(voicing), np.concatenate(pitch)


_EDGES: Final = {"total": (80, 8000), "first": (150, 1100), "open": (550, 1100), "high": (3500, 8000)}
"""Bands in Hz."""
_BANDS: Final = (*_EDGES, "centroid")


def _spectra(x: np.ndarray, first: int = 0, stop: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Energies of :data:`_BANDS` and the centroid (5, N), and log mel energies (N, 40)."""
    f = np.fft.rfftfreq(_FFT, 1 / RATE)
    second = (f >= 800) & (f < 2800)
    rows: list[np.ndarray] = []
    mels: list[np.ndarray] = []
    for frames in _blocks(x, _WINDOW, first, stop):
        power = _power(frames)
        bands = [power[:, (f >= a) & (f < b)].sum(axis=1, dtype=np.float64) for a, b in _EDGES.values()]
        emphasised = power[:, second] * (f[second] / 1000) ** 2
        bands.append((emphasised @ f[second]) / (emphasised.sum(axis=1) + 1e-9))
        rows.append(np.stack(bands))
        mels.append(np.log(power @ _mel_bank() + 1e-8))
    return np.concatenate(rows, axis=1), np.concatenate(mels)


def _smooth(x: np.ndarray, seconds: float) -> np.ndarray:
    """Centred triangular mean over about ``seconds``; no lag."""
    n = max(1, int(round(seconds / HOP / 2)) * 2 + 1)
    kernel = np.bartlett(n + 2)[1:-1]
    return np.convolve(np.pad(x, n // 2, mode="edge"), kernel / kernel.sum(), mode="valid")


def analyse(audio: Audio) -> Acoustics:
    """Measure a clip. Not-a-number samples count as silence; any rate is brought to 16 kHz first."""
    x = mono16(audio)
    x = x - (x.mean() if len(x) else 0.0)
    measured = Measured.of(x)
    a = Scale.of(measured).applied(measured)
    return a if len(x) >= _STEP else replace(a, speech=False)


def sample(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Rows (N, …) at :data:`HOP` read at any ``times`` (T,), linearly; held at both ends."""
    position = np.clip(np.asarray(times, dtype=np.float64) / HOP, 0, len(values) - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    w = (position - low).reshape(-1, *[1] * (values.ndim - 1))
    return (1 - w) * values[low] + w * values[high]
