# SPDX-License-Identifier: Apache-2.0
"""Protocol v1 seen from outside: checks for any bridge, written against docs/protocol.md alone.

Nothing of ``shared`` is imported, so that a mistake there cannot hide itself. Run against a bridge that is up::

    python -m tests.conformance tcp://127.0.0.1:40123 --token TOKEN
    python -m tests.conformance tcp://192.168.1.20:5600 --key ava.key.json
    python -m pytest tests/conformance --address tcp://127.0.0.1:40123 --token TOKEN
"""

from __future__ import annotations

import json
import math
import struct
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import zmq

__all__ = ["CHECKS", "Peer", "run"]

SIZES: Final = {"|u1": 1, "|b1": 1, "<i4": 4, "<i8": 8, "<f2": 2, "<f4": 4, "<f8": 8}
ANSWER_SECONDS: Final = 30.0
JOB_SECONDS: Final = 300.0


class Peer:
    """A client made of a socket and JSON."""

    def __init__(self, address: str, token: str = "", key: str = "") -> None:
        self.address, self.token, self.key = address, token, key
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        if key:
            with open(key, encoding="utf-8") as file:
                keys = json.load(file)
            self.socket.curve_serverkey = keys["bridge"].encode()
            self.socket.curve_publickey, self.socket.curve_secretkey = keys["public"].encode(), keys["secret"].encode()
        self.socket.connect(address)

    def close(self) -> None:
        self.socket.close(0)
        self.context.term()

    def send(
        self,
        kind: str,
        body: dict[str, Any] | None = None,
        *,
        buffers: dict[str, tuple[str, list[int], bytes]] | None = None,
        **changes: Any,
    ) -> str:
        """Send a message; buffers are name: (dtype, shape, bytes). Returns the id."""
        header: dict[str, Any] = {
            "protocol": "1.0",
            "type": kind,
            "id": uuid.uuid4().hex,
            "token": self.token,
            "body": body or {},
        }
        if buffers:
            header["buffers"] = [{"name": n, "dtype": d, "shape": s} for n, (d, s, _) in buffers.items()]
        header.update(changes)
        self.socket.send_multipart(
            [json.dumps(header).encode(), *(content for _, _, content in (buffers or {}).values())]
        )
        return str(header["id"])

    def receive(self, seconds: float = ANSWER_SECONDS) -> tuple[dict[str, Any], list[bytes]]:
        """The next message, whose frames must agree with its header."""
        assert self.socket.poll(int(seconds * 1000)), f"no message within {seconds:g} s"
        frames = self.socket.recv_multipart()
        header = json.loads(frames[0].decode("utf-8"))
        assert header["protocol"].split(".")[0] == "1"
        described = header.get("buffers", [])
        assert len(described) == len(frames) - 1, "the header describes every buffer"
        for entry, frame in zip(described, frames[1:], strict=True):
            assert math.prod(entry["shape"]) * SIZES[entry["dtype"]] == len(frame), entry
        return header, frames[1:]

    def answer(self, id: str, *kinds: str, seconds: float = ANSWER_SECONDS) -> tuple[dict[str, Any], list[bytes]]:
        """The next message about ``id`` of one of the types."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            header, buffers = self.receive(left)
            if header["id"] == id and (not kinds or header["type"] in kinds):
                return header, buffers
        raise AssertionError(f"no {' or '.join(kinds)} for {id} within {seconds:g} s")

    def error(self, id: str) -> dict[str, Any]:
        """The error about ``id``, which must be a whole one."""
        body: dict[str, Any] = self.answer(id, "error")[0]["body"]
        assert isinstance(body["code"], str) and isinstance(body["message"], str) and body["message"]
        assert isinstance(body["retryable"], bool) and isinstance(body["fix"], str)
        return body


def short_job(seconds: float = 1.0) -> dict[str, Any]:
    return {
        "kind": "motion",
        "request": {
            "fps": 30.0,
            "seed": 1,
            "directions": [{"start": 0.0, "end": seconds, "text": "a person walks forward"}],
        },
    }


def hello_is_welcomed(peer: Peer) -> None:
    body = peer.answer(peer.send("hello", {"client": "conformance"}))[0]
    assert body["type"] == "welcome" and isinstance(body["body"]["bridge"], str)


def ping_is_answered_under_its_id(peer: Peer) -> None:
    ids = [peer.send("ping") for _ in range(20)]
    assert [peer.receive()[0]["id"] for _ in ids] == ids


def unknown_fields_and_newer_minor_versions_are_accepted(peer: Peer) -> None:
    assert peer.answer(peer.send("ping", {"x": 1}, protocol="1.99", future=[1]))[0]["type"] == "pong"


def other_major_versions_are_refused_with_the_side_to_update(peer: Peer) -> None:
    for version in ("0.1", "2.0", "10.3"):
        error = peer.error(peer.send("ping", protocol=version))
        assert error["code"] == "version_mismatch" and version in error["message"] and "pdate" in error["fix"]


def messages_without_the_token_are_refused(peer: Peer) -> None:
    if not peer.token:
        return  # a bridge that knows its clients by key
    for token in ("", "x", peer.token + "x", peer.token[:-1]):
        for kind, body in (("ping", {}), ("list", {}), ("submit", short_job()), ("shutdown", {})):
            assert peer.error(peer.send(kind, body, token=token))["code"] == "unauthorised"


def what_is_no_message_is_refused_and_survived(peer: Peer) -> None:
    for frames in ([b""], [b"{"], [b"[]"], [b"{}"], [b"\xff"], [b"x" * 70_000], [b"{}", b"more"]):
        peer.socket.send_multipart(frames)
        header, _ = peer.receive()
        assert header["type"] == "error" and header["body"]["code"] == "bad_message"
    ping_is_answered_under_its_id(peer)


def buffers_must_be_as_described(peer: Peer) -> None:
    good = struct.pack("<4f", 1, 2, 3, 4)
    for dtype, shape, content in (
        ("<f4", [5], good),
        ("<f4", [3], good),
        (">f4", [4], good),
        ("|O", [2], good),
        ("<f4", [-4], good),
        ("<f4", [2**40], b""),
        ("<f4", [1] * 7, good[:4]),
    ):
        id = peer.send("ping", buffers={"x": (dtype, shape, content)})
        assert peer.error(id)["code"] == "bad_message", (dtype, shape)
    assert (
        peer.answer(peer.send("ping", buffers={"x": ("<f4", [2, 2], good), "y": ("|u1", [0], b"")}))[0]["type"]
        == "pong"
    )


def limits_are_kept(peer: Peer) -> None:
    peer.socket.send_multipart([b"{}", *[b""] * 40])
    assert peer.receive()[0]["body"]["code"] == "request_too_large"
    peer.socket.send(b" " * (5 << 20))
    assert peer.receive()[0]["body"]["code"] == "request_too_large"


def job_gives_accepted_progress_and_a_motion(peer: Peer) -> None:
    id = peer.send("submit", short_job())
    first, _ = peer.answer(id)
    assert first["type"] == "accepted" and first["body"]["position"] >= 0
    fraction = 0.0
    while True:
        header, buffers = peer.answer(id, seconds=JOB_SECONDS)
        if header["type"] == "progress":
            assert isinstance(header["body"]["stage"], str) and 0 <= header["body"]["fraction"] <= 1
            if header["body"]["stage"] in ("restarting the worker", "again with less memory"):
                fraction = 0.0
            elif header["body"]["stage"] not in ("waiting", "loading model"):
                assert header["body"]["fraction"] >= fraction
                fraction = header["body"]["fraction"]
        elif header["type"] == "chunk":
            assert header["body"]["first_frame"] >= 0
        else:
            break
    assert header["type"] == "result", header
    arrays = {b["name"]: (b, content) for b, content in zip(header["buffers"], buffers, strict=True)}
    frames = arrays["rotations"][0]["shape"][0]
    assert frames == 30 and header["body"]["fps"] == 30.0
    for name, tail in (("rotations", [55, 4]), ("translation", [3]), ("contacts", [4])):
        assert arrays[name][0]["shape"] == [frames, *tail] and arrays[name][0]["dtype"] == "<f4"
    assert arrays["face"][0]["shape"] == [frames, len(header["body"]["face_names"])]
    numbers = struct.unpack(f"<{frames * 55 * 4}f", arrays["rotations"][1])
    for n in range(0, len(numbers), 4):
        assert abs(sum(x * x for x in numbers[n : n + 4]) - 1) < 1e-3, "rotations are unit quaternions"
    # a second time under the same id: the same job
    peer.send("submit", short_job(), id=id)
    again, content = peer.answer(id, "result", "error", seconds=JOB_SECONDS)
    assert again["type"] == "result" and content == buffers
    # status, list and fetch know it
    assert peer.answer(peer.send("status", {"job": id}))[0]["body"]["state"] == "done"
    assert id in [j["job"] for j in peer.answer(peer.send("list"))[0]["body"]["jobs"]]
    assert peer.answer(peer.send("fetch", {"job": id}, id=id), "result")[1] == buffers


def another_connection_gets_the_result(peer: Peer) -> None:
    id = peer.send("submit", short_job())
    peer.answer(id, "accepted")
    other = Peer(peer.address, peer.token, peer.key)
    try:
        other.send("fetch", {"job": id}, id=id)
        assert other.answer(id, "result", "error", seconds=JOB_SECONDS)[0]["type"] == "result"
    finally:
        other.close()


def job_can_be_cancelled(peer: Peer) -> None:
    id = peer.send(
        "submit",
        {
            "kind": "motion",
            "request": {
                "duration": 600.0,
                "directions": [{"start": 0, "end": 600, "text": "60 seconds of work: a person walks forward"}],
            },
        },
    )
    peer.answer(id, "accepted")
    peer.send("cancel", {"job": id}, id=id)
    assert peer.error(id)["code"] == "cancelled"
    assert peer.answer(peer.send("status", {"job": id}))[0]["body"]["state"] == "cancelled"


def requests_that_cannot_be_performed_are_refused(peer: Peer) -> None:
    good = {"start": 0, "end": 1, "text": "walks"}
    for request, code in (
        ({}, "audio_missing"),
        ({"directions": [{**good, "text": ""}]}, "direction_invalid"),
        ({"directions": [{**good, "end": 0}]}, "direction_invalid"),
        ({"directions": [good], "fps": 0}, "request_invalid"),
        ({"directions": [good], "duration": 1e9}, "request_invalid"),
    ):
        assert peer.error(peer.send("submit", {"kind": "motion", "request": request}))["code"] == code
    assert peer.error(peer.send("submit", {"kind": "sculpture", "request": {}}))["code"] == "unsupported"


def unknown_jobs_are_not_found(peer: Peer) -> None:
    for kind in ("status", "fetch", "cancel"):
        assert peer.error(peer.send(kind, {"job": "no-such-job"}))["code"] == "not_found"


CHECKS: Final[list[Callable[[Peer], None]]] = [
    hello_is_welcomed,
    ping_is_answered_under_its_id,
    unknown_fields_and_newer_minor_versions_are_accepted,
    other_major_versions_are_refused_with_the_side_to_update,
    messages_without_the_token_are_refused,
    what_is_no_message_is_refused_and_survived,
    buffers_must_be_as_described,
    limits_are_kept,
    requests_that_cannot_be_performed_are_refused,
    unknown_jobs_are_not_found,
    job_gives_accepted_progress_and_a_motion,
    another_connection_gets_the_result,
    job_can_be_cancelled,
]


def run(address: str, token: str = "", key: str = "") -> int:
    """Run all checks, print each, return how many failed."""
    failed = 0
    for check in CHECKS:
        peer = Peer(address, token, key)
        try:
            check(peer)
            print(f"ok       {check.__name__.replace('_', ' ')}")
        except (AssertionError, KeyError, ValueError) as error:
            failed += 1
            print(f"NOT OK   {check.__name__.replace('_', ' ')}: {type(error).__name__} {error}")
        finally:
            peer.close()
    return failed
