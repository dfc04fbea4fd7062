# SPDX-License-Identifier: Apache-2.0
"""Vector quantisation: a codebook learned by moving averages, and residual levels of it.

EMA updates and the commitment loss after van den Oord et al. 2017 (appendix A.1); dead codes are
reset to inputs of the batch, as in Jukebox (Dhariwal et al. 2020); residual levels with level dropout as in
SoundStream (Zeghidour et al. 2021). With one level this is the paper's plain book.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Codebook", "ResidualQuantizer"]


class Codebook(nn.Module):
    """``size`` codes of ``width`` numbers.

    :ivar codes: (size, width).
    :ivar usage: (size,) moving average of how often each code is chosen in a batch.
    """

    codes: Tensor
    usage: Tensor
    sums: Tensor

    def __init__(self, size: int, width: int, decay: float = 0.98, dead_below: float = 0.3) -> None:
        super().__init__()
        self.decay, self.dead_below = decay, dead_below
        self.register_buffer("codes", torch.randn(size, width) * 0.1)
        self.register_buffer("usage", torch.zeros(size))
        self.register_buffer("sums", torch.zeros(size, width))

    def nearest(self, x: Tensor) -> Tensor:
        """Index (M,) of the code nearest to each row of ``x`` (M, width)."""
        distance = self.codes.pow(2).sum(1) - 2 * x @ self.codes.T
        return distance.argmin(1)

    @torch.no_grad()
    def learn(self, x: Tensor, index: Tensor) -> None:
        """Move the chosen codes towards their inputs and give unused codes a new place."""
        if not bool(self.usage.any()):
            # first batch: start from the data, not from noise
            start = x[torch.randint(len(x), (len(self.codes),), device=x.device)]
            self.codes.copy_(start)
            self.sums.copy_(start)
            self.usage.fill_(1.0)
            index = self.nearest(x)
        count = torch.bincount(index, minlength=len(self.codes)).to(x.dtype)
        total = torch.zeros_like(self.codes).index_add_(0, index, x)
        self.usage.mul_(self.decay).add_(count, alpha=1 - self.decay)
        self.sums.mul_(self.decay).add_(total, alpha=1 - self.decay)
        dead = self.usage < self.dead_below
        if bool(dead.any()):
            fresh = x[torch.randint(len(x), (int(dead.sum()),), device=x.device)]
            self.sums[dead] = fresh
            self.usage[dead] = 1.0
        self.codes.copy_(self.sums / self.usage.clamp_min(1e-5)[:, None])


class ResidualQuantizer(nn.Module):
    """Codebooks in a row, each for what the ones before left over.

    :ivar frozen: the codes stay as they are in training too.
    """

    frozen = False

    def __init__(self, levels: int, size: int, width: int) -> None:
        super().__init__()
        self.books = nn.ModuleList(Codebook(size, width) for _ in range(levels))

    def forward(self, z: Tensor, level_dropout: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise (B, N, width).

        :param level_dropout: chance that a training batch uses only its first few levels, which keeps level 0 good by itself.
        :returns: quantised (B, N, width) with straight-through gradient, indices (B, N, levels), commitment loss ().
        """
        # the books are kept, and compared with, in single precision under autocast too
        with torch.autocast(z.device.type, enabled=False):
            return self._quantise(z.float(), level_dropout)

    def _quantise(self, z: Tensor, level_dropout: float) -> tuple[Tensor, Tensor, Tensor]:
        flat = z.reshape(-1, z.shape[-1])
        rest, total = flat, torch.zeros_like(flat)
        keep = len(self.books)
        if self.training and level_dropout > 0 and torch.rand(()) < level_dropout:
            keep = int(torch.randint(1, len(self.books) + 1, ()))
        indices, loss = [], flat.new_zeros(())
        for level, book in enumerate(self.books):
            assert isinstance(book, Codebook)
            index = book.nearest(rest.detach())
            indices.append(index)
            if level >= keep:
                continue
            if self.training and not self.frozen:
                book.learn(rest.detach(), index)
                index = book.nearest(rest.detach())
            chosen = functional.embedding(index, book.codes)
            loss = loss + functional.mse_loss(rest, chosen)
            total = total + chosen
            rest = rest - chosen
        quantised = flat + (total - flat).detach()
        return quantised.view_as(z), torch.stack(indices, -1).view(*z.shape[:-1], -1), loss

    def lookup(self, indices: Tensor) -> Tensor:
        """Vectors (B, N, width) of indices (B, N, L), L at most the number of levels."""
        out = torch.zeros((), device=indices.device)
        for level in range(indices.shape[-1]):
            book = self.books[level]
            assert isinstance(book, Codebook)
            out = out + functional.embedding(indices[..., level], book.codes)
        return out
