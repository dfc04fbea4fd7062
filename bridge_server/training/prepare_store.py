# SPDX-License-Identifier: Apache-2.0
"""The on-disk format of prepared motion sets: that of ``cmu_text`` with optional hands, face and sound.

``shard_NN.npz``: ``rot`` float16 (N, 22, 4), ``trans`` float32 (N, 3), ``start`` int32 (K + 1), ``name`` (K). Where a clip of
the shard has them: ``rot_more`` float16 (N, 33, 4), joints 22 to 54, and ``expression`` float16 (N, E); clips without them hold
the rest pose and zeros there, and their records say so (``joints`` 22 or 55, ``hands``, ``expression`` 0 or E).
``wav/NAME.wav`` is
mono, 16 kHz, 16 bit; its record names it under ``wav``. ``clips.json`` and ``skeleton.json`` are as in ``cmu_text``. Readers of
that layout (:func:`.clips.read_set`) read these sets unchanged.
"""

from __future__ import annotations

import json
import shutil
import wave
import zipfile
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.skeleton import BODY_JOINT_COUNT, END_POINTS, JOINT_COUNT, JOINT_NAMES, NEUTRAL_OFFSETS, PARENTS

__all__ = ["FPS", "SetWriter", "read_clip", "read_index", "read_motions"]

FPS: Final = 30.0
SHARD_FRAMES: Final = 30_000
WAV_RATE: Final = 16_000


class SetWriter:
    """Writes a set beside its final place and moves it there when it is complete.

    :param folder: the set's folder; it appears on :meth:`finish` and not before.
    :param replace: whether a set that is already there may be replaced.
    :raises UnderstudyError: ``request_invalid`` where the folder is in use.
    """

    def __init__(self, folder: Path, *, replace: bool = False) -> None:
        self.folder = folder
        if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
            if not folder.is_dir() or not (folder / "clips.json").is_file():
                raise UnderstudyError("request_invalid", f"{folder} is not empty and is no motion set.", "Choose another folder.")
            if not replace:
                raise UnderstudyError("request_invalid", f"{folder} already holds a motion set.",
                                      "Choose another folder, or replace it with --replace.")
        self.building = folder.with_name(folder.name + ".part")
        shutil.rmtree(self.building, ignore_errors=True)
        self.building.mkdir(parents=True)
        self.records: list[dict[str, Any]] = []
        self._names: set[str] = set()
        self._pending: list[Motion] = []
        self._rows: list[dict[str, Any]] = []
        self._shard = 0

    def add(self, name: str, motion: Motion, record: dict[str, Any], sound: np.ndarray | None = None) -> None:
        """One clip at 30 frames per second; ``sound`` (N,) mono float32 at 16 kHz begins with its first frame.

        A name that is taken gets a number.
        """
        unique, n = name, 2
        while unique in self._names:
            unique, n = f"{name}-{n}", n + 1
        self._names.add(unique)
        more = rot.angle_between(motion.rotations[:, BODY_JOINT_COUNT:], np.array([1.0, 0, 0, 0]))
        turned: np.ndarray = np.any(more > 1e-3, axis=0)  # jaw, eyes, fingers
        row = {**record, "name": unique, "frames": len(motion), "seconds": round(len(motion) / FPS, 3),
               "joints": JOINT_COUNT if np.any(turned) else BODY_JOINT_COUNT, "hands": bool(np.any(turned[3:])),
               "expression": int(motion.expression.shape[1]),
               "shard": self._shard, "row": len(self._pending), "first": sum(len(m) for m in self._pending)}
        if sound is not None:
            row["wav"] = f"wav/{unique}.wav"
            self._write_wav(self.building / row["wav"], sound)
        self._pending.append(motion)
        self._rows.append(row)
        if sum(len(m) for m in self._pending) >= SHARD_FRAMES:
            self.flush()

    @staticmethod
    def _write_wav(path: Path, sound: np.ndarray) -> None:
        path.parent.mkdir(exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(WAV_RATE)
            file.writeframes((np.clip(sound, -1, 1) * 32767).round().astype("<i2").tobytes())

    def flush(self) -> None:
        """Write what is pending as a shard, so that :attr:`records` is complete."""
        if not self._pending:
            return
        motions, rows = self._pending, self._rows
        arrays: dict[str, Any] = {
            "rot": np.concatenate([m.rotations[:, :BODY_JOINT_COUNT] for m in motions]).astype(np.float16),
            "trans": np.concatenate([m.translation for m in motions]).astype(np.float32),
            "start": np.cumsum([0, *(len(m) for m in motions)]).astype(np.int32),
            "name": np.array([row["name"] for row in rows]),
        }
        if any(row["joints"] == JOINT_COUNT for row in rows):
            arrays["rot_more"] = np.concatenate([m.rotations[:, BODY_JOINT_COUNT:] for m in motions]).astype(np.float16)
        if width := max(row["expression"] for row in rows):
            arrays["expression"] = np.concatenate(
                [np.pad(m.expression, ((0, 0), (0, width - m.expression.shape[1]))) for m in motions]).astype(np.float16)
        np.savez_compressed(self.building / f"shard_{self._shard:02d}.npz", **arrays)
        self.records += rows
        self._pending, self._rows = [], []
        self._shard += 1

    def finish(self, report: dict[str, Any]) -> None:
        """Write the last shard, the index, the skeleton and ``report.json``, and put the set in its place."""
        self.flush()
        head = {"fps": FPS, "joints": list(JOINT_NAMES[:BODY_JOINT_COUNT]), "made_by": "understudy prepare"}
        self._json("clips.json", {**head, "clips": self.records})
        self._json("skeleton.json", {
            "units": "metre", "up": "+Y", "facing": "+Z", "left": "+X", "joints": list(JOINT_NAMES), "parents": list(PARENTS),
            "offsets": NEUTRAL_OFFSETS.tolist(),
            "end_points": {name: {"parent": joint, "offset": list(offset)} for name, (joint, offset) in END_POINTS.items()}})
        self._json("report.json", report)
        old = self.folder.with_name(self.folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if self.folder.exists():
            self.folder.rename(old)
        self.building.rename(self.folder)
        shutil.rmtree(old, ignore_errors=True)

    def _json(self, name: str, content: Any) -> None:
        (self.building / name).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")

    def abandon(self) -> None:
        """Remove what was written so far."""
        shutil.rmtree(self.building, ignore_errors=True)


def read_index(folder: str | Path) -> list[dict[str, Any]]:
    """The records of a set. :raises UnderstudyError: ``file_missing`` or ``file_invalid``, naming the set."""
    folder = Path(folder)
    if not (folder / "clips.json").is_file():
        raise UnderstudyError("file_missing", f"{folder} has no clips.json.", "Name the folder of a motion set.")
    try:
        index = json.loads((folder / "clips.json").read_text(encoding="utf-8"))
        if float(index["fps"]) != FPS:
            raise ValueError(f"it has {index['fps']} frames a second")
        return [{**record} for record in index["clips"]]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> UnderstudyError:
    return UnderstudyError("file_invalid", f"The motion set {folder.name} cannot be read ({error}).",
                           "Fetch or prepare the set again.")


@lru_cache(maxsize=2)
def _shard(path: Path, changed: float) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as z:
        return {key: z[key] for key in z.files}


def read_clip(folder: str | Path, record: dict[str, Any]) -> Motion:
    """One clip with all that the set holds of it. :raises UnderstudyError: ``file_invalid``."""
    folder = Path(folder)
    try:
        path = folder / f"shard_{record['shard']:02d}.npz"
        shard = _shard(path, path.stat().st_mtime)
        span = slice(record["first"], record["first"] + record["frames"])
        full = rot.identity(record["frames"], JOINT_COUNT).astype(np.float32)
        full[:, :BODY_JOINT_COUNT] = shard["rot"][span]
        if record.get("joints", BODY_JOINT_COUNT) == JOINT_COUNT:
            full[:, BODY_JOINT_COUNT:] = shard["rot_more"][span]
        width = record.get("expression", 0)
        expression = shard["expression"][span, :width].astype(np.float32) if width else np.zeros((len(full), 0), np.float32)
        return Motion(FPS, rot.normalise(full).astype(np.float32), shard["trans"][span].astype(np.float32), expression)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise _damaged(folder, error) from error


def read_motions(folder: str | Path, splits: Iterable[str] | None = None) -> Iterator[tuple[dict[str, Any], Motion]]:
    """(record, motion) of every clip; of all splits by default. :raises UnderstudyError: as the above."""
    wanted = None if splits is None else set(splits)
    for record in read_index(folder):
        if wanted is None or record["split"] in wanted:
            yield record, read_clip(folder, record)
