# SPDX-License-Identifier: Apache-2.0
"""Round trip of 10 MB, cancel, reconnect."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import numpy as np
import zmq

from benchmarks.results import Result
from bridge_server.cli.client import Client
from shared import wire
from shared.errors import UnderstudyError
from shared.protocol import Message
from tests.bridge.conftest import RunningBridge, request_for
from tests.stress.common import a_bridge

__all__ = ["measure"]

MEGABYTES = 10
ECHO = """
import zmq
router = zmq.Context().socket(zmq.ROUTER)
print(router.bind_to_random_port("tcp://127.0.0.1"), flush=True)
while True:
    frames = router.recv_multipart(copy=False)
    router.send_multipart([frames[0].bytes, *frames[1:]], copy=False)
"""
"""The bare echo, a process of its own as the bridge is."""


def measure(scale: float) -> tuple[list[Result], list[str]]:
    """``wire_10mb_vs_pyzmq_ratio``, ``cancel_ms``, ``cancel_in_step_ms``, ``reconnect_ms``."""
    times = max(5, int(30 * scale))
    with a_bridge("Slow", "--client-limit", "1000") as bridge:
        ours, bare = _round_trips(bridge, times)
        cancel = _cancels(bridge.client(), times, "30 seconds of work")
        reconnect = _reconnects(bridge, times)
    with a_bridge("Torch", "--client-limit", "1000") as bridge:
        inside = _cancels(bridge.client(), times, "30 seconds inside a step")
    results = [
        Result.of("wire_10mb_vs_pyzmq_ratio", statistics.median(ours) / statistics.median(bare), "x", 2.0),
        Result.of("cancel_ms", max(cancel), "ms", 250.0),
        Result.of("cancel_in_step_ms", max(inside), "ms", 250.0),
        Result.of("reconnect_ms", statistics.median(reconnect), "ms", 250.0),
    ]
    return results, [f"{r.name} is {r.value:.4g} {r.unit}" for r in results if r.ratio > 1]


def _round_trips(bridge: RunningBridge, times: int) -> tuple[list[float], list[float]]:
    """Milliseconds of the bridge's echo of 10 MB and of a bare pyzmq one of the same frames, by turns."""
    array = np.random.default_rng(0).random(MEGABYTES * 250_000, dtype=np.float32)
    client = bridge.client()
    process = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE)
    assert process.stdout is not None
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    dealer.connect(f"tcp://127.0.0.1:{int(process.stdout.readline())}")
    frames = wire.encode(Message("ping", "x", {}, {"x": array}, "t" * 43))
    ours, bare = [], []
    for n in range(times + 3):
        since = time.perf_counter()
        back = client.ask(Message("ping", body={}, buffers={"x": array}))
        took = time.perf_counter() - since
        if not np.array_equal(back.buffers["x"][::1000], array[::1000]):
            raise RuntimeError("other bytes came back")
        since = time.perf_counter()
        dealer.send_multipart(frames, copy=False)
        dealer.recv_multipart(copy=False)
        if n >= 3:
            ours.append(took * 1e3)
            bare.append((time.perf_counter() - since) * 1e3)
    dealer.close(0)
    context.term()
    process.kill()
    process.wait()
    process.stdout.close()
    return ours, bare


def _cancels(client: Client, times: int, text: str) -> list[float]:
    """Milliseconds from a cancel to its answer, for jobs in full run."""
    found = []
    for _ in range(times):
        message = request_for(text).to_message()
        client.send(message)
        while client.status(message.id)["state"] != "running":
            time.sleep(0.005)
        time.sleep(0.05)
        since = time.perf_counter()
        client.cancel(message.id)
        try:
            client.wait(message.id, seconds=20)
        except UnderstudyError as error:
            if error.code != "cancelled":
                raise
        found.append((time.perf_counter() - since) * 1e3)
    return found


def _reconnects(bridge: RunningBridge, times: int) -> list[float]:
    """Milliseconds from a new connection to the first progress of a job that another connection submitted."""
    first = bridge.client()
    message = request_for("600 seconds of work").to_message()
    first.send(message)
    found = []
    for _ in range(times):
        since = time.perf_counter()
        with Client(bridge.record.address, bridge.record.token) as client:
            client.hello()
            client.send(Message("fetch", message.id, {"job": message.id}))
            while (answer := client.receive(10)) is None or answer.type != "progress":
                pass
        found.append((time.perf_counter() - since) * 1e3)
    first.cancel(message.id)
    return found
