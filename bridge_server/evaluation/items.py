# SPDX-License-Identifier: Apache-2.0
"""What is measured: held-out clips with their captions, and what a baseline gives instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.text.encoder import TextEncoder
from bridge_server.training.clips import Clip, read_sets
from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.skeleton import BODY_JOINT_COUNT

__all__ = [
    "FPS",
    "FREE_SETS",
    "LONGEST",
    "Body",
    "Item",
    "carried",
    "cut",
    "mean_pose",
    "random_clips",
    "right_clips",
    "read_items",
    "thin",
]

FPS: Final = 30.0
FREE_SETS: Final = ("cmu_text", "free_extra", "gesture_notation")
LONGEST: Final = 10.0
"""Seconds; longer clips are cut into equal pieces, as HumanML3D cuts its sequences."""
SHORTEST: Final = 1.0

Body = tuple[np.ndarray, np.ndarray]
"""Rotations (T, 22, 4) and translation (T, 3) at :data:`FPS`."""


@dataclass
class Item:
    """One stretch of motion with the captions that its clip carries.

    :ivar name: clip, and frame where its piece begins.
    """

    name: str
    source: str
    rotations: np.ndarray
    translation: np.ndarray
    captions: tuple[str, ...]
    record: dict[str, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self) / FPS

    @property
    def body(self) -> Body:
        """Rotations and translation."""
        return self.rotations, self.translation

    def caption(self, repeat: int) -> str:
        """The description that is asked for in a repeat: the clip's captions in turn."""
        return self.captions[repeat % len(self.captions)]


def cut(clip: Clip) -> list[Item]:
    """A clip as items of at most :data:`LONGEST` seconds; one that is shorter than a second gives none."""
    count = max(1, int(np.ceil(len(clip) / FPS / LONGEST)))
    edges = np.linspace(0, len(clip), count + 1).round().astype(int)
    captions = tuple(dict.fromkeys(c["text"].strip() for c in clip.captions))
    return [
        Item(
            clip.name if count == 1 else f"{clip.name}@{a}",
            clip.source,
            clip.rotations[a:b],
            clip.translation[a:b],
            captions,
            clip.record,
        )
        for a, b in zip(edges[:-1], edges[1:], strict=True)
        if b - a >= SHORTEST * FPS
    ]


def read_items(data: Path, sets: Iterable[str], split: str, *, with_objects: bool = False) -> list[Item]:
    """The items of one split of several sets.

    Clips that need objects (climbing frames, ropes) are left out unless asked for: their feet stand on things that are
    not there.

    :raises UnderstudyError: ``file_missing`` when a set is not there.
    """
    sets = list(sets)
    absent = [s for s in sets if not (data / s / "clips.json").is_file()]
    if absent:
        raise UnderstudyError(
            "file_missing",
            f"There is nothing to measure with: {', '.join(absent)} is not in {data}.",
            "Name the folder that holds the motion sets with --data.",
        )
    clips = read_sets([data / s for s in sets], (split,))
    return [
        item
        for clip in clips
        if clip.captions and (with_objects or not clip.record.get("needs_objects"))
        for item in cut(clip)
    ]


def thin(items: list[Item], limit: int) -> list[Item]:
    """At most ``limit`` items (0: all), spread evenly over the list."""
    if not limit or limit >= len(items):
        return items
    return [items[k] for k in np.linspace(0, len(items) - 1, limit).round().astype(int)]


def carried(items: list[Item], texts: list[str]) -> np.ndarray:
    """(N, N) bool: does item i carry the very sentence that is asked of item j?"""
    return np.array([[text in item.captions for text in texts] for item in items], dtype=bool)


def random_clips(items: list[Item], training: list[Item], generator: np.random.Generator) -> list[Body]:
    """The retrieval baseline: for each item a random training clip under a wrong caption, cut to the item's length.

    Wrong means that the two share no caption. A training clip may be shorter than the item.
    """
    chosen: list[Body] = []
    for item in items:
        wanted = set(item.captions)
        while True:
            other = training[int(generator.integers(len(training)))]
            if not wanted & set(other.captions):
                break
        chosen.append((other.rotations[: len(item)], other.translation[: len(item)]))
    return chosen


def right_clips(
    items: list[Item], texts: list[str], training: list[Item], encoder: TextEncoder, generator: np.random.Generator
) -> list[Body]:
    """Retrieval that knows: for each item a random training clip that carries what is asked, cut to the item's length.

    Where no training clip carries the sentence, those with the most similar one are drawn from.
    """
    known = sorted({c for i in training for c in i.captions})
    vectors, asked = encoder.encode(known), encoder.encode(list(dict.fromkeys(texts)))
    nearest = {t: known[int(k)] for t, k in zip(dict.fromkeys(texts), (asked @ vectors.T).argmax(1), strict=True)}
    chosen = []
    for item, text in zip(items, texts, strict=True):
        those = [o for o in training if nearest[text] in o.captions]
        other = those[int(generator.integers(len(those)))]
        chosen.append((other.rotations[: len(item)], other.translation[: len(item)]))
    return chosen


def mean_pose(items: list[Item], training: list[Item]) -> list[Body]:
    """The other baseline: the mean pose of the training clips, held for each item's length.

    Rotations are averaged as quaternions of one sign (the direction of the greatest eigenvector; Markley et al. 2007),
    the root without its heading.
    """
    from bridge_server.motion.features import heading_of

    q = np.concatenate([i.rotations[::10, :BODY_JOINT_COUNT] for i in training]).astype(np.float64)
    yaw = np.concatenate([heading_of(i.rotations[:, 0].astype(np.float64))[::10] for i in training])
    q[:, 0] = rot.mul(rot.yaw_quat(-yaw), q[:, 0])
    pose = np.stack([np.linalg.eigh(q[:, j].T @ q[:, j])[1][:, -1] for j in range(q.shape[1])])
    pose *= np.where(pose[:, :1] < 0, -1, 1)
    height = float(np.mean([i.translation[:, 1].mean() for i in training]))
    return [(np.repeat(pose[None], len(i), 0), np.tile([0.0, height, 0.0], (len(i), 1))) for i in items]
