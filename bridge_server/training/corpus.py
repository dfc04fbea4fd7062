# SPDX-License-Identifier: Apache-2.0
"""Clips as feature arrays in memory: mirrored, at several tempi, ready to be cut into windows."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

import numpy as np

from bridge_server.motion import features
from bridge_server.motion.features import PARTS
from shared import rotations as rot
from shared.motion import Motion

from .clips import Clip, mirror_text, mirrored

__all__ = ["Corpus", "Variant", "build", "parts_in", "statistics"]

_LEAST: Final = 0.05
"""Share of a corpus that has to have hands, or faces, for them to be learnt from it."""


@dataclass
class Variant:
    """One clip as it is trained on.

    :ivar parts: features (T, width) of the parts that it has: the body's two always, ``hands`` and ``face`` where they were captured.
    :ivar captions: (text, start, end), seconds of this variant.
    """

    clip: Clip
    parts: dict[str, np.ndarray]
    captions: list[tuple[str, float, float]]

    def __len__(self) -> int:
        return len(self.parts["lower"])


Corpus = list[Variant]


def _retimed(rotations: np.ndarray, translation: np.ndarray, tempo: float, expression: np.ndarray | None
             ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    # played faster: recorded at 30 fps, read as if at 30 * tempo
    motion = Motion.from_body(30.0 * tempo, rotations, translation, expression=expression).resample(30.0)
    return motion.rotations[:, : rotations.shape[1]], motion.translation, None if expression is None else motion.expression


def build(clips: list[Clip], *, mirror: bool = True, tempi: tuple[float, ...] = (1.0,), parts: Container[str] = PARTS) -> Corpus:
    """Variants of every clip: at each tempo, as it is and mirrored (captions too). What is mirrored has no face.

    :param parts: which to make; ``lower`` and ``upper`` are made always.
    """
    corpus: Corpus = []
    for clip in clips:
        hands, face = "hands" in parts and clip.has_hands, "face" in parts and clip.has_face
        for tempo in tempi:
            q, t = clip.joints if hands or face else clip.rotations, clip.translation
            expression = clip.expression if face else None
            if tempo != 1.0:
                q, t, expression = _retimed(q, t, tempo, expression)
            captions = [(c["text"], c["start"] / tempo, c["end"] / tempo) for c in clip.captions]
            corpus.append(Variant(clip, features.encode(q, t, hands=hands, expression=expression).parts, captions))
            if mirror:
                mq, mt = mirrored(q, t)
                swapped = [(mirror_text(text), a, b) for text, a, b in captions]
                corpus.append(Variant(clip, features.encode(rot.continuous(mq), mt, hands=hands).parts, swapped))
    return corpus


def parts_in(corpus: Corpus) -> tuple[str, ...]:
    """The parts that a tokenizer can learn from a corpus: the body's, and each other that a twentieth of its time has at least."""
    whole = sum(len(v) for v in corpus)
    share = {p: sum(len(v) for v in corpus if p in v.parts) / max(whole, 1) for p in PARTS}
    return tuple(p for p in PARTS if p in ("lower", "upper") or share[p] >= _LEAST)


def statistics(corpus: Corpus) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and spread of each part's features, over the clips that have it.

    One spread for all rotations of a part, so that a joint that hardly moves is not blown up to the
    size of one that does; contacts are left as they are.
    """
    result = {}
    for part in PARTS:
        having = [v.parts[part] for v in corpus if part in v.parts]
        if not having:
            continue
        x = np.concatenate(having)
        mean, std = x.mean(0), x.std(0)
        spread = std.copy()
        if part == "lower":
            spread[1:3] = std[1:3].mean()
            spread[4:10] = std[4:10].mean()
            spread[10:-4] = std[10:-4].mean()
            mean[-4:], spread[-4:] = 0.0, 1.0
        elif part == "face":
            # the jaw's and the expression's numbers have different units
            spread[:6], spread[6:] = std[:6].mean(), std[6:].mean()
        else:
            spread[:] = std.mean()
        result[part] = (mean.astype(np.float32), np.maximum(spread, 1e-3).astype(np.float32))
    return result
