# SPDX-License-Identifier: Apache-2.0
"""Where in a recording somebody speaks."""

from __future__ import annotations

import numpy as np

__all__ = ["speech_activity"]


def speech_activity(features: np.ndarray, rows_a_token: int = 8) -> np.ndarray:
    """(N,) bool, tokens in which there is speech, from mel features (8 N, 42).

    Energy within 20 dB or so of the loud parts, widened by half a second so that a pause for breath does not
    stop the performance. All False for a recording without contrast, such as silence.
    """
    # column -2 is energy relative to the recording's loud parts, in units of 3 nepers
    energy = features[:, -2].reshape(-1, rows_a_token).max(1)
    if not len(energy) or np.quantile(features[:, -2], 0.95) - np.quantile(features[:, -2], 0.05) < 0.15:
        return np.zeros(len(energy), bool)
    active = energy > -1.0
    wide = np.convolve(active.astype(int), np.ones(9, int), "same") > 0
    return wide
