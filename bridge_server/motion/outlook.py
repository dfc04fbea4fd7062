# SPDX-License-Identifier: Apache-2.0
"""What lies ahead of the sampler, window by window: directions, speech, and the syllables to keep time with.

Nothing is heard or read further ahead than it is needed, so that a long take begins as soon as a short one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

from bridge_server.audio.heard import Heard

from .audio_branch import AUDIO_RATE
from .draws import Speech, View
from .rhythm import Rhythm, strong_rise, syllable_onsets
from .scheduling import Planner
from .tokenizer import DOWN_RATE

__all__ = ["ROWS", "Outlook"]

ROWS: Final = 8
"""Audio feature rows of a token."""
_EASE: Final = 15
"""Frames over which keeping time with the speech sets in."""
_AHEAD: Final = 24
"""Tokens past a window's end up to which syllables are listened for; strokes near its end are led to them."""
_MARGIN: Final = 12
"""Tokens to either side that are heard with them, so that the same syllables are found as in the whole."""


class Outlook:
    """:param heard: the sound, or None without one. :param frames: of the performance.

    :param keep_time: whether strokes are to keep time with the speech. :param ask_nothing: where no direction is, nothing is asked,
        rather than to stand idle.
    :ivar rhythm: what they keep time with, or None where nobody speaks undirected; grows by :meth:`listen`.
    """

    def __init__(self, planner: Planner, heard: Heard | None, tokens: int, frames: int, keep_time: bool, ask_nothing: bool = False) -> None:
        self._planner, self._tokens, self._frames, self._ask_nothing = planner, tokens, frames, ask_nothing
        self._heard = heard if heard is not None and heard.speech else None
        self.rhythm: Rhythm | None = None
        self._listened = 0
        self._ease = np.hanning(_EASE + 2)
        self._ease /= self._ease.sum()
        if not keep_time or self._heard is None:
            return
        speaks = planner.undirected & self._heard.given(0, tokens) if self._heard.short else planner.undirected
        if speaks.any():
            self._strongest = strong_rise(self._heard.sample)
            self.rhythm = Rhythm(np.zeros(0), np.zeros(0), np.zeros(frames), self._eased(planner.undirected, frames))

    def _eased(self, tokens: np.ndarray, frames: int) -> np.ndarray:
        """(frames,) in [0, 1] of tokens (N,) bool, going over softly."""
        each = np.repeat(tokens, DOWN_RATE)[:frames].astype(float)
        out: np.ndarray = np.convolve(each, self._ease)[len(self._ease) // 2:][:len(each)]
        return out

    @property
    def speaks(self) -> bool:
        """Whether somebody does."""
        return self._heard is not None

    def look(self, first: int, stop: int) -> View:
        """See :class:`.draws.Draw`."""
        heard = self._heard
        given = None if heard is None else heard.given(first, stop)
        part = self._planner.part(first, stop, given)
        if self._ask_nothing:
            # on a way between poses that no direction covers, the poses alone say what it is
            part.strength[self._planner.undirected[first:stop] & ~part.spoken] = 0.0
        speech = None
        if heard is not None and given is not None:
            speech = Speech(torch.from_numpy(heard.rows(first, stop))[None], torch.from_numpy(given), part.speech,
                            torch.from_numpy(part.spoken))
        return View(part.conditions, part.strength, part.seeds, speech)

    def listen(self, stop: int) -> None:
        """Know the syllables that tokens up to ``stop`` may be led to, at the most a short way further."""
        rhythm, heard = self.rhythm, self._heard
        first, stop = self._listened, self._tokens if heard is not None and heard.short else min(self._tokens, stop + _AHEAD)
        if rhythm is None or heard is None or stop <= first:
            return
        low, high = max(0, first - _MARGIN), min(self._tokens, stop + _MARGIN)
        begin, end = (0.0 if first == 0 else first * ROWS / AUDIO_RATE), (stop * ROWS / AUDIO_RATE if stop < self._tokens else np.inf)
        times, strength = syllable_onsets(heard.rows(low, high), AUDIO_RATE, (low * ROWS + 0.5) / AUDIO_RATE, self._strongest)
        mine = (times >= begin) & (times < end) if low else times < end
        rhythm.onsets = np.concatenate((rhythm.onsets, times[mine]))
        rhythm.strength = np.concatenate((rhythm.strength, strength[mine]))
        # the last frames still wait for what comes after them
        speaks = self._planner.undirected[low:high] & heard.given(low, high)
        eased = self._eased(speaks, len(speaks) * DOWN_RATE)
        inner = slice(first * DOWN_RATE, min(stop * DOWN_RATE, self._frames))
        rhythm.spoken[inner] = eased[inner.start - low * DOWN_RATE:inner.stop - low * DOWN_RATE]
        self._listened = stop
