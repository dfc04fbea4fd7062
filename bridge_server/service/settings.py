# SPDX-License-Identifier: Apache-2.0
"""How one bridge runs: everything that ``understudy serve`` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shared.state import state_dir

__all__ = [
    "EXIT_ALREADY_RUNNING",
    "EXIT_CANNOT_BIND",
    "EXIT_INTERNAL",
    "EXIT_OK",
    "EXIT_PARENT_GONE",
    "EXIT_STATE",
    "Settings",
]

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

EXIT_OK: Final = 0
EXIT_INTERNAL: Final = 1
EXIT_PARENT_GONE: Final = 10
EXIT_ALREADY_RUNNING: Final = 11
EXIT_CANNOT_BIND: Final = 12
EXIT_STATE: Final = 13


@dataclass
class Settings:
    """Settings of a bridge.

    :ivar state_dir: lock file, logs, jobs.
    :ivar host: address to bind; anything but loopback needs keys.
    :ivar port: 0 lets the system choose.
    :ivar device: "auto", "cpu", "cuda", "cuda:1", "mps".
    :ivar parent_pid: stop when this process is gone; None to run until asked to stop.
    :ivar generator: entry point name, or ``module:attribute``.
    :ivar queue_limit: jobs that may wait; one more is refused as busy.
    :ivar client_limit: jobs of one client that may wait or run.
    :ivar cancel_grace: seconds a cancelled worker may go on before it is killed; the client is answered before.
    :ivar curve: open the socket for clients with keys on loopback too.
    :ivar disk_limit: bytes that kept requests and results may take.
    :ivar unload_after: seconds without a job after which a worker drops its model; 0 for never.
    :ivar allowed_folders: folders that a request may name.
    :ivar executor: "local", or "ray".
    :ivar ray_address: of the Ray cluster; "" for ``$RAY_ADDRESS``, or one on this machine alone.
    """

    state_dir: Path = field(default_factory=state_dir)
    host: str = "127.0.0.1"
    port: int = 0
    device: str = "auto"
    parent_pid: int | None = None
    generator: str = "versa"
    weights: str = "starter"
    queue_limit: int = 64
    client_limit: int = 32
    cancel_grace: float = 3.0
    curve: bool = False
    disk_limit: int = 2 << 30
    unload_after: float = 1800.0
    allowed_folders: tuple[Path, ...] = ()
    executor: str = "local"
    ray_address: str = ""

    @property
    def log_file(self) -> Path:
        """``logs/bridge.log`` in the state folder."""
        return self.state_dir / "logs" / "bridge.log"
