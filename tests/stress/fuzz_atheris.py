# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of the decoder: ``python -m tests.stress.fuzz_atheris -max_total_time=600`` (needs atheris).

What the process may take is bounded as in :mod:`.fuzz`; a failing input is written to the temporary folder and printed.

The input is a receiver byte, then frames each with a two-byte length, so that the fuzzer can change headers, buffers and their
number independently.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["shared"]):
    from shared import wire  # noqa: F401
    from tests.stress.messages import WORDS, one, seeds

HEADROOM = 512 << 20
"""Bytes; the fuzzer keeps what it has found in this process as well."""


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


def _word(word: bytes) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"'


def main() -> None:
    """Fuzz with the arguments of libFuzzer, from good messages of every kind."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + HEADROOM, resource.RLIM_INFINITY))
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for n, (receiver, frames) in enumerate(seeds()):
            (corpus / str(n)).write_bytes(pack(receiver, frames))
        words = Path(folder, "words")
        words.write_text("".join(f"{_word(word)}\n" for word in WORDS))
        options = ["-max_len=6000", f"-dict={words}", f"-artifact_prefix={tempfile.gettempdir()}/understudy-"]
        atheris.Setup([sys.argv[0], str(corpus), *options, *sys.argv[1:]], lambda data: one(*unpack(data)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
