# SPDX-License-Identifier: Apache-2.0
"""Where in a recording somebody speaks."""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = ["WIDER", "has_contrast", "speech_activity", "wide_activity"]

WIDER: Final = 4
"""Tokens, about half a second, by which activity is widened."""


def speech_activity(features: np.ndarray, rows_a_token: int = 8) -> np.ndarray:
    """(N,) bool, tokens in which there is speech, from mel features (8 N, 42).

    Energy within 20 dB or so of the loud parts, widened by half a second so that a pause for breath does not
    stop the performance. All False for a recording without contrast, such as silence.
    """
    energy = features[:, -2].reshape(-1, rows_a_token).max(1)
    return wide_activity(energy) if has_contrast(features) else np.zeros(len(energy), bool)


def has_contrast(features: np.ndarray) -> bool:
    """Whether a recording, by its features (R, width) or a sample of them, is loud in some places and quiet in others."""
    return bool(len(features) and np.quantile(features[:, -2], 0.95) - np.quantile(features[:, -2], 0.05) >= 0.15)


def wide_activity(energy: np.ndarray) -> np.ndarray:
    """(N,) bool from the most energy of each token (N,), in which :data:`WIDER` tokens to either side have a say.

    Energy is a feature's column -2: relative to the recording's loud parts, in units of 3 nepers.
    """
    # not "same", which is as long as the kernel where there are fewer tokens
    wide: np.ndarray = np.convolve((energy > -1.0).astype(int), np.ones(2 * WIDER + 1, int))[WIDER:len(energy) + WIDER] > 0
    return wide
