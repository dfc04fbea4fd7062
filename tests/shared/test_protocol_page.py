# SPDX-License-Identifier: Apache-2.0
"""The examples and tables of docs/protocol.md are what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from shared import wire
from shared.errors import CODES
from shared.protocol import FROM_BRIDGE, FROM_CLIENT, Message
from shared.requests import MOTION_REQUEST_SCHEMA

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
EXAMPLES = {
    "ping": Message("ping", "q1", token="s3cret"),
    "chunk": Message("chunk", "job-1", {"first_frame": 60}, {"contacts": np.array([[0, 1, 0.5, 0.25]], np.float32)}),
}


def hexadecimal(block: str) -> bytes:
    """The bytes in the left column."""
    return b"".join(bytes.fromhex(line[:47]) for line in block.strip().splitlines())


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_bytes(name: str) -> None:
    frames = wire.encode(EXAMPLES[name])
    after = PAGE.partition(f"<!-- example: {name} -->")[2]
    blocks = re.findall(r"```\n(.*?)```", after, re.S)[: len(frames)]
    assert [hexadecimal(b) for b in blocks] == [bytes(f) for f in frames]


def test_length_of_the_ping() -> None:
    assert f"one frame of {len(bytes(wire.encode(EXAMPLES['ping'])[0]))} bytes" in PAGE


def test_everything_is_documented() -> None:
    for name in (*CODES, *FROM_CLIENT, *FROM_BRIDGE, *MOTION_REQUEST_SCHEMA["properties"]):
        if name not in ("character_missing", "rig_unknown", "file_missing", "file_invalid"):  # never cross the wire
            assert f"`{name}`" in PAGE, name
