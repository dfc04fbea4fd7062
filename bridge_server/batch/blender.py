# SPDX-License-Identifier: Apache-2.0
"""Which Blender performs the shots, and how the add-on is reached in it."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.errors import UnderstudyError
from shared.shots import EVENT

__all__ = ["BlenderCommand", "event_of", "find_blender"]

ROOT: Final = Path(__file__).resolve().parents[2]
SCRIPT: Final = ROOT / "blender_addon" / "headless.py"
"""There in a source tree; an installed bridge knows only the extension that is installed in Blender."""
PROBE_SECONDS: Final = 120.0
PLACES: Final = {
    "darwin": ("/Applications/Blender.app/Contents/MacOS/Blender",),
    "win32": (r"C:\Program Files\Blender Foundation\*\blender.exe",),
}
INSTALL: Final = "Install Understudy's zip in it (Preferences, Add-ons, Install from Disk) and enable it."


def event_of(line: str) -> dict[str, Any] | None:
    """What a line of Blender's output tells this program, or None where it is Blender's own talk."""
    if not line.startswith(EVENT):
        return None
    try:
        event = json.loads(line[len(EVENT):])
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


@dataclass(frozen=True)
class BlenderCommand:
    """How to run the add-on's commands.

    :ivar start: what stands before their arguments; :ivar name: for people, once it has been asked.
    """

    start: tuple[str, ...]
    name: str = "Blender"

    @classmethod
    def of_program(cls, program: str) -> BlenderCommand:
        """A Blender program. It runs with the user's preferences, because the extension and other add-ons live there."""
        if SCRIPT.is_file():
            return cls((program, "--background", "--python-exit-code", "1", "--python", str(SCRIPT), "--"))
        return cls((program, "--background", "--command", "understudy"))

    @classmethod
    def of_module(cls, python: str) -> BlenderCommand:
        """A Python that can import bpy. :raises UnderstudyError: ``unsupported`` without the source tree."""
        if not SCRIPT.is_file():
            raise UnderstudyError("unsupported", "Blender as a Python module needs Understudy's source tree.",
                                  "Name a Blender program with --blender, or run this from the source tree.")
        return cls((python, "-X", "utf8", str(SCRIPT)))

    def line(self, *arguments: str) -> list[str]:
        """The whole command."""
        return [*self.start, *arguments]

    def probe(self) -> BlenderCommand:
        """Ask it for its version. :raises UnderstudyError: when it does not run, or has no Understudy that works."""
        try:
            done = subprocess.run(self.line("about"), capture_output=True, text=True, errors="replace", timeout=PROBE_SECONDS,
                                  stdin=subprocess.DEVNULL, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnderstudyError("file_missing", f"{self.start[0]} cannot be run ({error}).",
                                  "Give the path of Blender with --blender.") from error
        events = [e for line in done.stdout.splitlines() if (e := event_of(line))]
        if not events:
            said = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise UnderstudyError("unsupported", f"{self.start[0]} knows no Understudy{': ' + said[0] if said else ''}.", INSTALL)
        if not events[-1].get("zmq"):
            raise UnderstudyError("unsupported", f"{self.start[0]} has no pyzmq for its Python.", INSTALL)
        return BlenderCommand(self.start, f"Blender {events[-1]['blender']}")


def _programs() -> list[str]:
    named = [os.environ.get("BLENDER") or "", shutil.which("blender") or ""]
    usual = [found for pattern in PLACES.get(sys.platform, ()) for found in sorted(glob.glob(pattern), reverse=True)]
    return [p for p in (*named, *usual) if p]


def _modules() -> list[str]:
    named = os.environ.get("UNDERSTUDY_BLENDER_PYTHON") or ""
    own = ROOT / ".venv-blender" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    return [p for p in (named, str(own) if own.is_file() else "") if p]


def find_blender(program: str = "", python: str = "") -> BlenderCommand:
    """The given program or Python, or else ``$BLENDER``, a Blender that is installed, the bpy module of the source tree.

    :raises UnderstudyError: ``file_missing`` or ``unsupported``, with what to do.
    """
    if program:
        return BlenderCommand.of_program(program).probe()
    if python:
        return BlenderCommand.of_module(python).probe()
    if programs := _programs():
        return BlenderCommand.of_program(programs[0]).probe()
    if modules := _modules():
        return BlenderCommand.of_module(modules[0]).probe()
    raise UnderstudyError("file_missing", "No Blender was found on this machine.", "Give its path with --blender.")
