# SPDX-License-Identifier: Apache-2.0
"""A bridge on another machine as the preferences describe it: address, server key, key file; and where the secret does not go."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest
import zmq
from blender_addon import preferences, session
from blender_addon.shared.errors import UnderstudyError
from shared import wire
from shared.protocol import Message

CHOSEN = preferences._Defaults


class KeyedBridge:
    """Answers hello to whoever has the right server key."""

    def __init__(self) -> None:
        self.public, secret = zmq.curve_keypair()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.curve_server, self._socket.curve_publickey, self._socket.curve_secretkey = True, self.public, secret
        self.address = f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(50):
                identity, *frames = self._socket.recv_multipart()
                message = wire.decode(frames, receiver="bridge")
                if message.type == "hello":
                    welcome = Message("welcome", message.id, {"bridge": "7.8", "device": "cuda", "state": "ready", "queue": 2})
                    self._socket.send_multipart([identity, *wire.encode(welcome)])

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)
        self._socket.close(0)
        self._context.term()


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[KeyedBridge, Path]]:
    """The bridge, and preferences that name it and a key file."""
    made = KeyedBridge()
    public, secret = (k.decode() for k in zmq.curve_keypair())
    file = tmp_path / "ava.key.json"
    file.write_text(json.dumps({"name": "ava", "public": public, "secret": secret, "bridge": made.public.decode()}))
    monkeypatch.setattr(CHOSEN, "address", made.address)
    monkeypatch.setattr(CHOSEN, "key_file", str(file))
    yield made, file
    made.close()


def test_the_button_says_what_answers(addon: Any, keyed: Any, capfd: Any) -> None:
    assert bpy.ops.understudy.test_connection() == {"FINISHED"}
    assert "Bridge 7.8 on cuda answered in" in capfd.readouterr().out
    assert session.link_state()[0] == "off", "a trial leaves the connection in use alone"


def test_a_wrong_server_key_is_said(addon: Any, keyed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CHOSEN, "server_key", zmq.curve_keypair()[0].decode())
    with pytest.raises(RuntimeError, match="No bridge answers at .* server key"):
        bpy.ops.understudy.test_connection()
    monkeypatch.setattr(CHOSEN, "server_key", "too short")
    with pytest.raises(RuntimeError, match="40 characters"):
        bpy.ops.understudy.test_connection()
    monkeypatch.setattr(CHOSEN, "key_file", "/no/such/file.json")
    with pytest.raises(RuntimeError, match="no key file"):
        bpy.ops.understudy.test_connection()
    monkeypatch.setattr(CHOSEN, "address", "")
    with pytest.raises(RuntimeError, match="no address to try"):
        bpy.ops.understudy.test_connection()


def test_the_link_uses_the_key_and_the_file_keeps_no_secret(addon: Any, keyed: Any, tmp_path: Path) -> None:
    bridge, file = keyed
    link = session.desk().link
    link.want()
    for _ in range(400):
        if link.state != "connecting":
            break
        link.wait(0.05)
    assert link.state == "ready" and link.welcome["bridge"] == "7.8"
    saved = tmp_path / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(saved), compress=False)
    link.close()
    secret = json.loads(file.read_text())["secret"]
    assert secret.encode() not in saved.read_bytes()
    kept = {name for name in preferences.UnderstudyPreferences.__annotations__ if "secret" in name or "private" in name}
    assert not kept, "the preferences name the key's file and do not hold the key"


def test_each_log_is_named_and_found(addon: Any, state: Path) -> None:
    from types import SimpleNamespace

    from blender_addon import connection, log

    def said(which: str) -> str:
        return str(connection.UNDERSTUDY_OT_open_log.description(bpy.context, SimpleNamespace(which=which)))

    assert connection.log_path("BRIDGE") is None and said("ADDON") == "There is no log yet"
    assert bpy.ops.understudy.open_log(which="ADDON") == {"CANCELLED"}
    session.desk()
    session._log.error("something")
    assert connection.log_path("ADDON") == log.log_file() == state / "logs" / "addon.log"
    assert str(log.log_file()) in said("ADDON") and connection.log_path("BRIDGE") is None
    (state / "logs" / "bridge.log").write_text("x")
    assert "bridge.log" in said("BRIDGE") and "addon.log" in said("ADDON")


def test_another_computer_needs_online_access(addon: Any, keyed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CHOSEN, "address", "tcp://192.0.2.1:40123")
    if bpy.app.online_access:
        pytest.skip("online access is on in this Blender")
    with pytest.raises(UnderstudyError, match="online access is off"):
        session.trial()
