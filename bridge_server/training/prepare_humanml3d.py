# SPDX-License-Identifier: Apache-2.0
"""HumanML3D: its captions and splits, with the poses of AMASS that its index names.

``index.csv`` has ``source_path, start_frame, end_frame, new_name``; frames count at 20 per second in recordings that its
makers thinned by a whole number of source frames and, for five subsets, shortened at the beginning. Both are repeated here in
the source's own frames, so the caption times fit to the frame while the motion keeps its full rate.
"""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from shared.errors import UnderstudyError
from shared.formats.arrays import finite, invalid
from shared.formats.humanml3d import motion_from_positions
from shared.formats.read import read_motion
from shared.motion import Motion

from .prepare_sources import Source, need_folder, path_key, read_smpl_file

__all__ = ["captions_of", "humanml3d"]

_FPS: Final = 20
_SKIPPED_SECONDS: Final = {"Eyes_Japan_Dataset": 3.0, "MPI_HDM05": 3.0, "TotalCapture": 1.0, "MPI_Limits": 1.0,
                           "Transitions_mocap": 0.5}
"""What the data set's makers cut off the beginning of some subsets' recordings."""


def captions_of(lines: list[str]) -> list[dict[str, Any]]:
    """Captions of a text file: ``caption#part-of-speech tags#start#end`` per line, seconds; 0 and 0 is the whole clip."""
    captions = []
    for line in lines:
        parts = line.strip().split("#")
        if not parts[0]:
            continue
        try:
            start, end = (float(x) for x in parts[2:4])
        except ValueError:
            start = end = 0.0
        if not (math.isfinite(start) and math.isfinite(end)) or end <= start:
            start, end = 0.0, 0.0
        captions.append({"text": parts[0].strip(), "start": start, "end": end or None, "source": "humanml3d"})
    return captions


class _Texts:
    """The caption files, in a folder or still in ``texts.zip``."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "texts"
        packed = home / "texts.zip"
        self.zip = zipfile.ZipFile(packed) if not self.folder.is_dir() and packed.is_file() else None
        if self.zip is None and not self.folder.is_dir():
            raise UnderstudyError("file_missing", f"{home} has neither the folder texts nor texts.zip.",
                                  "Name the folder of HumanML3D.")
        self.names = {Path(n).stem: n for n in self.zip.namelist() if n.endswith(".txt")} if self.zip else {}

    def lines(self, name: str) -> list[str]:
        if self.zip is not None:
            return self.zip.read(self.names[name]).decode("utf-8", "replace").splitlines() if name in self.names else []
        path = self.folder / f"{name}.txt"
        return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []


def _cut(motion: Motion, source_path: str, start: int, end: int) -> Motion:
    step = max(int(motion.fps / _FPS), 1)
    skipped = next((s for subset, s in _SKIPPED_SECONDS.items() if subset in source_path), 0.0)
    offset = int(skipped * _FPS)
    first, stop = (offset + start) * step, (offset + end) * step
    if first >= len(motion):
        raise invalid(Path(source_path).name, f"it ends before frame {start} of the index")
    return motion.slice(first, min(stop, len(motion)))


def _from_positions(path: Path) -> Motion:
    """A clip of HumanAct12, which the data set holds whole, as joint positions at 20 frames per second."""
    try:
        p = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise invalid(path.name, "it is damaged") from error
    if p.ndim != 3 or p.shape[1] < 22 or p.shape[2] != 3:
        raise invalid(path.name, f"its positions have shape {p.shape}")
    p = finite(p.astype(np.float64), "it", path.name)
    if not len(p):
        raise invalid(path.name, "it has no frames")
    return motion_from_positions(p, _FPS)


def humanml3d(folder: Path, poses: Path | None, model: Path | None = None) -> Iterator[Source]:
    """Every clip of HumanML3D that its splits name, without the mirrored copies.

    :param poses: AMASS tree; None takes the data set's own ``new_joint_vecs`` instead, where they were made.
    :raises UnderstudyError: ``file_missing``, ``file_invalid`` for the tables.
    """
    need_folder(folder, "HumanML3D")
    home = folder / "HumanML3D" if (folder / "HumanML3D").is_dir() else folder
    table = next((p for p in (folder / "index.csv", home / "index.csv") if p.is_file()), None)
    if table is None:
        raise UnderstudyError("file_missing", f"{folder} has no index.csv.", "Name the folder of HumanML3D.")
    splits: dict[str, str] = {}
    for split in ("train", "val", "test"):
        path = home / f"{split}.txt"
        if path.is_file():
            splits.update(dict.fromkeys(path.read_text(encoding="utf-8").split(), split))
    if not splits:
        raise UnderstudyError("file_missing", f"{home} has no train.txt, val.txt or test.txt.", "Name the folder of HumanML3D.")
    texts = _Texts(home)
    files: dict[str, Path] = {}
    if poses is not None:
        need_folder(poses, "the AMASS files")
        files = {path_key(p.relative_to(poses)): p for p in poses.rglob("*.npz")}
    try:
        with open(table, encoding="utf-8-sig", newline="") as file:
            rows = [(r["source_path"], int(r["start_frame"]), int(r["end_frame"]), Path(r["new_name"]).stem)
                    for r in csv.DictReader(file)]
    except (KeyError, ValueError, TypeError) as error:
        raise UnderstudyError("file_invalid", f"{table.name} of HumanML3D cannot be read ({error!r}).", "Fetch it again.") from error
    for source_path, start, end, name in rows:
        if name not in splits:
            continue
        inside = Path(source_path.replace("\\", "/").removeprefix("./").removeprefix("pose_data/"))

        def load(source_path: str = source_path, inside: Path = inside, start: int = start, end: int = end,
                 name: str = name) -> Motion:
            if "humanact12" in source_path:
                own = next((p for p in (folder / "pose_data" / inside, home / "pose_data" / inside) if p.is_file()), None)
                if own is None:
                    raise UnderstudyError("file_missing", f"{inside} belongs to HumanAct12, whose positions are not there.",
                                          "Unpack HumanML3D's pose_data.zip.")
                return _from_positions(own)
            if poses is None:
                vectors = home / "new_joint_vecs" / f"{name}.npy"
                return read_motion(vectors)
            path = files.get(path_key(inside))
            if path is None:
                raise UnderstudyError("file_missing", f"{inside.with_suffix('.npz')} is not among the AMASS files.",
                                      "Fetch that subset of AMASS.")
            return _cut(read_smpl_file(path, model), source_path, start, end)

        record = {"trial": f"{inside.with_suffix('')}", "trial_start": start / _FPS, "humanml3d": [{"id": name}],
                  "subject": "/".join(inside.parts[:2])}
        yield Source(f"h{name}", f"{name} ({inside})", name, load, record, split=splits[name],
                     captions=captions_of(texts.lines(name)))
