# SPDX-License-Identifier: Apache-2.0
"""Token sequences to train the branches on.

Real clips are short and rarely go from one action to another. So sequences are stitched: pieces of
clips joined by a cross-fade of their features, at the place where the poses fit best. Because the
features hold speeds and not places, the path and heading stay whole. Some sequences take
the upper body from another one, with its own directions, which teaches that parts can be directed apart.

Hands and faces are there for some clips only. Where they are missing the nearest frames that are there are held, so that
the tokens beside the gap are not disturbed, and the tokens of the gap itself are marked as absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from bridge_server.motion.conditions import IDLE_SENTENCE, SPEECH_SENTENCE, Conditions
from bridge_server.motion.features import PART_WIDTHS, PARTS
from bridge_server.motion.scheduling import NEVER
from bridge_server.motion.tokenizer import ABSENT, DOWN_RATE, Tokenizer
from bridge_server.text.encoder import TextEncoder

from .captions import paraphrases
from .corpus import Corpus, Variant

__all__ = ["LENGTH", "TokenSet", "TextTable", "content_weights", "stitch"]

LENGTH: Final = 72
"""Tokens of a training window: 9.6 s."""
_FADE: Final = 14
_FPS: Final = 30.0


class TextTable:
    """Captions and the embeddings of their paraphrases."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._index: dict[str, int] = {}
        self.embeddings: list[torch.Tensor] = []

    def add(self, text: str) -> int:
        """Number of a caption."""
        if text not in self._index:
            self._index[text] = len(self.texts)
            self.texts.append(text)
        return self._index[text]

    def embed(self, encoder: TextEncoder) -> None:
        """Compute (variants, width) for every caption."""
        for text in self.texts[len(self.embeddings):]:
            self.embeddings.append(torch.from_numpy(encoder.encode(paraphrases(text))))

    def draw(self, ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """(…, width) embeddings of caption numbers (…), one paraphrase a caption and call; -1 gives zeros."""
        width = self.embeddings[0].shape[1]
        rows = torch.zeros(len(self.texts) + 1, width)
        for i in torch.unique(ids).tolist():
            if i >= 0:
                options = self.embeddings[i]
                # half of the time the caption as it was written
                pick = 0 if torch.rand((), generator=generator) < 0.4 else int(torch.randint(len(options), (), generator=generator))
                rows[i] = options[pick]
        return rows[ids]


@dataclass
class TokenSet:
    """Sequences ready for training.

    :ivar tokens: (S, N, G, L) int16, :data:`~bridge_server.motion.tokenizer.ABSENT` where a clip lacks a group.
    :ivar captions: (S, N, G, K) int16, caption numbers of the direction over each token, -1 where fewer than K.
    :ivar since: (S, N, G) float32 seconds, and ``until``.
    :ivar audio: (S, 8 N, width) float16, or None.
    """

    tokens: torch.Tensor
    captions: torch.Tensor
    since: torch.Tensor
    until: torch.Tensor
    table: TextTable
    audio: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def conditions(self, rows: torch.Tensor, generator: torch.Generator, drop_all: float = 0.1, drop_phase: float = 0.15) -> Conditions:
        """Conditions of a batch of sequences, with a random one of each token's captions."""
        ids = self.captions[rows].long()
        column = torch.randint(ids.shape[-1], (len(rows), 1, 1, 1), generator=generator).expand(*ids.shape[:3], 1)
        chosen = ids.gather(-1, column)[..., 0]
        chosen = torch.where(chosen < 0, ids[..., 0], chosen)
        text = self.table.draw(chosen, generator)
        given = (chosen >= 0) & (torch.rand(len(rows), 1, 1, generator=generator) >= drop_all)
        # some strips lose their phase, so that a direction also works where its end is far or unknown
        hidden = torch.rand(len(rows), 1, 1, generator=generator) < drop_phase
        since = torch.where(hidden, torch.full_like(self.since[rows], 8.0), self.since[rows])
        until = torch.where(hidden, torch.full_like(self.until[rows], 8.0), self.until[rows])
        return Conditions(text, since, until, given)


def content_weights(corpus: Corpus, power: float = 0.45) -> np.ndarray:
    """Chance of each variant: contents are drawn by their minutes to a power below one, so that rare actions are seen."""
    seconds: dict[str, float] = {}
    for v in corpus:
        seconds[v.clip.captions[0]["text"]] = seconds.get(v.clip.captions[0]["text"], 0.0) + len(v) / _FPS
    weights = np.array([len(v) / _FPS / seconds[v.clip.captions[0]["text"]] * seconds[v.clip.captions[0]["text"]] ** power
                        for v in corpus])
    return weights / weights.sum()


@dataclass
class _Sequence:
    """:ivar missing: (T,) bool of a part that some of the clips lack."""

    parts: dict[str, np.ndarray]
    captions: np.ndarray
    since: np.ndarray
    until: np.ndarray
    missing: dict[str, np.ndarray]


def _caption_ids(variant: Variant, table: TextTable, most: int) -> np.ndarray:
    ids = [table.add(text) for text, _, _ in variant.captions][:most]
    return np.array(ids + [-1] * (most - len(ids)), dtype=np.int16)


def stitch(corpus: Corpus, weights: np.ndarray, frames: int, table: TextTable, generator: np.random.Generator, most: int = 4) -> _Sequence:
    """One sequence of ``frames`` frames with its labels a frame."""
    pieces: list[dict[str, np.ndarray]] = []
    labels: list[tuple[int, int, np.ndarray]] = []
    total = 0
    while total < frames + _FADE:
        v = corpus[int(generator.choice(len(corpus), p=weights))]
        n = len(v)
        if n < 2 * _FADE + 4:
            continue
        start, stop = 0, n
        if n > 240 or generator.random() < 0.25:
            length = int(generator.integers(min(60, n), min(n, 300) + 1))
            start = int(generator.integers(0, n - length + 1))
            stop = start + length
        if pieces and n - (stop - start) > 0:
            start = _best_start(pieces[-1], v.parts, start, max(0, start - 45), min(stop - 2 * _FADE, start + 45))
        piece = {name: x[start:stop] for name, x in v.parts.items()}
        length = stop - start
        if length < 2 * _FADE + 2:
            continue
        begin = total - (_FADE if pieces else 0)
        labels.append((begin, begin + length, _caption_ids(v, table, most)))
        pieces.append(piece)
        total = begin + length
    ids = np.empty((frames + _FADE, most), np.int16)
    since, until = np.zeros(frames + _FADE, np.float32), np.zeros(frames + _FADE, np.float32)
    for begin, end, captions in labels:
        span = slice(begin + (_FADE // 2 if begin else 0), min(end, frames + _FADE))
        t = np.arange(span.start, span.stop)
        ids[span], since[span], until[span] = captions, (t - begin) / _FPS, (end - t) / _FPS
    parts, missing = {}, {}
    for name in PARTS:
        having = [name in p for p in pieces]
        if all(having):
            parts[name] = _join([p[name] for p in pieces])[:frames]
        elif any(having):
            parts[name], missing[name] = _bridged(pieces, labels, name, frames)
    return _Sequence(parts, ids[:frames], since[:frames], until[:frames], missing)


def _bridged(pieces: list[dict[str, np.ndarray]], labels: list[tuple[int, int, np.ndarray]], name: str, frames: int
             ) -> tuple[np.ndarray, np.ndarray]:
    """A part that only some pieces have, the others bridged by what lies nearest; (frames, width) and (frames,) where it is missing."""
    total = labels[-1][1]
    x, there = np.zeros((total, PART_WIDTHS[name]), np.float32), np.zeros(total, bool)
    for piece, (begin, end, _) in zip(pieces, labels, strict=True):
        if name in piece:
            both = min(_FADE, end - begin) if begin and there[begin:begin + _FADE].all() else 0
            joined = _join([x[begin:begin + both], piece[name]]) if both else piece[name]
            x[begin:end], there[begin:end] = joined, True
    known = np.flatnonzero(there)
    after = np.minimum(np.searchsorted(known, np.arange(total)), len(known) - 1)
    before = np.maximum(after - 1, 0)
    at = np.arange(total)
    nearest = np.where(np.abs(known[before] - at) <= np.abs(known[after] - at), known[before], known[after])
    return np.where(there[:, None], x, x[nearest])[:frames], ~there[:frames]


def _best_start(before: dict[str, np.ndarray], parts: dict[str, np.ndarray], fallback: int, low: int, high: int) -> int:
    """Where in the next clip the pose and speed are nearest to those at the end of the last piece."""
    if high <= low:
        return fallback
    candidates = np.arange(low, high, 3)
    distance = sum(np.abs(parts[name][candidates] - before[name][-_FADE]).mean(1) for name in ("lower", "upper"))
    return int(candidates[int(np.argmin(distance))])


def _join(pieces: list[np.ndarray]) -> np.ndarray:
    out = pieces[0]
    w = ((np.arange(_FADE) + 1) / (_FADE + 1)).astype(np.float32)[:, None]
    w = w * w * (3 - 2 * w)
    for piece in pieces[1:]:
        middle = (1 - w) * out[-_FADE:] + w * piece[:_FADE]
        out = np.concatenate((out[:-_FADE], middle, piece[_FADE:]))
    return out


def _absent(sequence: _Sequence, name: str, length: int) -> np.ndarray:
    """(length,) bool: tokens of a part that a sequence does not have, or has not all frames of."""
    if name not in sequence.parts:
        return np.ones(length, bool)
    if name not in sequence.missing:
        return np.zeros(length, bool)
    absent: np.ndarray = sequence.missing[name][: length * DOWN_RATE].reshape(length, DOWN_RATE).any(1)
    return absent


def _labels(sequence: _Sequence, group: str, centre: np.ndarray, speech: int, idle: int
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Captions (N, K), since and until (N,) of a group. A face is never directed: it speaks or it idles, as at performance."""
    captions, since, until = sequence.captions[centre], sequence.since[centre], sequence.until[centre]
    if group == "face":
        own = np.full_like(captions, -1)
        own[:, 0] = np.where((captions == speech).any(1), speech, idle)
        return own, np.full_like(since, NEVER), np.full_like(until, NEVER)
    return captions, since, until


def build_text_set(
    corpus: Corpus, tokenizer: Tokenizer, count: int, table: TextTable, seed: int, recombine: float = 0.25, length: int = LENGTH
) -> TokenSet:
    """``count`` stitched sequences as tokens. Groups must be parts, ``lower`` and ``upper`` among them, or one ``body`` group.

    Hands and face go with the upper body where that comes from another sequence.
    """
    generator = np.random.default_rng(seed)
    weights = content_weights(corpus)
    frames = length * DOWN_RATE
    names = tokenizer.group_names
    tokens: list[torch.Tensor] = []
    captions: list[np.ndarray] = []
    since: list[np.ndarray] = []
    until: list[np.ndarray] = []
    batch: list[tuple[dict[str, np.ndarray], np.ndarray]] = []
    speech, idle = (table.add(SPEECH_SENTENCE), table.add(IDLE_SENTENCE)) if "face" in names else (-1, -1)

    def flush() -> None:
        if not batch:
            return
        parts = {}
        for name in {name for one, _ in batch for name in one}:
            blank = np.zeros((frames, PART_WIDTHS[name]), np.float32)
            parts[name] = torch.from_numpy(np.stack([one.get(name, blank) for one, _ in batch]))
        absent = torch.from_numpy(np.stack([gone for _, gone in batch]))
        tokens.append(tokenizer.encode(parts).cpu().masked_fill(absent[..., None], ABSENT).to(torch.int16))
        batch.clear()

    centre = np.arange(length) * DOWN_RATE + DOWN_RATE // 2
    for _ in range(count):
        a = stitch(corpus, weights, frames, table, generator)
        sources = [a] * len(names)
        if len(names) > 1 and generator.random() < recombine:
            b = stitch(corpus, weights, frames, table, generator)
            sources = [a if name == "lower" else b for name in names]
        if names == ["body"]:
            parts, absent = a.parts, np.zeros((length, 1), bool)
        else:
            parts = {name: s.parts[name] for name, s in zip(names, sources, strict=True) if name in s.parts}
            absent = np.stack([_absent(s, name, length) for name, s in zip(names, sources, strict=True)], 1)
        batch.append((parts, absent))
        labels = [_labels(s, name, centre, speech, idle) for name, s in zip(names, sources, strict=True)]
        for column, into in zip(zip(*labels, strict=True), (captions, since, until), strict=True):
            into.append(np.stack(column, 1))
        if len(batch) == 64:
            flush()
    flush()
    return TokenSet(torch.cat(tokens), torch.from_numpy(np.stack(captions)), torch.from_numpy(np.stack(since)),
                    torch.from_numpy(np.stack(until)), table)
