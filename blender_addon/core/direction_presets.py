# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions that an artist keeps under a name: one JSON file each, as :mod:`shared.timeline` writes them, and a label."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..shared import timeline
from ..shared.errors import UnderstudyError
from ..shared.timeline import Direction

__all__ = ["labels", "load", "remove", "save"]

_SUFFIX: Final = ".directions.json"
MAX_LABEL: Final = 60


def _path(folder: Path, label: str) -> Path:
    """The file of a label. Letters of all scripts stay; what file systems dislike does not."""
    stem = re.sub(r"[^\w-]+", "_", label.casefold()).strip("_")
    if not stem:
        raise UnderstudyError("request_invalid", "A preset needs a name.", "Give it a name with letters or digits.")
    return folder / f"{stem}{_SUFFIX}"


def _read(path: Path) -> tuple[str, list[Direction]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        label = str(content["label"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnderstudyError("file_invalid", f"{path.name} is no preset of directions ({type(error).__name__}).",
                              "Delete the file, or save the preset again.") from error
    found = timeline.from_json(content)
    timeline.check(found)
    return label, found


def labels(folder: Path) -> list[str]:
    """The names of the presets in a folder, in alphabetical order; files that cannot be read are left out."""
    found = []
    for path in folder.glob(f"*{_SUFFIX}"):
        try:
            found.append(_read(path)[0])
        except UnderstudyError:
            continue
    return sorted(found, key=str.casefold)


def load(folder: Path, label: str) -> list[Direction]:
    """The directions of a preset, from second 0 on, with identities of their own.

    :raises UnderstudyError: ``file_missing``, ``file_invalid`` or ``direction_invalid``.
    """
    path = _path(folder, label)
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no preset {label!r}.", "Choose another one.")
    return [Direction(d.start, d.end, d.text, d.part, d.strength, d.seed, d.enabled) for d in _read(path)[1]]


def save(folder: Path, label: str, directions: Sequence[Direction]) -> None:
    """Keep directions under a name, the earliest at second 0; one of this name is replaced. The file appears when it is complete.

    :raises UnderstudyError: ``request_invalid``, ``direction_invalid``, or ``file_invalid`` when it cannot be written.
    """
    label = " ".join(label.split())[:MAX_LABEL]
    path = _path(folder, label)
    first = min((d.start for d in directions), default=0.0)
    moved = [replace(d, start=d.start - first, end=d.end - first) for d in directions]
    if not moved:
        raise UnderstudyError("request_invalid", "There is nothing to keep.", "Select one or more directions.")
    # what could not be placed again is refused now
    timeline.check(moved)
    content = {"label": label, **timeline.to_json(moved)}
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be written ({error.strerror or error}).",
                              "Check the permissions of the folder.") from error


def remove(folder: Path, label: str) -> None:
    """Forget a preset. :raises UnderstudyError: ``file_missing`` or ``file_invalid``."""
    path = _path(folder, label)
    try:
        path.unlink()
    except FileNotFoundError as error:
        raise UnderstudyError("file_missing", f"There is no preset {label!r}.", "Choose another one.") from error
    except OSError as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be deleted ({error.strerror or error}).",
                              "Check the permissions of the folder.") from error
