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

__all__ = ["FINE_PARTS", "NEVER", "TOKEN_SECONDS", "Plan", "plan"]

FINE_PARTS: Final = ("left_arm", "right_arm", "head")
TOKEN_SECONDS: Final = DOWN_RATE / 30.0
NEVER: Final = 8.0
"""Seconds since and until a direction where there is none."""
_FULL: Final = ("lower", "upper")
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


def plan(
    directions: list[Direction], tokens: int, encoder: TextEncoder, *, speech: np.ndarray | None, groups: tuple[str, ...] = _FULL
) -> Plan:
    """The plan of a performance of ``tokens`` tokens.

    Where strips for the same group overlap, the text goes over from one to the other, and times count from the later one's start
    from the middle of the overlap on.

    :param directions: enabled, checked, sorted; those for :data:`FINE_PARTS` are left to the caller.
    :param speech: (tokens,) bool, True where there is speech to follow; None without audio.
    """
    coarse = [d for d in directions if d.part not in FINE_PARTS]
    gaps = np.full(tokens, IDLE_SENTENCE, dtype=object)
    if speech is not None:
        gaps[speech] = SPEECH_SENTENCE
    texts = [d.text.strip() for d in coarse]
    sentences = list(dict.fromkeys([IDLE_SENTENCE, SPEECH_SENTENCE, *texts]))
    vectors = torch.from_numpy(encoder.encode(sentences))
    index = {s: i for i, s in enumerate(sentences)}
    centre = (np.arange(tokens) + 0.5) * TOKEN_SECONDS
    chosen = np.empty((tokens, len(groups)), dtype=np.int64)
    since = np.full((tokens, len(groups)), NEVER, np.float32)
    until = np.full((tokens, len(groups)), NEVER, np.float32)
    strength = np.ones((tokens, len(groups)), np.float32)
    seeds = np.full((tokens, len(groups)), -1, np.int64)
    fades: list[tuple[int, Direction, Direction]] = []
    for g, group in enumerate(groups):
        chosen[:, g] = [index[s] for s in gaps]
        mine = [d for d in coarse if d.part in _DIRECTED_BY[group]]
        begins = [d.start for d in mine]
        ends = [d.end for d in mine]
        for n in range(1, len(mine)):
            if begins[n] < ends[n - 1]:
                if ends[n - 1] < ends[n]:
                    fades.append((g, mine[n - 1], mine[n]))
                # an overlap is shared; a strip inside another is heard to its end
                middle = begins[n] if mine[n].end <= mine[n - 1].end else (begins[n] + ends[n - 1]) / 2
                begins[n] = middle
        for d, begin, end in zip(mine, begins, ends, strict=True):
            span = (centre >= begin) & (centre < end)
            chosen[span, g] = index[d.text.strip()]
            since[span, g] = centre[span] - d.start
            until[span, g] = d.end - centre[span]
            strength[span, g] = d.strength
            seeds[span, g] = -1 if d.seed is None else d.seed
    texts_over = vectors[torch.from_numpy(chosen)]
    for g, former, later in fades:
        span = np.flatnonzero((centre >= later.start) & (centre < former.end))
        share = torch.from_numpy((centre[span] - later.start) / (former.end - later.start)).to(vectors.dtype)
        _fade(texts_over[:, g], strength[:, g], span, share, vectors[index[former.text.strip()]], vectors[index[later.text.strip()]],
              (former.strength, later.strength))
    conditions = Conditions(texts_over[None], torch.from_numpy(since)[None], torch.from_numpy(until)[None],
                            torch.ones(1, tokens, len(groups), dtype=torch.bool))
    alone = vectors[index[SPEECH_SENTENCE]].expand_as(conditions.text).contiguous()
    far = torch.full_like(conditions.since, NEVER)
    spoken = (chosen == index[SPEECH_SENTENCE]).all(1) & (since == NEVER).all(1)
    return Plan(conditions, strength, seeds, Conditions(alone, far, far, conditions.given), spoken)


def _fade(texts: torch.Tensor, strength: np.ndarray, span: np.ndarray, share: torch.Tensor, a: torch.Tensor, b: torch.Tensor,
          strengths: tuple[float, float]) -> None:
    """Fill ``span`` of (N, width) texts and (N,) strength, in place, with what lies between two strips at ``share`` (S,) of the way.

    The length of the vectors goes over as well: encoders give vectors of one length, and a mean of two would be shorter.
    """
    mixed = torch.lerp(a[None], b[None], share[:, None])
    length = torch.lerp(a.norm(), b.norm(), share)[:, None]
    texts[torch.from_numpy(span)] = mixed * (length / mixed.norm(dim=-1, keepdim=True).clamp_min(1e-6))
    strength[span] = (1 - share.numpy()) * strengths[0] + share.numpy() * strengths[1]
