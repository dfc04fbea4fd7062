# SPDX-License-Identifier: Apache-2.0
"""Which tokens of a training sequence are hidden."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bridge_server.motion.tokenizer import ABSENT

__all__ = ["asked", "corrupt", "draw_mask"]


def draw_mask(shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """(B, N, G) bool of ``shape``, True where hidden.

    The share follows the cosine schedule of MaskGIT (Chang et al. 2022). A third of the sequences hide both
    groups at the same tokens, a third each group by itself, a third a stretch: what comes after,
    or between, known tokens, as in long takes and in edits. Where there are more than two groups, a stretch often hides some of
    them alone, as edits of a part do.
    """
    batch, length, groups = shape
    ratio = torch.cos(torch.rand(batch, 1, 1, generator=generator) * math.pi / 2).clamp(min=1.5 / length)
    noise = torch.rand(batch, length, groups, generator=generator)
    together = torch.rand(batch, 1, 1, generator=generator) < 0.5
    noise = torch.where(together, noise[:, :, :1].expand_as(noise), noise)
    cut = noise.sort(1).values.gather(1, (ratio * (length - 1)).long().expand(-1, 1, groups))
    scattered = noise <= cut
    position = torch.arange(length)[None, :, None]
    size = (ratio * length).long().clamp(min=2)
    # half of the stretches reach the end
    latest = (length - size).clamp(min=0)
    start = (torch.rand(batch, 1, 1, generator=generator) * (latest + 1)).long()
    start = torch.where(torch.rand(batch, 1, 1, generator=generator) < 0.5, latest, start)
    stretch = ((position >= start) & (position < start + size)).expand(-1, -1, groups)
    if groups > 2:
        some = torch.rand(batch, 1, groups, generator=generator) < 0.5
        whole = (torch.rand(batch, 1, 1, generator=generator) < 0.5) | ~some.any(-1, keepdim=True)
        stretch = stretch & (some | whole)
    return torch.where(torch.rand(batch, 1, 1, generator=generator) < 1 / 3, stretch, scattered)


def corrupt(tokens: Tensor, mask: Tensor, codes: int, generator: torch.Generator, wrong: float = 0.08) -> Tensor:
    """Tokens (B, N, G) with the hidden ones replaced by ``codes`` and a few visible ones by others.

    The sampler's own early choices are not always right; a model that has seen wrong neighbours forgives them. Absent tokens are
    hidden ones, of which nobody is asked what they are (:func:`asked`).
    """
    noise = torch.rand(tokens.shape, generator=generator)
    noisy = torch.where(noise < wrong, torch.randint(codes, tokens.shape, generator=generator), tokens)
    return torch.where(mask | (tokens == ABSENT), torch.full_like(tokens, codes), noisy)


def asked(tokens: Tensor, mask: Tensor) -> Tensor:
    """``mask`` (B, N, G) without the tokens that a clip does not have."""
    return mask & (tokens != ABSENT)
