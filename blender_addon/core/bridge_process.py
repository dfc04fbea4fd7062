# SPDX-License-Identifier: GPL-3.0-or-later
"""Find and start the bridge as a process of its own, and say why when it does not come up.

The bridge needs a Python with its own packages. Blender's Python is never used for it, and
``sys.executable`` is never guessed from: inside Blender it can name any Python on the path.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal

from ..shared.errors import UnderstudyError
from ..shared.state import BridgeRecord, read_record, state_dir

__all__ = ["BridgeCommand", "BridgeProcess", "find_command", "pid_alive"]

_log = logging.getLogger("understudy.bridge")

START_SECONDS: Final = 120.0
"""How long a bridge may take until it writes its lock file; the first start of a cold machine imports torch."""
STOP_SECONDS: Final = 3.0
BACK_OFF: Final = (0.0, 1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds to wait before the n-th automatic start after n failures in a row."""


@dataclass(frozen=True)
class BridgeCommand:
    """How to run the bridge.

    :ivar python: interpreter that has the bridge's packages.
    :ivar folder: folder that holds ``bridge_server``, or None where the package is installed.
    :ivar arguments: appended to ``serve``. :ivar environment: variables that are set for it, beside those that are there.
    """

    python: Path
    folder: Path | None = None
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


def _venv_python(folder: Path) -> Path:
    return folder / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def find_command(python: str = "", folder: str = "", arguments: tuple[str, ...] = (),
                 source_root: Path | None = None, environment: tuple[tuple[str, str], ...] = ()) -> BridgeCommand:
    """The command to start the bridge with, from the first of these that names a Python:

    the given preference, ``$UNDERSTUDY_BRIDGE_PYTHON``, ``install.json`` in the state folder (``{"python", "folder"}``),
    the ``.venv`` of a source tree that the add-on runs from.

    :raises UnderstudyError: ``bridge_not_running`` when none does, ``file_missing`` when it names a file that is not there.
    """
    folder = folder or os.environ.get("UNDERSTUDY_BRIDGE_FOLDER", "")
    chosen = python or os.environ.get("UNDERSTUDY_BRIDGE_PYTHON", "")
    if not chosen:
        try:
            installed = json.loads((state_dir() / "install.json").read_text(encoding="utf-8"))
            chosen, folder = str(installed["python"]), folder or str(installed.get("folder") or "")
        except (OSError, ValueError, KeyError, TypeError):
            chosen = ""
    if not chosen and source_root is not None and _venv_python(source_root).is_file():
        chosen = str(_venv_python(source_root))
    if not chosen:
        raise UnderstudyError("bridge_not_running", "The bridge is not set up on this computer.",
                              "Install it, then choose its Python in the add-on's preferences.")
    if not Path(chosen).is_file():
        raise UnderstudyError("file_missing", f"There is no Python at {chosen}.",
                              "Choose the bridge's Python in the add-on's preferences.")
    if not folder and source_root is not None and (source_root / "bridge_server").is_dir():
        folder = str(source_root)
    if folder and not (Path(folder) / "bridge_server").is_dir():
        raise UnderstudyError("file_missing", f"There is no bridge in the folder {folder}.",
                              "Choose the folder that holds bridge_server in the add-on's preferences.")
    return BridgeCommand(Path(chosen), Path(folder) if folder else None, arguments, environment)


def pid_alive(pid: int) -> bool:
    """Whether a process with this id exists on this machine."""
    if pid <= 0:
        return False
    if sys.platform == "win32":
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
        if not handle:
            return False
        code = ctypes.c_ulong()
        ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        ctypes.windll.kernel32.CloseHandle(handle)
        return code.value == 259  # STILL_ACTIVE
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class BridgeProcess:
    """The bridge as this add-on's child: start, watch, stop, and a pause after failures that grows."""

    def __init__(self) -> None:
        self.failures = 0
        self.error: UnderstudyError | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._previous: BridgeRecord | None = None
        self._began = 0.0
        self._failed_at = 0.0

    @property
    def log_path(self) -> Path:
        """Where the output of the start goes; the bridge's own log lies beside it."""
        return state_dir() / "logs" / "bridge-start.log"

    @property
    def running(self) -> bool:
        """Whether a process started here is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id of the child, if one was started."""
        return self._process.pid if self._process else None

    @property
    def seconds_starting(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def may_start(self) -> bool:
        """False while the pause after failed starts lasts (0, 1, 2, 5, 15, then 60 s)."""
        pause = BACK_OFF[min(self.failures, len(BACK_OFF) - 1)]
        return time.monotonic() - self._failed_at >= pause

    def start(self, command: BridgeCommand) -> None:
        """Launch the bridge; returns at once, :meth:`poll` tells how it goes. :raises UnderstudyError: cannot launch."""
        if self.running:
            return
        self.error = None
        self._previous = read_record()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        # Blender may have set these for its own Python; in another one they break every import
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")}
        environment |= {"PYTHONUNBUFFERED": "1", **dict(command.environment)}
        line = [str(command.python), "-m", "bridge_server", "serve", "--parent-pid", str(os.getpid()), *command.arguments]
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows only
        self._output = self.log_path.open("wb")
        _log.info("starting %s", line)
        try:
            self._process = subprocess.Popen(
                line, cwd=command.folder, env=environment, stdin=subprocess.DEVNULL, stdout=self._output,
                stderr=subprocess.STDOUT, creationflags=flags, start_new_session=sys.platform != "win32")
        except OSError as error:
            self._fail(f"The bridge could not be started ({error.strerror or error}).")
            assert self.error is not None
            raise self.error from error
        self._began = time.monotonic()

    def poll(self) -> tuple[Literal["starting", "ready", "failed"], BridgeRecord | None]:
        """How the start goes, and the record once the bridge is ready to answer; ``error`` is set on failure."""
        if self._process is None:
            return "failed", None
        code = self._process.poll()
        if code is not None:
            tail = self._last_line()
            self._fail(f"The bridge stopped while starting, with exit code {code}{': ' + tail if tail else ''}.")
            return "failed", None
        record = read_record()
        # by token and not by pid: on Windows a virtual environment's python.exe starts another process
        if record is not None and (self._previous is None or record.token != self._previous.token):
            self.failures = 0
            return "ready", record
        if self.seconds_starting > START_SECONDS:
            self.stop()
            self._fail(f"The bridge was not ready after {START_SECONDS:.0f} s.")
            return "failed", None
        return "starting", None

    def stop(self) -> None:
        """End the child: asked first, killed after 3 s."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS)
        self._close_output()

    def wait(self, seconds: float) -> bool:
        """Whether the child has ended by itself within ``seconds``."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def exit_code(self) -> int | None:
        """The child's exit code, or None while it runs or where there is none."""
        return self._process.poll() if self._process else None

    def _fail(self, message: str) -> None:
        self.failures += 1
        self._failed_at = time.monotonic()
        self.error = UnderstudyError("bridge_not_running", message, f"Read {self.log_path} for the cause.")
        _log.error("%s", self.error)
        self._process = None
        self._close_output()

    def _close_output(self) -> None:
        if self._output is not None:
            self._output.close()
            self._output = None

    def _last_line(self) -> str:
        try:
            lines = self.log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1].strip()[:200].rstrip(".") if lines else ""
