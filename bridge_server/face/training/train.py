# SPDX-License-Identifier: Apache-2.0
"""Train the viseme recogniser: ``python -m bridge_server.face.training.train --work runs/viseme``.

Seeded and resumable: the run continues from ``checkpoint.pt`` in its folder; the samples of a step depend on the seed
and the step alone.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

from bridge_server.face.acoustics import MELS
from bridge_server.face.recogniser import FRAME, KERNEL, default_weights, normalise
from bridge_server.face.training.augment import (
    blur,
    noise_floor,
    other_tempo,
    other_tract,
)
from bridge_server.face.training.corpus import Corpus, build
from bridge_server.face.training.render import Rendered, render
from bridge_server.face.visemes import VISEMES

__all__ = ["VisemeNet", "batch", "export", "train"]

log = logging.getLogger(__name__)
WIDTH: Final = 168
BLOCKS: Final = 5
SECONDS: Final = 4.0
SAVE_EVERY = 250
"""Steps between checkpoints."""
_IGNORED: Final = 255
_SILENCE_WEIGHT: Final = 0.7
"""A mouth that moves in a pause is seen less than one that does not move in a word."""
_AVERAGED: Final = 0.998
"""Share of the weights' running mean that a step leaves; the mean is what is saved."""


class VisemeNet(nn.Module):
    """The network of :mod:`~bridge_server.face.recogniser`, for training."""

    def __init__(self, width: int = WIDTH, dropout: float = 0.1, blocks: int = BLOCKS) -> None:
        super().__init__()
        self.first = nn.Conv1d(MELS, width, KERNEL, stride=2, padding=KERNEL // 2)
        layers = [
            nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2 * d, dilation=d) for d in (2**k for k in range(blocks))
        ]
        self.blocks = nn.ModuleList(layers)
        self.last = nn.Conv1d(width, len(VISEMES), 1)
        self.dropout = nn.Dropout1d(dropout)
        for block in layers:  # a residual network that starts as the identity trains faster
            nn.init.normal_(block.weight, std=0.01)
            if block.bias is not None:
                nn.init.zeros_(block.bias)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """(B, N, 40) normalised features to (B, 15, ceil(N / 2)) logits."""
        h = self.first(mel.transpose(1, 2))
        for block in self.blocks:
            h = h + self.dropout(block(nn.functional.silu(h)))
        return self.last(nn.functional.silu(h))


_NAMES: Final = {"first": "in", "last": "out", "blocks": "block"}


def export(net: VisemeNet) -> dict[str, np.ndarray]:
    """The weights under the names of the recogniser, float16."""
    out = {}
    for name, tensor in net.state_dict().items():
        part, rest = name.split(".", 1)
        out[f"{_NAMES[part]}.{rest}"] = np.ascontiguousarray(tensor.numpy().astype(np.float16))
    return out


def batch(items: Rendered, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (B, 401, 40) and labels (B, 201) of one step; 255 marks rows past the end of an item."""
    rng = np.random.default_rng((seed, step))
    rows = int(SECONDS / FRAME) + 1
    features = np.zeros((size, 2 * rows - 1, MELS), np.float32)
    labels = np.full((size, rows), _IGNORED, np.int64)
    for b in range(size):
        mel, y = items.crop(int(rng.integers(len(items))), rng.random(), int(1.3 * rows))
        if rng.random() < 0.6:
            mel, y = other_tempo(mel, y, rng)
        mel, y = mel[: 2 * rows - 1], y[:rows]
        if rng.random() < 0.8:
            mel = other_tract(mel, rng)
        if rng.random() < 0.25:
            mel = blur(mel, rng)
        if rng.random() < 0.4:
            mel = noise_floor(mel, rng)
        features[b, : len(mel)] = normalise(mel)
        labels[b, : len(y)] = y
        for _ in range(int(rng.integers(0, 3))):  # SpecAugment (Park et al. 2019): bands and moments are missing
            low = int(rng.integers(0, MELS - 6))
            features[b, :, low : low + int(rng.integers(1, 7))] = 0
            at = int(rng.integers(0, 2 * rows - 20))
            features[b, at : at + int(rng.integers(1, 12))] = 0
    return torch.from_numpy(features), torch.from_numpy(labels)


def train(
    work: Path,
    *,
    minutes: float = 420.0,
    steps: int = 9000,
    size: int = 16,
    seed: int = 0,
    rate: float = 2e-3,
    warm: Path | None = None,
    more: Sequence[Path] = (),
    renderings: float = 2.0,
    bf16: bool = False,
) -> Path:
    """Train or continue; gives the path of the finished weights in ``work``.

    :param warm: weights to begin with instead of random ones; a checkpoint in ``work`` goes before.
    :param more: folders of further corpora.
    :param renderings: how often the corpus is heard anew, each time in other rooms.
    :param bf16: compute the network in bfloat16 where the processor does so faster; its weights stay float32.
    """
    torch.manual_seed(seed)
    corpora = [build(work / "corpus", minutes, seed), *(Corpus(folder) for folder in more)]
    hours = sum(c.hours for c in corpora)
    log.info("corpus: %d utterances, %.2f h", sum(len(c) for c in corpora), hours)
    items = render(work / "rendered", corpora, renderings * hours, seed)
    log.info("rendered: %d items", len(items))
    follow = items.bigram()
    net = VisemeNet()
    if warm is not None:
        _load(net, warm)
    mean = copy.deepcopy(net)
    weight = torch.ones(len(VISEMES))
    weight[0] = _SILENCE_WEIGHT
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    done, checkpoint, history = 0, work / "checkpoint.pt", []
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(state["net"])
        mean.load_state_dict(state["mean"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        done, history = state["step"], state["history"]
    net.train()
    began, seen, right, total = time.perf_counter(), 0, 0.0, 0.0
    for step in range(done, steps):
        features, labels = batch(items, seed, step, size)
        torch.manual_seed(seed * 1_000_003 + step)  # dropout too depends on seed and step alone
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = net(features)
        logits = logits.float()
        loss = nn.functional.cross_entropy(logits, labels, weight, ignore_index=_IGNORED, label_smoothing=0.05)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            keep = min(_AVERAGED, (step + 1) / (step + 10))
            for ours, theirs in zip(mean.parameters(), net.parameters(), strict=True):
                ours.lerp_(theirs, 1 - keep)
        known = labels != _IGNORED
        right += float((logits.argmax(1) == labels)[known].float().mean())
        total, seen = total + float(loss.detach()), seen + 1
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            log.info(
                "step %d loss %.3f accuracy %.3f %.2f s/step",
                step + 1,
                total / seen,
                right / seen,
                (time.perf_counter() - began) / seen,
            )
            history.append([step + 1, total / seen, right / seen])
            began, seen, right, total = time.perf_counter(), 0, 0.0, 0.0
            part = work / "checkpoint.part"
            torch.save(
                {
                    "net": net.state_dict(),
                    "mean": mean.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    "step": step + 1,
                    "history": history,
                },
                part,
            )
            part.replace(checkpoint)
            _save(
                mean,
                follow,
                work / "viseme.safetensors",
                {
                    "steps": str(step + 1),
                    "seed": str(seed),
                    "hours": f"{hours:.2f}",
                    "visemes": " ".join(VISEMES),
                },
            )
    return work / "viseme.safetensors"


def _load(net: VisemeNet, path: Path) -> None:
    """The inverse of :func:`export`."""
    from safetensors.numpy import load_file

    back = {ours: theirs for theirs, ours in _NAMES.items()}
    state = {}
    for name, array in load_file(path).items():
        if name == "follow":
            continue
        part, rest = name.split(".", 1)
        state[f"{back[part]}.{rest}"] = torch.from_numpy(array.astype(np.float32))
    net.load_state_dict(state)


def _save(net: VisemeNet, follow: np.ndarray, path: Path, metadata: dict[str, str]) -> None:
    from safetensors.numpy import save_file

    part = path.with_suffix(".part")
    save_file({**export(net), "follow": follow.astype(np.float16)}, part, metadata)
    part.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bridge_server.face.training.train", description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=Path("runs/viseme"), help="folder for corpus, checkpoint and result"
    )
    parser.add_argument("--minutes", type=float, default=420.0, help="minutes of speech to synthesise")
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--batch", type=int, default=16, help="crops of 4 s per step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--warm", type=Path, help="weights to begin with")
    parser.add_argument("--corpus", type=Path, action="append", default=[], help="folder of a further corpus")
    parser.add_argument("--renderings", type=float, default=2.0, help="how often the corpus is heard anew")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--install", action="store_true", help="copy the result to the starter weights")
    a = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(a.threads)
    path = train(
        a.work,
        minutes=a.minutes,
        steps=a.steps,
        size=a.batch,
        seed=a.seed,
        rate=a.rate,
        warm=a.warm,
        more=a.corpus,
        renderings=a.renderings,
        bf16=a.bf16,
    )
    if a.install:
        default_weights().parent.mkdir(parents=True, exist_ok=True)
        default_weights().write_bytes(path.read_bytes())
    print(json.dumps({"weights": str(default_weights() if a.install else path)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
