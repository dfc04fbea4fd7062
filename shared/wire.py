# SPDX-License-Identifier: Apache-2.0
"""Messages as bytes: a list of frames for a ZeroMQ multipart message.

Frame 0 is the header as UTF-8 JSON. Frame ``1 + i`` is the raw C-order little-endian content of the
``i``-th entry of the header's ``buffers``. Nothing is pickled. Encoding takes views of the arrays and
decoding gives views of the frames: no copy on either side.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .errors import UnderstudyError
from .protocol import DTYPES, Message, check_header

__all__ = ["LIMITS", "Limits", "decode", "encode"]


@dataclass(frozen=True)
class Limits:
    """What a receiver accepts; checked before anything is allocated."""

    header_bytes: int = 4 << 20
    total_bytes: int = 1 << 30
    buffers: int = 32


LIMITS: Final = Limits()


def _bad(why: str) -> UnderstudyError:
    return UnderstudyError("bad_message", f"A message could not be read: {why}.",
                           "Update the add-on and the bridge to the same release.")


def encode(message: Message) -> list[bytes | memoryview]:
    """Frames of a message; big-endian and non-contiguous arrays are copied, all others are not.

    :raises UnderstudyError: ``bad_message`` for a dtype that the protocol does not carry.
    """
    described: list[dict[str, Any]] = []
    frames: list[bytes | memoryview] = [b""]
    for name, array in message.buffers.items():
        array = np.asarray(array)
        little = array.dtype.newbyteorder("<")
        if little.str not in DTYPES:
            raise _bad(f"dtype {little.str} of {name!r} is not carried")
        flat = np.ascontiguousarray(array, dtype=little)
        described.append({"name": name, "dtype": little.str, "shape": list(array.shape)})
        # a view as bytes also works for empty arrays, which memoryview.cast refuses
        frames.append(flat.reshape(-1).view(np.uint8).data if flat.size else b"")
    header: dict[str, Any] = {"protocol": message.protocol, "type": message.type, "id": message.id, "body": message.body}
    if message.token:
        header["token"] = message.token
    if described:
        header["buffers"] = described
    frames[0] = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    return frames


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    # 1e999 is JSON, but no number that either side could hold
    if not math.isfinite(value := float(digits)):
        raise ValueError(f"{digits[:20]} is too large")
    return value


def decode(frames: Sequence[Any], *, receiver: str, limits: Limits = LIMITS) -> Message:
    """The message in frames of bytes, memoryviews or ``zmq.Frame`` objects.

    :param receiver: "bridge" or "client", the side that is reading.
    :returns: a message whose arrays are read-only views of the frames.
    :raises UnderstudyError: ``bad_message``, ``version_mismatch`` or ``request_too_large``.
    """
    if not frames:
        raise _bad("it is empty")
    if len(frames) - 1 > limits.buffers:
        raise UnderstudyError("request_too_large", f"A message has {len(frames) - 1} buffers; {limits.buffers} are allowed.",
                              "Send less at once.")
    views = [memoryview(getattr(f, "buffer", f)).cast("B") for f in frames]
    if views[0].nbytes > limits.header_bytes:
        raise UnderstudyError("request_too_large", f"A header has {views[0].nbytes} bytes; {limits.header_bytes} are allowed.",
                              "Send fewer directions at once.")
    total = sum(v.nbytes for v in views)
    if total > limits.total_bytes:
        raise UnderstudyError("request_too_large", f"A message has {total >> 20} MB; {limits.total_bytes >> 20} MB are allowed.",
                              "Send shorter or compressed audio.")
    try:
        header = json.loads(bytes(views[0]).decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _bad(f"the header is not JSON ({error})") from error
    check_header(header, receiver=receiver)
    described = header.get("buffers", [])
    if len(described) != len(views) - 1:
        raise _bad(f"the header names {len(described)} buffers and {len(views) - 1} came")
    arrays: dict[str, np.ndarray] = {}
    for entry, view in zip(described, views[1:], strict=True):
        dtype = np.dtype(entry["dtype"])
        if math.prod(entry["shape"]) * dtype.itemsize != view.nbytes:
            raise _bad(f"buffer {entry['name']!r} has {view.nbytes} bytes, which do not fit its shape")
        if entry["name"] in arrays:
            raise _bad(f"buffer {entry['name']!r} came twice")
        array = np.frombuffer(view, dtype=dtype).reshape(entry["shape"])
        array.flags.writeable = False
        arrays[entry["name"]] = array
    return Message(header["type"], header["id"], header.get("body", {}), arrays, header.get("token", ""),
                   header["protocol"])
