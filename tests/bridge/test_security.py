# SPDX-License-Identifier: Apache-2.0
"""Who may do what: keys, owners, folders."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest
import zmq

from bridge_server.cli.client import Client
from bridge_server.service.keys import KeyRing
from shared import wire
from shared.errors import UnderstudyError
from shared.keys import ClientKey
from shared.protocol import Message

from .conftest import RunningBridge, Start, request_for, understudy, wait_for


def remote_address(bridge: RunningBridge) -> str:
    line = next(line for line in bridge.log.splitlines() if "bridge.ready" in line)
    return next(word.partition("=")[2] for word in line.split() if word.startswith("remote="))


def test_clients_with_keys_do_jobs_and_see_only_their_own(start: Start, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "state")
    ava, ben = ring.add("ava"), ring.add("ben")
    bridge = start("Slow", "--curve")
    address = remote_address(bridge)
    with Client(address, key=ava) as first, Client(address, key=ben) as second:
        assert first.hello()["pid"] == bridge.record.pid
        message = request_for("0 seconds of work").to_message()
        first.send(message)
        assert len(first.wait(message.id, seconds=60)) == 60
        assert [j["job"] for j in first.jobs()] == [message.id]
        assert second.jobs() == []
        for question in ("status", "fetch", "cancel"):
            with pytest.raises(UnderstudyError) as caught:
                second.ask(Message(question, body={"job": message.id}))
            assert caught.value.code == "not_found"
        with pytest.raises(UnderstudyError) as caught:
            second.ask(Message("submit", message.id, message.body, message.buffers))
        assert caught.value.code == "not_found"
        with pytest.raises(UnderstudyError) as caught:
            first.shutdown()
        assert caught.value.code == "unauthorised"
    # the local owner has a view of its own
    assert bridge.client().jobs() == []


def test_unknown_key_gets_nothing(start: Start, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "state")
    ava = ring.add("ava")
    bridge = start("Slow", "--curve")
    public, secret = (k.decode() for k in zmq.curve_keypair())
    stranger = ClientKey("ava", public, secret, ava.bridge)
    address = remote_address(bridge)
    # the handshake refuses the stranger's key and never ends without one; neither gets a message
    for key, code in ((stranger, "unauthorised"), (None, "bridge_not_running")):
        with Client(address, bridge.record.token, key=key) as client, pytest.raises(UnderstudyError) as caught:
            client.hello(1.0)
        assert caught.value.code == code
    assert "client.hello" not in bridge.log and "request.refused" not in bridge.log
    wait_for(lambda: "unknown key" in bridge.log, "the refusal is in the log")
    # the known one still gets in, and no longer once its key is removed
    with Client(address, key=ava) as client:
        client.hello()
    ring.remove("ava")
    with Client(address, key=ava) as client, pytest.raises(UnderstudyError):
        client.hello(1.0)


def test_token_is_not_enough_without_a_key_nor_a_key_on_the_local_socket(start: Start, tmp_path: Path) -> None:
    ava = KeyRing(tmp_path / "state").add("ava")
    bridge = start("Slow", "--curve")
    with Client(bridge.record.address, key=ava) as client, pytest.raises(UnderstudyError):
        client.hello(1.0)


def test_keys_command(tmp_path: Path) -> None:
    state, out = tmp_path / "state", tmp_path / "ava.json"
    assert understudy("keys", "add", "ava", "--out", str(out), state_dir=state).returncode == 0
    data = json.loads(out.read_text())
    listed = understudy("keys", "list", state_dir=state).stdout.splitlines()
    assert listed == [f"bridge {data['bridge']}", f"ava {data['public']}"]
    assert data["secret"] not in "".join(p.read_text() for p in state.rglob("*") if p.is_file() and p.suffix == ".pub")
    if sys.platform != "win32":
        for path in (out, state / "keys" / "bridge.json"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for arguments, words in (
        (("add", "ava", "--out", str(tmp_path / "b.json")), "already a client"),
        (("add", "../evil", "--out", str(tmp_path / "b.json")), "cannot be the name"),
        (("add", "ben", "--out", str(out)), "exists already"),
        (("remove", "ben"), "no client"),
    ):
        done = understudy("keys", *arguments, state_dir=state)
        assert done.returncode == 1 and words in done.stderr, done.stderr
    assert not (tmp_path / "b.json").exists()
    # the folder may be named before the action and after it
    for arguments in (("--state-dir", str(state), "list"), ("list", "--state-dir", str(state))):
        assert understudy("keys", *arguments, state_dir=tmp_path / "other").stdout.splitlines() == listed
    assert understudy("keys", "remove", "ava", state_dir=state).returncode == 0
    assert len(understudy("keys", "list", state_dir=state).stdout.splitlines()) == 1


def test_command_line_with_a_key(start: Start, tmp_path: Path) -> None:
    assert (
        understudy("keys", "add", "ava", "--out", str(tmp_path / "k.json"), state_dir=tmp_path / "state").returncode
        == 0
    )
    bridge = start("Slow", "--curve")
    done = understudy(
        "generate",
        "--say",
        "0-1:0 seconds",
        "--out",
        str(tmp_path / "m.npz"),
        "--address",
        remote_address(bridge),
        "--key",
        str(tmp_path / "k.json"),
        state_dir=tmp_path / "elsewhere",
    )
    assert done.returncode == 0, done.stderr
    done = understudy(
        "status", "--address", "tcp://127.0.0.1:9", "--key", str(tmp_path / "no.json"), state_dir=tmp_path / "elsewhere"
    )
    assert done.returncode == 1 and "no key file" in done.stderr


@pytest.mark.parametrize("weights", ["/etc", "../../secret", "C:\\models", "~/models", "a/../b", ".."])
def test_folders_that_are_not_allowed(bridge: RunningBridge, client: Client, weights: str) -> None:
    with pytest.raises(UnderstudyError) as caught:
        client.perform(request_for(weights=weights), seconds=60)
    assert caught.value.code == "unauthorised" and "--allow-folder" in caught.value.fix


def test_allowed_folder_and_what_pretends_to_be_in_it(start: Start, tmp_path: Path) -> None:
    allowed = tmp_path / "models"
    (allowed / "mine").mkdir(parents=True)
    (tmp_path / "models-secret").mkdir()
    (allowed / "link").symlink_to(tmp_path / "models-secret")
    client = start("Walker", "--allow-folder", str(allowed)).client()
    assert len(client.perform(request_for(weights=str(allowed / "mine")), seconds=60)) == 60
    for folder in (tmp_path / "models-secret", allowed / ".." / "models-secret", allowed / "link"):
        with pytest.raises(UnderstudyError) as caught:
            client.perform(request_for(weights=str(folder)), seconds=60)
        assert caught.value.code == "unauthorised"


def test_limit_of_one_client(start: Start) -> None:
    bridge = start("Slow", "--client-limit", "2")
    greedy, other = bridge.client(), bridge.client()
    messages = [request_for("20 seconds of work").to_message() for _ in range(3)]
    for message in messages:
        greedy.send(message)
    error = None
    while error is None:
        answer = greedy.receive(10)
        assert answer is not None
        error = answer if answer.type == "error" else None
    assert error.id == messages[2].id and error.body["code"] == "busy" and "You already have 2" in error.body["message"]
    waiting = request_for("0 seconds of work").to_message()
    other.send(waiting)
    wait_for(lambda: other.status(waiting.id)["state"] == "queued", "another client is served")


def test_worker_socket_takes_nobody_else(start: Start) -> None:
    """A process that finds the inner port cannot pose as a worker."""
    import psutil

    bridge = start()
    ports = {c.laddr.port for c in psutil.Process(bridge.record.pid).net_connections("tcp") if c.status == "LISTEN"}
    inner = (ports - {int(bridge.record.address.rpartition(":")[2])}).pop()
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.setsockopt(zmq.IDENTITY, b"worker-0-guess")
    socket.connect(f"tcp://127.0.0.1:{inner}")
    for frames in (
        [b"state", b'{"state": "ready"}'],
        [b"job", *wire.encode(Message("result", "x"))],
        [b""],
        [b"state", b"{"],
    ):
        socket.send_multipart(frames)
    client = bridge.client()
    assert len(client.perform(request_for("0 seconds of work"), seconds=60)) == 60
    socket.close(0)
    context.term()
