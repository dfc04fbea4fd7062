# SPDX-License-Identifier: Apache-2.0
"""The corpus as it would sound in rooms, on telephones and over music, as features: made once, read many times.

What is done to the sound costs five times as much as a step of the network, so every utterance is rendered a few times
to log mel rows; what can be done to the rows themselves (vocal tracts, tempo, noise floors) is done anew each step.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Final

import numpy as np

from bridge_server.face.acoustics import MELS, RATE, log_mel
from bridge_server.face.recogniser import FRAME
from bridge_server.face.training.augment import augment, degrade
from bridge_server.face.training.corpus import Corpus
from bridge_server.face.training.music import music, noises

__all__ = ["Rendered", "render"]

log = logging.getLogger(__name__)
_ITEM: Final = 10.0
"""Seconds of sound per item: several utterances with pauses between them, as in a long take."""
_STEP: Final = int(RATE * FRAME)


class Rendered:
    """Items on disk: ``mel.npy`` (N, 40) float16 every 10 ms, ``labels.npy`` (N / 2,) uint8, ``items.json``."""

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "items.json").read_text(encoding="utf-8"))
        self._mel = np.load(folder / "mel.npy", mmap_mode="r")
        self._labels = np.load(folder / "labels.npy")
        self._starts = index["starts"]

    def __len__(self) -> int:
        return len(self._starts) - 1

    def crop(self, n: int, place: float, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Log mel (<= 2 * rows - 1, 40) float32 and labels (<= rows,) of item ``n``; ``place`` in [0, 1) is where."""
        first, last = self._starts[n], self._starts[n + 1]
        first += int(place * max(1, last - first - rows + 1))
        last = min(last, first + rows)
        return self._mel[2 * first : 2 * last - 1].astype(np.float32), self._labels[first:last]

    def bigram(self) -> np.ndarray:
        """(15, 15) probability that viseme ``j`` follows ``i``, over changes; rows sum to 1, the diagonal is 0."""
        counts = np.full((15, 15), 1.0)
        for first, last in zip(self._starts[:-1], self._starts[1:], strict=True):
            y = self._labels[first:last].astype(int)
            change = np.flatnonzero(y[1:] != y[:-1])
            np.add.at(counts, (y[change], y[change + 1]), 1)
        np.fill_diagonal(counts, 0)
        return counts / counts.sum(axis=1, keepdims=True)


def _item(corpora: list[Corpus], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Samples (N,) and labels (M,) of one item before its augmentation, label ``k`` at ``k * FRAME``."""
    shares = np.array([c.hours for c in corpora])

    def draw() -> tuple[np.ndarray, np.ndarray]:
        corpus = corpora[int(rng.choice(len(corpora), p=shares / shares.sum()))]
        return corpus.get(int(rng.integers(len(corpus))))

    kind = rng.random()
    if kind < 0.07:
        seconds = rng.uniform(3, _ITEM)
        x = music(seconds, rng) if kind < 0.045 else noises(seconds, rng)
        return x * rng.uniform(0.2, 1.0), np.zeros(len(x) // _STEP + 1, np.uint8)
    parts, labels, seconds = [], [], 0.0
    while seconds < _ITEM * rng.uniform(0.5, 1.0):
        x, y = draw()
        whole = (len(y) - 1) * _STEP
        gap = int(rng.uniform(0.05, 1.2) / FRAME)
        parts += [x[:whole] * rng.uniform(0.5, 1.0), np.zeros(gap * _STEP, np.float32)]
        labels += [y[:-1], np.zeros(gap, np.uint8)]
        seconds += whole / RATE + gap * FRAME
    x, y = np.concatenate(parts), np.concatenate([*labels, np.zeros(1, np.uint8)])
    if kind < 0.17:  # music under the voice
        bed = music(len(x) / RATE + 0.1, rng)[: len(x)]
        x = x + bed * (x.std() / (bed.std() + 1e-9) * 10 ** (-rng.uniform(6, 25) / 20))
    return x.astype(np.float32), y


def render(folder: Path, corpora: list[Corpus], hours: float, seed: int = 0) -> Rendered:
    """Render ``hours`` of items, or take what is there. An item depends on the seed and its number alone."""
    if (folder / "items.json").is_file():
        return Rendered(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mels: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    starts = [0]
    while starts[-1] * FRAME < hours * 3600:
        rng = np.random.default_rng((seed, len(starts)))
        x, y = _item(corpora, rng)
        other, _ = corpora[0].get(int(rng.integers(len(corpora[0]))))
        x, stretch = augment(x, rng, other)
        if rng.random() < 0.2:
            x = degrade(x, rng)
        mel = log_mel(x)
        rows = (len(mel) + 1) // 2
        source = np.minimum(np.round(np.arange(rows) / stretch).astype(int), len(y) - 1)
        mel = np.pad(mel, ((0, 2 * rows - len(mel)), (0, 0)), mode="edge")
        mels.append(mel.astype(np.float16))
        labels.append(y[source])
        starts.append(starts[-1] + rows)
        if len(starts) % 500 == 0:
            log.info("rendered %.2f h", starts[-1] * FRAME / 3600)
    np.save(folder / "mel.npy", np.concatenate(mels).reshape(-1, MELS))
    np.save(folder / "labels.npy", np.concatenate(labels))
    (folder / "items.json").write_text(json.dumps({"starts": starts}), encoding="utf-8")
    return Rendered(folder)
