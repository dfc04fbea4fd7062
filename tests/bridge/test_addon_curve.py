# SPDX-License-Identifier: Apache-2.0
"""The add-on's side of a bridge on another machine: its client core against a real bridge that knows its clients by key."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from blender_addon.core.bridge_process import BridgeCommand
from blender_addon.core.client import Timing
from blender_addon.core.desk import Desk
from blender_addon.core.link import BridgeLink
from blender_addon.core.trial import Trial
from blender_addon.shared.errors import UnderstudyError
from blender_addon.shared.keys import ClientKey
from blender_addon.shared.requests import MotionRequest
from blender_addon.shared.state import BridgeRecord
from blender_addon.shared.timeline import Direction

from .conftest import RunningBridge, Start, understudy

PATIENT = Timing(hello=20.0)


@pytest.fixture
def keyed(start: Start, tmp_path: Path) -> tuple[RunningBridge, Path]:
    """A bridge for clients with keys, and the key file of one."""
    file = tmp_path / "ava.key.json"
    made = understudy("keys", "add", "ava", "--out", str(file), state_dir=tmp_path / "state")
    assert made.returncode == 0, made.stderr
    return start("Walker", "--curve"), file


def desk(address: str, key: Callable[[], ClientKey | None], timing: Timing = PATIENT) -> Desk:
    def nothing() -> BridgeCommand:
        raise UnderstudyError("bridge_not_running", "The bridge is not set up on this computer.", "Install it.")

    return Desk(BridgeLink(nothing, "test", record=lambda: BridgeRecord(address, "", 0, "", ""), timing=timing, key=key))


def settled(made: Desk) -> str:
    """The link's state once it is neither starting nor connecting."""
    made.link.want()
    until = time.monotonic() + 60
    while made.link.state in ("starting", "connecting"):
        assert time.monotonic() < until, "the link does not come to an end"
        made.wait(0.02)
    return made.link.state


def test_a_performance_with_the_right_key(keyed: tuple[RunningBridge, Path]) -> None:
    bridge, file = keyed
    made = desk(bridge.record.remote, lambda: ClientKey.load(file))
    job = made.submit(MotionRequest(duration=2.0, directions=[Direction(0.0, 1.0, "walks forward")], seed=4))
    until = time.monotonic() + 60
    while job.open and time.monotonic() < until:
        made.wait(0.05)
    welcome = dict(made.link.welcome)
    made.close()
    assert job.state == "done" and job.motion is not None and job.motion.translation[0, 1] == 4
    assert welcome["pid"] == bridge.record.pid
    assert "name=ava outcome=accepted" in bridge.log


def test_an_unknown_key_is_told_so_and_gets_nothing(keyed: tuple[RunningBridge, Path]) -> None:
    bridge, file = keyed
    public, secret = (k.decode() for k in zmq.curve_keypair())
    stranger = ClientKey("ava", public, secret, ClientKey.load(file).bridge)
    made = desk(bridge.record.remote, lambda: stranger)
    assert settled(made) == "failed"
    error = made.link.error
    assert error is not None and error.code == "unauthorised" and "understudy keys add" in error.fix
    assert made.link.welcome == {} and "client.hello" not in bridge.log
    made.close()
    trial = Trial(BridgeRecord(bridge.record.remote, "", 0, "", ""), "test", stranger, seconds=20)
    with pytest.raises(UnderstudyError, match="does not know this computer's key"):
        trial.wait(30)
    trial.close()


@pytest.mark.parametrize("which", ["no key", "the key of another bridge"])
def test_what_does_not_even_shake_hands(keyed: tuple[RunningBridge, Path], which: str) -> None:
    bridge, file = keyed
    other = zmq.curve_keypair()[0].decode()
    made = desk(bridge.record.remote, lambda: None if which == "no key" else ClientKey.load(file, other), Timing(hello=1.0))
    assert settled(made) == "failed"
    assert made.link.error is not None and made.link.error.code == "bridge_not_running"
    assert bridge.record.remote in made.link.error.message
    made.close()
    assert "client.hello" not in bridge.log


def test_trial_says_what_answers(keyed: tuple[RunningBridge, Path]) -> None:
    bridge, file = keyed
    trial = Trial(BridgeRecord(bridge.record.remote, "", 0, "", ""), "test", ClientKey.load(file), seconds=20)
    said = trial.wait(30)
    trial.close()
    trial.close()
    assert said.startswith(f"Bridge {bridge.record.version}") and "answered in" in said


def test_key_file_that_is_none_is_said_before_any_connection(tmp_path: Path) -> None:
    file = tmp_path / "k.json"
    public, secret = (k.decode() for k in zmq.curve_keypair())
    good = {"name": "ava", "public": public, "secret": secret, "bridge": public}
    for content, code, words in (
        (None, "file_missing", "no key file"),
        ("{", "file_invalid", "not a client's key file"),
        (json.dumps({**good, "secret": secret[:-1]}), "file_invalid", "damaged"),
        (json.dumps({**good, "bridge": "short"}), "request_invalid", "40 characters"),
    ):
        if content is not None:
            file.write_text(content)
        made = desk("tcp://127.0.0.1:9", lambda: ClientKey.load(file))
        assert settled(made) == "failed"
        error = made.link.error
        assert error is not None and error.code == code and words in error.message
        assert secret[:-1] not in str(error)
        made.close()
    file.write_text(json.dumps(good))
    assert secret not in repr(ClientKey.load(file)), "a key that is logged or shown must not show its secret"


def test_keys_command_prints_what_to_paste(keyed: tuple[RunningBridge, Path], tmp_path: Path) -> None:
    bridge, file = keyed
    done = understudy("keys", "add", "ben", "--out", str(tmp_path / "ben.json"), state_dir=bridge.state_dir)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert f"Address {bridge.record.remote}" in lines
    assert f"Server Key {ClientKey.load(file).bridge}" in lines
    assert "Key File where ben.json lies there" in lines
    assert json.loads((tmp_path / "ben.json").read_text())["secret"] not in done.stdout
    # before there is a bridge it says how to start one
    done = understudy("keys", "add", "ada", "--out", str(tmp_path / "ada.json"), state_dir=tmp_path / "elsewhere")
    assert "understudy serve --host" in done.stdout
