# SPDX-License-Identifier: Apache-2.0
"""The tokenizer: motion features to discrete tokens and back (METHOD.md point 1).

A VQ-VAE with a temporal down-rate of 4. Configuration ``parts`` (the default) gives every body
part its own encoder, codebooks and decoder; ``single`` is the paper's one book over the body. Not all data have fingers or
a face: where a motion lacks a part, its group has no tokens, which are then :data:`ABSENT`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import UnderstudyError

from .features import PART_WIDTHS, PARTS, PartFeatures
from .quantizer import ResidualQuantizer

__all__ = ["ABSENT", "DOWN_RATE", "PartCoder", "Tokenizer", "TokenizerConfig"]

DOWN_RATE: Final = 4
"""Frames of a token."""
ABSENT: Final = -1
"""Stands where a motion has no token of a group."""


@dataclass
class TokenizerConfig:
    """:ivar groups: which parts share a book: ``parts`` is one part a group, ``single`` all in one."""

    groups: dict[str, list[str]] = field(default_factory=lambda: {"lower": ["lower"], "upper": ["upper"]})
    codes: int = 512
    levels: int = 4
    width: int = 192
    code_width: int = 64

    @classmethod
    def of_parts(cls, parts: Sequence[str], **rest: Any) -> TokenizerConfig:
        """A group for each part, in the order of :data:`.features.PARTS`.

        :raises UnderstudyError: ``request_invalid`` for an unknown part, or without the body's two.
        """
        unknown, missing = set(parts) - set(PARTS), {"lower", "upper"} - set(parts)
        if unknown or missing:
            what = f"there is no part {min(unknown)!r}" if unknown else f"{min(missing)!r} is missing"
            raise UnderstudyError("request_invalid", f"The tokenizer cannot have these parts: {what}.",
                                  f"Name lower and upper, and any of {', '.join(PARTS[2:])}.")
        return cls(groups={p: [p] for p in PARTS if p in parts}, **rest)

    @classmethod
    def single(cls, **rest: Any) -> TokenizerConfig:
        """The paper's configuration: one 512-code book over the body."""
        return cls(groups={"body": ["lower", "upper"]}, levels=1, **rest)

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the weights' metadata."""
        return asdict(self)


class _Block(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation),
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv1d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.net(x)
        return out


class PartCoder(nn.Module):
    """Encoder, quantiser and decoder of one group of features."""

    def __init__(self, features: int, config: TokenizerConfig) -> None:
        super().__init__()
        w = config.width
        self.encoder = nn.Sequential(
            nn.Conv1d(features, w, 3, padding=1), _Block(w, 1),
            nn.Conv1d(w, w, 4, stride=2, padding=1), _Block(w, 3), _Block(w, 1),
            nn.Conv1d(w, w, 4, stride=2, padding=1), _Block(w, 3), _Block(w, 1),
            nn.Conv1d(w, config.code_width, 1),
        )
        self.quantizer = ResidualQuantizer(config.levels, config.codes, config.code_width)
        self.decoder = nn.Sequential(
            nn.Conv1d(config.code_width, w, 3, padding=1), _Block(w, 3), _Block(w, 1),
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv1d(w, w, 3, padding=1), _Block(w, 3), _Block(w, 1),
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv1d(w, w, 3, padding=1), _Block(w, 3), _Block(w, 1),
            nn.GroupNorm(8, w), nn.SiLU(), nn.Conv1d(w, features, 3, padding=1),
        )

    def encode(self, x: Tensor) -> Tensor:
        """(B, T, features) to latents (B, T / 4, code_width)."""
        z: Tensor = self.encoder(x.transpose(1, 2))
        return z.transpose(1, 2)

    def decode(self, z: Tensor) -> Tensor:
        """Latents (B, N, code_width) to (B, 4 N, features)."""
        x: Tensor = self.decoder(z.transpose(1, 2))
        return x.transpose(1, 2)


class Tokenizer(nn.Module):
    """All groups, with the features' normalisation.

    Tokens are (B, N, G, L): N tokens of 4 frames, G groups in ``config.groups`` order, L residual levels.
    """

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.coders = nn.ModuleDict()
        for name, parts in config.groups.items():
            width = sum(PART_WIDTHS[p] for p in parts)
            self.coders[name] = PartCoder(width, config)
            self.register_buffer(f"mean_{name}", torch.zeros(width))
            self.register_buffer(f"std_{name}", torch.ones(width))

    @property
    def group_names(self) -> list[str]:
        """Group names in token order."""
        return list(self.config.groups)

    def set_statistics(self, statistics: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        """Set mean and spread of each *part*'s features."""
        for name, parts in self.config.groups.items():
            mean = np.concatenate([statistics[p][0] for p in parts])
            std = np.concatenate([statistics[p][1] for p in parts])
            getattr(self, f"mean_{name}").copy_(torch.from_numpy(mean))
            getattr(self, f"std_{name}").copy_(torch.from_numpy(std))

    def _split(self, x: Tensor, name: str) -> dict[str, Tensor]:
        parts = self.config.groups[name]
        return dict(zip(parts, torch.split(x, [PART_WIDTHS[p] for p in parts], dim=-1), strict=True))

    def forward(
        self, parts: dict[str, Tensor], level_dropout: float = 0.0, valid: dict[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Reconstruct part features (B, T, width).

        :param valid: (B,) bool of a part, False for the motions that lack it, whatever stands in their rows. Books learn from the
            others alone.
        :returns: features by part in real units (zeros where a motion lacks it; no entry where all do), tokens (B, N, G, L),
            commitment loss.
        """
        out: dict[str, Tensor] = {}
        batch, frames = next(iter(parts.values())).shape[:2]
        tokens, loss = [], torch.zeros(())
        for name, coder in self.coders.items():
            assert isinstance(coder, PartCoder)
            rows = self._rows(name, parts, valid)
            if rows is not None and not len(rows):
                tokens.append(self._absent(batch, frames))
                continue
            mean, std = getattr(self, f"mean_{name}"), getattr(self, f"std_{name}")
            x = torch.cat([parts[p] for p in self.config.groups[name]], -1)
            if rows is not None:
                x = x[rows]
            z, index, commitment = coder.quantizer(coder.encode((x - mean) / std), level_dropout)
            made = coder.decode(z).float() * std + mean
            if rows is not None:
                made = made.new_zeros(batch, *made.shape[1:]).index_copy(0, rows, made)
                index = self._absent(batch, frames).index_copy(0, rows, index)
            out |= self._split(made, name)
            tokens.append(index)
            loss = loss + commitment
        return out, torch.stack(tokens, 2), loss

    def _rows(self, name: str, parts: dict[str, Tensor], valid: dict[str, Tensor] | None) -> Tensor | None:
        """Which motions of a batch have all parts of a group; None where all do."""
        if any(p not in parts for p in self.config.groups[name]):
            return torch.zeros(0, dtype=torch.long)
        masks = [valid[p] for p in self.config.groups[name] if valid is not None and p in valid]
        if not masks or bool(torch.stack(masks).all()):
            return None
        return torch.stack(masks).all(0).nonzero().flatten().to(parts[self.config.groups[name][0]].device)

    def _absent(self, batch: int, frames: int) -> Tensor:
        device = next(self.parameters()).device
        return torch.full((batch, frames // DOWN_RATE, self.config.levels), ABSENT, dtype=torch.long, device=device)

    @torch.no_grad()
    def encode(self, parts: dict[str, Tensor]) -> Tensor:
        """Tokens (B, T / 4, G, L) of part features (B, T, width); T a multiple of 4. Groups without features are :data:`ABSENT`."""
        tokens = []
        batch, frames = next(iter(parts.values())).shape[:2]
        for name, coder in self.coders.items():
            assert isinstance(coder, PartCoder)
            if any(p not in parts for p in self.config.groups[name]):
                tokens.append(self._absent(batch, frames))
                continue
            mean, std = getattr(self, f"mean_{name}"), getattr(self, f"std_{name}")
            x = torch.cat([parts[p].to(mean.device) for p in self.config.groups[name]], -1)
            tokens.append(coder.quantizer(coder.encode((x - mean) / std))[1])
        return torch.stack(tokens, 2)

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> dict[str, Tensor]:
        """Part features (B, 4 N, width) of tokens (B, N, G, L); fewer levels than trained give a coarser motion.

        A group with :data:`ABSENT` tokens is left out.
        """
        out: dict[str, Tensor] = {}
        for g, (name, coder) in enumerate(self.coders.items()):
            assert isinstance(coder, PartCoder)
            index = tokens[:, :, g]
            if bool((index == ABSENT).any()):
                continue
            mean, std = getattr(self, f"mean_{name}"), getattr(self, f"std_{name}")
            out |= self._split(coder.decode(coder.quantizer.lookup(index.to(mean.device))) * std + mean, name)
        return out

    def decode_features(self, tokens: Tensor) -> PartFeatures:
        """The same for one sequence (N, G, L), as numpy."""
        return PartFeatures({k: v[0].float().cpu().numpy() for k, v in self.decode(tokens[None]).items()})
