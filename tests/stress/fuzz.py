# SPDX-License-Identifier: Apache-2.0
"""Mutated messages for the decoder in this process, and for a bridge over its socket."""

from __future__ import annotations

import json
import random
import resource
import time
import traceback

import numpy as np
import zmq

from benchmarks.results import Result
from bridge_server.cli.client import Client
from shared import wire
from shared.errors import CODES, UnderstudyError
from shared.motion import Motion
from shared.protocol import Message
from shared.requests import MotionRequest, motion_from_message, motion_to_buffers
from shared.timeline import Direction
from tests.stress.common import a_bridge

__all__ = ["measure", "one", "seeds"]

MESSAGES, OVER_THE_SOCKET = 1_000_000, 50_000
WORDS = [
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"NaN",
    b"[]",
    b"{}",
    b'"',
    b"\\u0000",
    b"99999999999999999999",
    b"0.5",
    b"\xff",
    b"[" * 50,
    b'"<f8"',
    b'"|O"',
    b'"shape":[1099511627776]',
    b'"type":"submit"',
    b'"protocol":"2.0"',
    b'"start":-1',
    b",",
    b":",
]
HEADROOM = 512 << 20
"""Bytes that decoding may ask for above what the process has; the limits of the protocol allow far less for these messages."""


def seeds() -> list[tuple[str, list[bytes]]]:
    """(receiver, frames) of good messages of all kinds."""
    request = MotionRequest(
        directions=[Direction(0, 2, "walks forward", seed=3), Direction(1, 2, "waves", "left_arm")],
        audio=np.arange(64, dtype=np.uint8),
        audio_name="a.wav",
    )
    body, buffers = motion_to_buffers(Motion.rest(3))
    messages = [
        ("bridge", request.to_message("job-1", "token")),
        ("bridge", Message("hello", "h", {"client": "x"}, token="token")),
        ("bridge", Message("status", "s", {"job": "job-1"}, token="token")),
        ("bridge", Message("list", "l", token="token")),
        ("bridge", Message("ping", "p", {}, {"x": np.zeros((2, 3), np.float32), "y": np.zeros(0, np.int64)}, "token")),
        ("client", Message("result", "job-1", {**body, "stages": {"a": 1.0}}, buffers)),
        ("client", Message("progress", "job-1", {"stage": "body", "fraction": 0.5, "eta": None})),
        ("client", Message("error", "job-1", {"code": "busy", "message": "m", "fix": "f", "retryable": True})),
    ]
    return [(receiver, [bytes(f) for f in wire.encode(m)]) for receiver, m in messages]


def mutate(frames: list[bytes], rng: random.Random) -> list[bytes]:
    """A few changes: bytes, pieces, words, frames, JSON values."""
    out = [bytearray(f) for f in frames]
    for _ in range(rng.randint(1, 4)):
        if not out:
            break
        frame = out[0] if rng.random() < 0.8 else rng.choice(out)
        kind = rng.randrange(8)
        at = rng.randrange(len(frame) + 1)
        if kind == 0 and frame:
            frame[at - 1] = rng.randrange(256)
        elif kind == 1:
            frame[at:at] = rng.choice(WORDS)
        elif kind == 2:
            del frame[at : at + rng.randint(1, 20)]
        elif kind == 3:
            frame[at : at + rng.randint(0, 12)] = rng.choice(WORDS)
        elif kind == 4:
            frame[at:at] = frame[rng.randrange(len(frame) + 1) :][:40]
        elif kind == 5 and rng.random() < 0.3:
            out.append(bytearray(rng.randbytes(rng.randrange(30))))
        elif kind == 6 and rng.random() < 0.3:
            out.pop(rng.randrange(len(out)))
        elif kind == 7:
            _change_value(out, rng)
    return [bytes(f) for f in out]


def _change_value(frames: list[bytearray], rng: random.Random) -> None:
    """Replace one value somewhere inside the header, so that deeper checks are reached than broken JSON allows."""
    try:
        header = json.loads(bytes(frames[0]))
    except ValueError:
        return
    place = header
    while isinstance(place, dict | list) and place:
        key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        if not isinstance(place[key], dict | list) or rng.random() < 0.3:
            place[key] = rng.choice(
                [None, True, -1, 0, 1.5, 2**70, "", "x" * 600, [], {}, [[]], "walks", "../..", 1e308, [1, 2]]
            )
            break
        place = place[key]
    frames[0][:] = json.dumps(header).encode()


def one(receiver: str, frames: list[bytes]) -> None:
    """Decode and use a message as its receiver would; anything but an UnderstudyError is a failure."""
    try:
        message = wire.decode(frames, receiver=receiver)
        if message.type == "submit":
            MotionRequest.from_message(message)
        elif message.type == "result":
            motion_from_message(message)
        elif message.type == "error":
            UnderstudyError.from_json(message.body)
    except UnderstudyError as error:
        assert error.code in CODES and error.message


def measure(scale: float) -> tuple[list[Result], list[str]]:
    """``fuzz_messages`` and ``fuzz_failures``."""
    rng = random.Random(20_261_121)
    good = seeds()
    wrong: list[str] = []
    count = int(MESSAGES * scale)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    former = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + HEADROOM, former[1]))
    try:
        for _ in range(count):
            receiver, frames = rng.choice(good)
            mutated = mutate(frames, rng)
            since = time.monotonic()
            try:
                one(receiver, mutated)
            except Exception:  # whatever it is, it is what is looked for
                wrong.append(f"{mutated[:1]!r}: {traceback.format_exc(limit=-2)}")
            if time.monotonic() - since > 2:
                wrong.append(f"took {time.monotonic() - since:.1f} s: {mutated[0][:200]!r}")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, former)
    sent = _over_the_socket(rng, good, int(OVER_THE_SOCKET * scale), wrong)
    return [
        Result.of("fuzz_messages", count + sent, "messages", MESSAGES),
        Result.of("fuzz_failures", len(wrong), "", 1),
    ], wrong[:10]


def _over_the_socket(rng: random.Random, good: list[tuple[str, list[bytes]]], count: int, wrong: list[str]) -> int:
    """Every message gets an answer, or none when it can have none; the bridge goes on."""
    with a_bridge("Walker", "--queue-limit", "100000", "--client-limit", "100000") as bridge:
        token = bridge.record.token.encode()
        context = zmq.Context()
        socket = context.socket(zmq.DEALER)
        socket.linger = 0
        socket.connect(bridge.record.address)
        for n in range(count):
            receiver, frames = rng.choice(good)
            mutated = mutate(frames, rng)
            if b"shutdown" in mutated[0] if mutated else True:
                continue
            # half of them with the right token, so that they get past the door
            socket.send_multipart(
                [
                    mutated[0].replace(b'"token":"token"', b'"token":"' + token + b'"') if n % 2 else mutated[0],
                    *mutated[1:],
                ]
            )
            while socket.poll(0):
                socket.recv_multipart()
        with Client(bridge.record.address, bridge.record.token) as client:
            try:
                client.hello(60)
                if bridge.process.poll() is not None or "bridge.crash" in bridge.log or "worker.died" in bridge.log:
                    wrong.append("the bridge or its worker ended")
            except UnderstudyError as error:
                wrong.append(f"the bridge no longer answers: {error}")
        socket.close(0)
        context.term()
    return count
