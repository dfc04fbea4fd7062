# SPDX-License-Identifier: Apache-2.0
"""The ``mel`` audio encoder: log-mel bands, energy and onset strength, at exact times.

Row ``k`` is centred on time ``k / rate``, found for each row by itself, so that nothing drifts over a
long recording. Levels are relative to the recording's own loudness: a quiet microphone gestures as
a loud one does.
"""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = ["WIDTH", "MelRows", "mel_features"]

_BANDS: Final = 40
WIDTH: Final = _BANDS + 2
"""Numbers a row: 40 bands, energy, onset."""
_WINDOW: Final = 0.040
_FFT: Final = 1024
_BLOCK: Final = 4096
"""Rows that are measured at once."""
_SAMPLE: Final = (64, 64)
"""Runs of the sample of a long recording, and rows of a run."""


def _mel_filters(rate: int) -> np.ndarray:
    """Triangular filters (bands, FFT / 2 + 1) on the mel scale of O'Shaughnessy, 60 Hz to 7,600 Hz."""

    def mel(f: float) -> float:
        return 2595 * np.log10(1 + f / 700)

    edges = 700 * (10 ** (np.linspace(mel(60), mel(min(7600.0, rate / 2)), _BANDS + 2) / 2595) - 1)
    frequency = np.fft.rfftfreq(_FFT, 1 / rate)
    rise = (frequency - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - frequency) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rise, fall))


class MelRows:
    """Rows of a recording, of which any stretch can be had by itself.

    How loud a recording is, is judged by all of its rows where it is short; by runs of rows from everywhere in it where it is
    long, so that the first stretch of a long one does not wait for the rest.

    :param samples: (N,) mono. :param rows: how many there are; row ``k`` is at second ``first + k / rate``.
    """

    def __init__(self, samples: np.ndarray, sample_rate: int, rows: int, rate: float = 60.0, first: float = 0.0) -> None:
        self.count, self._rate, self._first, self._sample_rate = rows, rate, first, sample_rate
        self._window = int(round(_WINDOW * sample_rate))
        self._hann = np.hanning(self._window).astype(np.float32)
        self._filters = _mel_filters(sample_rate).astype(np.float32)
        quiet = np.zeros(self._window, np.float32)
        self._padded = np.concatenate((quiet, samples.astype(np.float32), quiet))
        runs, length = _SAMPLE
        starts = [0] if rows <= _BLOCK else np.linspace(0, rows - length, runs).astype(int).tolist()
        sample = [self._bands(a, rows if rows <= _BLOCK else a + length) for a in starts]
        # what a short recording is judged by is all of it, and need not be made again
        self._all = sample[0] if rows <= _BLOCK else None
        energies = [_energy(bands) for bands in sample]
        self._loud = np.quantile(np.concatenate(energies), 0.9) if rows else 0.0
        self.sample = [self._finished(bands, bands[:2][[0, 0]] if len(bands) else bands) for bands in sample]

    def _bands(self, start: int, stop: int) -> np.ndarray:
        out = np.empty((max(0, stop - start), _BANDS), np.float32)
        for a in range(0, len(out), _BLOCK):
            times = self._first + np.arange(start + a, min(start + a + _BLOCK, stop)) / self._rate
            begin = np.round(times * self._sample_rate).astype(np.int64) + self._window - self._window // 2
            begin = np.clip(begin, 0, len(self._padded) - self._window)
            frames = self._padded[begin[:, None] + np.arange(self._window)] * self._hann
            power = np.abs(np.fft.rfft(frames, _FFT)) ** 2
            out[a:a + _BLOCK] = np.log(power.astype(np.float32) @ self._filters.T + 1e-7)
        return out

    def _finished(self, out: np.ndarray, before: np.ndarray) -> np.ndarray:
        """(N, 42) of bands (N, 40) and the two rows (2, 40) before them."""
        # a rise over two rows: one row is shorter than most attacks
        onset = np.maximum(out - np.concatenate((before, out))[:len(out)], 0).mean(1)
        # a band holds about a twentieth of the energy of a loud frame (e^-3)
        bands = np.clip((out - self._loud + 3) / 4, -3, 3)
        energy = np.clip((_energy(out) - self._loud) / 3, -3, 1)
        return np.concatenate((bands, energy[:, None], onset[:, None]), axis=1).astype(np.float32)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, 42) float32."""
        begin = max(0, start - 2)
        bands = self._bands(begin, stop) if self._all is None else self._all[begin:stop]
        out = bands[start - begin:]
        missing = 2 - (start - begin)
        # the first row of a recording stands for those before it
        before = np.concatenate((np.repeat(bands[:1], missing, 0), bands[:start - begin]))
        return self._finished(out, before)


def _energy(bands: np.ndarray) -> np.ndarray:
    energy: np.ndarray = np.log(np.exp(bands).sum(1) + 1e-6)
    return energy


def mel_features(samples: np.ndarray, sample_rate: int, rows: int, rate: float = 60.0, first: float = 0.0) -> np.ndarray:
    """(rows, 42) float32 of mono samples (N,); row ``k`` at second ``first + k / rate``; past the end is silence."""
    return MelRows(samples, sample_rate, rows, rate, first).rows(0, rows)
