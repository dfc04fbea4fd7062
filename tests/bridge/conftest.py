# SPDX-License-Identifier: Apache-2.0
"""Real bridges over real sockets, and a check that no test leaves anything of itself behind."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest

from bridge_server.cli.client import Client
from bridge_server.cli.launch import launch
from shared.requests import MotionRequest
from shared.state import BridgeRecord
from shared.timeline import Direction

DEADLINE = 60.0


def wait_for(what: Callable[[], object], why: str, seconds: float = DEADLINE) -> None:
    """Wait until ``what`` is true, or fail the test with ``why``."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, f"not within {seconds:g} s: {why}"
        time.sleep(0.01)


def request_for(text: str = "walks forward", seconds: float = 2.0, **options: object) -> MotionRequest:
    """A request with one direction of 2 s."""
    return MotionRequest(directions=[Direction(0.0, seconds, text)], **options)  # type: ignore[arg-type]


@dataclass
class RunningBridge:
    """A bridge started by a test."""

    record: BridgeRecord
    process: subprocess.Popen[bytes]
    state_dir: Path
    clients: list[Client] = field(default_factory=list)

    def client(self) -> Client:
        """A connected, welcomed client; closed with the bridge."""
        client = Client(self.record.address, self.record.token, log=self.record.log, pid=self.record.pid)
        self.clients.append(client)
        client.hello(30)
        return client

    @property
    def log(self) -> str:
        return Path(self.record.log).read_text(encoding="utf-8")

    def workers(self) -> list[int]:
        """Pids of its worker processes."""
        with_client = self.client()
        pids = [w["pid"] for w in with_client.status()["workers"] if w["pid"]]
        with_client.close()
        return pids

    def stop(self) -> int:
        """Stop it and its clients; returns the exit code."""
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(DEADLINE)


Start = Callable[..., RunningBridge]


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a process, a thread or a socket."""
    me = psutil.Process()
    processes, threads, sockets = _processes(me), _threads(), _sockets(me)
    yield
    leaked: dict[str, object] = {}
    until = time.monotonic() + 5.0
    while time.monotonic() < until:
        leaked = {
            "processes": _processes(me) - processes,
            "threads": _threads() - threads,
            "sockets": _sockets(me) - sockets,
        }
        if not any(leaked.values()):
            return
        time.sleep(0.02)
    pytest.fail(f"left behind: {leaked}")


def _processes(me: psutil.Process) -> set[int]:
    """Children. Workers are looked for by the tests that kill a bridge; a bridge that stops waits for its own."""
    return {p.pid for p in me.children() if p.is_running() and p.status() != psutil.STATUS_ZOMBIE}


def _threads() -> set[threading.Thread]:
    # pyzmq keeps one thread for the process that frees buffers after sending
    return {t for t in threading.enumerate() if type(t).__name__ != "GarbageCollectorThread"}


def _sockets(me: psutil.Process) -> set[object]:
    return {(c.fd, c.laddr, c.raddr) for c in me.net_connections(kind="inet")}


def start_bridge(
    state_dir: Path, generator: str | None = "Slow", *extra: str, environment: dict[str, str] | None = None
) -> RunningBridge:
    """A bridge with one of the generators of :mod:`tests.bridge.generators`, or with the shipped weights for None."""
    former = {k: os.environ.get(k) for k in environment or {}}
    os.environ.update(environment or {})
    try:
        chosen = ["--generator", f"tests.bridge.generators:{generator}"] if generator else []
        record, process = launch(state_dir, extra=[*chosen, "--device", "cpu", *extra])
    finally:
        for name, value in former.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    return RunningBridge(record, process, state_dir)


@pytest.fixture
def start(tmp_path: Path, nothing_left_behind: None) -> Iterator[Start]:
    """A function that starts bridges; they are stopped after the test."""
    running: list[RunningBridge] = []

    def begin(
        generator: str = "Slow", *extra: str, folder: str = "state", environment: dict[str, str] | None = None
    ) -> RunningBridge:
        running.append(start_bridge(tmp_path / folder, generator, *extra, environment=environment))
        return running[-1]

    yield begin
    for bridge in running:
        bridge.stop()


@pytest.fixture(scope="module")
def shared_bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBridge]:
    """One bridge with the Moody generator for all tests of a file that leave it in order."""
    folder = tmp_path_factory.mktemp("shared")
    bridge = start_bridge(
        folder, "Moody", "--queue-limit", "3", environment={"UNDERSTUDY_TEST_ONCE": str(folder / "once")}
    )
    yield bridge
    assert bridge.stop() == 0


@pytest.fixture
def bridge(shared_bridge: RunningBridge, nothing_left_behind: None) -> Iterator[RunningBridge]:
    """The file's bridge, with the clients of this test closed after it."""
    yield shared_bridge
    for client in shared_bridge.clients:
        client.close()
    shared_bridge.clients.clear()


@pytest.fixture
def client(bridge: RunningBridge) -> Client:
    """A client of the file's bridge."""
    return bridge.client()


def understudy(*arguments: str, state_dir: Path, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    environment = {**os.environ, "UNDERSTUDY_STATE_DIR": str(state_dir)}
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, "-m", "bridge_server", *arguments],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def end_hard(pid: int) -> None:
    """What ``kill -9`` does, also where there is no such signal."""
    os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def wav(samples: np.ndarray, rate: int = 16_000) -> np.ndarray:
    """A 32-bit float WAV file's bytes; samples (N,) or (N, channels)."""
    samples = np.asarray(samples, dtype="<f4")
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    data = samples.tobytes()
    header = (
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 3, channels, rate, rate * 4 * channels, 4 * channels, 32)
        + b"data"
        + struct.pack("<I", len(data))
    )
    return np.frombuffer(header + data, dtype=np.uint8)


@pytest.fixture(scope="session")
def speech_wav() -> np.ndarray:
    """Three seconds of a tone that comes and goes, as WAV."""
    t = np.arange(3 * 16_000) / 16_000
    return wav(0.4 * np.sin(2 * np.pi * 200 * t) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t)))


@pytest.fixture(scope="session")
def silent_wav() -> np.ndarray:
    """Three seconds of nothing, as WAV."""
    return wav(np.zeros(3 * 16_000))
