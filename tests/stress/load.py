# SPDX-License-Identifier: Apache-2.0
"""Many clients at once, and many jobs one after the other."""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter

import numpy as np
import psutil
import zmq

from benchmarks.bridge import speech
from benchmarks.results import Result
from shared import wire
from shared.protocol import Message
from shared.requests import MotionRequest
from shared.timeline import Direction
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


class _Memory:
    """Resident memory of the server and of its workers, MB (10^6 bytes), sampled while jobs go through."""

    def __init__(self, server: int) -> None:
        self._server = psutil.Process(server)
        self.samples: list[tuple[int, float, float]] = []

    def sample(self, done: int) -> None:
        workers = sum(p.memory_info().rss for p in self._server.children(recursive=True))
        self.samples.append((done, self._server.memory_info().rss / 1e6, workers / 1e6))

    def growth(self, count: int) -> tuple[float, float]:
        """Of server and workers, from the second twentieth of the jobs (all is loaded by then) to the last one; medians, so
        that one sample in the middle of a large job does not decide."""
        early = [s for s in self.samples if count * 0.05 <= s[0] <= count * 0.1]
        late = [s for s in self.samples if s[0] >= count * 0.95]
        server, worker = (
            statistics.median(s[k] for s in late) / statistics.median(s[k] for s in early) - 1 for k in (1, 2)
        )
        return server, worker


def _soak_job(n: int, audio: np.ndarray, noise: np.ndarray) -> tuple[MotionRequest, str]:
    """The n-th request of the soak and how it must end ("" for a result): speech, directions, both, and what goes wrong."""
    walk, wave = Direction(0.0, 1.0, "a person walks forward"), Direction(0.2, 0.9, "a person waves", "right_arm")
    if n % 50 == 7:
        return MotionRequest(audio=noise, audio_name="noise.wav", seed=n), "audio_unreadable"
    if n % 50 == 31:
        return MotionRequest(duration=20.0, directions=[walk], seed=n), "cancelled"
    if n % 3 == 0:
        return MotionRequest(audio=audio, audio_name="speech.wav", directions=[wave], seed=n), ""
    if n % 3 == 1:
        return MotionRequest(duration=1.0, directions=[walk, wave], seed=n), ""
    return MotionRequest(audio=audio, audio_name="speech.wav", seed=n), ""


def soak(scale: float) -> tuple[list[Result], list[str]]:
    """10,000 jobs with the shipped weights through one bridge and its one worker: how much resident memory grows."""
    count = max(400, int(SOAK * scale))
    wrong: list[str] = []
    audio, noise = speech(1.0), np.frombuffer(b"this is no sound" * 200, np.uint8)
    # a small disk, so that cleaning is at work as well
    with a_bridge(None, *LIMITS, "--disk-limit", "64") as bridge:
        client, memory = bridge.client(), _Memory(bridge.record.pid)
        expected: dict[str, str] = {}
        sent = done = 0
        began = time.monotonic()
        while done < count:
            while sent < count and len(expected) < 8:
                request, end = _soak_job(sent, audio, noise)
                message = request.to_message(f"soak-{sent}", bridge.record.token)
                expected[message.id] = end
                client.send(message)
                sent += 1
            answer: Message | None = client.receive(120)
            if answer is None:
                wrong.append(f"nothing for two minutes after {done} jobs")
                break
            if answer.type == "progress" and expected.get(answer.id) == "cancelled" and answer.body["fraction"] > 0:
                client.cancel(answer.id)
            if answer.type not in ("result", "error"):
                continue
            end = expected.pop(answer.id, "not asked for")
            if answer.body.get("code", "") != end:
                wrong.append(f"{answer.id}: {answer.body.get('message', answer.type)}, expected {end or 'a result'}")
            done += 1
            if done % max(1, count // 400) == 0:
                memory.sample(done)
            if done % max(1, count // 20) == 0:
                _, server, worker = memory.samples[-1]
                print(f"  {done} jobs, server {server:.1f} MB, worker {worker:.1f} MB", file=sys.stderr, flush=True)
        print(f"  {done / (time.monotonic() - began):.2f} jobs a second", file=sys.stderr, flush=True)
        if len(bridge.workers()) != 1 or "worker.died" in bridge.log:
            wrong.append("the worker did not live through it")
        server, worker = memory.growth(count) if done == count else (1.0, 1.0)
    growth = max(server, worker)
    if growth > 0.05:
        wrong.append(f"memory grew: server {server:.1%}, worker {worker:.1%}")
    return [
        Result.of("soak_rss_growth", growth, "", 0.05),
        Result.of("soak_server_rss_growth", server, "", 0.05),
        Result.of("soak_worker_rss_growth", worker, "", 0.05),
        Result.of("soak_jobs", done, "jobs", SOAK),
    ], wrong[:10]
