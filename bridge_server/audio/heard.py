# SPDX-License-Identifier: Apache-2.0
"""A recording as the generator hears it, token by token: features, and where somebody speaks, when they are asked for."""

from __future__ import annotations

import numpy as np

from .activity import WIDER, has_contrast, wide_activity
from .encoder import AudioEncoder
from .sound import Audio

__all__ = ["Heard"]


class Heard:
    """:param rows_a_token: feature rows of a token; row k of them lies in the middle of its share. :param rate: rows per second.

    :ivar speech: whether somebody speaks in it at all. :ivar sample: runs of rows from everywhere, or all where it is short.
    """

    def __init__(self, encoder: AudioEncoder, audio: Audio, tokens: int, rows_a_token: int, rate: float) -> None:
        self.tokens, self._each = tokens, rows_a_token
        self._rows = encoder.open(audio.samples, audio.rate, tokens * rows_a_token, rate, 0.5 / rate)
        self.sample = self._rows.sample
        self.speech = has_contrast(np.concatenate(self.sample))

    @property
    def short(self) -> bool:
        """Whether all of it is measured anyway, so that nothing is gained by waiting."""
        return sum(map(len, self.sample)) >= self.tokens * self._each

    def rows(self, first: int, stop: int) -> np.ndarray:
        """(rows_a_token N, width) float32 of tokens ``first`` to ``stop``."""
        return self._rows.rows(first * self._each, stop * self._each)

    def given(self, first: int, stop: int) -> np.ndarray:
        """(N,) bool, tokens in which there is speech; nowhere in a recording without contrast."""
        if not self.speech:
            return np.zeros(stop - first, bool)
        begin, end = max(0, first - WIDER), min(self.tokens, stop + WIDER)
        energy = self.rows(begin, end)[:, -2].reshape(-1, self._each).max(1)
        return wide_activity(energy)[first - begin:stop - begin]
