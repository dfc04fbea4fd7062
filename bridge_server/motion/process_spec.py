# SPDX-License-Identifier: Apache-2.0
"""The file that describes a generator in an environment of its own (docs/generators.md)."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from platformdirs import user_config_path

from shared.errors import UnderstudyError
from shared.schema import problem

__all__ = ["ProcessSpec", "config_folder", "configured", "read_spec"]

_STRING: Final = {"type": "string", "maxLength": 4000}
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["command"],
    "properties": {
        "name": {"type": "string", "pattern": r"[\w.-]{1,64}"}, "summary": _STRING, "licence": _STRING, "needs": _STRING,
        "non_commercial": {"type": "boolean"},
        "command": {"type": "array", "minItems": 1, "maxItems": 100, "items": _STRING},
        "python": _STRING, "folder": _STRING, "environment": {"type": "object"},
        "start_seconds": {"type": "number", "minimum": 1, "maximum": 86_400},
        "cancel_seconds": {"type": "number", "minimum": 0, "maximum": 3600},
    },
}


@dataclass(frozen=True)
class ProcessSpec:
    """How a generator's process is started, and what is known of it before it runs.

    :ivar command: program and arguments; ``{python}`` and ``{folder}`` stand for the two below.
    :ivar python: interpreter of its environment; the bridge's own by default. :ivar folder: its working folder.
    :ivar environment: variables that it gets on top of the bridge's. :ivar start_seconds: how long it may take to load.
    :ivar cancel_seconds: how long it may take to let go of a cancelled request before it is ended.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    python: str = ""
    summary: str = ""
    licence: str = ""
    needs: str = ""
    non_commercial: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    start_seconds: float = 300.0
    cancel_seconds: float = 2.0

    @property
    def line(self) -> list[str]:
        """The command with its places filled in."""
        places = {"{python}": self.python or sys.executable, "{folder}": str(self.folder)}
        line = []
        for word in self.command:
            for place, value in places.items():
                word = word.replace(place, value)
            line.append(word)
        return line

    def why_not(self) -> str:
        """What keeps it from being started here, or ""."""
        if not self.folder.is_dir():
            return f"its folder {self.folder} is missing"
        program = self.line[0]
        if shutil.which(program) is None and not Path(self.folder, program).is_file():
            return f"its program {program} is missing"
        return ""


def config_folder() -> Path:
    """The folder of the user's own settings: ``$UNDERSTUDY_CONFIG_DIR``, or the platform's place for it."""
    own = os.environ.get("UNDERSTUDY_CONFIG_DIR")
    return Path(own) if own else user_config_path("understudy", appauthor=False)


def configured() -> dict[str, Path]:
    """Files of generators by name: ``generators/NAME.toml`` and ``NAME.json`` in the configuration folder."""
    folder = config_folder() / "generators"
    return {p.stem: p for suffix in ("json", "toml") for p in sorted(folder.glob(f"*.{suffix}"))}


def read_spec(path: str | Path) -> ProcessSpec:
    """Read a TOML or JSON file; relative paths in it are relative to its folder.

    :raises UnderstudyError: ``file_missing`` or ``file_invalid``.
    """
    path = Path(path).expanduser().absolute()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnderstudyError("file_missing", f"The generator's file {path} cannot be read ({error.strerror}).",
                              "Check the path after process:.") from error
    try:
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise UnderstudyError("file_invalid", f"{path.name} is not valid {path.suffix[1:].upper()} ({error}).",
                              "Correct the file.") from error
    found = problem(data, _SCHEMA, path.name)
    if found is None and not all(isinstance(v, str) for v in data.get("environment", {}).values()):
        found = "every variable of environment must be a string"
    if found:
        raise UnderstudyError("file_invalid", f"The generator cannot be started: {found}.",
                              "Correct the file; docs/generators.md shows one.")
    folder = (path.parent / data.get("folder", ".")).resolve()
    python = data.get("python", "")
    if python and (os.sep in python or "/" in python):
        # not resolved: the link in a virtual environment is what makes it one
        python = str(path.parent / Path(python).expanduser())
    plain = {k: data[k] for k in ("summary", "licence", "needs", "non_commercial", "environment", "start_seconds", "cancel_seconds")
             if k in data}
    return ProcessSpec(data.get("name", path.stem), tuple(data["command"]), folder, python, **plain)
