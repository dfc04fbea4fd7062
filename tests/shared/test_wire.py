# SPDX-License-Identifier: Apache-2.0
"""Messages to bytes and back, and bytes that are no messages."""

from __future__ import annotations

import json
import string
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from shared import protocol, timeline, wire
from shared.errors import CODES, UnderstudyError
from shared.motion import Motion
from shared.protocol import FROM_BRIDGE, FROM_CLIENT, Message
from shared.requests import MotionRequest, motion_from_message, motion_to_buffers
from shared.timeline import Direction

from .test_motion import random_motion

ids = st.text(string.ascii_letters + string.digits + "_.-", max_size=64)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
some_arrays = st.sampled_from(["|u1", "|b1", "<i4", "<i8", "<f2", "<f4", "<f8", ">f4", ">i4"]).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
)


def as_received(message: Message, receiver: str) -> Message:
    return wire.decode([bytes(f) for f in wire.encode(message)], receiver=receiver)


@given(
    ids,
    st.dictionaries(st.text(max_size=10).filter(lambda k: k not in ("job",)), json_values, max_size=5),
    st.dictionaries(st.text(min_size=1, max_size=20), some_arrays, max_size=5),
    ids,
)
def test_round_trip(id: str, body: dict[str, Any], buffers: dict[str, np.ndarray], token: str) -> None:
    message = Message("status", id, body, buffers, token)
    back = as_received(message, "bridge")
    assert (back.type, back.id, back.body, back.token, back.protocol) == (
        "status",
        id,
        body,
        token,
        protocol.PROTOCOL_VERSION,
    )
    assert list(back.buffers) == list(buffers)
    for name, array in buffers.items():
        assert back.buffers[name].shape == array.shape
        assert back.buffers[name].dtype == array.dtype.newbyteorder("<")
        np.testing.assert_array_equal(back.buffers[name], array)
        assert not back.buffers[name].flags.writeable


def test_nothing_is_copied_on_either_side() -> None:
    array = np.arange(1000, dtype=np.float32)
    frames = wire.encode(Message("ping", buffers={"x": array}))
    assert np.shares_memory(np.frombuffer(frames[1], np.float32), array)
    held = bytearray(bytes(frames[1]))
    back = wire.decode([bytes(frames[0]), held], receiver="bridge")
    assert np.shares_memory(back.buffers["x"], np.frombuffer(held, np.float32))


def test_views_and_transposes_arrive_as_they_look() -> None:
    array = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    for view in (array.T, array[:, ::2], array[::-1], array.astype(">f8")):
        np.testing.assert_array_equal(as_received(Message("ping", buffers={"x": view}), "bridge").buffers["x"], view)


@pytest.mark.parametrize("dtype", ["O", "U3", "S3", "c16", "M8[s]", "V4", "<u2"])
def test_dtypes_that_are_not_carried(dtype: str) -> None:
    with pytest.raises(UnderstudyError) as caught:
        wire.encode(Message("ping", buffers={"x": np.zeros(2, dtype)}))
    assert caught.value.code == "bad_message"


def test_numbers_that_are_not_json_are_not_sent() -> None:
    with pytest.raises(ValueError, match="JSON"):
        wire.encode(Message("ping", body={"x": float("nan")}))


@given(st.lists(st.binary(max_size=200), max_size=5), st.sampled_from(["bridge", "client"]))
@settings(max_examples=300)
def test_any_bytes_are_read_or_refused(frames: list[bytes], receiver: str) -> None:
    try:
        wire.decode(frames, receiver=receiver)
    except UnderstudyError as error:
        assert error.code in ("bad_message", "version_mismatch", "request_too_large")
        assert error.message.endswith((".", ")"))


VALID = [
    Message(
        "submit", "job-1", {"kind": "motion", "request": {"seed": 1}}, {"audio": np.arange(50, dtype=np.uint8)}, "token"
    ),
    Message("hello", "h", {"client": "test"}),
    Message("cancel", "job-1", {"job": "job-1"}),
]


@given(st.sampled_from(VALID), st.data())
@settings(max_examples=300)
def test_damaged_messages_are_read_or_refused(message: Message, data: st.DataObject) -> None:
    frames = [bytearray(bytes(f)) for f in wire.encode(message)]
    for _ in range(data.draw(st.integers(1, 4))):
        frame = data.draw(st.sampled_from(frames))
        if frame:
            frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        back = wire.decode(frames, receiver="bridge")
        assert back.type in FROM_CLIENT
        if back.type == "submit":
            MotionRequest.from_message(back)
    except UnderstudyError as error:
        assert error.code in CODES


@given(
    st.recursive(
        json_values,
        lambda inner: st.dictionaries(
            st.sampled_from(["protocol", "type", "id", "body", "buffers", "name", "dtype", "shape", "token"]),
            inner,
            max_size=6,
        ),
    ),
    st.sampled_from(["bridge", "client"]),
)
@settings(max_examples=100)
def test_any_json_as_header(header: Any, receiver: str) -> None:
    try:
        wire.decode([json.dumps(header).encode()], receiver=receiver)
    except UnderstudyError as error:
        assert error.code in ("bad_message", "version_mismatch")


@pytest.mark.parametrize(
    ("version", "receiver", "fix"),
    [
        ("2.0", "bridge", "Update the bridge."),
        ("0.1", "bridge", "Update the Blender add-on."),
        ("2.0", "client", "Update the Blender add-on."),
        ("0.9", "client", "Update the bridge."),
    ],
)
def test_version_mismatch_names_the_side(version: str, receiver: str, fix: str) -> None:
    kind = FROM_CLIENT[0] if receiver == "bridge" else FROM_BRIDGE[0]
    with pytest.raises(UnderstudyError) as caught:
        as_received(Message(kind, "a", protocol=version), receiver)
    assert caught.value.code == "version_mismatch" and caught.value.fix == fix and version in caught.value.message


def test_numbers_that_nobody_can_hold() -> None:
    """Found by fuzzing: 1e9993 is valid JSON and becomes infinite."""
    header = (
        b'{"protocol": "1.0", "type": "submit", "id": "a", "body": {"kind": "motion", "request": {"directions": '
        b'[{"start": 0, "end": 1, "text": "walks", "seed": 1e9993}]}}}'
    )
    with pytest.raises(UnderstudyError) as caught:
        wire.decode([header], receiver="bridge")
    assert caught.value.code == "bad_message"
    with pytest.raises(UnderstudyError):
        timeline.from_json([{"start": 0, "end": 1, "text": "walks", "seed": float("inf")}])


def test_limits_are_checked_before_anything_else() -> None:
    small = wire.Limits(header_bytes=100, total_bytes=1000, buffers=2)
    for frames in ([b"x" * 101], [b"{}", b"y" * 1000], [b"{}", b"", b"", b""]):
        with pytest.raises(UnderstudyError) as caught:
            wire.decode(frames, receiver="bridge", limits=small)
        assert caught.value.code == "request_too_large"


@given(st.integers(0, 2**32 - 1), st.integers(0, 10), st.integers(0, 3))
@settings(max_examples=20)
def test_motion_over_the_wire(seed: int, frames: int, curves: int) -> None:
    motion = random_motion(seed, frames, curves=curves)
    body, buffers = motion_to_buffers(motion)
    back = motion_from_message(as_received(Message("result", "j", body, buffers), "client"))
    np.testing.assert_array_equal(back.rotations, motion.rotations)
    np.testing.assert_array_equal(back.translation, motion.translation)
    assert list(back.face) == list(motion.face) and back.metadata == motion.metadata and back.fps == motion.fps


def test_result_with_a_missing_buffer() -> None:
    body, buffers = motion_to_buffers(Motion.rest(3))
    del buffers["contacts"]
    with pytest.raises(UnderstudyError) as caught:
        motion_from_message(Message("result", "j", body, buffers))
    assert caught.value.code == "bad_message"


@given(st.floats(1, 240), st.integers(0, 2**63 - 1), st.floats(0, 2), st.booleans(), st.none() | st.integers(0, 1000))
def test_request_over_the_wire(fps: float, seed: int, amplitude: float, in_place: bool, own_seed: int | None) -> None:
    request = MotionRequest(
        fps=fps,
        seed=seed,
        amplitude=amplitude,
        in_place=in_place,
        audio=np.arange(9, dtype=np.uint8),
        directions=[Direction(0, 1, "waves", "left_arm", 0.5, own_seed)],
    )
    back = MotionRequest.from_message(as_received(request.to_message("j"), "bridge"))
    assert back.directions == request.directions
    np.testing.assert_array_equal(back.audio, request.audio)  # type: ignore[arg-type]
    assert (back.fps, back.seed, back.amplitude, back.in_place) == (fps, seed, amplitude, in_place)


@given(st.sampled_from(sorted(CODES)), st.text(max_size=50), st.text(max_size=50))
def test_errors_over_the_wire(code: str, message: str, fix: str) -> None:
    error = UnderstudyError(code, message, fix)
    back = as_received(protocol.error_message("j", error), "client")
    with pytest.raises(UnderstudyError) as caught:
        back.raise_if_error()
    assert caught.value.to_json() == error.to_json()


def test_error_code_of_a_newer_peer_becomes_internal() -> None:
    assert UnderstudyError.from_json({"code": "new_thing", "message": "m"}).code == "internal"
    with pytest.raises(ValueError, match="new_thing"):
        UnderstudyError("new_thing", "m")
