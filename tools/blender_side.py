# SPDX-License-Identifier: Apache-2.0
"""Blender as a child process: the bpy module of ``.venv-blender`` or a Blender program, with its events read as they come."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from shared.errors import UnderstudyError

__all__ = ["EVENT", "Blender", "BlenderSide", "find_blender"]

EVENT: Final = "@understudy "
"""Lines of the child's output that start so carry one JSON object; the rest is Blender's own talk."""
PROBE_SECONDS: Final = 120.0

_PROBE = """
import bpy, os, sys
bpy.ops.wm.read_factory_settings(use_empty=True)
s = bpy.context.scene
s.camera = bpy.data.objects.new("c", bpy.data.cameras.new("c")); s.collection.objects.link(s.camera)
s.render.engine = "BLENDER_WORKBENCH"; s.render.resolution_x = s.render.resolution_y = 16
s.render.image_settings.file_format = "PNG"; s.render.filepath = PATH
bpy.ops.render.render(write_still=True)
sys.stdout.flush(); os._exit(0)
"""


@dataclass(frozen=True)
class Blender:
    """How to run a script in Blender.

    :ivar command: what stands before the script.
    :ivar name: for people.
    :ivar modules: folder with pyzmq for a Blender that lacks it, or None.
    """

    command: tuple[str, ...]
    name: str
    modules: Path | None = None

    def script(self, path: Path, *arguments: str) -> list[str]:
        """The command that runs a script with arguments after ``--``."""
        return [*self.command, str(path), "--", *arguments]

    def preview_engine(self, work: Path) -> str:
        """``BLENDER_WORKBENCH`` where it renders, else ``CYCLES``, said in a sentence.

        Tried in a process of its own: where OpenGL is missing, Blender may end instead of raising an error.
        """
        picture, script = work / "probe.png", work / "probe.py"
        script.write_text(f"PATH = {str(picture)!r}\n{_PROBE}", encoding="utf-8")
        try:
            subprocess.run(self.script(script), capture_output=True, timeout=PROBE_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            pass
        if picture.is_file():
            return "BLENDER_WORKBENCH"
        print("This machine has no OpenGL for Blender's Workbench, so the preview is rendered by Cycles: smaller, and slower.",
              flush=True)
        return "CYCLES"


def find_blender(program: str, root: Path) -> Blender:
    """The given Blender program, or the bpy module.

    :raises UnderstudyError: ``file_missing`` or ``unsupported`` with what to do.
    """
    if not program:
        given = os.environ.get("UNDERSTUDY_BLENDER_PYTHON")
        python = Path(given) if given else root / ".venv-blender" / (
            "Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        if not python.exists():
            raise UnderstudyError("file_missing", "Blender's Python module is not installed.", "Run python tools/dev.py demo.")
        return Blender((str(python), "-X", "utf8"), "the bpy module")
    command = (program, "-b", "--factory-startup", "--python-exit-code", "3")
    probe = ("import sys, bpy\ntry:\n    import zmq\n    z = True\nexcept ImportError:\n    z = False\n"
             f"print({EVENT!r} + '%d.%d %s %s' % (*sys.version_info[:2], z, bpy.app.version_string), flush=True)")
    try:
        done = subprocess.run([*command, "--python-expr", probe], capture_output=True, text=True, timeout=PROBE_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnderstudyError("file_missing", f"{program} cannot be run ({error}).", "Give the path of Blender's program.") from error
    line = next((x for x in done.stdout.splitlines() if x.startswith(EVENT)), "")
    if not line:
        raise UnderstudyError("unsupported", f"{program} does not answer as Blender does.", "Give the path of Blender 4.2 or later.")
    python_version, has_zmq, version = line[len(EVENT):].split(" ", 2)
    if tuple(int(n) for n in version.split()[0].split(".")[:2]) < (4, 2):
        raise UnderstudyError("unsupported", f"{program} is Blender {version}.", "Use Blender 4.2 or later.")
    modules = None if has_zmq == "True" else _modules_for(python_version, root)
    return Blender((*command, "--python"), f"Blender {version}", modules)


def _modules_for(python_version: str, root: Path) -> Path:
    """pyzmq for another Python, in a folder of its own: Blender's folders are left alone."""
    folder = root / f".venv-blender-modules-{python_version}"
    if not (folder / "zmq").is_dir():
        command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
                   "--python-version", python_version, "--implementation", "cp", "--target", str(folder),
                   "-c", str(root / "constraints.txt"), "pyzmq"]
        if subprocess.run(command).returncode:
            raise UnderstudyError("unsupported", f"pyzmq for Blender's Python {python_version} could not be installed.",
                                  "Check the network, or leave BLENDER out to use the bpy module.")
    return folder


class Listener(Protocol):
    """Receives what the child reports."""

    def stage(self, name: str) -> None:
        """A new stage begins."""

    def update(self, name: str, fraction: float, eta: float | None) -> None:
        """How far a stage is."""

    def note(self, text: str) -> None:
        """A sentence for the user."""


class BlenderSide:
    """One run of a script in Blender. The script prints events; everything else goes to ``blender.log``."""

    def __init__(self, blender: Blender, script: Path, job: dict[str, Any], work: Path, environment: dict[str, str]) -> None:
        file = work / "job.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        self.command = blender.script(script, str(file))
        self.log = work / "blender.log"
        # a Blender with a window is not meant here, and a user's own settings must not take part
        self.environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1",
                            "BLENDER_USER_RESOURCES": str(work / "blender")}
        if blender.modules is not None:
            self.environment["UNDERSTUDY_MODULES"] = str(blender.modules)

    def run(self, listener: Listener) -> dict[str, Any]:
        """Run to the end. :returns: the script's facts.

        :raises UnderstudyError: what the script reported, or ``internal`` when it ended without a word.
        """
        facts: dict[str, Any] | None = None
        error: UnderstudyError | None = None
        tail: deque[str] = deque(maxlen=30)
        with (subprocess.Popen(self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace") as process,
              open(self.log, "w", encoding="utf-8") as log):
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if not line.startswith(EVENT):
                        log.write(line)
                        tail.append(line.rstrip())
                        continue
                    event = json.loads(line[len(EVENT):])
                    kind = event.pop("event")
                    if kind == "stage":
                        listener.stage(event["name"])
                    elif kind == "progress":
                        listener.update(event["name"], event["fraction"], event.get("eta"))
                    elif kind == "note":
                        listener.note(event["text"])
                    elif kind == "error":
                        error = UnderstudyError.from_json(event)
                    elif kind == "done":
                        facts = event
                code = process.wait()
            except BaseException:
                process.kill()
                raise
        if error is not None:
            raise error
        if facts is None:
            words = [line for line in tail if line and "EGL" not in line]
            raise UnderstudyError("internal", f"Blender ended with exit code {code} before the demo was done"
                                  + (f": {words[-1].rstrip('.')}." if words else "."),
                                  "Run it again; if it fails again, report it with this sentence.")
        return facts
