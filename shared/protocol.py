# SPDX-License-Identifier: Apache-2.0
"""Protocol v1: the messages between a client (the add-on, the command line) and the bridge.

A message is a header and named buffers (see :mod:`.wire` for the bytes). The header is::

    {"protocol": "1.0", "type": "submit", "id": "<job or request id>", "token": "…", "body": {…},
     "buffers": [{"name": "audio", "dtype": "|u1", "shape": [123456]}]}

``id`` ties messages together: a job keeps the id that its ``submit`` brought; an answer to anything
else carries the id of what it answers. Unknown fields are ignored. A peer with another major
version is refused, and told which side to update.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from .errors import CODES, UnderstudyError
from .schema import problem

__all__ = ["BODY_SCHEMAS", "DTYPES", "FROM_BRIDGE", "FROM_CLIENT", "HEADER_SCHEMA", "PROTOCOL_VERSION", "Message", "check_header",
           "error_message", "new_id"]

PROTOCOL_VERSION: Final = "1.0"

DTYPES: Final = ("|u1", "|b1", "<i4", "<i8", "<f2", "<f4", "<f8")
"""Element types that buffers may have, in numpy's notation."""

_ID: Final = {"type": "string", "maxLength": 64, "pattern": r"[A-Za-z0-9_.-]*"}
_TEXT: Final = {"type": "string", "maxLength": 10_000}
_FRACTION: Final = {"type": "number", "minimum": 0, "maximum": 1}
_SECONDS: Final = {"type": ["number", "null"], "minimum": 0, "maximum": 1e9}
_OPEN: Final[dict[str, Any]] = {"type": "object"}

FROM_CLIENT: Final = ("hello", "submit", "cancel", "status", "list", "fetch", "ping", "shutdown")
FROM_BRIDGE: Final = ("welcome", "accepted", "progress", "chunk", "result", "error", "status", "jobs", "pong")

HEADER_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["protocol", "type", "id"],
    "properties": {
        "protocol": {"type": "string", "maxLength": 16, "pattern": r"\d+\.\d+"},
        "type": {"type": "string", "maxLength": 32},
        "id": _ID,
        "token": {"type": "string", "maxLength": 256},
        "body": _OPEN,
        "buffers": {
            "type": "array", "maxItems": 32,
            "items": {
                "type": "object",
                "required": ["name", "dtype", "shape"],
                "properties": {
                    "name": {"type": "string", "maxLength": 64},
                    "dtype": {"enum": list(DTYPES)},
                    "shape": {
                        "type": "array", "maxItems": 6,
                        "items": {"type": "integer", "minimum": 0, "maximum": 2**40},
                    },
                },
            },
        },
    },
}

BODY_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "hello": {"type": "object", "required": ["client"], "properties": {"client": {"type": "string", "maxLength": 200}}},
    "welcome": {
        "type": "object", "required": ["bridge"],
        "properties": {
            "bridge": {"type": "string", "maxLength": 200}, "device": {"type": "string", "maxLength": 200},
            "capabilities": {"type": "array", "items": {"type": "string"}},
            "models": {"type": "array", "items": _OPEN}, "renderers": {"type": "array", "items": _OPEN},
            "faces": {"type": "array", "items": {"type": "string"}},
            "weights": {"type": "array", "items": _OPEN}, "pid": {"type": "integer"}, "log": {"type": "string"},
        },
    },
    "submit": {
        "type": "object", "required": ["kind", "request"],
        "properties": {"kind": {"type": "string", "maxLength": 32}, "request": _OPEN, "retryable": {"type": "boolean"}},
    },
    "accepted": {"type": "object", "properties": {"position": {"type": "integer", "minimum": 0, "maximum": 10**9}}},
    "progress": {
        "type": "object", "required": ["stage", "fraction"],
        "properties": {"stage": {"type": "string", "maxLength": 64}, "fraction": _FRACTION, "eta": _SECONDS},
    },
    "chunk": {
        "type": "object", "required": ["first_frame"],
        "properties": {"first_frame": {"type": "integer", "minimum": 0, "maximum": 10**9}},
    },
    "result": _OPEN,
    "error": {
        "type": "object", "required": ["code", "message"],
        "properties": {"code": {"type": "string", "maxLength": 64}, "message": _TEXT, "fix": _TEXT,
                       "retryable": {"type": "boolean"}, "log": _TEXT},
    },
    "cancel": _OPEN, "status": _OPEN, "list": _OPEN, "fetch": _OPEN, "jobs": _OPEN, "ping": _OPEN, "pong": _OPEN,
    "shutdown": _OPEN,
}
"""The schema of ``body`` for every message type."""


def new_id() -> str:
    """A fresh id for a job or a question."""
    return uuid.uuid4().hex


@dataclass
class Message:
    """One message, as both sides handle it.

    :ivar type: one of :data:`FROM_CLIENT` or :data:`FROM_BRIDGE`.
    :ivar id: job or question it belongs to.
    :ivar body: JSON object as in :data:`BODY_SCHEMAS`.
    :ivar buffers: named arrays; received ones are read-only views of the network's memory.
    :ivar token: proof that the client may use this bridge; empty from the bridge.
    """

    type: str
    id: str = field(default_factory=new_id)
    body: dict[str, Any] = field(default_factory=dict)
    buffers: dict[str, np.ndarray] = field(default_factory=dict)
    token: str = ""
    protocol: str = PROTOCOL_VERSION

    def raise_if_error(self) -> Message:
        """Itself, unless it is an ``error`` message, which is raised as :class:`UnderstudyError`."""
        if self.type == "error":
            raise UnderstudyError.from_json(self.body)
        return self


def error_message(id: str, error: UnderstudyError) -> Message:
    """The ``error`` message that reports ``error`` for a job or question."""
    assert error.code in CODES
    return Message("error", id, error.to_json())


def check_header(header: Any, *, receiver: str) -> None:
    """Refuse a header that is not protocol v1, before any buffer is looked at.

    :param receiver: "bridge" or "client": which side is reading, so that the sentence names the side to update.
    :raises UnderstudyError: ``version_mismatch`` or ``bad_message``.
    """
    if isinstance(header, dict) and isinstance(version := header.get("protocol"), str):
        major, ours = version.partition(".")[0], PROTOCOL_VERSION.partition(".")[0]
        if major.isdigit() and len(major) < 9 and major != ours:
            newer = int(major) > int(ours)
            names = {"bridge": ("bridge", "Blender add-on"), "client": ("Blender add-on", "bridge")}[receiver]
            raise UnderstudyError(
                "version_mismatch",
                f"The {names[1]} speaks protocol {version}, this {names[0]} speaks {PROTOCOL_VERSION}.",
                f"Update the {names[0] if newer else names[1]}.",
            )
    found = problem(header, HEADER_SCHEMA)
    if found is None:
        kind = header["type"]
        if kind not in (FROM_CLIENT if receiver == "bridge" else FROM_BRIDGE):
            found = f"header.type {kind!r} is not known to the {receiver}"
        else:
            found = problem(header.get("body", {}), BODY_SCHEMAS[kind], "body")
    if found is not None:
        raise UnderstudyError("bad_message", f"A message does not fit protocol {PROTOCOL_VERSION}: {found}.",
                              "Update the add-on and the bridge to the same release.")
