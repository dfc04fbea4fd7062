# SPDX-License-Identifier: Apache-2.0
"""Where a running bridge leaves its address: the lock file in the user's state folder."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["BridgeRecord", "lock_file", "read_record", "state_dir", "write_record"]


def state_dir() -> Path:
    """The folder for state and logs: ``$UNDERSTUDY_STATE_DIR``, or the platform's own place for it.

    The same folders as ``platformdirs.user_state_dir("understudy", appauthor=False)``, which Blender's Python lacks.
    """
    if override := os.environ.get("UNDERSTUDY_STATE_DIR"):
        return Path(override)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "understudy"
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/understudy"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "understudy"


def lock_file(folder: Path | None = None) -> Path:
    """``bridge.json`` in the state folder."""
    return (folder or state_dir()) / "bridge.json"


@dataclass
class BridgeRecord:
    """What the lock file holds.

    :ivar address: ZeroMQ endpoint, as ``tcp://127.0.0.1:40123``.
    :ivar token: every message of a client on this machine must carry it; the file is readable by its owner only.
    :ivar pid: process id of the bridge.
    :ivar version: release of the bridge.
    :ivar log: path of its log file.
    :ivar remote: endpoint for clients with keys, or "".
    """

    address: str
    token: str
    pid: int
    version: str
    log: str
    remote: str = ""


def write_record(record: BridgeRecord, folder: Path | None = None) -> Path:
    """Write the lock file with mode 0600, complete or not at all."""
    path = lock_file(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(record), file)
    temporary.replace(path)
    return path


def read_record(folder: Path | None = None) -> BridgeRecord | None:
    """The lock file's content, or None when there is none or it is not one."""
    try:
        data = json.loads(lock_file(folder).read_text(encoding="utf-8"))
        return BridgeRecord(str(data["address"]), str(data["token"]), int(data["pid"]), str(data["version"]), str(data["log"]),
                            str(data.get("remote", "")))
    except (OSError, ValueError, KeyError, TypeError):
        return None
