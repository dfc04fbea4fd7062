# SPDX-License-Identifier: Apache-2.0
"""Decoded speech, as everything in the bridge hears it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Audio"]


@dataclass(frozen=True)
class Audio:
    """Decoded speech.

    :ivar samples: (N,) float32, mono, in [-1, 1].
    :ivar rate: samples per second, 16,000 everywhere in the bridge.
    """

    samples: np.ndarray
    rate: int = 16_000

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.rate
