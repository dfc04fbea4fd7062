# SPDX-License-Identifier: Apache-2.0
"""What each token is asked to be: the direction over it, and where in that direction it lies.

The paper gives one prompt to a whole clip. Here every token of every body group has its own
direction, so that strips on a timeline, and different strips on different parts, are one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

__all__ = ["SPEECH_SENTENCE", "IDLE_SENTENCE", "ConditionEmbedding", "Conditions"]

SPEECH_SENTENCE: Final = "A person is giving a speech."
"""The paper's fixed sentence for everything that speech alone drives."""
IDLE_SENTENCE: Final = "a person is standing around"
"""For gaps without speech."""
_PHASES: Final = 4
_LONGEST: Final = 8.0


@dataclass
class Conditions:
    """:ivar text: (B, N, G, D) sentence embedding over each token and group.

    :ivar since: (B, N, G) seconds since that direction began.
    :ivar until: (B, N, G) seconds until it ends.
    :ivar given: (B, N, G) bool: False takes the learned "no direction" (also for guidance).
    """

    text: Tensor
    since: Tensor
    until: Tensor
    given: Tensor

    def to(self, device: torch.device | str) -> Conditions:
        """On another device."""
        return Conditions(self.text.to(device), self.since.to(device), self.until.to(device), self.given.to(device))

    def without_text(self) -> Conditions:
        """The same with no direction anywhere."""
        return Conditions(self.text, self.since, self.until, torch.zeros_like(self.given))

    def slice(self, start: int, stop: int) -> Conditions:
        """Tokens ``start`` to ``stop``."""
        return Conditions(*(x[:, start:stop] for x in (self.text, self.since, self.until, self.given)))

    def row(self, n: int) -> Conditions:
        """Row ``n`` of the batch, as a batch of one."""
        return Conditions(*(x[n:n + 1] for x in (self.text, self.since, self.until, self.given)))

    @staticmethod
    def stack(items: list[Conditions]) -> Conditions:
        """Along the batch."""
        return Conditions(*(torch.cat([getattr(i, name) for i in items]) for name in ("text", "since", "until", "given")))


class ConditionEmbedding(nn.Module):
    """Conditions to one vector (B, N, width) per token; groups have their own projections."""

    def __init__(self, text_width: int, groups: int, width: int) -> None:
        super().__init__()
        self.text = nn.ModuleList(nn.Sequential(nn.Linear(text_width, width), nn.GELU(), nn.Linear(width, width))
                                  for _ in range(groups))
        self.phase = nn.ModuleList(nn.Linear(4 * _PHASES, width) for _ in range(groups))
        self.none = nn.Parameter(torch.zeros(groups, width))

    def forward(self, c: Conditions) -> Tensor:
        """(B, N, width)."""
        rate = 2.0 ** torch.arange(_PHASES, device=c.since.device, dtype=c.text.dtype) * (torch.pi / (2 * _LONGEST))

        def waves(t: Tensor) -> Tensor:
            angle = t.clamp(0, _LONGEST)[..., None] * rate
            return torch.cat((torch.sin(angle), torch.cos(angle)), -1)

        phase = torch.cat((waves(c.since), waves(c.until)), -1)
        total: Tensor | float = 0.0
        for g, (text, time) in enumerate(zip(self.text, self.phase, strict=True)):
            asked = text(c.text[:, :, g]) + time(phase[:, :, g])
            total = total + torch.where(c.given[:, :, g, None], asked, self.none[g])
        assert isinstance(total, Tensor)
        return total
