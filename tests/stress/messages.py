# SPDX-License-Identifier: Apache-2.0
"""Good messages of every kind, ways to spoil them, and what a receiver does with one."""

from __future__ import annotations

import copy
import json
import random
from typing import Any, Final

import numpy as np

from shared import wire
from shared.edits import Edit, Lock, Range
from shared.errors import CODES, UnderstudyError
from shared.motion import Motion
from shared.protocol import Message
from shared.requests import MotionRequest, check_request, motion_from_message, motion_to_buffers
from shared.timeline import Direction

__all__ = ["VALUES", "WORDS", "mutate", "one", "seeds"]

WORDS: Final = [
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"1e300",
    b"NaN",
    b"[]",
    b"{}",
    b'"',
    b"\\u0000",
    b"\\ud800",
    b"99999999999999999999",
    b"0.5",
    b"\xff",
    b"[" * 50,
    b'"<f8"',
    b'"|O"',
    b'"shape":[1099511627776]',
    b'"shape":[0,1099511627776,1099511627776]',
    b'"type":"submit"',
    b'"protocol":"2.0"',
    b'"start":-1',
    b'"fps":1e300',
    b",",
    b":",
]
"""Pieces of headers, good and bad ones."""
VALUES: Final[list[Any]] = [
    None,
    True,
    -1,
    0,
    1.5,
    2**70,
    "",
    "x" * 600,
    "\x00",
    "\ud800",
    [],
    {},
    [[]],
    "walks",
    "../..",
    1e308,
    5e-324,
    [1, 2],
    [0, 2**40],
    "<f8",
    "full",
]
"""What is put in the place of a value of the header."""


def seeds() -> list[tuple[str, list[bytes]]]:
    """(receiver, frames) of good messages of all types."""
    motion = Motion.rest(3)
    directions = [Direction(0, 2, "walks forward", seed=3), Direction(1, 2, "waves", "left_arm")]
    spoken = MotionRequest(directions=directions, audio=np.arange(64, dtype=np.uint8), audio_name="a.wav")
    edit = Edit(motion, [Range(0.0, 0.05, "left_arm")], [Lock(0.05, "head")], loop=True)
    body, buffers = motion_to_buffers(motion)
    numbers = {"x": np.zeros((2, 3), np.float32), "y": np.zeros(0, np.int64)}
    job = {"job": "job-1"}
    state = {"state": "ready", "queue": 0, "queue_limit": 64, "error": None}
    messages = [
        ("bridge", spoken.to_message("job-1", "token")),
        ("bridge", MotionRequest(directions=directions, edit=edit).to_message("job-2", "token")),
        ("bridge", Message("hello", "h", {"client": "x"}, token="token")),
        ("bridge", Message("status", "s", job, token="token")),
        ("bridge", Message("cancel", "c", job, token="token")),
        ("bridge", Message("fetch", "f", job, token="token")),
        ("bridge", Message("list", "l", token="token")),
        ("bridge", Message("ping", "p", {}, numbers, "token")),
        ("client", Message("welcome", "h", {"bridge": "1", "models": [{}], "renderers": [], "pid": 1, "log": "l", **state})),
        ("client", Message("accepted", "job-1", {"position": 2})),
        ("client", Message("progress", "job-1", {"stage": "body", "fraction": 0.5, "eta": None})),
        ("client", Message("chunk", "job-1", {"first_frame": 0, **body}, buffers)),
        ("client", Message("result", "job-1", {**body, "stages": {"a": 1.0}}, buffers)),
        ("client", Message("error", "job-1", {"code": "busy", "message": "m", "fix": "f", "retryable": True})),
        ("client", Message("jobs", "l", {"jobs": [job]})),
        ("client", Message("pong", "p", state, numbers)),
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
            place[key] = copy.deepcopy(rng.choice(VALUES))  # a later change may go into it
            break
        place = place[key]
    frames[0][:] = json.dumps(header).encode()


def one(receiver: str, frames: list[bytes]) -> None:
    """Decode and use a message as its receiver would; anything but an UnderstudyError is a failure."""
    try:
        message = wire.decode(frames, receiver=receiver)
        if message.type == "submit":
            check_request(MotionRequest.from_message(message))
        elif message.type in ("result", "chunk"):
            motion_from_message(message)
        elif message.type == "error":
            UnderstudyError.from_json(message.body)
    except UnderstudyError as error:
        assert error.code in CODES and error.message
