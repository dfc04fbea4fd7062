# SPDX-License-Identifier: Apache-2.0
"""Round trips of 10 MB, cancel, reconnect."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import zmq

from benchmarks.results import Result
from bridge_server.cli.client import Client
from shared import wire
from shared.edits import Edit
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.protocol import Message
from shared.requests import MotionRequest
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
FORWARD = """
import sys, zmq
context = zmq.Context()
router, dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
dealer.connect("tcp://127.0.0.1:" + sys.argv[1])
print(router.bind_to_random_port("tcp://127.0.0.1"), flush=True)
poller = zmq.Poller()
poller.register(router, zmq.POLLIN)
poller.register(dealer, zmq.POLLIN)
while True:
    for socket, _ in poller.poll():
        frames = socket.recv_multipart(copy=False)
        (dealer if socket is router else router).send_multipart([frames[0].bytes, *frames[1:]], copy=False)
"""
"""One process more on the way, as the bridge stands between client and worker."""


def measure(scale: float) -> tuple[list[Result], list[str]]:
    """The wire's ratios, ``cancel_ms``, ``cancel_in_step_ms``, ``reconnect_ms``.

    ``wire_10mb_vs_pyzmq_ratio`` is an array there and back between a client and the bridge (``ping``), beside a bare echo of the
    same frames. ``wire_10mb_worker_vs_pyzmq_ratio`` is a whole job, from the client through the bridge to the worker process and
    back, with its records and files on disk, beside a bare echo of the same frames with a bare process in between.
    """
    times = max(5, int(30 * scale))
    with a_bridge("Echo", "--client-limit", "1000") as bridge:
        job, forwarded = _jobs_there_and_back(bridge, times)
    with a_bridge("Slow", "--client-limit", "1000") as bridge:
        ours, bare = _round_trips(bridge, times)
        cancel = _cancels(bridge.client(), times, "30 seconds of work")
        reconnect = _reconnects(bridge, times)
    with a_bridge("Torch", "--client-limit", "1000") as bridge:
        inside = _cancels(bridge.client(), times, "30 seconds inside a step")
    results = [
        Result.of("wire_10mb_vs_pyzmq_ratio", statistics.median(ours) / statistics.median(bare), "x", 2.0),
        Result.of("wire_10mb_ms", statistics.median(ours), "ms", statistics.median(bare)),
        Result.of("wire_10mb_worker_vs_pyzmq_ratio", statistics.median(job) / statistics.median(forwarded), "x", 2.0),
        Result.of("wire_10mb_worker_ms", statistics.median(job), "ms", statistics.median(forwarded)),
        Result.of("cancel_ms", max(cancel), "ms", 250.0),
        Result.of("cancel_in_step_ms", max(inside), "ms", 250.0),
        Result.of("reconnect_ms", statistics.median(reconnect), "ms", 250.0),
    ]
    # the times in milliseconds stand beside those of bare pyzmq, which are no targets
    compared = ("wire_10mb_ms", "wire_10mb_worker_ms")
    wrong = [f"{r.name} is {r.value:.4g} {r.unit}" for r in results if r.ratio > 1 and r.name not in compared]
    return results, wrong


@contextmanager
def _echo(frames: list[bytes | memoryview], *, forwarded: bool = False) -> Iterator[Callable[[], float]]:
    """A function that sends the frames to a bare echo and gives the milliseconds until they are back."""
    processes: list[subprocess.Popen[bytes]] = []
    port = ""
    for code in (ECHO, FORWARD) if forwarded else (ECHO,):
        processes.append(subprocess.Popen([sys.executable, "-c", code, port], stdout=subprocess.PIPE))
        said = processes[-1].stdout
        assert said is not None
        port = said.readline().decode().strip()
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    dealer.connect(f"tcp://127.0.0.1:{port}")

    def once() -> float:
        since = time.perf_counter()
        dealer.send_multipart(frames, copy=False)
        dealer.recv_multipart(copy=False)
        return (time.perf_counter() - since) * 1e3

    try:
        yield once
    finally:
        dealer.close(0)
        context.term()
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _jobs_there_and_back(bridge: RunningBridge, times: int) -> tuple[list[float], list[float]]:
    """Milliseconds of a job whose request and result have 10 MB each, and of a bare echo over two hops, by turns."""
    frames = MEGABYTES * 1_000_000 // (55 * 4 * 4 + 3 * 4 + 4 * 4)
    rest = Motion.rest(frames)
    path = np.zeros((frames, 3), np.float32)
    path[:, 2] = rest.times
    take = Motion(30.0, rest.rotations.astype(np.float32), path, contacts=np.zeros((frames, 4), np.float32))
    request = MotionRequest(edit=Edit(take, [], [], loop=True), duration=take.duration)
    client = bridge.client()
    ours, bare = [], []
    with _echo(wire.encode(request.to_message(token="t" * 43)), forwarded=True) as once:
        for n in range(times + 3):
            since = time.perf_counter()
            back = client.perform(request, seconds=60)
            took = (time.perf_counter() - since) * 1e3
            if not np.array_equal(back.translation, take.translation):
                raise RuntimeError("another take came back")
            echoed = once()
            if n >= 3:
                ours.append(took)
                bare.append(echoed)
    return ours, bare


def _round_trips(bridge: RunningBridge, times: int) -> tuple[list[float], list[float]]:
    """Milliseconds of the bridge's echo of 10 MB and of a bare pyzmq one of the same frames, by turns."""
    array = np.random.default_rng(0).random(MEGABYTES * 250_000, dtype=np.float32)
    client = bridge.client()
    ours, bare = [], []
    with _echo(wire.encode(Message("ping", "x", {}, {"x": array}, "t" * 43))) as once:
        for n in range(times + 3):
            since = time.perf_counter()
            back = client.ask(Message("ping", body={}, buffers={"x": array}))
            took = (time.perf_counter() - since) * 1e3
            if not np.array_equal(back.buffers["x"][::1000], array[::1000]):
                raise RuntimeError("other bytes came back")
            echoed = once()
            if n >= 3:
                ours.append(took)
                bare.append(echoed)
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
