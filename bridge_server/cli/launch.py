# SPDX-License-Identifier: Apache-2.0
"""Start a bridge as a process of its own and wait until it answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shared.errors import UnderstudyError
from shared.state import BridgeRecord, read_record

from .client import Client, connect

__all__ = ["bridge_for", "launch"]


def launch(
    state_dir: Path, *, extra: Sequence[str] = (), parent_pid: int | None = None, seconds: float = 60.0
) -> tuple[BridgeRecord, subprocess.Popen[bytes]]:
    """Start ``understudy serve`` for a state folder; returns when its lock file is there.

    :param extra: further arguments of ``serve``.
    :raises UnderstudyError: ``bridge_not_running``, with what the process said.
    """
    root = str(Path(__file__).resolve().parents[2])
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(p for p in (root, environment.get("PYTHONPATH", "")) if p)
    command = [sys.executable, "-m", "bridge_server", "serve", "--state-dir", str(state_dir), *extra]
    if parent_pid is not None:
        command += ["--parent-pid", str(parent_pid)]
    log = state_dir / "logs" / "bridge.log"
    start = state_dir / "logs" / "start.log"
    start.parent.mkdir(parents=True, exist_ok=True)
    with start.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        record = read_record(state_dir)
        if record is not None and record.pid == process.pid:
            return record, process
        if process.poll() is not None:
            said = start.read_text(errors="replace").strip().splitlines()
            raise UnderstudyError(
                "bridge_not_running",
                f"The bridge ended while starting: {said[-1] if said else 'it said nothing'}",
                f"See the log file {log}.",
            )
        time.sleep(0.02)
    process.kill()
    process.wait()
    raise UnderstudyError(
        "bridge_not_running", f"The bridge did not start within {seconds:g} s.", f"See the log file {log}."
    )


@contextmanager
def bridge_for(state_dir: Path, *, extra: Sequence[str] = (), keep: bool = False) -> Iterator[Client]:
    """A client of the bridge that runs with a state folder, or of one started for this and stopped afterwards.

    :param keep: leave a bridge that was started here running.
    :raises UnderstudyError: as :func:`launch` and :func:`bridge_server.cli.client.connect`.
    """
    process: subprocess.Popen[bytes] | None = None
    try:
        with connect(state_dir) as client:
            yield client
            return
    except UnderstudyError as error:
        if error.code != "bridge_not_running":
            raise
    _, process = launch(state_dir, extra=extra, parent_pid=None if keep else os.getpid())
    try:
        with connect(state_dir) as client:
            yield client
    finally:
        if not keep:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
