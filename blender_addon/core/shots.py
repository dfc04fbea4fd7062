# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch of shots: the table that asks for them, and the report that lets a batch go on where it stopped."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from ..shared.errors import UnderstudyError

__all__ = ["COLUMNS", "Report", "Shot", "read_shots", "summary"]

COLUMNS: Final = ("file", "character", "audio", "directions", "seed", "output", "exports")


@dataclass(frozen=True)
class Shot:
    """One row of the table; paths are absolute, empty where the row is.

    :ivar file: .blend to open, or "" for an empty scene with Understudy's own character.
    :ivar character: name of the armature object, or "" for the only one.
    :ivar exports: further files to write, by suffix.
    """

    row: int
    file: str
    character: str
    audio: str
    directions: str
    seed: int
    output: str
    exports: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For lines on the terminal."""
        return Path(self.output or self.file or f"row {self.row}").stem

    def fingerprint(self) -> str:
        """A hash of what the row says and of the content of the files it names."""
        digest = hashlib.sha256(json.dumps({**asdict(self), "row": 0}, sort_keys=True).encode())
        for path in (self.file, self.audio, self.directions):
            digest.update(b"\0")
            if path and Path(path).is_file():
                with open(path, "rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def read_shots(path: Path) -> list[Shot]:
    """The rows of a CSV table with a header of :data:`COLUMNS`; paths are relative to the table.

    ``exports`` holds file names apart by ``;`` or spaces. Without ``output`` the shot is saved beside its file as
    ``NAME_take.blend``.

    :raises UnderstudyError: ``file_missing`` or ``file_invalid``, naming the line.
    """
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no table {path}.", "Check the path of the shots.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        unknown = [c for c in reader.fieldnames or () if c.strip().lower() not in COLUMNS]
        if unknown or not reader.fieldnames:
            raise UnderstudyError("file_invalid", f"{path.name} has the unknown column {', '.join(unknown) or 'names: none'}.",
                                  f"Use these columns: {', '.join(COLUMNS)}.")
        rows = [{(k or "").strip().lower(): (v or "").strip() for k, v in row.items() if isinstance(v, str | None)}
                for row in reader]

    def absolute(name: str) -> str:
        return str((path.parent / name).resolve()) if name else ""

    shots = []
    for n, row in enumerate(rows, start=2):
        if not any(row.values()):
            continue
        try:
            seed = int(row.get("seed") or 0)
        except ValueError as error:
            raise UnderstudyError("file_invalid", f"Line {n} of {path.name} has the seed {row['seed']!r}.",
                                  "Give a whole number, or nothing.") from error
        source = absolute(row.get("file", ""))
        output = absolute(row.get("output", ""))
        if not output:
            output = str(Path(source).with_name(Path(source).stem + "_take.blend")) if source else absolute(f"row{n}.blend")
        exports = tuple(absolute(e) for e in row.get("exports", "").replace(";", " ").split())
        shots.append(Shot(n, source, row.get("character", ""), absolute(row.get("audio", "")),
                          absolute(row.get("directions", "")), seed, output, exports))
    doubled = {s.output for s in shots if sum(o.output == s.output for o in shots) > 1}
    if doubled:
        raise UnderstudyError("file_invalid", f"Two rows of {path.name} write the same file {sorted(doubled)[0]}.",
                              "Give each row an output of its own.")
    return shots


@dataclass
class Report:
    """What became of each shot, kept in a JSON file that is rewritten after every shot.

    :ivar path: the file; :ivar entries: by fingerprint of the shot.
    """

    path: Path
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Report:
        """An earlier report, or an empty one where there is none that can be read."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(path, {str(e["fingerprint"]): dict(e) for e in data["shots"]})
        except (OSError, ValueError, KeyError, TypeError):
            return cls(path)

    def is_done(self, shot: Shot, fingerprint: str) -> bool:
        """Whether the same shot was finished before, and its files are still there."""
        entry = self.entries.get(fingerprint)
        return entry is not None and entry["state"] == "done" and all(Path(p).is_file() for p in (shot.output, *shot.exports))

    def put(self, shot: Shot, fingerprint: str, state: str, seconds: float, error: UnderstudyError | None = None) -> None:
        """Enter the outcome ("done", "failed") and write the file."""
        self.entries[fingerprint] = {
            "fingerprint": fingerprint, "name": shot.name, "row": shot.row, "state": state, "seconds": round(seconds, 3),
            "output": shot.output, "exports": list(shot.exports), "error": error.to_json() if error else None,
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(self.path.name + ".part")
        temporary.write_text(json.dumps({"version": 1, "shots": list(self.entries.values())}, indent=2), encoding="utf-8")
        temporary.replace(self.path)


def summary(outcomes: list[tuple[Shot, str, float, str]]) -> str:
    """A table for the terminal of (shot, state, seconds, remark)."""
    width = max([len(s.name) for s, *_ in outcomes] + [4])
    lines = [f"{'shot':<{width}}  state    seconds"]
    lines += [f"{s.name:<{width}}  {state:<8} {seconds:7.1f}  {remark}".rstrip() for s, state, seconds, remark in outcomes]
    counts = {state: sum(1 for o in outcomes if o[1] == state) for state in ("done", "skipped", "failed")}
    return "\n".join([*lines, ", ".join(f"{n} {state}" for state, n in counts.items())])
