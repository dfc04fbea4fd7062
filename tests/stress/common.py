# SPDX-License-Identifier: Apache-2.0
"""A bridge to be stressed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.bridge.conftest import RunningBridge, start_bridge

__all__ = ["a_bridge", "resident"]


@contextmanager
def a_bridge(generator: str | None, *extra: str) -> Iterator[RunningBridge]:
    """A bridge of its own in a folder of its own; None for the shipped weights."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        bridge = start_bridge(Path(folder), generator, *extra)
        try:
            yield bridge
        finally:
            bridge.stop()


def resident(pid: int) -> float:
    """Resident memory of a process and its children, MB (10^6 bytes)."""
    process = psutil.Process(pid)
    return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)]) / 1e6
