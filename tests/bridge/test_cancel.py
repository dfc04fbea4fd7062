# SPDX-License-Identifier: Apache-2.0
"""Cancelling: at once for the client, and without losing the loaded model where the model listens."""

from __future__ import annotations

import pytest

from bridge_server.cli.client import Client
from shared.errors import UnderstudyError
from shared.protocol import Message

from .conftest import Start, request_for, wait_for

PATIENT = ("--cancel-grace", "60")
"""On a machine that is busy otherwise a worker may be slow to listen; these tests are about whether it does."""


def begin(client: Client, text: str) -> str:
    """Submit a job and wait until the generator works on it."""
    message = request_for(text).to_message()
    client.send(message)
    wait_for(
        lambda: (
            (m := client.receive(1)) is not None
            and m.type == "progress"
            and m.body["stage"] not in ("starting", "loading model")
        ),
        "the job runs",
    )
    return message.id


def cancel(client: Client, job: str) -> UnderstudyError:
    client.cancel(job)
    with pytest.raises(UnderstudyError) as caught:
        client.wait(job, seconds=30)
    return caught.value


def test_running_job_keeps_the_worker(start: Start) -> None:
    bridge = start("Moody", *PATIENT)
    client = bridge.client()
    job = begin(client, "30 seconds of work")
    worker = bridge.workers()
    assert cancel(client, job).code == "cancelled"
    assert client.status(job)["state"] == "cancelled"
    # the next job is done by the same process, so the model was not loaded again
    assert client.perform(request_for(), seconds=60).metadata["pid"] == worker[0]


def test_inside_a_step_of_a_torch_model(start: Start) -> None:
    bridge = start("Torch", *PATIENT)
    client = bridge.client()
    message = request_for("30 seconds without a report").to_message()
    client.send(message)
    wait_for(lambda: client.status(message.id)["state"] == "running", "the job runs")
    worker = bridge.workers()
    assert cancel(client, message.id).code == "cancelled"
    assert client.perform(request_for("0 seconds"), seconds=60).metadata["pid"] == worker[0]


def test_worker_that_does_not_listen_is_replaced(start: Start) -> None:
    bridge = start("Moody")
    client = bridge.client()
    job = begin(client, "deaf 60 seconds")
    worker = bridge.workers()
    assert cancel(client, job).code == "cancelled"
    assert client.perform(request_for(), seconds=30).metadata["pid"] != worker[0]
    assert "worker.kill" in bridge.log


def test_waiting_job_never_starts(start: Start) -> None:
    bridge = start("Moody")
    client = bridge.client()
    running = begin(client, "30 seconds of work")
    waiting = request_for().to_message()
    client.send(waiting)
    assert cancel(client, waiting.id).code == "cancelled"
    assert client.status(waiting.id)["attempts"] == 0
    cancel(client, running)


def test_cancel_of_a_finished_job_changes_nothing(start: Start) -> None:
    client = start("Moody").client()
    message = request_for().to_message()
    client.send(message)
    client.wait(message.id, seconds=60)
    answer = client.ask(Message("cancel", body={"job": message.id}))
    assert answer.type == "status" and answer.body["state"] == "done"
    assert len(client.fetch(message.id, seconds=60)) == 60
