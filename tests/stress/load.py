# SPDX-License-Identifier: Apache-2.0
"""Many clients at once, and many jobs one after the other."""

from __future__ import annotations

import time
from collections import Counter

import zmq

from benchmarks.results import Result
from shared import wire
from shared.protocol import Message
from shared.requests import MotionRequest
from tests.stress.common import a_bridge, resident

__all__ = ["clients", "soak"]

CLIENTS, JOBS, SOAK = 200, 50, 10_000
LIMITS = ("--queue-limit", "100000", "--client-limit", "1000")


def _job(id: str, token: str) -> list[bytes | memoryview]:
    return wire.encode(MotionRequest(duration=0.2).to_message(id, token))


def clients(scale: float) -> tuple[list[Result], list[str]]:
    """200 connections with 50 small jobs each: every job ends once, as its own."""
    jobs = max(2, int(JOBS * scale))
    wrong: list[str] = []
    ended: Counter[str] = Counter()
    with a_bridge("Walker", *LIMITS) as bridge:
        context = zmq.Context()
        poller = zmq.Poller()
        sockets: dict[zmq.Socket[bytes], tuple[int, int]] = {}
        for n in range(CLIENTS):
            socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
            socket.linger = 0
            socket.connect(bridge.record.address)
            poller.register(socket, zmq.POLLIN)
            sockets[socket] = (n, 0)
            socket.send_multipart(_job(f"c{n}-0", bridge.record.token))
        before = None
        total = CLIENTS * jobs
        quiet = time.monotonic()
        while len(ended) < total and time.monotonic() - quiet < 60:
            for socket, _ in poller.poll(1000):
                quiet = time.monotonic()
                message = wire.decode(socket.recv_multipart(copy=False), receiver="client")
                if message.type not in ("result", "error"):
                    continue
                n, k = sockets[socket]
                ended[message.id] += 1
                if message.type == "error" or message.id != f"c{n}-{k}":
                    wrong.append(
                        f"client {n} expected c{n}-{k}, got {message.type} {message.id} {message.body.get('code')}"
                    )
                if k + 1 < jobs:
                    sockets[socket] = (n, k + 1)
                    socket.send_multipart(_job(f"c{n}-{k + 1}", bridge.record.token))
                if len(ended) == total // 5:
                    before = resident(bridge.record.pid)
        after = resident(bridge.record.pid)
        for socket in sockets:
            socket.close(0)
        context.term()
    lost, doubled = total - len(ended), sum(c - 1 for c in ended.values())
    growth = after / before - 1 if before else 0.0
    if lost or doubled:
        wrong.append(f"{lost} jobs lost, {doubled} doubled")
    return [
        Result.of("clients_jobs_done", len(ended), "jobs", total),
        Result.of("clients_rss_growth", max(growth, 1e-6), "", 0.05),
    ], wrong[:10]


def soak(scale: float) -> tuple[list[Result], list[str]]:
    """10,000 jobs through one bridge: growth of resident memory from the first tenth to the end."""
    count = max(200, int(SOAK * scale))
    wrong = []
    with a_bridge("Walker", *LIMITS) as bridge:
        client = bridge.client()
        token = bridge.record.token
        sent = done = 0
        before = 0.0
        began = time.monotonic()
        while done < count:
            while sent < count and sent - done < 16:
                client.send(MotionRequest(duration=0.2).to_message(f"soak-{sent}", token))
                sent += 1
            message: Message | None = client.receive(60)
            if message is None:
                wrong.append(f"nothing for a minute after {done} jobs")
                break
            if message.type == "error":
                wrong.append(f"{message.id}: {message.body['message']}")
            if message.type in ("result", "error"):
                done += 1
                if done == count // 10:
                    before = resident(bridge.record.pid)
        rate = done / (time.monotonic() - began)
        growth = resident(bridge.record.pid) / before - 1 if before else 1.0
    if growth > 0.05:
        wrong.append(f"memory grew by {growth:.1%}")
    return [
        Result.of("soak_rss_growth", max(growth, 1e-6), "", 0.05),
        Result.of("soak_jobs_per_second", rate, "1/s", 50),
    ], wrong[:10]
