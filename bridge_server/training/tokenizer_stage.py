# SPDX-License-Identifier: Apache-2.0
"""Stage 1: the tokenizer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bridge_server.motion.tokenizer import DOWN_RATE, PartCoder, Tokenizer, TokenizerConfig
from bridge_server.motion.torch_kinematics import body_positions, root_path

from .corpus import Corpus, statistics
from .loop import RunOptions, train

__all__ = ["reconstruction", "refine_decoder", "train_tokenizer"]

_EXTREMITIES = (7, 8, 10, 11, 15, 20, 21)
"""Ankles, feet, head, wrists: where an error shows most."""
_FEET = (7, 10, 8, 11)
"""Left ankle and foot, right ankle and foot, in the order of the features' contacts."""


def _windows(corpus: Corpus, weights: np.ndarray, frames: int, batch: int, generator: np.random.Generator) -> dict[str, Tensor]:
    chosen = generator.choice(len(corpus), batch, p=weights)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in corpus[0].parts}
    for c in chosen:
        variant = corpus[c]
        start = int(generator.integers(0, max(1, len(variant) - frames + 1)))
        for name, rows in parts.items():
            x = variant.parts[name][start:start + frames]
            # a clip shorter than the window holds its last frame, standing still
            if len(x) < frames:
                tail = np.repeat(x[-1:], frames - len(x), axis=0)
                if name == "lower":
                    tail[:, :3] = 0
                x = np.concatenate((x, tail))
            rows.append(x)
    return {name: torch.from_numpy(np.stack(rows)) for name, rows in parts.items()}


def _loss(model: Tokenizer, truth: dict[str, Tensor], level_dropout: float = 0.25) -> tuple[Tensor, dict[str, float]]:
    out, tokens, commitment = model(truth, level_dropout)
    # under autocast too: where joints are is a matter of millimetres
    with torch.autocast(truth["lower"].device.type, enabled=False):
        feature_loss = sum(
            functional.smooth_l1_loss((out[p] - truth[p]) / _spread(model, p), torch.zeros_like(out[p]), beta=0.5) for p in out
        )
        points, real = body_positions(out), body_positions(truth)
        position_loss = (points - real).abs().mean() + (points - real)[:, :, _EXTREMITIES].abs().mean()
        # velocities in the world, so that feet which stand still do so after the root's path is added
        step, real_step = _world_step(out["lower"], points), _world_step(truth["lower"], real)
        speed_loss = (step - real_step).abs().mean()
        slip_loss = _slip(step, truth["lower"])
        loss = feature_loss + 10 * position_loss + 60 * speed_loss + 20 * slip_loss + 0.05 * commitment
        mpjpe = 1000 * (points.detach() - real).norm(dim=-1).mean()
    assert isinstance(loss, Tensor)
    figures = {"mpjpe_mm": float(mpjpe), "commitment": float(commitment.detach()), "speed_mm": float(1000 * speed_loss.detach()),
               "slip_mm": float(1000 * slip_loss.detach())}
    if torch.rand(()) < 0.02:
        figures |= {f"perplexity_{name}": _perplexity(tokens[:, :, g, 0], model.config.codes)
                    for g, name in enumerate(model.group_names)}
    return loss, figures


def _spread(model: Tokenizer, part: str) -> Tensor:
    for name, parts in model.config.groups.items():
        if part in parts:
            return model._split(getattr(model, f"std_{name}"), name)[part]
    raise KeyError(part)


def _world_step(lower: Tensor, points: Tensor) -> Tensor:
    heading, place = root_path(lower)
    sin, cos = torch.sin(heading)[..., None], torch.cos(heading)[..., None]
    x = cos * points[..., 0] + sin * points[..., 2] + place[..., None, 0]
    z = -sin * points[..., 0] + cos * points[..., 2] + place[..., None, 1]
    return torch.diff(torch.stack((x, points[..., 1], z), -1), dim=1)


def _slip(step: Tensor, lower: Tensor) -> Tensor:
    """Metres a frame () that ankles and toes of standing feet move (the foot contact loss of MDM, Tevet et al. 2023)."""
    contacts = lower[:, 1:, -4:]
    feet = step[:, :, _FEET].norm(dim=-1)
    return (feet * contacts).sum() / contacts.sum().clamp_min(1)


def _perplexity(index: Tensor, codes: int) -> float:
    p = torch.bincount(index.reshape(-1), minlength=codes).float()
    p = p / p.sum()
    return float(torch.exp(-(p * torch.log(p.clamp_min(1e-9))).sum()))


@torch.no_grad()
def reconstruction(model: Tokenizer, corpus: Corpus) -> dict[str, float]:
    """Over whole clips: mean joint error under the pelvis's place and heading (mm), and level 0's perplexity."""
    errors, tokens = [], []
    for variant in corpus:
        frames = len(variant) // DOWN_RATE * DOWN_RATE
        if frames < 2 * DOWN_RATE:
            continue
        truth = {k: torch.from_numpy(v[None, :frames]) for k, v in variant.parts.items()}
        out, index, _ = model(truth)
        points, real = body_positions(out), body_positions(truth)
        points, real = points - points[:, :, :1], real - real[:, :, :1]
        errors.append((points - real).norm(dim=-1).mean(-1)[0])
        tokens.append(index[0])
    index = torch.cat(tokens)
    result = {"mpjpe_mm": 1000 * float(torch.cat(errors).mean())}
    for g, name in enumerate(model.group_names):
        result[f"perplexity_{name}"] = _perplexity(index[:, g, 0], model.config.codes)
        result[f"used_{name}"] = float(len(torch.unique(index[:, g, 0])) / model.config.codes)
    return result


def train_tokenizer(
    corpus: Corpus, validation: Corpus, config: TokenizerConfig, options: RunOptions, *, frames: int = 64, batch: int = 64
) -> Tokenizer:
    """Train on windows of ``frames`` frames; the checkpoint with the best validation error is returned."""
    model = Tokenizer(config).to(options.device)
    model.set_statistics(statistics(corpus))
    generator = np.random.default_rng(options.seed)
    lengths = np.array([len(v) for v in corpus], dtype=float)
    weights = np.sqrt(lengths)
    weights /= weights.sum()

    def step() -> tuple[Tensor, dict[str, float]]:
        truth = {k: v.to(options.device) for k, v in _windows(corpus, weights, frames, batch, generator).items()}
        return _loss(model, truth)

    def validate(m: nn.Module) -> dict[str, float]:
        assert isinstance(m, Tokenizer)
        return reconstruction(m, validation)

    model.load_state_dict(train(model, step, options, validate, better="mpjpe_mm"))
    return model.eval()


def refine_decoder(
    trained: Tokenizer, corpus: Corpus, validation: Corpus, options: RunOptions, *, frames: int = 64, batch: int = 32
) -> Tokenizer:
    """A tokenizer with the first level alone: encoder and book stay, the decoder learns to do without the finer levels.

    Its tokens are the first level's of ``trained``.
    """
    torch.manual_seed(options.seed)
    model = Tokenizer(replace(trained.config, levels=1)).to(options.device)
    model.load_state_dict({k: v for k, v in trained.state_dict().items() if k in model.state_dict()})
    for coder in model.coders.values():
        assert isinstance(coder, PartCoder)
        coder.encoder.requires_grad_(False)
        coder.quantizer.frozen = True
    generator = np.random.default_rng(options.seed)
    weights = np.sqrt(np.array([len(v) for v in corpus], dtype=float))
    weights /= weights.sum()

    def step() -> tuple[Tensor, dict[str, float]]:
        truth = {k: v.to(options.device) for k, v in _windows(corpus, weights, frames, batch, generator).items()}
        return _loss(model, truth, 0.0)

    def validate(m: nn.Module) -> dict[str, float]:
        assert isinstance(m, Tokenizer)
        return reconstruction(m, validation)

    model.load_state_dict(train(model, step, options, validate, better="mpjpe_mm"))
    return model.eval()
