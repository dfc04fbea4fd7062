# SPDX-License-Identifier: Apache-2.0
"""A worker process as the bridge sees it: start, state, death, restart with growing pauses."""

from __future__ import annotations

import json
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from shared.errors import UnderstudyError

from .jobs import Job
from .life import LOGGER, log_event

__all__ = ["WorkerProcess"]

PAUSES: Final = (0.0, 0.5, 2.0, 5.0, 15.0, 30.0)
"""Seconds to wait before a start, by the number of starts that failed in a row."""
GIVE_UP: Final = 3
"""Starts that may fail in a row before waiting jobs are told; later submits try again."""


@dataclass
class WorkerProcess:
    """One worker.

    :ivar state: down, starting, loading, ready, unloading, unloaded or failed (alive, but its model would not load).
    :ivar job: what it is doing.
    :ivar description: its last ``state`` message: models, device, error. :ivar facts: what else it can do: renderers, faces.
    """

    number: int
    address: str
    performer: str
    options: dict[str, Any]
    log: Path
    identity: bytes = b""
    state: str = "down"
    job: Job | None = None
    kill_at: float | None = None
    failures: int = 0
    description: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    last_words: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    idle_since: float = field(default_factory=time.monotonic)
    _process: subprocess.Popen[bytes] | None = None
    _reader: threading.Thread | None = None
    _start_at: float = 0.0

    @property
    def pid(self) -> int | None:
        """Process id, or None when it is down."""
        return self._process.pid if self._process is not None else None

    @property
    def broken(self) -> bool:
        """Whether it has failed to start so often that it is no use to wait for it."""
        return self.failures >= GIVE_UP

    @property
    def free(self) -> bool:
        """Whether it can be given a job."""
        return self.job is None and self.state in ("ready", "unloaded", "failed")

    def start_if_due(self) -> None:
        """Start the process when it is down and its pause is over."""
        if self._process is None and time.monotonic() >= self._start_at:
            self._start()

    def _start(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(p for p in (root, environment.get("PYTHONPATH", "")) if p)
        # the name is a secret of bridge and worker: another user of the machine cannot pose as one
        self.identity = f"worker-{self.number}-{secrets.token_hex(16)}".encode()
        self.last_words.clear()
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge_server.service.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        assert process.stdin is not None
        config = {
            "address": self.address,
            "identity": self.identity.decode(),
            "performer": self.performer,
            "options": self.options,
        }
        try:
            process.stdin.write(json.dumps(config).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once; the next poll reports that with its exit code
        self._process = process
        self.state = "starting"
        self._reader = threading.Thread(
            target=self._read, args=(process,), name=f"worker-{self.number}-output", daemon=True
        )
        self._reader.start()
        log_event("worker.start", worker=self.number, pid=process.pid)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            self.last_words.append(text)
            LOGGER.info("worker.output worker=%d %s", self.number, text)

    def on_state(self, content: dict[str, Any]) -> None:
        """Take a ``state`` message."""
        self.state = content["state"]
        self.description = {**self.description, **content} if self.state == "unloaded" else content
        self.idle_since = time.monotonic()
        if self.state in ("ready", "failed"):
            self.failures = 0
        error = content.get("error")
        log_event(
            "worker.state",
            worker=self.number,
            state=self.state,
            seconds=content.get("seconds"),
            device=content.get("device"),
            error=error["message"] if error else None,
            level=logging.ERROR if error else logging.INFO,
        )

    @property
    def error(self) -> UnderstudyError | None:
        """Why its model would not load."""
        return UnderstudyError.from_json(self.description["error"]) if self.state == "failed" else None

    def died(self) -> str | None:
        """A clause that says how the process ended, once, when it has."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        was_up = self.state in ("ready", "unloaded", "failed")
        self._collect()
        self.failures = 0 if was_up else self.failures + 1
        self._start_at = time.monotonic() + PAUSES[min(self.failures, len(PAUSES) - 1)]
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        """End the process now."""
        if self._process is not None:
            self._process.kill()

    def retry_now(self) -> None:
        """Forget the pause: somebody is waiting."""
        if self._process is None and self.broken:
            self._start_at = min(self._start_at, time.monotonic())

    def stop(self, seconds: float) -> None:
        """End the process, by force if it does not end by itself when its standard input ends."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._collect()

    def _collect(self) -> None:
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        self._process.wait()
        if self._reader is not None:
            self._reader.join(timeout=0.5)
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # nobody is left to read it
        self._process.stdout.close()
        self._process = None
        self._reader = None
        self.state = "down"
        self.kill_at = None
