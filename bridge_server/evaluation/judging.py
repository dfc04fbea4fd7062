# SPDX-License-Identifier: Apache-2.0
"""Rows of the table: bodies and their captions to figures, repeat by repeat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch

from bridge_server.motion import features
from bridge_server.motion.tokenizer import ABSENT, DOWN_RATE, Tokenizer

from .evaluator import local_joints
from .evaluator_training import TrainedEvaluator
from .items import Body, Item, carried
from .metrics import (
    POOL,
    code_perplexity,
    code_usage,
    diversity,
    frechet_distance,
    frechet_distance_unbiased,
    mm_distance,
    mpjpe,
    r_precision,
)
from .physics import Tally, tally

__all__ = ["Judge", "Row", "reconstruct"]

_NORMAL_95: Final = 1.96


@dataclass
class Row:
    """Figures of one row: means over the repeats, and half the width of their 95 % interval.

    :ivar by_set: physics and R-precision of each motion set by itself.
    """

    name: str
    mean: dict[str, float]
    interval: dict[str, float] = field(default_factory=dict)
    by_set: dict[str, dict[str, float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""

        def rounded(values: dict[str, float]) -> dict[str, float]:
            return {k: round(float(v), 5) for k, v in values.items()}

        return {
            "mean": rounded(self.mean),
            "interval_95": rounded(self.interval),
            "by_set": {k: rounded(v) for k, v in self.by_set.items()},
            **({"facts": self.facts} if self.facts else {}),
        }


class Judge:
    """Measures rows against the same items.

    :param items: the held-out items. :param repeats: how often everything is asked, each time with the next caption of
    each clip.
    """

    def __init__(self, trained: TrainedEvaluator, items: list[Item], repeats: int) -> None:
        self.trained, self.items, self.repeats = trained, items, repeats
        self.texts = [[i.caption(r) for i in items] for r in range(repeats)]
        self.text_vectors = [trained.embed_texts(t) for t in self.texts]
        self.carried = [carried(items, t) for t in self.texts]
        self.real = trained.net.embed([i.body for i in items])
        self.pool = min(POOL, len(items))
        self.sources = sorted({i.source for i in items})

    def chance(self) -> np.ndarray:
        """R-precision (3,) of motions that know nothing of the descriptions."""
        g = np.random.default_rng(11)
        noise = g.standard_normal(self.real.shape)
        return np.mean(
            [
                r_precision(noise, g.standard_normal(t.shape), c, g, pool=self.pool)
                for t, c in zip(self.text_vectors, self.carried, strict=True)
            ],
            axis=0,
        )

    def row(self, name: str, repeats: list[list[Body]], *, fid: bool = True, **facts: Any) -> Row:
        """Figures of ``repeats`` lists of bodies, one body an item.

        :param fid: leave it out for the real data themselves, whose distance to themselves is zero.
        """
        found: list[dict[str, float]] = []
        sums = {s: Tally() for s in self.sources}
        within: dict[str, list[float]] = {s: [] for s in self.sources}
        for r, bodies in enumerate(repeats):
            vectors = self.trained.net.embed(bodies)
            g = np.random.default_rng(r)
            top = r_precision(vectors, self.text_vectors[r], self.carried[r], g, pool=self.pool)
            own = {s: Tally() for s in self.sources}
            for item, body in zip(self.items, bodies, strict=True):
                own[item.source] = own[item.source] + tally(*body)
            for s in self.sources:
                sums[s] = sums[s] + own[s]
                index = np.array([k for k, i in enumerate(self.items) if i.source == s])
                if len(index) >= self.pool:
                    within[s].append(
                        float(
                            r_precision(
                                vectors[index],
                                self.text_vectors[r][index],
                                self.carried[r][np.ix_(index, index)],
                                g,
                                pool=self.pool,
                            )[2]
                        )
                    )
            values = {f"r_precision_{k + 1}": float(v) for k, v in enumerate(top)}
            if fid:
                values["fid"] = frechet_distance(vectors, self.real)
                values["fid_infinite"] = frechet_distance_unbiased(vectors, self.real, np.random.default_rng(50 + r))
            values |= {"mm_distance": mm_distance(vectors, self.text_vectors[r]), "diversity": diversity(vectors, g)}
            values |= sum(own.values(), Tally()).figures()
            found.append(values)
        keys = list(found[0])
        mean = {k: float(np.mean([f[k] for f in found])) for k in keys}
        interval = {}
        if len(found) > 1:
            interval = {
                k: float(_NORMAL_95 * np.std([f[k] for f in found], ddof=1) / np.sqrt(len(found))) for k in keys
            }
        by_set = {
            s: sums[s].figures() | ({"r_precision_3_within": float(np.mean(within[s]))} if within[s] else {})
            for s in self.sources
        }
        return Row(name, mean, interval, by_set, facts)


@torch.no_grad()
def reconstruct(tokenizer: Tokenizer, items: list[Item]) -> tuple[list[Body], dict[str, float]]:
    """Bodies of the items through the tokenizer and back, and its figures.

    ``mpjpe_mm`` looks at joints from the pelvis and its heading, frame by frame; ``mpjpe_world_mm`` from the pelvis
    alone, so that the heading, which is added up from decoded turns, counts with its drift. Items are cut to whole
    tokens. Means are over frames.
    """
    bodies: list[Body] = []
    tokens, errors, drifted, counts = [], [], [], []
    for item in items:
        frames = len(item) // DOWN_RATE * DOWN_RATE
        q, t = item.rotations[:frames], item.translation[:frames]
        parts = {k: torch.from_numpy(v[None]) for k, v in features.encode(q, t).parts.items()}
        index = tokenizer.encode(parts)[0]
        yaw = float(features.heading_of(q[:, 0])[0])
        made, path, _ = features.decode(tokenizer.decode_features(index), yaw, (float(t[0, 0]), float(t[0, 2])))
        bodies.append((made, path))
        tokens.append(index.numpy())
        (local, world), (local_true, world_true) = local_joints(made, path), local_joints(q, t)
        errors.append(mpjpe(local, local_true))
        drifted.append(mpjpe(world, world_true))
        counts.append(frames)
    used = np.concatenate(tokens)
    figures = {
        "mpjpe_mm": float(np.average(errors, weights=counts)),
        "mpjpe_world_mm": float(np.average(drifted, weights=counts)),
    }
    codes = tokenizer.config.codes
    for g, name in enumerate(tokenizer.group_names):
        if (used[:, g] == ABSENT).any():
            continue  # hands and faces, which the items do not have
        for level in range(used.shape[2]):
            figures[f"usage_{name}_{level}"] = code_usage(used[:, g, level], codes)
            figures[f"perplexity_{name}_{level}"] = code_perplexity(used[:, g, level], codes)
    return bodies, figures
