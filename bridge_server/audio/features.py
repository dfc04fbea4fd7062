# SPDX-License-Identifier: Apache-2.0
"""The ``mel`` audio encoder: log-mel bands, energy and onset strength, at exact times.

Row ``k`` is centred on time ``k / rate``, found for each row by itself, so that nothing drifts over a
long recording. Levels are relative to the recording's own loudness: a quiet microphone gestures as
a loud one does.
"""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = ["WIDTH", "mel_features"]

_BANDS: Final = 40
WIDTH: Final = _BANDS + 2
"""Numbers a row: 40 bands, energy, onset."""
_WINDOW: Final = 0.040
_FFT: Final = 1024


def _mel_filters(rate: int) -> np.ndarray:
    """Triangular filters (bands, FFT / 2 + 1) on the mel scale of O'Shaughnessy, 60 Hz to 7,600 Hz."""

    def mel(f: float) -> float:
        return 2595 * np.log10(1 + f / 700)

    edges = 700 * (10 ** (np.linspace(mel(60), mel(min(7600.0, rate / 2)), _BANDS + 2) / 2595) - 1)
    frequency = np.fft.rfftfreq(_FFT, 1 / rate)
    rise = (frequency - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - frequency) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rise, fall))


def mel_features(samples: np.ndarray, sample_rate: int, rows: int, rate: float = 60.0, first: float = 0.0) -> np.ndarray:
    """(rows, 42) float32 of mono samples (N,); row ``k`` at second ``first + k / rate``; past the end is silence."""
    window = int(round(_WINDOW * sample_rate))
    hann = np.hanning(window).astype(np.float32)
    filters = _mel_filters(sample_rate).astype(np.float32)
    padded = np.concatenate((np.zeros(window, np.float32), samples.astype(np.float32), np.zeros(window, np.float32)))
    out = np.empty((rows, _BANDS), np.float32)
    block = 4096
    for a in range(0, rows, block):
        times = first + np.arange(a, min(a + block, rows)) / rate
        start = np.round(times * sample_rate).astype(np.int64) + window - window // 2
        start = np.clip(start, 0, len(padded) - window)
        frames = padded[start[:, None] + np.arange(window)] * hann
        power = np.abs(np.fft.rfft(frames, _FFT)) ** 2
        out[a:a + block] = np.log(power.astype(np.float32) @ filters.T + 1e-7)
    energy = np.log(np.exp(out).sum(1) + 1e-6)
    loud = np.quantile(energy, 0.9) if rows else 0.0
    onset = np.zeros(rows, np.float32)
    if rows > 1:
        # a rise over two rows: one row is shorter than most attacks
        before = np.concatenate((out[:1], out[:1], out[:-2])) if rows > 2 else np.repeat(out[:1], rows, 0)
        onset = np.maximum(out - before, 0).mean(1)
    # a band holds about a twentieth of the energy of a loud frame (e^-3)
    bands = np.clip((out - loud + 3) / 4, -3, 3)
    return np.concatenate((bands, np.clip((energy - loud) / 3, -3, 1)[:, None], onset[:, None]), axis=1).astype(np.float32)
