# SPDX-License-Identifier: Apache-2.0
"""Training of the judge, on training splits alone, seeded, in about ten minutes of one core."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from bridge_server.text.encoder import TextEncoder, load_text_encoder
from bridge_server.training.captions import paraphrases
from bridge_server.training.clips import mirror_text, read_set
from shared.errors import UnderstudyError

from .evaluator import Evaluator, EvaluatorConfig, GestureCoder, gesture_windows, mirror_features, motion_features
from .items import Body, Item, cut, read_items, thin
from .metrics import r_precision

__all__ = ["EvaluatorOptions", "TrainedEvaluator", "info_nce", "load_or_train"]

_LENGTHS: Final = (64, 96, 128, 192, 256, 304)
_SAME_MEANING: Final = 0.85
"""Cosine of two sentences above which they are not each other's negatives (TMR: 0.8)."""


@dataclass(frozen=True)
class EvaluatorOptions:
    """Everything that the result depends on, besides the data. :ivar limit: training items at most, 0 for all."""

    seed: int = 0
    limit: int = 0
    steps: int = 900
    batch: int = 96
    rate: float = 8e-4
    gesture_steps: int = 500
    version: int = 1


@dataclass
class TrainedEvaluator:
    """The networks, the sentence encoder, and what they were trained on."""

    net: Evaluator
    gestures: GestureCoder
    encoder: TextEncoder
    facts: dict[str, Any]

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """(N, embedding); each sentence is encoded once."""
        unique = list(dict.fromkeys(texts))
        rows = self.net.embed_text(self.encoder.encode(unique))
        return rows[[unique.index(t) for t in texts]]


def info_nce(motion: Tensor, text: Tensor, scale: Tensor, ignore: Tensor) -> Tensor:
    """Symmetric InfoNCE of unit vectors (B, D); pairs in ``ignore`` (B, B) are no negatives (their diagonal is
    False)."""
    logits = (scale.exp() * motion @ text.T).masked_fill(ignore, -1e4)
    target = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


class _Sentences:
    """Embeddings of every caption's paraphrases."""

    def __init__(self, texts: set[str], encoder: TextEncoder) -> None:
        self.rows: dict[str, np.ndarray] = {}
        ordered = sorted(texts)
        phrases = [paraphrases(t) for t in ordered]
        flat = encoder.encode([p for ps in phrases for p in ps])
        edges = np.cumsum([0, *(len(p) for p in phrases)])
        self.rows = {t: flat[a:b] for t, a, b in zip(ordered, edges[:-1], edges[1:], strict=True)}

    def draw(self, text: str, generator: np.random.Generator) -> np.ndarray:
        rows = self.rows[text]
        # half of the time the caption as it was written, which is what is asked at measuring
        row: np.ndarray = rows[0 if generator.random() < 0.5 else int(generator.integers(len(rows)))]
        return row


def _weights(items: list[Item], power: float = 0.5) -> np.ndarray:
    """Chance of each item: contents by their number to a power, so that one does not outweigh the rest."""
    counts = Counter((i.source, i.captions[0]) for i in items)
    w = np.array([counts[i.source, i.captions[0]] ** (power - 1) for i in items])
    return w / w.sum()


def _batch(
    items: list[Item],
    features: list[np.ndarray],
    weights: np.ndarray,
    sentences: _Sentences,
    size: int,
    generator: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    length = int(generator.choice(_LENGTHS))
    rows, lengths, texts, carried, asked = [], [], [], [], []
    for n in generator.choice(len(items), size, replace=len(items) < size, p=weights):
        x = features[n]
        if len(x) > length:
            a = int(generator.integers(0, len(x) - length + 1))
            x = x[a : a + length]
        flip = bool(generator.random() < 0.5)
        captions = [mirror_text(c) for c in items[n].captions] if flip else list(items[n].captions)
        text = captions[int(generator.integers(len(captions)))]
        rows.append(np.pad(mirror_features(x) if flip else x, ((0, length - len(x)), (0, 0))))
        lengths.append(len(x))
        texts.append(sentences.draw(text, generator))
        carried.append(set(captions))
        asked.append(text)
    same = np.array([[t in c for t in asked] for c in carried])
    vectors = np.stack(texts)
    ignore = (same | (vectors @ vectors.T > _SAME_MEANING)) & ~np.eye(size, dtype=bool)
    return torch.from_numpy(np.stack(rows)), torch.tensor(lengths), torch.from_numpy(vectors), torch.from_numpy(ignore)


def _validate(net: Evaluator, items: list[Item], bodies: list[Body], encoder: TextEncoder) -> float:
    texts = [i.caption(0) for i in items]
    carried = np.array([[t in i.captions for t in texts] for i in items])
    pool = min(32, len(items))
    scores = r_precision(
        net.embed(bodies), net.embed_text(encoder.encode(texts)), carried, np.random.default_rng(0), pool=pool, rounds=4
    )
    return float(scores[2])


def _train_net(
    training: list[Item], validation: list[Item], encoder: TextEncoder, options: EvaluatorOptions, device: str
) -> tuple[Evaluator, float]:
    torch.manual_seed(options.seed)
    generator = np.random.default_rng(options.seed)
    net = Evaluator(EvaluatorConfig(text_width=encoder.width)).to(device)
    features = [motion_features(*i.body) for i in tqdm(training, desc="evaluator: features", leave=False)]
    weights = _weights(training)
    some = np.concatenate(
        [features[n][::4] for n in generator.choice(len(features), min(400, len(features)), replace=False, p=weights)]
    )
    net.mean.copy_(torch.from_numpy(some.mean(0)))
    net.std.copy_(torch.from_numpy(np.maximum(some.std(0), 0.02)))
    texts = {c for i in training for c in i.captions}
    sentences = _Sentences(texts | {mirror_text(t) for t in texts}, encoder)
    optimiser = torch.optim.AdamW(net.parameters(), options.rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, options.rate, total_steps=max(options.steps, 2), pct_start=0.1
    )
    best, state, bodies = -1.0, net.state_dict(), [i.body for i in validation]
    progress = tqdm(range(1, options.steps + 1), desc="evaluator")
    for step in progress:
        net.train()
        x, lengths, vectors, ignore = (
            t.to(device) for t in _batch(training, features, weights, sentences, options.batch, generator)
        )
        loss = info_nce(net.motion(x, lengths), net.text(vectors), net.scale.clamp(max=4.0), ignore)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == options.steps:
            score = _validate(net, validation, bodies, encoder) if validation else 0.0
            progress.set_postfix(loss=f"{float(loss.detach()):.3f}", r3=f"{score:.3f}")
            if score >= best:
                best, state = score, {k: v.clone() for k, v in net.state_dict().items()}
    net.load_state_dict(state)
    return net.eval(), best


def _train_gestures(bodies: list[Body], options: EvaluatorOptions, device: str) -> GestureCoder:
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    coder = GestureCoder().to(device)
    windows = torch.from_numpy(gesture_windows(bodies)).to(device)
    if not len(windows):
        return coder.eval()
    flat = windows.flatten(0, 1)
    coder.mean.copy_(flat.mean(0))
    coder.std.copy_(flat.std(0).mean().clamp(min=0.01).expand_as(coder.std))
    optimiser = torch.optim.AdamW(coder.parameters(), 1e-3)
    for _ in tqdm(range(options.gesture_steps), desc="gesture coder"):
        rows = torch.randint(len(windows), (128,), generator=generator).to(device)
        loss = coder(windows[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return coder.eval()


def _gesture_bodies(data: Path, sets: list[str], speech: Path | None) -> list[Body]:
    """Training motion for FGD: the gesture sets, and the synthesized performances where there are any."""
    folders = [data / s for s in sets if s in ("free_extra", "gesture_notation")]
    if speech is not None:
        folders.append(speech)
    return [item.body for folder in folders for clip in read_set(folder, ("train",)) for item in cut(clip)]


def _key(*what: object, folders: list[Path]) -> str:
    """Names a training by everything that it depends on."""
    digest = hashlib.sha256(repr(what).encode())
    for folder in folders:
        digest.update(folder.name.encode() + (folder / "clips.json").read_bytes())
    return digest.hexdigest()[:16]


def _save(path: Path, **content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    torch.save(content, temporary)
    temporary.replace(path)


def _judge(
    folder: Path, data: Path, sets: list[str], options: EvaluatorOptions, encoder: TextEncoder, device: str
) -> tuple[Evaluator, dict[str, Any]]:
    key = _key(
        "judge",
        options.version,
        options.seed,
        options.limit,
        options.steps,
        options.batch,
        options.rate,
        encoder.digest,
        EvaluatorConfig(),
        folders=[data / s for s in sets],
    )
    path = folder / f"judge-{key}.pt"
    if path.is_file():
        saved = torch.load(path, weights_only=True, map_location=device)
        net = Evaluator(EvaluatorConfig(**saved["config"])).to(device)
        net.load_state_dict(saved["net"])
        return net.eval(), json.loads(saved["facts"])
    training, validation = (thin(read_items(data, sets, split), options.limit) for split in ("train", "val"))
    if not training:
        raise UnderstudyError(
            "file_missing",
            f"The motion sets in {data} have no training clips for the evaluator.",
            "Name the folder that holds the motion sets with --data.",
        )
    net, best = _train_net(training, validation, encoder, options, device)
    facts = {
        "sets": sets,
        "clips": len(training),
        "minutes": round(sum(i.seconds for i in training) / 60, 1),
        "seed": options.seed,
        "steps": options.steps,
        "validation_r3": round(best, 3),
        "parameters": sum(p.numel() for p in net.parameters()),
    }
    _save(path, config=net.config.to_json(), net=net.state_dict(), facts=json.dumps(facts))
    return net, facts


def _gesture_coder(
    folder: Path, data: Path, sets: list[str], speech: Path | None, options: EvaluatorOptions, device: str
) -> GestureCoder:
    sources = [*(data / s for s in sets), *([speech] if speech else [])]
    path = (
        folder
        / f"gestures-{_key('gestures', options.version, options.seed, options.gesture_steps, folders=sources)}.pt"
    )
    if path.is_file():
        coder = GestureCoder().to(device)
        coder.load_state_dict(torch.load(path, weights_only=True, map_location=device)["net"])
        return coder.eval()
    coder = _train_gestures(_gesture_bodies(data, sets, speech), options, device)
    _save(path, net=coder.state_dict())
    return coder


def load_or_train(
    folder: Path,
    data: Path,
    sets: list[str],
    speech: Path | None,
    options: EvaluatorOptions = EvaluatorOptions(),
    device: str = "cpu",
) -> TrainedEvaluator:
    """The judge of these sets' training splits, from ``folder`` when it was trained there before with the same data and
    options.

    :param sets: names of motion sets in ``data``. :param speech: folder of synthesized performances, or None.
    :raises UnderstudyError: ``file_missing`` without training clips.
    """
    encoder = load_text_encoder("minilm", None, device)
    net, facts = _judge(folder, data, sets, options, encoder, device)
    return TrainedEvaluator(net, _gesture_coder(folder, data, sets, speech, options, device), encoder, facts)
