# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of the decoder: ``python -m tests.stress.fuzz_atheris -runs=1000000`` (needs atheris).

The input is a receiver byte, then frames each with a two-byte length, so that the fuzzer can change headers, buffers and their
number independently.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["shared"]):
    from shared import wire  # noqa: F401
    from tests.stress.fuzz import one, seeds


def unpack(data: bytes) -> tuple[str, list[bytes]]:
    """(receiver, frames) of a fuzzer's input."""
    receiver = "bridge" if data[:1] < b"\x80" else "client"
    frames, at = [], 1
    while at + 2 <= len(data) and len(frames) < 40:
        length = int.from_bytes(data[at : at + 2], "little")
        frames.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return receiver, frames


def pack(receiver: str, frames: list[bytes]) -> bytes:
    """The inverse of :func:`unpack`."""
    head = b"\x00" if receiver == "bridge" else b"\xff"
    return head + b"".join(len(f).to_bytes(2, "little") + f for f in frames)


def main() -> None:
    """Fuzz with the arguments of libFuzzer, from good messages of every kind."""
    with tempfile.TemporaryDirectory() as corpus:
        for n, (receiver, frames) in enumerate(seeds()):
            Path(corpus, str(n)).write_bytes(pack(receiver, frames))
        atheris.Setup([sys.argv[0], corpus, "-max_len=6000", *sys.argv[1:]], lambda data: one(*unpack(data)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
