# SPDX-License-Identifier: Apache-2.0
"""The tokenizer: motion features to discrete tokens and back (METHOD.md point 1).

A VQ-VAE with a temporal down-rate of 4. Configuration ``parts`` (the default) gives every body
part its own encoder, codebooks and decoder; ``single`` is the paper's one book over the whole body.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from .features import PART_WIDTHS, PartFeatures
from .quantizer import ResidualQuantizer

__all__ = ["DOWN_RATE", "PartCoder", "Tokenizer", "TokenizerConfig"]

DOWN_RATE: Final = 4
"""Frames of a token."""


@dataclass
class TokenizerConfig:
    """:ivar groups: which parts share a book: ``parts`` is one part a group, ``single`` all in one."""

    groups: dict[str, list[str]] = field(default_factory=lambda: {"lower": ["lower"], "upper": ["upper"]})
    codes: int = 512
    levels: int = 4
    width: int = 192
    code_width: int = 64

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

    def forward(self, parts: dict[str, Tensor], level_dropout: float = 0.0) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Reconstruct part features (B, T, width).

        :returns: features by part in real units, tokens (B, N, G, L), commitment loss.
        """
        out: dict[str, Tensor] = {}
        tokens, loss = [], torch.zeros(())
        for name, coder in self.coders.items():
            assert isinstance(coder, PartCoder)
            mean, std = getattr(self, f"mean_{name}"), getattr(self, f"std_{name}")
            x = torch.cat([parts[p] for p in self.config.groups[name]], -1)
            z, index, commitment = coder.quantizer(coder.encode((x - mean) / std), level_dropout)
            out |= self._split(coder.decode(z).float() * std + mean, name)
            tokens.append(index)
            loss = loss + commitment
        return out, torch.stack(tokens, 2), loss

    @torch.no_grad()
    def encode(self, parts: dict[str, Tensor]) -> Tensor:
        """Tokens (B, T / 4, G, L) of part features (B, T, width); T a multiple of 4."""
        tokens = []
        for name, coder in self.coders.items():
            assert isinstance(coder, PartCoder)
            mean, std = getattr(self, f"mean_{name}"), getattr(self, f"std_{name}")
            x = torch.cat([parts[p].to(mean.device) for p in self.config.groups[name]], -1)
            tokens.append(coder.quantizer(coder.encode((x - mean) / std))[1])
        return torch.stack(tokens, 2)

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> dict[str, Tensor]:
        """Part features (B, 4 N, width) of tokens (B, N, G, L); fewer levels than trained give a coarser motion."""
        out: dict[str, Tensor] = {}
        for g, (name, coder) in enumerate(self.coders.items()):
            assert isinstance(coder, PartCoder)
            mean, std = getattr(self, f"mean_{name}"), getattr(self, f"std_{name}")
            out |= self._split(coder.decode(coder.quantizer.lookup(tokens[:, :, g].to(mean.device))) * std + mean, name)
        return out

    def decode_features(self, tokens: Tensor) -> PartFeatures:
        """The same for one sequence (N, G, L), as numpy."""
        return PartFeatures({k: v[0].float().cpu().numpy() for k, v in self.decode(tokens[None]).items()})
