# SPDX-License-Identifier: Apache-2.0
"""Requests that no client of ours would send, sent as messages to a real bridge: each is refused with a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge_server.cli.client import Client
from shared.edits import Edit, Lock, Range
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.timeline import Direction

from .conftest import request_for


def strip(**changes: Any) -> dict[str, Any]:
    return {"start": 0.0, "end": 2.0, "text": "walks forward", **changes}


def ask(client: Client, request: MotionRequest, **changes: Any) -> Motion:
    """Submit a good request with changed values, past all checks of this side."""
    message = request.to_message()
    message.body["request"].update(changes)
    client.send(message)
    return client.wait(message.id, seconds=60)


def refusal(client: Client, request: MotionRequest, **changes: Any) -> UnderstudyError:
    with pytest.raises(UnderstudyError) as caught:
        ask(client, request, **changes)
    assert caught.value.fix and not caught.value.retryable
    return caught.value


@pytest.mark.parametrize(("strips", "words"), [
    ([strip(start=5.0, end=6.0)], "starts after the performance ends"), ([strip(start=-1.0)], "starts before the performance"),
    ([strip(end=0.0)], "not after its start"), ([strip(end=-3.0)], "not after its start"), ([strip(end=0.05)], "lasts only 0.05 s"),
    ([strip(text="walk " * 2000)], "has 10000 characters"), ([strip(text="   ")], "has no text"),
    ([strip(part="nose")], "unknown body part 'nose'"), ([strip(strength=7)], "strength 7"), ([strip(start="soon")], "cannot be read"),
    ([strip()] * 2001, "directions; at most 2000"), (["walks"], "cannot be read"),
])
def test_directions(client: Client, strips: list[Any], words: str) -> None:
    error = refusal(client, request_for(duration=3.0), directions=strips)
    assert error.code in ("direction_invalid", "request_invalid") and (words in error.message or "entries" in error.message
                                                                      or "must be object" in error.message)


def test_strips_are_held_against_the_length_of_the_sound(client: Client, speech_wav: np.ndarray) -> None:
    error = refusal(client, MotionRequest(audio=speech_wav), directions=[strip(start=3.5, end=5.0)])
    assert error.code == "direction_invalid" and "0:03" in error.message
    # one that only reaches over the end is performed as far as there is sound
    assert len(ask(client, MotionRequest(audio=speech_wav), directions=[strip(start=0.0, end=5.0, text="0.1 seconds")])) == 90


def test_five_hundred_strips_are_performed(client: Client) -> None:
    request = MotionRequest(duration=100.0, directions=[Direction(n / 5, n / 5 + 0.2, "0.0 seconds") for n in range(500)])
    assert len(ask(client, request)) == 3000


@pytest.mark.parametrize(("name", "value"), [("seed", -1), ("seed", 2**64), ("fps", 0), ("fps", "fast"), ("duration", -2),
                                             ("duration", 1e5), ("amplitude", 3), ("tempo", -1), ("temperature", 50), ("weights", 7)])
def test_values(client: Client, name: str, value: Any) -> None:
    error = refusal(client, request_for(), **{name: value})
    assert error.code == "request_invalid" and f"request.{name}" in error.message


def edited(**changes: Any) -> tuple[MotionRequest, dict[str, Any]]:
    request = MotionRequest(edit=Edit(Motion.rest(90), [Range(0.5, 1.0)], [Lock(0.7, "head")]))
    assert request.edit is not None
    return request, {**request.edit.to_parts()[0], **changes}


EVERY = [{"time": frame / 30, "part": part} for frame in range(15, 30) for part in ("upper", "lower")]


@pytest.mark.parametrize(("changes", "words"), [
    ({"ranges": [{"start": 1.0, "end": 1.0}]}, "not after its start"), ({"ranges": [{"start": 9.0, "end": 10.0}]}, "after the take ends"),
    ({"ranges": [{"start": 0.0, "end": 1.0, "part": "nose"}]}, "must be one of"), ({"ranges": [], "locks": []}, "nothing to perform again"),
    ({"locks": EVERY}, "Every frame of range 1 is locked"), ({"locks": [{"time": 50.0}]}, "lies after the take ends"),
    ({"locks": [{"time": 0.5, "part": "nose"}]}, "must be one of"), ({"kind": "dream"}, "must be one of"),
    ({"kind": "between", "loop": True}, "cannot be a loop"),
])
def test_edits(client: Client, changes: dict[str, Any], words: str) -> None:
    request, edit = edited(**changes)
    error = refusal(client, request, edit=edit)
    assert error.code == "request_invalid" and words in error.message


def test_the_bridge_goes_on(client: Client) -> None:
    assert len(client.perform(request_for("0.0 seconds"), seconds=60)) == 60
    assert client.status()["queue"] == 0
