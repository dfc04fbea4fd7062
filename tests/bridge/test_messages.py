# SPDX-License-Identifier: Apache-2.0
"""Messages that do not belong: what the bridge answers, and that it goes on."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import zmq

from bridge_server.cli.client import Client
from shared import wire
from shared.errors import UnderstudyError
from shared.protocol import Message
from shared.requests import MAX_SECONDS, MotionRequest
from shared.timeline import Direction

from .conftest import RunningBridge, request_for, wait_for, wav


class Raw:
    """A socket that sends what a test likes."""

    def __init__(self, address: str) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(address)

    def ask(self, *frames: bytes) -> Message:
        self.socket.send_multipart(frames)
        assert self.socket.poll(10_000), "the bridge does not answer"
        return wire.decode(self.socket.recv_multipart(copy=False), receiver="client")

    def header(self, **changes: Any) -> bytes:
        return json.dumps({"protocol": "1.0", "type": "ping", "id": "q1", "body": {}, **changes}).encode()


@pytest.fixture
def raw(bridge: RunningBridge) -> Any:
    peer = Raw(bridge.record.address)
    yield peer
    peer.socket.close(0)
    peer.context.term()


def test_no_token_and_wrong_token(raw: Raw) -> None:
    for token in ({}, {"token": "guess"}, {"token": "x" * 256}, {"token": "\ud800"}):
        answer = raw.ask(raw.header(**token))
        assert answer.body["code"] == "unauthorised" and answer.id == "q1"


def test_token_is_needed_for_everything(raw: Raw) -> None:
    for kind, body in (
        ("hello", {"client": "x"}),
        ("submit", {"kind": "motion", "request": {}}),
        ("cancel", {}),
        ("status", {}),
        ("list", {}),
        ("fetch", {}),
        ("shutdown", {}),
    ):
        assert raw.ask(raw.header(type=kind, body=body)).body["code"] == "unauthorised", kind


def test_newer_client_is_told_to_update_the_bridge(raw: Raw) -> None:
    answer = raw.ask(raw.header(protocol="2.0"))
    assert answer.body["code"] == "version_mismatch" and answer.id == "q1"
    assert answer.body["fix"] == "Update the bridge."


def test_older_client_is_told_to_update_itself(raw: Raw) -> None:
    assert raw.ask(raw.header(protocol="0.9")).body["fix"] == "Update the Blender add-on."


def test_newer_minor_version_and_unknown_fields_are_accepted(raw: Raw, bridge: RunningBridge) -> None:
    answer = raw.ask(raw.header(protocol="1.7", token=bridge.record.token, colour="red"))
    assert answer.type == "pong"


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"not json"],
        [b"[]"],
        [b"{}"],
        [b"\xff\xfe"],
        [b"[" * 100_000],
        [b'{"protocol": 1}'],
        [b'{"protocol": "1.0", "type": "ping", "id": NaN}'],
        [b'{"protocol": "1.0", "type": "nonsense", "id": "a"}'],
        [b'{"protocol": "1.0", "type": "welcome", "id": "a", "body": {"bridge": "x"}}'],
        [b'{"protocol": "1.0", "type": "ping", "id": "../../etc"}'],
        [b'{"protocol": "1.0", "type": "ping", "id": "a"}', b"extra"],
        [
            b'{"protocol": "1.0", "type": "ping", "id": "a", "buffers": [{"name": "x", "dtype": "|O", "shape": [1]}]}',
            b"12345678",
        ],
        [
            b'{"protocol": "1.0", "type": "ping", "id": "a", '
            b'"buffers": [{"name": "x", "dtype": "<f4", "shape": [1099511627776]}]}',
            b"",
        ],
        [b'{"protocol": "1.0", "type": "submit", "id": "a", "body": {"kind": "motion"}}'],
    ],
)
def test_message_that_is_none(raw: Raw, frames: list[bytes]) -> None:
    assert raw.ask(*frames).body["code"] == "bad_message"


@pytest.mark.parametrize("name", ["\ud800", "a\x00b", "../../etc/passwd", "x" * 5000, 7, None, ["a"]])
def test_names_of_jobs_that_cannot_be(client: Client, bridge: RunningBridge, name: Any) -> None:
    for kind in ("status", "fetch", "cancel"):
        with pytest.raises(UnderstudyError) as caught:
            client.ask(Message(kind, body={"job": name}))
        assert caught.value.code == "not_found"
    assert "request.failed" not in bridge.log


def test_a_message_cannot_write_lines_of_its_own_into_the_log(raw: Raw, bridge: RunningBridge) -> None:
    name = "Blender\r2026-01-01T00:00:00.000 INFO bridge.exit code=0\u2028\ud800"
    body = {"client": name}
    assert raw.ask(raw.header(type="hello", token=bridge.record.token, body=body)).type == "welcome"
    wait_for(lambda: "client.hello client='Blender" in bridge.log, "the line about the client")
    line = next(line for line in bridge.log.splitlines() if "client.hello client='Blender" in line)
    assert line.endswith("owner=local")


def test_too_many_buffers(raw: Raw) -> None:
    assert raw.ask(raw.header(), *[b""] * 33).body["code"] == "request_too_large"


def test_header_too_large(raw: Raw) -> None:
    assert raw.ask(b" " * ((4 << 20) + 1)).body["code"] == "request_too_large"


def refusal(
    client: Client, request: dict[str, Any], buffers: dict[str, np.ndarray] | None = None, kind: str = "motion"
) -> UnderstudyError:
    """The error for a submit that is put together by hand, past the client's own checks."""
    with pytest.raises(UnderstudyError) as caught:
        client.ask(Message("submit", body={"kind": kind, "request": request}, buffers=buffers or {}))
    return caught.value


DIRECTION = {"start": 0, "end": 2, "text": "walks"}


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({}, "audio_missing"),
        ({"directions": [{**DIRECTION, "text": "  "}]}, "direction_invalid"),
        ({"directions": [{**DIRECTION, "text": "x" * 501}]}, "direction_invalid"),
        ({"directions": [{**DIRECTION, "text": "歩く"}]}, "direction_invalid"),
        ({"directions": [{**DIRECTION, "end": -1}]}, "direction_invalid"),
        ({"directions": [{**DIRECTION, "part": "tail"}]}, "direction_invalid"),
        ({"directions": [{"start": 0}]}, "direction_invalid"),
        ({"directions": ["walks"]}, "request_invalid"),
        ({"directions": [DIRECTION], "fps": 0}, "request_invalid"),
        ({"directions": [DIRECTION], "fps": "thirty"}, "request_invalid"),
        ({"directions": [DIRECTION], "seed": -1}, "request_invalid"),
        ({"duration": MAX_SECONDS + 1}, "request_invalid"),
        ({"directions": [{**DIRECTION, "start": 1e6, "end": 1e6 + 1}]}, "request_invalid"),
        ({"directions": [DIRECTION], "weights": 5}, "request_invalid"),
        ({"directions": [DIRECTION], "weights": "starter\x00"}, "request_invalid"),
        ({"directions": [DIRECTION], "weights": "\ud800/x"}, "request_invalid"),
    ],
)
def test_request_that_cannot_be_performed(client: Client, request_: dict[str, Any], code: str) -> None:
    error = refusal(client, request_)
    assert error.code == code and error.message.endswith(".") and error.fix.endswith(".")


def test_kind_that_the_bridge_does_not_know(client: Client) -> None:
    assert refusal(client, {}, kind="sculpture").code == "unsupported"


def test_audio_must_be_bytes(client: Client) -> None:
    assert refusal(client, {}, {"audio": np.zeros(10, np.float32)}).code == "request_invalid"


@pytest.mark.parametrize(
    ("audio", "code"),
    [
        (np.zeros(0, np.uint8), "audio_empty"),
        (np.frombuffer(b"this is no sound" * 50, np.uint8), "audio_unreadable"),
        (wav(np.zeros(0)), "audio_empty"),
        (wav(np.where(np.arange(16_000) == 77, np.nan, 0.1)), "audio_invalid"),
        (wav(np.where(np.arange(16_000) == 77, np.inf, 0.1)), "audio_invalid"),
    ],
    ids=["empty file", "text", "no samples", "NaN", "infinite"],
)
def test_audio_that_cannot_be_used(client: Client, audio: np.ndarray, code: str) -> None:
    with pytest.raises(UnderstudyError) as caught:
        client.perform(MotionRequest(audio=audio, audio_name="line 7.wav"), seconds=60)
    assert caught.value.code == code and "line 7.wav" in caught.value.message and caught.value.fix


def test_three_hours_of_audio(client: Client) -> None:
    # eight thousand 8-bit samples a second: 86 MB, as a telephone recording is
    hours = np.full(3 * 3600 * 8000, 128, np.uint8)
    header = np.frombuffer(
        b"RIFF"
        + (36 + len(hours)).to_bytes(4, "little")
        + b"WAVEfmt "
        + bytes.fromhex("1000000001000100401f0000401f000001000800")
        + b"data"
        + len(hours).to_bytes(4, "little"),
        np.uint8,
    )
    with pytest.raises(UnderstudyError) as caught:
        client.perform(MotionRequest(audio=np.concatenate((header, hours))), seconds=60)
    assert (
        caught.value.code == "audio_too_long"
        and "3:00:00" in caught.value.message
        and "1:00:00" in caught.value.message
    )


def test_direction_after_the_end_of_the_audio(client: Client, speech_wav: np.ndarray) -> None:
    request = MotionRequest(directions=[Direction(10, 12, "waves")], audio=speech_wav)
    with pytest.raises(UnderstudyError) as caught:
        client.perform(request, seconds=60)
    assert caught.value.code == "direction_invalid" and "0:03" in caught.value.message


def test_all_of_that_left_the_bridge_as_it_was(client: Client) -> None:
    assert len(client.perform(request_for(), seconds=60)) == 60
    assert client.status()["queue"] == 0
