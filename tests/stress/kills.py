# SPDX-License-Identifier: Apache-2.0
"""Worker, bridge and client killed at random moments: no job without a clear record, nothing half-written or left behind."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.results import Result
from bridge_server.cli.client import Client
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.state import read_record
from tests.bridge.conftest import RunningBridge, end_hard, start_bridge

__all__ = ["measure"]

ROUNDS = 100
FINAL = ("done", "failed", "cancelled", "interrupted")


def measure(scale: float) -> tuple[list[Result], list[str]]:
    """``kill_rounds`` and ``kill_failures``."""
    rounds = max(6, int(ROUNDS * scale))
    rng = random.Random(7)
    wrong: list[str] = []
    ours: set[int] = set()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        bridge = _start(folder, ours)
        for n in range(rounds):
            target = ("worker", "bridge", "client")[n % 3]
            ids = [f"r{n}-{k}" for k in range(3)]
            try:
                bridge = _round(bridge, folder, target, ids, rng, ours)
            except (AssertionError, UnderstudyError, psutil.Error) as error:
                wrong.append(f"round {n}, {target}: {type(error).__name__} {error}")
                bridge.stop()
                bridge = _start(folder, ours)
        wrong += _records(bridge, rounds)
        bridge.stop()
        wrong += [f"left half-written: {p.name}" for p in (folder / "jobs").glob("*.part")]
        if read_record(folder) is not None:
            wrong.append("the lock file is still there")
        wrong += [f"process {pid} is still there" for pid in ours if psutil.pid_exists(pid) and _is_ours(pid)]
    return [Result.of("kill_rounds", rounds, "rounds", ROUNDS), Result.of("kill_failures", len(wrong), "", 1)], wrong[
        :10
    ]


def _start(folder: Path, ours: set[int]) -> RunningBridge:
    bridge = start_bridge(folder, "Slow")
    ours.add(bridge.record.pid)
    return bridge


def _is_ours(pid: int) -> bool:
    try:
        return "bridge_server" in " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


def _round(
    bridge: RunningBridge, folder: Path, target: str, ids: list[str], rng: random.Random, ours: set[int]
) -> RunningBridge:
    """Submit three jobs by a client process, kill the target at a random moment, see every job to its end."""
    client = subprocess.Popen(
        [sys.executable, "-m", "tests.stress.submitter", bridge.record.address, bridge.record.token, *ids],
        stdout=subprocess.PIPE,
    )
    assert client.stdout is not None
    assert client.stdout.readline() == b"accepted\n", "the jobs were accepted"
    workers = psutil.Process(bridge.record.pid).children()
    ours.update(w.pid for w in workers)
    time.sleep(rng.uniform(0, 0.8))
    if target == "worker" and workers:
        end_hard(workers[0].pid)
    elif target == "client":
        end_hard(client.pid)
    elif target == "bridge":
        end_hard(bridge.record.pid)
        bridge.process.wait(20)
        for worker in workers:
            worker.wait(10)
        for c in bridge.clients:
            c.close()
        bridge = _start(folder, ours)
    if target == "bridge":
        client.kill()
    with Client(bridge.record.address, bridge.record.token) as looker:
        looker.hello(20)
        until = time.monotonic() + 60
        for id in ids:
            while (state := looker.status(id))["state"] not in FINAL:
                assert time.monotonic() < until, f"{id} is {state['state']} for ever"
                time.sleep(0.02)
            if state["state"] == "done":
                motion: Motion = looker.fetch(id, seconds=20)
                assert len(motion) == 60 and motion.metadata["seed"] == 5, f"{id} has another's result"
            else:
                assert target == "bridge" and state["error"]["code"] == "bridge_lost", f"{id}: {state}"
    client.kill() if target != "worker" else None
    client.wait(30)
    client.stdout.close()
    return bridge


def _records(bridge: RunningBridge, rounds: int) -> list[str]:
    """Every job of every round has one record in a final state."""
    wrong = []
    with Client(bridge.record.address, bridge.record.token) as client:
        client.hello(20)
        for n in range(rounds):
            for k in range(3):
                try:
                    state = client.status(f"r{n}-{k}")["state"]
                except UnderstudyError as error:
                    wrong.append(f"r{n}-{k}: {error.code}")
                    continue
                if state not in FINAL:
                    wrong.append(f"r{n}-{k} is {state}")
    return wrong
