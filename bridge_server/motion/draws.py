# SPDX-License-Identifier: Apache-2.0
"""What is to be drawn: how, under which conditions, and what of it is known already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

from .conditions import Conditions

__all__ = ["HELD", "WINDOW", "Draw", "SampleOptions", "Size", "Speech", "View"]

WINDOW: Final = 72
"""Tokens of a window, as trained."""
HELD: Final = 20
"""Tokens of a window that are already final and held fixed."""


@dataclass
class Speech:
    """What is heard over the tokens.

    :ivar rows: (1, 8 N, width) audio features. :ivar given: (N,) bool, where somebody speaks.
    :ivar conditions: (1, N, G), what the tokens would be asked if nothing but speech drove them.
    :ivar alone: (N,) bool, where nothing else does.
    """

    rows: Tensor
    given: Tensor
    conditions: Conditions
    alone: Tensor

    def slice(self, start: int, stop: int) -> Speech:
        """Tokens ``start`` to ``stop``."""
        return Speech(self.rows[:, 8 * start:8 * stop], self.given[start:stop], self.conditions.slice(start, stop), self.alone[start:stop])

    def to(self, device: torch.device) -> Speech:
        """On another device."""
        return Speech(self.rows.to(device), self.given.to(device), self.conditions.to(device), self.alone.to(device))


@dataclass(frozen=True)
class Size:
    """How much is worked on at once, for devices with little memory.

    :ivar window: tokens of a window. :ivar held: of them already final. :ivar together: whether the passes that guidance takes run
        as one batch; apart they need a third of the memory and give the same.
    """

    window: int = WINDOW
    held: int = HELD
    together: bool = True


@dataclass(frozen=True)
class SampleOptions:
    """How tokens are drawn.

    :ivar text_guidance: scale of the guidance by text. :ivar temperature: of the token choice, 0 takes the likeliest.
    :ivar undirected_guidance: and ``undirected_temperature``: the same where no direction is, and speech or idling drives.
    :ivar steps: decoding steps of a window.
    :ivar top: only this many of the likeliest codes are drawn from.
    :ivar order_noise: how much chance there is in which tokens are kept first. With little of it the surest ones, which
        are those of standing still, come first and talk the others into it.
    """

    text_guidance: float = 3.0
    audio_guidance: float = 1.5
    temperature: float = 1.0
    undirected_guidance: float = 3.0
    undirected_temperature: float = 1.0
    steps: int = 12
    top: int = 128
    order_noise: float = 8.0
    residual_temperature: float = 0.4
    seed: int = 0
    size: Size = Size()


@dataclass
class View:
    """The tokens of one window. All of it lies on the CPU, so that what is asked about it costs a GPU no wait.

    :ivar conditions: (1, N, G). :ivar strength: (N, G) float32. :ivar seeds: (N, G) int64. :ivar speech: what is heard, or None.
    """

    conditions: Conditions
    strength: np.ndarray
    seeds: np.ndarray
    speech: Speech | None


class _Look(Protocol):
    def __call__(self, first: int, stop: int) -> View: ...


def _ignore(_: float) -> None: ...


@dataclass
class Draw:
    """One performance's tokens.

    :ivar total: how many. :ivar groups: token groups.
    :ivar look: gives a window's :class:`View`; asked for from the start to the end, when the window's turn comes.
    :ivar seed: of the take.
    :ivar known: (total, G, L) tokens that are held, -1 where to draw; None draws all.
    :ivar tick: receives the fraction done and may raise to cancel.
    :ivar window_done: receives the tokens so far (n, G, L) after each window; all of them are final.
    """

    total: int
    groups: int
    look: _Look
    seed: int = 0
    known: Tensor | None = None
    tick: Callable[[float], None] = _ignore
    window_done: Callable[[Tensor], None] | None = None
    first: int = field(default=0, init=False)
    reached: int = field(default=0, init=False)

    def window(self, size: Size) -> tuple[int, int]:
        """The tokens (first, stop) whose turn it is."""
        return self.first, min(self.first + size.window, self.total)

    def go_on(self, size: Size) -> bool:
        """Turn to the next window; False at the end."""
        _, stop = self.window(size)
        if stop == self.total:
            return False
        self.reached = stop
        self.first = max(stop - size.held, 0)
        # a last window that would be short reaches further back, so that it too sees a full one
        if self.total - self.first < size.window:
            self.first = max(0, self.total - size.window)
        return True
