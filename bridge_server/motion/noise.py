# SPDX-License-Identifier: Apache-2.0
"""Gumbel noise for tokens: every token's own, so that one strip can be drawn anew alone.

On the CPU each token has a torch generator of its own. That takes longer than the networks do on a GPU, so there the same
Mersenne Twister (Matsumoto and Nishimura 1998) runs for all tokens side by side: the seeds give the same numbers on both.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

__all__ = ["gumbel", "token_seeds", "uniform_side_by_side"]

_WORDS: Final = 624
_FAR: Final = 397


def token_seeds(seed: int, seeds: np.ndarray, first: int) -> np.ndarray:
    """(N, G) int64 seed of each token, at any place in a take and in any window the same.

    :param seed: of the take. :param seeds: (N, G) int64 of tokens ``first`` and on, -1 where the take's holds.
    """
    count, groups = seeds.shape
    own = [[hash((seed if seeds[n, g] < 0 else int(seeds[n, g]) ^ 0x5EED, first + n, g)) & 0x7FFF_FFFF_FFFF_FFFF
            for g in range(groups)] for n in range(count)]
    return np.array(own, np.int64).reshape(count, groups)


def gumbel(seeds: np.ndarray, wanted: np.ndarray, steps: int, codes: int, device: torch.device) -> Tensor:
    """(steps, B, N, G, codes) noise on ``device``; 0 where none is wanted, since making it takes its time.

    :param seeds: (B, N, G) int64 of :func:`token_seeds`. :param wanted: (B, N, G) bool.
    """
    out = torch.zeros(steps, *seeds.shape, codes, device=device)
    which = np.argwhere(wanted)
    if not len(which):
        return out
    chosen = seeds[wanted]
    if device.type == "cpu":
        u = torch.empty(len(which), steps, codes)
        for k, s in enumerate(chosen):
            u[k] = torch.rand(steps, codes, generator=torch.Generator().manual_seed(int(s)))
    else:
        u = uniform_side_by_side(chosen, steps * codes, device).view(len(which), steps, codes)
    u = u.clamp_(1e-9, 1 - 1e-7)
    b, n, g = (torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in which.T)
    out[:, b, n, g] = -torch.log(-torch.log(u)).transpose(0, 1)
    return out


def _states(seeds: np.ndarray) -> np.ndarray:
    """(624, K) uint32: the generators' words right after seeding."""
    words = np.empty((_WORDS, len(seeds)), np.uint32)
    words[0] = (seeds & 0xFFFF_FFFF).astype(np.uint32)
    for k in range(1, _WORDS):
        before = words[k - 1]
        words[k] = np.uint32(1812433253) * (before ^ (before >> np.uint32(30))) + np.uint32(k)
    return words


def uniform_side_by_side(seeds: np.ndarray, count: int, device: torch.device) -> Tensor:
    """(K, count) float32 in [0, 1): row k as ``torch.rand`` gives it on the CPU after ``manual_seed(seeds[k])``."""
    words = torch.from_numpy(_states(seeds).astype(np.int64)).to(device)

    def mixed(low: Tensor, high: Tensor) -> Tensor:
        x = (low & 0x8000_0000) | (high & 0x7FFF_FFFF)
        return (x >> 1) ^ ((high & 1) * 0x9908_B0DF)

    rest = _WORDS - _FAR
    parts = []
    for _ in range(-(-count // _WORDS)):
        new = torch.empty_like(words)
        # each third needs words of the one before it
        new[:rest] = words[_FAR:] ^ mixed(words[:rest], words[1:rest + 1])
        new[rest:2 * rest] = new[:rest] ^ mixed(words[rest:2 * rest], words[rest + 1:2 * rest + 1])
        new[2 * rest:-1] = new[rest:_FAR - 1] ^ mixed(words[2 * rest:-1], words[2 * rest + 1:])
        new[-1:] = new[_FAR - 1:_FAR] ^ mixed(words[-1:], new[:1])
        words = new
        y = new ^ (new >> 11)
        y = y ^ ((y << 7) & 0x9D2C_5680)
        y = y ^ ((y << 15) & 0xEFC6_0000)
        parts.append(((y ^ (y >> 18)) & 0xFF_FFFF).to(torch.float32) * 2.0 ** -24)
    return torch.cat(parts)[:count].T.contiguous()
