# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a Python has what the bridge needs, and what to do where it has not."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Final

from ..shared.errors import UnderstudyError
from .bridge_process import BridgeCommand

__all__ = ["Check", "check"]

SECONDS: Final = 30.0
PYTHON: Final = (3, 11)
DISTRIBUTIONS: Final = {
    "numpy": "numpy", "scipy": "scipy", "zmq": "pyzmq", "psutil": "psutil", "av": "av", "safetensors": "safetensors",
    "torch": "torch", "transformers": "transformers",
}
"""Module: the distribution that carries it."""
_QUESTION: Final = (
    "import importlib.util as u, json, sys; "
    f"print('@check ' + json.dumps([sys.version_info[:3], [n for n in {(*DISTRIBUTIONS, 'bridge_server')!r} if u.find_spec(n) is None]]))"
)


@dataclass(frozen=True)
class Check:
    """The answer.

    :ivar version: of the Python; :ivar missing: distributions that are not installed, "understudy" for the bridge itself.
    :ivar install: a command line that repairs it, or "" where nothing is missing.
    """

    version: tuple[int, int, int]
    missing: tuple[str, ...]
    install: str

    @property
    def good(self) -> bool:
        """Whether the bridge can run."""
        return not self.missing and self.version[:2] == PYTHON

    @property
    def summary(self) -> str:
        """One sentence."""
        version = ".".join(map(str, self.version))
        if self.version[:2] != PYTHON:
            return f"This is Python {version}; the bridge needs Python {'.'.join(map(str, PYTHON))}."
        return f"Python {version} lacks {', '.join(self.missing)}." if self.missing else f"Python {version} has what the bridge needs."


def check(command: BridgeCommand) -> Check:
    """Ask that Python itself; takes as long as it takes to start.

    :raises UnderstudyError: ``bridge_not_running`` where it cannot be run.
    """
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows only
    fix = "Choose another Python in the add-on's preferences."
    try:
        done = subprocess.run([str(command.python), "-c", _QUESTION], capture_output=True, text=True, timeout=SECONDS, check=False,
                              creationflags=flags, cwd=command.folder)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnderstudyError("bridge_not_running", f"{command.python} cannot be run ({error}).", fix) from error
    line = next((x for x in done.stdout.splitlines() if x.startswith("@check ")), "")
    if not line:
        said = done.stderr.strip().splitlines()[-1:]
        raise UnderstudyError("bridge_not_running", f"{command.python} does not answer as a Python{': ' + said[0] if said else ''}.", fix)
    version, modules = json.loads(line.removeprefix("@check "))
    missing = tuple(DISTRIBUTIONS.get(name, "understudy") for name in modules)
    found = Check((version[0], version[1], version[2]), missing, "")
    return found if found.good else Check(found.version, missing, _repair(command))


def _repair(command: BridgeCommand) -> str:
    """The command line that installs the bridge."""
    if command.folder is not None and (command.folder / "tools" / "dev.py").is_file():
        # it makes an environment of its own and notes it for the add-on
        return f'python "{command.folder / "tools" / "dev.py"}" addon'
    target = f'-e "{command.folder}"' if command.folder is not None else "understudy"
    return f'"{command.python}" -m pip install {target}'
