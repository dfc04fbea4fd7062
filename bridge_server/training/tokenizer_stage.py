# SPDX-License-Identifier: Apache-2.0
"""Stage 1: the tokenizer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bridge_server.motion.features import PART_WIDTHS
from bridge_server.motion.tokenizer import ABSENT, DOWN_RATE, PartCoder, Tokenizer, TokenizerConfig
from bridge_server.motion.torch_kinematics import body_positions, finger_positions, root_path, six_d_to_matrix

from .corpus import Corpus, statistics
from .loop import RunOptions, train

__all__ = ["reconstruction", "refine_decoder", "train_tokenizer"]

_EXTREMITIES = (7, 8, 10, 11, 15, 20, 21)
"""Ankles, feet, head, wrists: where an error shows most."""
_FEET = (7, 10, 8, 11)
"""Left ankle and foot, right ankle and foot, in the order of the features' contacts."""


Batch = tuple[dict[str, Tensor], dict[str, Tensor]]
"""Part features (B, T, width), and (B,) bool of which motions have each of them; rows of the others are zeros."""


def _windows(corpus: Corpus, weights: np.ndarray, frames: int, batch: int, generator: np.random.Generator, names: list[str]) -> Batch:
    chosen = generator.choice(len(corpus), batch, p=weights)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for c in chosen:
        variant = corpus[c]
        start = int(generator.integers(0, max(1, len(variant) - frames + 1)))
        for name, rows in parts.items():
            if name not in variant.parts:
                rows.append(np.zeros((frames, PART_WIDTHS[name]), np.float32))
                continue
            x = variant.parts[name][start:start + frames]
            # a clip shorter than the window holds its last frame, standing still
            if len(x) < frames:
                tail = np.repeat(x[-1:], frames - len(x), axis=0)
                if name == "lower":
                    tail[:, :3] = 0
                x = np.concatenate((x, tail))
            rows.append(x)
    valid = {name: torch.tensor([name in corpus[c].parts for c in chosen]) for name in names if name not in ("lower", "upper")}
    return {name: torch.from_numpy(np.stack(rows)) for name, rows in parts.items()}, valid


def _loss(
    model: Tokenizer, truth: dict[str, Tensor], level_dropout: float = 0.25, valid: dict[str, Tensor] | None = None
) -> tuple[Tensor, dict[str, float]]:
    out, tokens, commitment = model(truth, level_dropout, valid)
    # of hands and faces only those that are there
    for name, there in (valid or {}).items():
        if name in out:
            out[name], truth = out[name][there], {**truth, name: truth[name][there]}
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
        more, hand_figures = _extra_loss(model, out, truth)
        loss = loss + more
        mpjpe = 1000 * (points.detach() - real).norm(dim=-1).mean()
    assert isinstance(loss, Tensor)
    figures = {"mpjpe_mm": float(mpjpe), "commitment": float(commitment.detach()), "speed_mm": float(1000 * speed_loss.detach()),
               "slip_mm": float(1000 * slip_loss.detach()), **hand_figures}
    if torch.rand(()) < 0.02:
        figures |= {f"perplexity_{name}": _perplexity(index, model.config.codes)
                    for g, name in enumerate(model.group_names) if len(index := _known(tokens[:, :, g, 0]))}
    return loss, figures


def _extra_loss(model: Tokenizer, out: dict[str, Tensor], truth: dict[str, Tensor]) -> tuple[Tensor | float, dict[str, float]]:
    """What the features' own error does not say: where finger joints are, and how fast fingers and faces move."""
    loss: Tensor | float = 0.0
    figures = {}
    if "hands" in out:
        points, real = finger_positions(out["hands"]), finger_positions(truth["hands"])
        loss = loss + 20 * (points - real).abs().mean() + 60 * (torch.diff(points, dim=1) - torch.diff(real, dim=1)).abs().mean()
        figures["hands_mpjpe_mm"] = 1000 * float((points.detach() - real).norm(dim=-1).mean())
    if "face" in out:
        spread = _spread(model, "face")
        change = (torch.diff(out["face"], dim=1) - torch.diff(truth["face"], dim=1)) / spread
        loss = loss + 0.5 * change.abs().mean()
        figures["face_rms"] = float(((out["face"].detach() - truth["face"]) / spread)[..., 6:].pow(2).mean().sqrt())
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


def _known(index: Tensor) -> Tensor:
    """(M,) of those tokens (…) that are there."""
    return index[index != ABSENT]


def _perplexity(index: Tensor, codes: int) -> float:
    p = torch.bincount(index.reshape(-1), minlength=codes).float()
    p = p / p.sum()
    return float(torch.exp(-(p * torch.log(p.clamp_min(1e-9))).sum()))


@torch.no_grad()
def reconstruction(model: Tokenizer, corpus: Corpus) -> dict[str, float]:
    """Over whole clips: mean joint error under the pelvis's place and heading (mm), and level 0's perplexity.

    Where there are hands, ``hands_mpjpe_mm`` is the mean error of finger joints and tips from their wrist; the first joints, which
    the wrist carries, do not count. Where there are faces, ``jaw_degrees`` is the jaw's mean error and ``face_rms`` that of the
    expression, in the spread of the training data. ``error`` is what the best checkpoint is chosen by.
    """
    errors: dict[str, list[Tensor]] = {}
    tokens = []
    names = {p for parts in model.config.groups.values() for p in parts}
    device = next(model.parameters()).device
    for variant in corpus:
        frames = len(variant) // DOWN_RATE * DOWN_RATE
        if frames < 2 * DOWN_RATE:
            continue
        truth = {k: torch.from_numpy(v[None, :frames]).to(device) for k, v in variant.parts.items() if k in names}
        out, index, _ = model(truth)
        points, real = body_positions(out), body_positions(truth)
        points, real = points - points[:, :, :1], real - real[:, :, :1]
        errors.setdefault("mpjpe_mm", []).append(1000 * (points - real).norm(dim=-1).mean(-1)[0])
        if "hands" in out:
            off = finger_positions(out["hands"]) - finger_positions(truth["hands"])
            errors.setdefault("hands_mpjpe_mm", []).append(1000 * off.norm(dim=-1).mean(-1)[0])
        if "face" in out:
            turn = six_d_to_matrix(out["face"][0, :, :6]).mT @ six_d_to_matrix(truth["face"][0, :, :6])
            cosine = (turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
            errors.setdefault("jaw_degrees", []).append(torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))))
            off = (out["face"] - truth["face"])[0, :, 6:] / _spread(model, "face")[6:]
            errors.setdefault("face_rms", []).append(off.pow(2).mean(-1).sqrt())
        tokens.append(index[0])
    index = torch.cat(tokens)
    result = {name: float(torch.cat(found).mean()) for name, found in errors.items()}
    # a face that is off by all of its spread counts as a hand that is off by two centimetres
    result["error"] = result["mpjpe_mm"] + result.get("hands_mpjpe_mm", 0.0) + 20 * result.get("face_rms", 0.0)
    for g, name in enumerate(model.group_names):
        known = _known(index[:, g, 0])
        if len(known):
            result[f"perplexity_{name}"] = _perplexity(known, model.config.codes)
            result[f"used_{name}"] = float(len(torch.unique(known)) / model.config.codes)
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
    names = [p for parts in config.groups.values() for p in parts]

    def step() -> tuple[Tensor, dict[str, float]]:
        parts, valid = _windows(corpus, weights, frames, batch, generator, names)
        return _loss(model, {k: v.to(options.device) for k, v in parts.items()}, valid={k: v.to(options.device) for k, v in valid.items()})

    def validate(m: nn.Module) -> dict[str, float]:
        assert isinstance(m, Tokenizer)
        return reconstruction(m, validation)

    model.load_state_dict(train(model, step, options, validate, better="error"))
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
    names = [p for parts in model.config.groups.values() for p in parts]

    def step() -> tuple[Tensor, dict[str, float]]:
        parts, valid = _windows(corpus, weights, frames, batch, generator, names)
        there = {k: v.to(options.device) for k, v in valid.items()}
        return _loss(model, {k: v.to(options.device) for k, v in parts.items()}, 0.0, there)

    def validate(m: nn.Module) -> dict[str, float]:
        assert isinstance(m, Tokenizer)
        return reconstruction(m, validation)

    model.load_state_dict(train(model, step, options, validate, better="error"))
    return model.eval()
