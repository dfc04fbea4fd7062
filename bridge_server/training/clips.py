# SPDX-License-Identifier: Apache-2.0
"""Reading motion sets in the ``cmu_text`` layout (``clips.json`` and ``shard_NN.npz``), with hands and faces where they have any."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge_server.motion.features import fingers_move
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
    :ivar more: (T, 33, 4) float32, jaw, eyes and fingers (joints 22 to 54), where the set has them.
    :ivar expression: (T, E) float32 SMPL-X expression coefficients, where the set has them.
    """

    name: str
    source: str
    rotations: np.ndarray
    translation: np.ndarray
    record: dict[str, Any]
    more: np.ndarray | None = None
    expression: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def joints(self) -> np.ndarray:
        """(T, 22 or 55, 4): all that are known."""
        return self.rotations if self.more is None else np.concatenate((self.rotations, self.more), axis=1)

    @property
    def has_hands(self) -> bool:
        """Whether its fingers were captured."""
        return bool(self.record.get("hands", True)) and fingers_move(self.joints)

    @property
    def has_face(self) -> bool:
        """Whether its face was captured: the jaw is there, and the expression changes."""
        return self.more is not None and self.expression is not None and bool(np.ptp(self.expression, axis=0).max(initial=0) > 1e-3)

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
                    shards[number] = {key: z[key] for key in ("rot", "trans", "rot_more", "expression") if key in z.files}
            shard, span = shards[number], slice(record["first"], record["first"] + record["frames"])
            clip = Clip(record["name"], folder.name, _quaternions(shard["rot"][span]), shard["trans"][span].astype(np.float32), record)
            if record.get("joints", BODY_JOINT_COUNT) > BODY_JOINT_COUNT:
                clip.more = _quaternions(shard["rot_more"][span])
            if width := record.get("expression", 0):
                clip.expression = shard["expression"][span, :width].astype(np.float32)
            clips.append(clip)
    except (OSError, KeyError, ValueError) as error:
        raise UnderstudyError("file_invalid", f"The motion set {folder.name} cannot be read ({error}).",
                              "Fetch the set again.") from error
    return clips


def _quaternions(stored: np.ndarray) -> np.ndarray:
    """Unit quaternions float32 from what a shard holds in half precision."""
    return rot.normalise(stored.astype(np.float32)).astype(np.float32)


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
    """The same motion (T, 22 or 55, 4), (T, 3) in a mirror: sides exchanged, fingers too, x negated.

    There is no such thing for expression coefficients: their basis is not symmetric, so mirrored clips have no face.
    """
    partner = list(MIRROR[:rotations.shape[1]])
    sign = np.array([1, 1, -1, -1], dtype=rotations.dtype)
    return rotations[:, partner] * sign, translation * np.array([-1, 1, 1], dtype=translation.dtype)
