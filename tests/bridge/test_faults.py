# SPDX-License-Identifier: Apache-2.0
"""Processes that die, models that fail, two bridges at once: what is lost, and what is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bridge_server.cli.client import Client
from bridge_server.cli.launch import launch
from bridge_server.executors.ray_actor import RemotePerformer
from bridge_server.service.settings import EXIT_ALREADY_RUNNING, EXIT_CANNOT_BIND, EXIT_PARENT_GONE
from shared.errors import UnderstudyError
from shared.protocol import Message
from shared.state import lock_file, read_record

from .conftest import RunningBridge, Start, end_hard, request_for, understudy, wait_for

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")


def failure(client: Client, text: str) -> UnderstudyError:
    with pytest.raises(UnderstudyError) as caught:
        client.perform(request_for(text), seconds=30)
    return caught.value


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("raise an error", "unsupported", "This is not supported."),
        ("crash", "internal", "RuntimeError: something broke inside"),
        ("always out of memory", "out_of_memory", "12.5 GB more"),
    ],
)
def test_error_of_the_generator(bridge: RunningBridge, client: Client, text: str, code: str, words: str) -> None:
    error = failure(client, text)
    assert error.code == code and words in error.message and error.fix
    assert len(client.perform(request_for(), seconds=60)) == 60


def test_out_of_memory_is_tried_once_with_less(client: Client) -> None:
    assert len(client.perform(request_for("out of memory at first"), seconds=60)) == 60


def test_dead_worker_costs_only_its_job(bridge: RunningBridge, client: Client) -> None:
    error = failure(client, "die")
    assert error.code == "worker_died" and error.retryable
    assert "2 times" in error.message and bridge.record.log in error.fix
    assert len(client.perform(request_for(), seconds=60)) == 60


def test_job_is_tried_again_after_the_worker_died(client: Client) -> None:
    message = request_for("die once").to_message()
    client.send(message)
    assert len(client.wait(message.id, seconds=60)) == 60
    assert client.status(message.id)["attempts"] == 2


def test_killed_worker(bridge: RunningBridge, client: Client) -> None:
    message = request_for("1 second of work").to_message()
    client.send(message)
    wait_for(lambda: client.status(message.id)["state"] == "running", "the job runs")
    end_hard(bridge.workers()[0])
    assert len(client.wait(message.id, seconds=60)) == 60


def test_hole_in_the_result_is_refused(start: Start) -> None:
    error = failure(start("NotANumber").client(), "walks forward")
    assert error.code == "internal" and "translation" in error.message


def test_missing_weights_are_said_and_the_bridge_stays(start: Start) -> None:
    bridge = start("missing_weights")
    client = bridge.client()
    wait_for(lambda: client.hello()["state"] == "failed", "loading failed")
    assert client.hello()["error"]["code"] == "weights_missing"
    assert failure(client, "walks forward").message == "There are no weights named 'starter'."


def test_worker_that_never_starts(start: Start) -> None:
    bridge = start("dies_at_start")
    client = bridge.client()
    error = failure(client, "walks forward")
    assert error.code == "worker_died" and "the native library is not there" in error.message and "doctor" in error.fix
    assert client.hello()["state"] == "failed"


def test_killed_bridge_leaves_no_worker_and_is_noticed(start: Start) -> None:
    bridge = start()
    client = bridge.client()
    message = request_for("30 seconds of work").to_message()
    client.send(message)
    wait_for(lambda: client.status(message.id)["state"] == "running", "the job runs")
    worker = psutil.Process(bridge.workers()[0])
    end_hard(bridge.record.pid)
    bridge.process.wait(60)
    with pytest.raises(UnderstudyError) as caught:
        client.wait(message.id, seconds=60)
    assert caught.value.code == "bridge_lost" and bridge.record.log in str(caught.value)
    worker.wait(30)


def test_bridge_starts_where_a_killed_one_left_its_lock_file(start: Start) -> None:
    first = start()
    end_hard(first.record.pid)
    first.process.wait(60)
    assert read_record(first.state_dir) is not None
    second = start()
    assert second.record.pid != first.record.pid
    assert second.record.token != first.record.token
    assert second.client().hello()["pid"] == second.record.pid


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_cleanly_and_is_named(start: Start, number: signal.Signals) -> None:
    bridge = start()
    client = bridge.client()
    message = request_for("30 seconds of work").to_message()
    client.send(message)
    wait_for(lambda: client.status(message.id)["state"] == "running", "the job runs")
    worker = psutil.Process(bridge.workers()[0])
    bridge.process.send_signal(number)
    with pytest.raises(UnderstudyError) as caught:
        client.wait(message.id, seconds=60)
    assert caught.value.code == "bridge_lost" and "stopped" in caught.value.message
    assert bridge.process.wait(60) == 0
    assert not lock_file(bridge.state_dir).exists()
    assert bridge.log.splitlines()[-1].endswith(f"bridge.exit code=0 reason='signal {number.name}'")
    worker.wait(30)


def test_bridge_ends_with_its_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    _, process = launch(
        tmp_path, extra=["--generator", "tests.bridge.generators:Walker", "--device", "cpu"], parent_pid=parent.pid
    )
    assert parent.stdin is not None
    parent.stdin.close()
    parent.wait(30)
    assert process.wait(60) == EXIT_PARENT_GONE
    assert f"parent process {parent.pid} has gone" in (tmp_path / "logs" / "bridge.log").read_text().splitlines()[-1]


def test_second_bridge_is_refused_and_the_first_goes_on(start: Start) -> None:
    first = start()
    done = understudy(
        "serve", "--generator", "tests.bridge.generators:Walker", "--device", "cpu", state_dir=first.state_dir
    )
    assert done.returncode == EXIT_ALREADY_RUNNING
    assert "already running" in done.stdout
    assert read_record(first.state_dir) == first.record
    assert first.client().hello()["pid"] == first.record.pid


def test_port_in_use(start: Start, tmp_path: Path) -> None:
    port = start().record.address.rpartition(":")[2]
    done = understudy("serve", "--port", port, state_dir=tmp_path / "other")
    assert done.returncode == EXIT_CANNOT_BIND
    assert f"port {port}" in done.stdout and "--port" in done.stdout
    assert not lock_file(tmp_path / "other").exists()


def test_address_of_others_is_refused_without_keys(tmp_path: Path) -> None:
    done = understudy("serve", "--host", "0.0.0.0", state_dir=tmp_path)
    assert done.returncode == EXIT_CANNOT_BIND and "keys" in done.stdout


@pytest.mark.parametrize("text", ["raise an error", "crash", "always out of memory", "die"])
def test_every_failure_names_the_log_file(bridge: RunningBridge, client: Client, text: str) -> None:
    message = request_for(text).to_message()
    client.send(message)
    with pytest.raises(UnderstudyError) as caught:
        client.wait(message.id, seconds=60)
    assert caught.value.log == bridge.record.log and str(caught.value).count(bridge.record.log) == 1
    # and later, from the record
    with pytest.raises(UnderstudyError) as caught:
        client.fetch(message.id, seconds=60)
    assert caught.value.log == bridge.record.log
    assert client.status(message.id)["error"]["log"] == bridge.record.log


def test_refusals_name_the_log_file_and_a_cancel_does_not(bridge: RunningBridge, client: Client) -> None:
    for refused in (Message("status", body={"job": "nonsense"}), Message("submit", body={"kind": "motion", "request": {}})):
        with pytest.raises(UnderstudyError) as caught:
            client.ask(refused)
        assert caught.value.log == bridge.record.log
    message = request_for("30 seconds of work").to_message()
    client.send(message)
    client.cancel(message.id)
    with pytest.raises(UnderstudyError) as caught:
        client.wait(message.id, seconds=60)
    assert caught.value.code == "cancelled" and caught.value.log == "" and "log" not in str(caught.value)


class LacksAPackage:
    """A performer whose node lacks something."""

    def load(self) -> dict[str, object]:
        raise ModuleNotFoundError("No module named 'scipy'")


def test_what_a_ray_node_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge_server.executors.ray_actor.resolve", lambda name: LacksAPackage)
    error = UnderstudyError.from_json(RemotePerformer("any", {}).load()["error"])
    assert error.code == "internal" and "No module named 'scipy'" in error.message and "Ray node" in error.message


def test_client_that_vanishes_does_not_disturb(bridge: RunningBridge) -> None:
    for _ in range(5):
        client = bridge.client()
        client.send(request_for("0.1 seconds of work").to_message())
        client.close()
    other = bridge.client()
    until = time.monotonic() + 20
    while True:
        try:
            assert len(other.perform(request_for(), seconds=60)) == 60
            return
        except UnderstudyError as error:
            assert error.code == "busy" and time.monotonic() < until


def test_environment_of_the_tests_is_not_the_users() -> None:
    assert not os.environ.get("UNDERSTUDY_STATE_DIR"), "unset UNDERSTUDY_STATE_DIR before the tests"
