# SPDX-License-Identifier: Apache-2.0
"""Reading motion sets in the ``cmu_text`` layout (``clips.json`` and ``shard_NN.npz``), with hands and faces where they have any."""

from __future__ import annotations

import json
import logging
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.motion.features import fingers_move
from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.skeleton import BODY_JOINT_COUNT, MIRROR

__all__ = ["Clip", "mirror_text", "mirrored", "read_set", "read_sets"]

_log = logging.getLogger("understudy.training")
_DAMAGE: Final = (OSError, EOFError, KeyError, ValueError, TypeError, AttributeError, IndexError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged file comes to."""


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
    """The clips of a set. A shard that cannot be read is left out, and the log says so with the clips that were in it.

    :raises UnderstudyError: ``file_missing`` or ``file_invalid``, naming the file: an index that cannot be read, or no shard that can.
    """
    folder = Path(folder)
    index = folder / "clips.json"
    if not index.is_file():
        raise UnderstudyError("file_missing", f"{folder} has no clips.json.", "Name the folder of a motion set.")
    wanted = set(splits)
    shards: dict[int, dict[str, np.ndarray]] = {}
    clips: list[Clip] = []
    broken: dict[str, tuple[str, list[str]]] = {}
    try:
        records = [r for r in json.loads(index.read_text(encoding="utf-8"))["clips"] if r["split"] in wanted]
        order = [(str(r["name"]), int(r["shard"])) for r in records]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise _unreadable(folder, f"clips.json: {error}") from error
    for record, (clip_name, number) in zip(records, order, strict=True):
        name = f"shard_{number:02d}.npz"
        if name in broken and number not in shards:
            broken[name][1].append(clip_name)
            continue
        try:
            if number not in shards:
                shards[number] = _shard(folder / name)
            clips.append(_clip(folder.name, record, shards[number]))
        except _DAMAGE as error:
            broken.setdefault(name, (f"{type(error).__name__}: {error}", []))[1].append(clip_name)
    for name, (why, lost) in broken.items():
        shown = ", ".join(lost[:8]) + (f" and {len(lost) - 8} more" if len(lost) > 8 else "")
        _log.warning("%s of %s cannot be read (%s); left out: %s", name, folder.name, why, shown)
    if broken and not clips:
        name, (why, _) = next(iter(broken.items()))
        raise _unreadable(folder, f"{name}: {why}")
    return clips


def _unreadable(folder: Path, why: str) -> UnderstudyError:
    return UnderstudyError("file_invalid", f"The motion set {folder.name} cannot be read ({why}).", "Fetch the set again.")


def _shard(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as z:
        return {key: z[key] for key in ("rot", "trans", "rot_more", "expression") if key in z.files}


def _clip(source: str, record: dict[str, Any], shard: dict[str, np.ndarray]) -> Clip:
    span = slice(record["first"], record["first"] + record["frames"])
    clip = Clip(record["name"], source, _quaternions(shard["rot"][span]), shard["trans"][span].astype(np.float32), record)
    if record.get("joints", BODY_JOINT_COUNT) > BODY_JOINT_COUNT:
        clip.more = _quaternions(shard["rot_more"][span])
    if width := record.get("expression", 0):
        clip.expression = shard["expression"][span, :width].astype(np.float32)
    if not len(clip) == len(clip.translation) == record["frames"]:
        raise ValueError(f"{record['frames']} frames are wanted, {len(clip)} are there")
    return clip


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
