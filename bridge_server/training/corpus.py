# SPDX-License-Identifier: Apache-2.0
"""Clips as feature arrays in memory: mirrored, at several tempi, ready to be cut into windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bridge_server.motion import features
from shared import rotations as rot
from shared.motion import Motion

from .clips import Clip, mirror_text, mirrored

__all__ = ["Corpus", "Variant", "build", "statistics"]


@dataclass
class Variant:
    """One clip as it is trained on.

    :ivar captions: (text, start, end), seconds of this variant.
    """

    clip: Clip
    parts: dict[str, np.ndarray]
    captions: list[tuple[str, float, float]]

    def __len__(self) -> int:
        return len(self.parts["lower"])


Corpus = list[Variant]


def _retimed(rotations: np.ndarray, translation: np.ndarray, tempo: float) -> tuple[np.ndarray, np.ndarray]:
    # played faster: recorded at 30 fps, read as if at 30 * tempo
    motion = Motion.from_body(30.0 * tempo, rotations, translation).resample(30.0)
    return motion.rotations[:, : rotations.shape[1]], motion.translation


def build(clips: list[Clip], *, mirror: bool = True, tempi: tuple[float, ...] = (1.0,)) -> Corpus:
    """Variants of every clip: at each tempo, as it is and mirrored (captions too)."""
    corpus: Corpus = []
    for clip in clips:
        for tempo in tempi:
            q, t = clip.rotations, clip.translation
            if tempo != 1.0:
                q, t = _retimed(q, t, tempo)
            captions = [(c["text"], c["start"] / tempo, c["end"] / tempo) for c in clip.captions]
            corpus.append(Variant(clip, features.encode(q, t).parts, captions))
            if mirror:
                mq, mt = mirrored(q, t)
                swapped = [(mirror_text(text), a, b) for text, a, b in captions]
                corpus.append(Variant(clip, features.encode(rot.continuous(mq), mt).parts, swapped))
    return corpus


def statistics(corpus: Corpus) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and spread of each part's features.

    One spread for all rotations of a part, so that a joint that hardly moves is not blown up to the
    size of one that does; contacts are left as they are.
    """
    result = {}
    for part in corpus[0].parts:
        x = np.concatenate([v.parts[part] for v in corpus])
        mean, std = x.mean(0), x.std(0)
        spread = std.copy()
        if part == "lower":
            spread[1:3] = std[1:3].mean()
            spread[4:10] = std[4:10].mean()
            spread[10:-4] = std[10:-4].mean()
            mean[-4:], spread[-4:] = 0.0, 1.0
        else:
            spread[:] = std.mean()
        result[part] = (mean.astype(np.float32), np.maximum(spread, 1e-3).astype(np.float32))
    return result
