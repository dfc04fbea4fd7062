# SPDX-License-Identifier: Apache-2.0
"""Reading motion sets in the ``cmu_text`` layout (``clips.json`` and ``shard_NN.npz``)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.skeleton import BODY_JOINT_COUNT, MIRROR

__all__ = ["Clip", "mirror_text", "mirrored", "read_set", "read_sets"]


@dataclass
class Clip:
    """One clip at 30 frames per second.

    :ivar rotations: (T, 22, 4) float32 local quaternions wxyz.
    :ivar translation: (T, 3) float32 metres.
    :ivar record: its entry of ``clips.json``: captions, split, licence.
    """

    name: str
    source: str
    rotations: np.ndarray
    translation: np.ndarray
    record: dict[str, Any]

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def split(self) -> str:
        """``train``, ``val`` or ``test``."""
        return str(self.record["split"])

    @property
    def captions(self) -> list[dict[str, Any]]:
        """``text``, ``start``, ``end`` in seconds of the clip."""
        return list(self.record["captions"])


def read_set(folder: str | Path, splits: Iterable[str] = ("train",)) -> list[Clip]:
    """The clips of a set.

    :raises UnderstudyError: ``file_missing`` or ``file_invalid``, naming the file.
    """
    folder = Path(folder)
    index = folder / "clips.json"
    if not index.is_file():
        raise UnderstudyError("file_missing", f"{folder} has no clips.json.", "Name the folder of a motion set.")
    wanted = set(splits)
    shards: dict[int, Any] = {}
    clips = []
    try:
        for record in json.loads(index.read_text(encoding="utf-8"))["clips"]:
            if record["split"] not in wanted:
                continue
            number = record["shard"]
            if number not in shards:
                with np.load(folder / f"shard_{number:02d}.npz", allow_pickle=False) as z:
                    shards[number] = (z["rot"], z["trans"])
            span = slice(record["first"], record["first"] + record["frames"])
            q = rot.normalise(shards[number][0][span].astype(np.float32)).astype(np.float32)
            clips.append(Clip(record["name"], folder.name, q, shards[number][1][span].astype(np.float32), record))
    except (OSError, KeyError, ValueError) as error:
        raise UnderstudyError("file_invalid", f"The motion set {folder.name} cannot be read ({error}).",
                              "Fetch the set again.") from error
    return clips


def read_sets(folders: Iterable[str | Path], splits: Iterable[str] = ("train",)) -> list[Clip]:
    """The clips of several sets, in order."""
    splits = tuple(splits)
    return [clip for folder in folders for clip in read_set(folder, splits)]


_SWAP = {"left": "right", "right": "left", "clockwise": "counterclockwise", "counterclockwise": "clockwise"}


def mirror_text(text: str) -> str:
    """A caption with left and right exchanged."""
    return " ".join(
        word.replace(bare, _SWAP[bare]) if (bare := word.strip(".,;:!?")) in _SWAP else word for word in text.split()
    )


def mirrored(rotations: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same motion in a mirror: sides exchanged, x negated."""
    partner = list(MIRROR[:BODY_JOINT_COUNT])
    sign = np.array([1, 1, -1, -1], dtype=rotations.dtype)
    return rotations[:, partner] * sign, translation * np.array([-1, 1, 1], dtype=translation.dtype)
