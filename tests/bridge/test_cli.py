# SPDX-License-Identifier: Apache-2.0
"""The command line as a user runs it: results, one clear sentence for each bad input, exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import zmq

from bridge_server import __version__
from bridge_server.cli.client import Client
from shared import protocol, wire
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.state import BridgeRecord, lock_file, read_record, write_record

from .conftest import RunningBridge, Start, end_hard, request_for, understudy, wait_for, wav

OWN = ("--generator", "tests.bridge.generators:Walker", "--device", "cpu")


def directions(path: Path, *items: dict[str, object]) -> str:
    path.write_text(json.dumps({"version": 1, "directions": items}), encoding="utf-8")
    return str(path)


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What was said about the failure; there must be one line of it, an exit code, and no traceback."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("understudy: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_generate_against_a_running_bridge(bridge: RunningBridge, tmp_path: Path, speech_wav: np.ndarray) -> None:
    speech_wav.tofile(tmp_path / "speech.wav")
    out = tmp_path / "motion.npz"
    done = understudy(
        "generate",
        "--audio",
        str(tmp_path / "speech.wav"),
        "--directions",
        directions(tmp_path / "d.json", {"start": 0, "end": 2, "text": "walks"}),
        "--seed",
        "9",
        "--out",
        str(out),
        "--bvh",
        "--no-start",
        state_dir=bridge.state_dir,
    )
    assert done.returncode == 0, done.stderr
    motion = Motion.load(out)
    assert motion.duration == pytest.approx(3.0) and motion.metadata["seed"] == 9
    assert out.with_suffix(".bvh").read_text().startswith("HIERARCHY")
    assert "3.00 s of motion" in done.stdout and "walking" in done.stderr


def test_generate_starts_and_stops_its_own_bridge(tmp_path: Path) -> None:
    done = understudy(
        "generate", "--say", "0-1:walks", "--out", str(tmp_path / "m.npz"), *OWN, state_dir=tmp_path / "state"
    )
    assert done.returncode == 0, done.stderr
    assert len(Motion.load(tmp_path / "m.npz")) == 30
    assert not lock_file(tmp_path / "state").exists()


def test_kept_bridge_then_status_then_stop(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    state = tmp_path / "state"
    done = understudy(
        "generate", "--say", "0-1:walks", "--out", str(tmp_path / "m.npz"), "--keep-bridge", *OWN, state_dir=state
    )
    assert done.returncode == 0, done.stderr
    record = read_record(state)
    assert record is not None
    request.addfinalizer(lambda: psutil.pid_exists(record.pid) and end_hard(record.pid))
    status = understudy("status", state_dir=state)
    assert status.returncode == 0 and status.stdout.startswith("ready") and "done 100%" in status.stdout
    facts = json.loads(understudy("status", "--json", state_dir=state).stdout)
    assert facts["workers"][0]["state"] == "ready"
    assert understudy("stop", state_dir=state).returncode == 0
    assert "No bridge is running" in one_sentence(understudy("stop", state_dir=state))


BAD_DIRECTIONS = [
    ({"start": 0, "end": 2, "text": ""}, "has no text"),
    ({"start": 0, "end": 2, "text": "walks " * 200}, "characters"),
    ({"start": 0, "end": 2, "text": "歩く"}, "Latin"),
    ({"start": 3, "end": 1, "text": "walks"}, "not after its start"),
]


@pytest.mark.parametrize(("item", "words"), BAD_DIRECTIONS, ids=["empty", "overlong", "not Latin", "end before start"])
def test_bad_direction(bridge: RunningBridge, tmp_path: Path, item: dict[str, object], words: str) -> None:
    done = understudy(
        "generate",
        "--directions",
        directions(tmp_path / "d.json", item),
        "--out",
        str(tmp_path / "m.npz"),
        state_dir=bridge.state_dir,
    )
    assert words in one_sentence(done)
    assert not (tmp_path / "m.npz").exists()


BAD_AUDIO = [
    (b"", "is empty"),
    (b"this is no sound" * 99, "cannot be read as sound"),
    (wav(np.full(16_000, np.nan)).tobytes(), "not numbers"),
    (wav(np.zeros(0)).tobytes(), "contains no sound"),
]


@pytest.mark.parametrize(("content", "words"), BAD_AUDIO, ids=["empty", "unreadable", "NaN", "no samples"])
def test_bad_audio(bridge: RunningBridge, tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "line.wav").write_bytes(content)
    done = understudy(
        "generate", "--audio", str(tmp_path / "line.wav"), "--out", str(tmp_path / "m.npz"), state_dir=bridge.state_dir
    )
    said = one_sentence(done)
    assert words in said and "line.wav" in said
    assert not list(tmp_path.glob("m.npz*"))


def test_nothing_to_perform(bridge: RunningBridge, tmp_path: Path) -> None:
    done = understudy("generate", "--out", str(tmp_path / "m.npz"), state_dir=bridge.state_dir)
    assert "neither speech nor a direction" in one_sentence(done)


def test_files_that_are_not_there(bridge: RunningBridge, tmp_path: Path) -> None:
    for option in ("--audio", "--directions"):
        done = understudy(
            "generate", option, str(tmp_path / "absent"), "--out", str(tmp_path / "m.npz"), state_dir=bridge.state_dir
        )
        assert "There is no file" in one_sentence(done)
    done = understudy(
        "generate", "--say", "0-1:walks", "--out", str(tmp_path / "no" / "m.npz"), state_dir=bridge.state_dir
    )
    assert "There is no folder" in one_sentence(done)
    done = understudy("generate", "--say", "walks", "--out", str(tmp_path / "m.npz"), state_dir=bridge.state_dir)
    assert "START-END:TEXT" in one_sentence(done)


def test_bridge_is_not_running(tmp_path: Path) -> None:
    done = understudy(
        "generate", "--say", "0-1:walks", "--out", str(tmp_path / "m.npz"), "--no-start", state_dir=tmp_path
    )
    assert "No bridge is running" in one_sentence(done) and "understudy serve" in done.stderr


def test_lock_file_of_a_bridge_that_has_ended(tmp_path: Path) -> None:
    write_record(BridgeRecord("tcp://127.0.0.1:9", "t", 2**22 + 1, __version__, "the.log"), tmp_path)
    said = one_sentence(understudy("status", state_dir=tmp_path))
    assert "has ended" in said and "the.log" in said


def test_wrong_port(tmp_path: Path) -> None:
    done = understudy("status", "--address", "tcp://127.0.0.1:9", "--token", "x", state_dir=tmp_path)
    assert "No bridge answers at tcp://127.0.0.1:9" in one_sentence(done)
    done = understudy("status", "--address", "nonsense", state_dir=tmp_path)
    assert "not an address" in one_sentence(done)


def test_wrong_token(bridge: RunningBridge, tmp_path: Path) -> None:
    done = understudy("status", "--address", bridge.record.address, "--token", "guess", state_dir=tmp_path)
    assert "does not know this client" in one_sentence(done)


def test_bridge_of_another_major_version(tmp_path: Path) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.linger = 0
    port = socket.bind_to_random_port("tcp://127.0.0.1")

    def answer() -> None:
        identity, header = socket.recv_multipart()
        newer = protocol.Message("welcome", json.loads(header)["id"], {"bridge": "9"}, protocol="9.0")
        socket.send_multipart([identity, *wire.encode(newer)])

    thread = threading.Thread(target=answer)
    thread.start()
    done = understudy("status", "--address", f"tcp://127.0.0.1:{port}", state_dir=tmp_path)
    thread.join(10)
    socket.close(0)
    context.term()
    said = one_sentence(done)
    assert "9.0" in said and "Update the" in said


def test_bridge_killed_in_mid_job(start: Start, tmp_path: Path) -> None:
    bridge = start()
    outcome: list[subprocess.CompletedProcess[str]] = []
    thread = threading.Thread(
        target=lambda: outcome.append(
            understudy(
                "generate",
                "--say",
                "0-1:30 seconds of work",
                "--out",
                str(tmp_path / "m.npz"),
                "--no-start",
                state_dir=bridge.state_dir,
            )
        )
    )
    thread.start()
    client = bridge.client()
    wait_for(lambda: any(j["state"] == "running" for j in client.jobs()), "the job runs")
    end_hard(bridge.record.pid)
    thread.join(30)
    said = one_sentence(outcome[0])
    assert "bridge ended" in said and bridge.record.log in said
    assert not list(tmp_path.glob("m.npz*"))


def test_cancel_from_another_terminal(start: Start, tmp_path: Path) -> None:
    bridge = start()
    client = bridge.client()
    message = request_for("30 seconds of work").to_message()
    client.send(message)
    wait_for(lambda: client.status(message.id)["state"] == "running", "the job runs")
    other = bridge.client()
    other.cancel(message.id)
    with pytest.raises(UnderstudyError, match="cancelled"):
        client.wait(message.id, seconds=10)


def test_help_lists_the_commands_and_version(tmp_path: Path) -> None:
    done = understudy("--help", state_dir=tmp_path)
    assert done.returncode == 0
    for name in ("serve", "generate", "status", "stop", "doctor"):
        assert re.search(rf"^\s+{name}\s", done.stdout, re.M), name
    assert understudy("--version", state_dir=tmp_path).stdout.strip() == f"understudy {__version__}"
    assert understudy("nonsense", state_dir=tmp_path).returncode == 2
    assert understudy("serve", "--port", "99999", state_dir=tmp_path).returncode == 2


def test_doctor_reports_every_area(bridge: RunningBridge) -> None:
    done = understudy("doctor", "--json", state_dir=bridge.state_dir, seconds=120)
    findings = json.loads(done.stdout)
    areas = {f["area"] for f in findings}
    assert {"Python", "packages", "devices", "generators", "weights", "folders", "bridge"} <= areas
    assert all(f["fix"] for f in findings if f["state"] == "problem")
    assert done.returncode == int(any(f["state"] == "problem" for f in findings))
    assert any(f"process {bridge.record.pid}" in f["text"] for f in findings if f["area"] == "bridge")


def test_client_is_closed_twice(bridge: RunningBridge) -> None:
    client = Client(bridge.record.address, bridge.record.token)
    client.close()
    client.close()
    assert client._context.closed and client._socket.closed
