# SPDX-License-Identifier: GPL-3.0-or-later
"""Bone maps that artists keep: one JSON file each, ``{"understudy_rig": 1, "label": …, "slots": {slot: [bone, …]}}``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ...shared.errors import UnderstudyError
from .mapping import Mapping
from .preset import Preset
from .slots import SLOTS

__all__ = ["from_json", "load", "load_all", "save", "to_json"]

_SUFFIX = ".rig.json"
_FIX = "Choose a bone map that Understudy exported."


def to_json(mapping: Mapping, label: str) -> dict[str, Any]:
    """A bone map as it stands in its file."""
    return {"understudy_rig": 1, "label": label, "slots": {slot: list(mapping.bones(slot)) for slot in SLOTS if mapping.bones(slot)}}


def from_json(data: Any, name: str = "The file") -> Preset:
    """The preset that a file's content describes.

    :raises UnderstudyError: ``file_invalid`` with what is wrong.
    """
    slots = data.get("slots") if isinstance(data, dict) else None
    if not isinstance(slots, dict) or data.get("understudy_rig") != 1:
        raise UnderstudyError("file_invalid", f"{name} is not a bone map of Understudy.", _FIX)
    unknown = [slot for slot in slots if slot not in SLOTS]
    if unknown:
        raise UnderstudyError("file_invalid", f"{name} names the place {unknown[0]!r}, which this release does not know.",
                              "Update Understudy, or remove that place from the file.")
    if not all(isinstance(chain, list) and chain and all(isinstance(b, str) and b for b in chain) for chain in slots.values()):
        raise UnderstudyError("file_invalid", f"{name} has a place without a list of bone names.", _FIX)
    label = str(data.get("label") or "My rig")[:60]
    key = "user_" + (re.sub(r"[^a-z0-9]+", "_", label.casefold()).strip("_") or "rig")
    return Preset(key, label, ("", ""), {}, {}, exact={slot: tuple(chain) for slot, chain in slots.items()})


def load(path: str | Path) -> Preset:
    """Read one file. :raises UnderstudyError: ``file_missing`` or ``file_invalid``."""
    path = Path(path)
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no file {path}.", "Check the path of the bone map.")
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")), path.name)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be read ({error}).", _FIX) from error


def load_all(folder: str | Path) -> tuple[list[Preset], list[str]]:
    """All bone maps of a folder, and a sentence for each file that could not be read."""
    presets, faults = [], []
    for path in sorted(Path(folder).glob(f"*{_SUFFIX}")):
        try:
            presets.append(load(path))
        except UnderstudyError as error:
            faults.append(str(error))
    return presets, faults


def save(mapping: Mapping, label: str, path: str | Path) -> Path:
    """Write a bone map to a file, or into a folder under a name made of its label; complete or not at all.

    :raises UnderstudyError: ``file_invalid`` when it cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        path = path / f"{re.sub(r'[^A-Za-z0-9]+', '_', label).strip('_') or 'rig'}{_SUFFIX}"
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(json.dumps(to_json(mapping, label), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be written ({error.strerror or error}).",
                              "Choose another folder, or check its permissions.") from error
    return path
