# SPDX-License-Identifier: Apache-2.0
"""Bounds that are kept where it hurts: frames, jobs that end bridges, starts that fail, one worker for each device."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import zmq

from bridge_server.service.jobs import Job
from bridge_server.service.scheduler import RECOVERIES
from bridge_server.service.store import JobStore
from bridge_server.service.workers import GIVE_UP, PAUSES, WorkerProcess
from shared import wire
from shared.errors import UnderstudyError

from .conftest import RunningBridge, Start, end_hard, request_for, wait_for


def test_a_frame_above_the_limit_is_not_taken_in(bridge: RunningBridge) -> None:
    client = bridge.client()
    wait_for(lambda: client.hello()["state"] == "ready", "the model is loaded")
    before = psutil.Process(bridge.record.pid).memory_info().rss
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    socket.connect(bridge.record.address)
    # pages of zeros that are never written cost nothing; the bridge ends the connection when it has read the length
    socket.send_multipart([b"{}", np.zeros(wire.LIMITS.total_bytes + 1, np.uint8)], copy=False)
    dropped = monitor.poll(30_000)
    grown = psutil.Process(bridge.record.pid).memory_info().rss - before
    socket.disable_monitor()
    monitor.close(0)
    socket.close(0)
    context.term()
    assert dropped, "the connection was not ended"
    assert grown < 64 << 20, f"{grown >> 20} MB were taken for a frame that is too large"
    assert len(client.perform(request_for(), seconds=60)) == 60


def test_a_job_that_ends_every_bridge_is_not_run_for_ever(start: Start, tmp_path: Path) -> None:
    store = JobStore(tmp_path / "state" / "jobs")
    for id, attempts in (("poison", RECOVERIES), ("unlucky", RECOVERIES - 1)):
        message = request_for("0 seconds of work", seed=2).to_message(id)
        job = Job(id, "motion", frames=wire.encode(message), retryable=True)
        store.add(job)
        job.state, job.attempts, job.started = "running", attempts, 1.0
        store.begin(job)
    store.close()
    client = start().client()
    with pytest.raises(UnderstudyError) as caught:
        client.fetch("poison", seconds=60)
    assert caught.value.code == "bridge_lost" and client.status("poison")["attempts"] == RECOVERIES
    assert client.fetch("unlucky", seconds=60).translation[0, 1] == 2


def test_starts_that_fail_are_tried_again_after_growing_pauses(tmp_path: Path) -> None:
    worker = WorkerProcess(0, "tcp://127.0.0.1:9", "nothing:Nothing", {}, tmp_path / "log")
    pauses = []
    for n in range(1, len(PAUSES) + 2):
        worker._process = subprocess.Popen([sys.executable, "-S", "-E", "-c", "raise SystemExit(7)"], stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE)
        worker._process.wait(60)
        worker.state = "starting"
        assert worker.died() == "exit code 7"
        pauses.append(round(worker._start_at - time.monotonic(), 1))
        assert worker.broken is (n >= GIVE_UP)
    assert pauses == pytest.approx([*PAUSES[1:], PAUSES[-1], PAUSES[-1]], abs=0.3)
    # a submit does not wait for the pause to end
    worker.retry_now()
    assert worker._start_at <= time.monotonic()


def test_each_device_has_a_worker_and_one_that_dies_leaves_the_other_alone(start: Start) -> None:
    bridge = start("Slow", "--device", "cpu,cpu")
    client = bridge.client()
    messages = [request_for("3 seconds of work", seed=n).to_message() for n in (1, 2)]
    for message in messages:
        client.send(message)
    wait_for(lambda: all(client.status(m.id)["state"] == "running" for m in messages), "both run at the same time")
    workers = {w["job"]: w["pid"] for w in client.status()["workers"]}
    assert len(set(workers.values())) == 2
    end_hard(workers[messages[0].id])
    results = {}
    while len(results) < 2:
        answer = client.receive(60)
        assert answer is not None and answer.type != "error", answer
        if answer.type == "result":
            results[answer.id] = answer
    assert client.status(messages[0].id)["attempts"] == 2
    assert client.status(messages[1].id)["attempts"] == 1
    assert results[messages[1].id].body["metadata"]["pid"] == workers[messages[1].id]
