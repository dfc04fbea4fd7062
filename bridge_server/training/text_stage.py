# SPDX-License-Identifier: Apache-2.0
"""Stage 2: the text branch and the residual branch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bridge_server.motion.residual import ResidualBranch
from bridge_server.motion.text_branch import BranchConfig, TextBranch
from bridge_server.motion.tokenizer import ABSENT, PartCoder, Tokenizer

from .loop import RunOptions, train
from .masking import asked, corrupt, draw_mask
from .sequences import TokenSet

__all__ = ["masked_loss", "sums_below", "train_residual_branch", "train_text_branch"]


def masked_loss(logits: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy () over hidden tokens, with a little label smoothing: near codes are near motions. Absent ones do not count."""
    mask = asked(tokens, mask)
    return functional.cross_entropy(logits[mask], tokens[mask], label_smoothing=0.05)


def train_text_branch(
    data: TokenSet, validation: TokenSet, config: BranchConfig, options: RunOptions, batch: int = 32
) -> TextBranch:
    """Masked-token modelling with directions as conditions."""
    torch.manual_seed(options.seed)
    model = TextBranch(config).to(options.device)
    generator = torch.Generator().manual_seed(options.seed)

    def loss_of(m: TextBranch, source: TokenSet, rows: Tensor, g: torch.Generator, drop: float) -> Tensor:
        tokens = source.tokens[rows, :, :, 0].long()
        mask = draw_mask((len(tokens), tokens.shape[1], tokens.shape[2]), g)
        hidden = corrupt(tokens, mask, config.codes, g, 0.08 if drop else 0.0)
        d = options.device
        conditions = source.conditions(rows, g, drop, 0.15 if drop else 0.0).to(d)
        logits, _ = m(hidden.to(d), conditions)
        return masked_loss(logits, tokens.to(d), mask.to(d))

    def step() -> tuple[Tensor, dict[str, float]]:
        rows = torch.randint(len(data), (batch,), generator=generator)
        return loss_of(model, data, rows, generator, 0.1), {}

    @torch.no_grad()
    def validate(m: nn.Module) -> dict[str, float]:
        assert isinstance(m, TextBranch)
        g = torch.Generator().manual_seed(1)
        losses = [loss_of(m, validation, torch.arange(a, min(a + 64, len(validation))), g, 0.0)
                  for a in range(0, len(validation), 64)]
        return {"loss": float(torch.stack(losses).mean())}

    model.load_state_dict(train(model, step, options, validate, better="loss"))
    return model.eval()


def sums_below(tokenizer: Tokenizer, tokens: Tensor, level: int) -> Tensor:
    """(B, N, G, code_width): each token's code vectors of the levels under ``level``, added up; zeros for absent tokens."""
    sums = []
    for g, coder in enumerate(tokenizer.coders.values()):
        assert isinstance(coder, PartCoder)
        index = tokens[:, :, g, :level]
        sums.append(coder.quantizer.lookup(index.clamp_min(0)) * (index[..., :1] != ABSENT))
    return torch.stack(sums, 2)


def train_residual_branch(
    data: TokenSet, validation: TokenSet, tokenizer: Tokenizer, config: BranchConfig, options: RunOptions, batch: int = 32
) -> ResidualBranch:
    """Every step one level, drawn at random."""
    torch.manual_seed(options.seed)
    model = ResidualBranch(config, tokenizer.config.levels, tokenizer.config.code_width).to(options.device)
    generator = torch.Generator().manual_seed(options.seed)

    def loss_of(m: ResidualBranch, source: TokenSet, rows: Tensor, g: torch.Generator, level: int, drop: float) -> Tensor:
        tokens = source.tokens[rows].long()
        # a few wrong coarse tokens, as the sampler will bring
        noisy = corrupt(tokens[..., 0], torch.zeros_like(tokens[..., 0], dtype=torch.bool), config.codes, g, 0.05 if drop else 0.0)
        seen = tokens.clone()
        seen[..., 0] = torch.where(tokens[..., 0] == ABSENT, tokens[..., 0], noisy)
        d = options.device
        below = sums_below(tokenizer, seen.to(d), level)
        logits = m(below, level, source.conditions(rows, g, drop, 0.15 if drop else 0.0).to(d))
        return functional.cross_entropy(logits.flatten(0, 2), tokens[..., level].to(d).flatten(), ignore_index=ABSENT, label_smoothing=0.05)

    def step() -> tuple[Tensor, dict[str, float]]:
        rows = torch.randint(len(data), (batch,), generator=generator)
        level = int(torch.randint(1, tokenizer.config.levels, (), generator=generator))
        return loss_of(model, data, rows, generator, level, 0.15), {}

    @torch.no_grad()
    def validate(m: nn.Module) -> dict[str, float]:
        assert isinstance(m, ResidualBranch)
        g = torch.Generator().manual_seed(1)
        losses = [loss_of(m, validation, torch.arange(a, min(a + 64, len(validation))), g, level, 0.0)
                  for a in range(0, len(validation), 64) for level in range(1, tokenizer.config.levels)]
        return {"loss": float(torch.stack(losses).mean())}

    model.load_state_dict(train(model, step, options, validate, better="loss"))
    return model.eval()
