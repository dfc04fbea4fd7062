# SPDX-License-Identifier: Apache-2.0
"""A batch of shots: the table that asks for them, and the report that lets a batch go on where it stopped.

Both sides read and write these: the add-on, which performs the rows one after the other inside one Blender, and the bridge's
``understudy batch``, which starts a Blender for each row.
"""

from __future__ import annotations

import csv
import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from .errors import UnderstudyError

__all__ = ["COLUMNS", "EVENT", "EXPORT_SUFFIXES", "Outcome", "Report", "Shot", "check_exports", "export_variant", "read_shots",
           "summary"]

COLUMNS: Final = ("file", "character", "audio", "directions", "seed", "output", "exports")
EXPORT_SUFFIXES: Final = (".npz", ".amass.npz", ".bvh", ".fbx", ".unreal.fbx", ".glb")
"""What a name may end in. ``.amass.npz`` is laid out as AMASS does, ``.unreal.fbx`` as Unreal's importer wants it."""
MAX_SEED: Final = 2**31 - 1
EVENT: Final = "@understudy "
"""A line on the standard output of Blender that begins so carries one JSON object for the process that started it."""


@dataclass(frozen=True)
class Shot:
    """One row of the table; paths are absolute, empty where the row is.

    :ivar row: line of the table, counted from 1; the heading is line 1.
    :ivar file: .blend to open, or "" for an empty scene with Understudy's own character.
    :ivar character: name of the armature object, or "" for the only one.
    :ivar seed: None for the one that the file has.
    :ivar exports: further files to write, by suffix; see :data:`EXPORT_SUFFIXES`.
    """

    row: int
    file: str
    character: str
    audio: str
    directions: str
    seed: int | None
    output: str
    exports: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For lines on the terminal."""
        return Path(self.output or self.file or f"row {self.row}").stem

    @property
    def sources(self) -> tuple[str, ...]:
        """The files that it reads."""
        return tuple(p for p in (self.file, self.audio, self.directions) if p)

    @property
    def results(self) -> tuple[str, ...]:
        """The files that it writes."""
        return (self.output, *self.exports)

    def fingerprint(self) -> str:
        """A hash of what the row says and of the content of the files it names."""
        digest = hashlib.sha256(json.dumps({**asdict(self), "row": 0}, sort_keys=True).encode())
        for path in (self.file, self.audio, self.directions):
            digest.update(b"\0")
            if path and Path(path).is_file():
                with open(path, "rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Shot:
        """The inverse of :meth:`to_json`. :raises UnderstudyError: ``file_invalid``."""
        try:
            return cls(**{**data, "exports": tuple(data["exports"])})
        except (KeyError, TypeError) as error:
            raise UnderstudyError("file_invalid", f"This is no description of a shot ({error}).",
                                  "Use the same release of Understudy on both sides.") from error


def export_variant(path: str | Path) -> str:
    """Which of :data:`EXPORT_SUFFIXES` a name ends in, the longest of them; "" for none."""
    name = Path(path).name.lower()
    return max((suffix for suffix in EXPORT_SUFFIXES if name.endswith(suffix)), key=len, default="")


def check_exports(paths: Iterable[str]) -> None:
    """:raises UnderstudyError: ``unsupported`` for a file that cannot be written, before an hour was spent on performing."""
    for path in paths:
        if not export_variant(path):
            raise UnderstudyError("unsupported", f"{Path(path).name} cannot be exported.",
                                  f"Choose a name that ends in {', '.join(EXPORT_SUFFIXES)}.")


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """(line, cells by column) of every row that is not empty; commas, semicolons or tabs, as the heading has them."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        heading = file.readline()
        file.seek(0)
        delimiter = max(",;\t", key=heading.count)
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        names = [(c or "").strip().lower() for c in reader.fieldnames or ()]
        unknown = [c for c in names if c not in COLUMNS]
        if unknown or not names:
            raise UnderstudyError("file_invalid", f"{path.name} has the unknown column {', '.join(unknown) or 'names: none'}.",
                                  f"Use these columns: {', '.join(COLUMNS)}.")
        reader.fieldnames = names
        rows: list[tuple[int, dict[str, str]]] = []
        for row in reader:
            if None in row:
                raise UnderstudyError("file_invalid", f"Line {reader.line_num} of {path.name} has more cells than the heading.",
                                      "Put names with commas into double quotes.")
            cells = {k: (v or "").strip() for k, v in row.items()}
            if any(cells.values()):
                rows.append((reader.line_num, cells))
        return rows


def _seed(text: str, line: int, path: Path) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or int(text) > MAX_SEED:
        raise UnderstudyError("file_invalid", f"Line {line} of {path.name} has the seed {text!r}.",
                              f"Give a whole number from 0 to {MAX_SEED}, or nothing.")
    return int(text)


def read_shots(path: Path) -> list[Shot]:
    """The rows of a CSV table with a header of :data:`COLUMNS`; paths are relative to the table.

    ``exports`` holds file names apart by ``;``. Without ``output`` the shot is saved beside its file as ``NAME_take.blend``.

    :raises UnderstudyError: ``file_missing`` or ``file_invalid``, naming the line.
    """
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no table {path}.", "Check the path of the shots.")
    try:
        rows = _rows(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be read as a table ({error}).",
                              "Save it as CSV in UTF-8.") from error

    def absolute(name: str) -> str:
        return str((path.parent / name).resolve()) if name else ""

    shots = []
    for line, row in rows:
        source = absolute(row.get("file", ""))
        output = absolute(row.get("output", ""))
        if not output:
            output = str(Path(source).with_name(Path(source).stem + "_take.blend")) if source else absolute(f"row{line}.blend")
        exports = tuple(absolute(e.strip()) for e in row.get("exports", "").split(";") if e.strip())
        shot = Shot(line, source, row.get("character", ""), absolute(row.get("audio", "")), absolute(row.get("directions", "")),
                    _seed(row.get("seed", ""), line, path), output, exports)
        if taken := set(shot.sources) & set(shot.results):
            raise UnderstudyError("file_invalid", f"Line {line} of {path.name} would write over its own {Path(taken.pop()).name}.",
                                  "Give it another output.")
        shots.append(shot)
    _check_results(shots, path)
    return shots


def _check_results(shots: list[Shot], path: Path) -> None:
    """No two rows may write one file. :raises UnderstudyError: ``file_invalid``."""
    written: dict[str, int] = {}
    for shot in shots:
        for result in shot.results:
            if result in written:
                raise UnderstudyError(
                    "file_invalid", f"Lines {written[result]} and {shot.row} of {path.name} write the same file {Path(result).name}.",
                    "Give each row files of its own.")
            written[result] = shot.row


@dataclass(frozen=True)
class Outcome:
    """What became of a shot now.

    :ivar state: "done", "skipped", "failed" or "stopped"; :ivar seconds: of work on it; :ivar remark: for the table.
    """

    shot: Shot
    state: str
    seconds: float = 0.0
    remark: str = ""


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
        return entry is not None and entry.get("state") == "done" and all(Path(p).is_file() for p in shot.results)

    def put(self, shot: Shot, fingerprint: str, state: str, seconds: float, error: UnderstudyError | None = None,
            **facts: Any) -> None:
        """Enter the outcome ("done", "failed") with further ``facts``, in the place of an earlier one, and write the file.

        :raises UnderstudyError: ``file_invalid`` where it cannot be written.
        """
        # what stood there about the same output, with other inputs, is no longer true
        self.entries = {k: e for k, e in self.entries.items() if e.get("output") != shot.output}
        self.entries[fingerprint] = {
            "fingerprint": fingerprint, "name": shot.name, "row": shot.row, "state": state, "seconds": round(seconds, 3),
            "output": shot.output, "exports": list(shot.exports), "error": error.to_json() if error else None,
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **facts,
        }
        self.save()

    def save(self) -> None:
        """Write the file, complete or not at all. :raises UnderstudyError: ``file_invalid``."""
        entries = sorted(self.entries.values(), key=lambda e: e.get("row", 0))
        counts = {state: sum(e.get("state") == state for e in entries) for state in ("done", "failed")}
        text = json.dumps({"version": 1, "counts": counts, "shots": entries}, indent=2)
        temporary = self.path.with_name(self.path.name + ".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self.path)
        except OSError as error:
            raise UnderstudyError("file_invalid", f"The report {self.path} cannot be written ({error.strerror or error}).",
                                  "Choose another place with --report.") from error


def summary(outcomes: Iterable[Outcome]) -> str:
    """A table for the terminal, in the order of the rows, and a line of counts."""
    rows = sorted(outcomes, key=lambda o: o.shot.row)
    width = max([len(o.shot.name) for o in rows] + [4])
    lines = [f"{'shot':<{width}}  state    seconds"]
    lines += [f"{o.shot.name:<{width}}  {o.state:<8} {o.seconds:7.1f}  {o.remark}".rstrip() for o in rows]
    counts = {state: sum(o.state == state for o in rows) for state in ("done", "skipped", "failed", "stopped")}
    told = [f"{n} {state}" for state, n in counts.items() if n or state != "stopped"]
    return "\n".join([*lines, ", ".join(told)])
