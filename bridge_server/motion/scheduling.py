# SPDX-License-Identifier: Apache-2.0
"""Directions on a timeline to conditions on tokens.

``full`` strips speak to all token groups but the face, ``lower`` to one, ``upper`` to the upper body and the hands. The face follows
speech, whatever is directed: no strip could say what a mouth does. Strips for an arm or the head are
finer than the groups: they are generated in a pass of their own and laid over by joints (:class:`Layer`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from bridge_server.text.encoder import TextEncoder
from shared.timeline import Direction

from .conditions import IDLE_SENTENCE, SPEECH_SENTENCE, Conditions
from .tokenizer import DOWN_RATE

__all__ = ["FINE_PARTS", "NEVER", "TOKEN_SECONDS", "Plan", "Planner", "plan"]

FINE_PARTS: Final = ("left_arm", "right_arm", "head")
TOKEN_SECONDS: Final = DOWN_RATE / 30.0
NEVER: Final = 8.0
"""Seconds since and until a direction where there is none."""
_FULL: Final = ("lower", "upper")
_GAP: Final = -1
_AT_ONCE: Final = 16
"""Sentences that are encoded at once."""
_DIRECTED_BY: Final[dict[str, tuple[str, ...]]] = {
    "lower": ("full", "lower"), "upper": ("full", "upper"), "hands": ("full", "upper"), "face": (), "body": ("full", "lower", "upper"),
}
"""Which parts of a direction each token group listens to."""


@dataclass
class Plan:
    """:ivar conditions: (1, N, G) for the base performance.

    :ivar strength: (N, G) float32, multiplies the text guidance.
    :ivar seeds: (N, G) int64, -1 where the take's seed holds.
    :ivar speech: (1, N, G), the same tokens if nothing but speech drove them.
    :ivar spoken: (N,) bool, True where nothing is directed and somebody speaks.
    """

    conditions: Conditions
    strength: np.ndarray
    seeds: np.ndarray
    speech: Conditions
    spoken: np.ndarray


class Planner:
    """The plan of a performance of ``tokens`` tokens, of which any part can be had by itself.

    Where strips for the same group overlap, the text goes over from one to the other, and times count from the later one's start
    from the middle of the overlap on.

    :param directions: enabled, checked, sorted; those for :data:`FINE_PARTS` are left to the caller.
    :ivar undirected: (tokens,) bool, True where no group is asked for anything.
    """

    def __init__(self, directions: list[Direction], tokens: int, encoder: TextEncoder, groups: tuple[str, ...] = _FULL) -> None:
        coarse = [d for d in directions if d.part not in FINE_PARTS]
        self._encoder, self._sentences = encoder, list(dict.fromkeys([IDLE_SENTENCE, SPEECH_SENTENCE, *(d.text.strip() for d in coarse)]))
        self._index = {s: i for i, s in enumerate(self._sentences)}
        self._vectors = np.zeros((0, 0), np.float32)
        self._centre = centre = (np.arange(tokens) + 0.5) * TOKEN_SECONDS
        self._chosen = np.full((tokens, len(groups)), _GAP, np.int64)
        self._since = np.full((tokens, len(groups)), NEVER, np.float32)
        self._until = np.full((tokens, len(groups)), NEVER, np.float32)
        self._strength = np.ones((tokens, len(groups)), np.float32)
        self._seeds = np.full((tokens, len(groups)), -1, np.int64)
        self._fades: list[tuple[int, Direction, Direction]] = []
        for g, group in enumerate(groups):
            mine = [d for d in coarse if d.part in _DIRECTED_BY[group]]
            begins = [d.start for d in mine]
            ends = [d.end for d in mine]
            for n in range(1, len(mine)):
                if begins[n] < ends[n - 1]:
                    if ends[n - 1] < ends[n]:
                        self._fades.append((g, mine[n - 1], mine[n]))
                    # an overlap is shared; a strip inside another is heard to its end
                    middle = begins[n] if mine[n].end <= mine[n - 1].end else (begins[n] + ends[n - 1]) / 2
                    begins[n] = middle
            for d, begin, end in zip(mine, begins, ends, strict=True):
                span = slice(*np.searchsorted(centre, (begin, end)))
                self._chosen[span, g] = self._index[d.text.strip()]
                self._since[span, g] = centre[span] - d.start
                self._until[span, g] = d.end - centre[span]
                self._strength[span, g] = d.strength
                self._seeds[span, g] = -1 if d.seed is None else d.seed
        self.undirected: np.ndarray = (self._chosen == _GAP).all(1) & (self._since == NEVER).all(1)

    def part(self, first: int, stop: int, speech: np.ndarray | None) -> Plan:
        """The plan of tokens ``first`` to ``stop``.

        :param speech: (stop - first,) bool, True where there is speech to follow; None without audio.
        """
        span = slice(first, stop)
        gaps = np.full(stop - first, self._index[IDLE_SENTENCE])
        if speech is not None:
            gaps[speech] = self._index[SPEECH_SENTENCE]
        chosen = np.where(self._chosen[span] == _GAP, gaps[:, None], self._chosen[span])
        fades = [f for f in self._fades if f[2].start < self._centre[stop - 1] and f[1].end > self._centre[first]] if stop > first else []
        named = [self._index[d.text.strip()] for _, *both in fades for d in both]
        self._encode(max([int(chosen.max(initial=0)), self._index[SPEECH_SENTENCE], *named]) + 1)
        vectors = torch.from_numpy(self._vectors)
        texts, strength = vectors[torch.from_numpy(chosen)], self._strength[span].copy()
        centre = self._centre[span]
        for g, former, later in fades:
            over = np.flatnonzero((centre >= later.start) & (centre < former.end))
            share = torch.from_numpy((centre[over] - later.start) / (former.end - later.start)).to(vectors.dtype)
            before, after = (vectors[self._index[d.text.strip()]] for d in (former, later))
            _fade(texts[:, g], strength[:, g], over, share, before, after, (former.strength, later.strength))
        conditions = Conditions(texts[None], torch.from_numpy(self._since[span])[None], torch.from_numpy(self._until[span])[None],
                                torch.ones(1, *chosen.shape, dtype=torch.bool))
        alone = vectors[self._index[SPEECH_SENTENCE]].expand_as(conditions.text).contiguous()
        far = torch.full_like(conditions.since, NEVER)
        spoken = self.undirected[span] & (gaps == self._index[SPEECH_SENTENCE])
        return Plan(conditions, strength, self._seeds[span], Conditions(alone, far, far, conditions.given), spoken)

    def _encode(self, count: int) -> None:
        """Have the vectors of the first ``count`` sentences, some at a time: a first window waits for few of many."""
        while (known := len(self._vectors)) < count:
            fresh = self._encoder.encode(self._sentences[known:known + _AT_ONCE])
            self._vectors = np.concatenate((self._vectors, fresh)) if known else fresh


def plan(
    directions: list[Direction], tokens: int, encoder: TextEncoder, *, speech: np.ndarray | None, groups: tuple[str, ...] = _FULL
) -> Plan:
    """The whole plan at once; see :class:`Planner`."""
    return Planner(directions, tokens, encoder, groups).part(0, tokens, speech)


def _fade(texts: torch.Tensor, strength: np.ndarray, span: np.ndarray, share: torch.Tensor, a: torch.Tensor, b: torch.Tensor,
          strengths: tuple[float, float]) -> None:
    """Fill ``span`` of (N, width) texts and (N,) strength, in place, with what lies between two strips at ``share`` (S,) of the way.

    The length of the vectors goes over as well: encoders give vectors of one length, and a mean of two would be shorter.
    """
    mixed = torch.lerp(a[None], b[None], share[:, None])
    length = torch.lerp(a.norm(), b.norm(), share)[:, None]
    texts[torch.from_numpy(span)] = mixed * (length / mixed.norm(dim=-1, keepdim=True).clamp_min(1e-6))
    strength[span] = (1 - share.numpy()) * strengths[0] + share.numpy() * strengths[1]
