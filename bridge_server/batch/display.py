# SPDX-License-Identifier: Apache-2.0
"""What a batch shows while it runs: a line for each shot that ends, and below them one for those under way."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from typing import Protocol, TextIO

from shared.shots import Outcome

__all__ = ["Display", "Progressing"]


class Progressing(Protocol):
    """A shot under way."""

    name: str
    stage: str
    fraction: float


class Display:
    """Progress of ``total`` shots; where the stream is no terminal only the lines of ended shots are written."""

    def __init__(self, stream: TextIO, total: int) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._total = total
        self._ended = 0
        self._began = time.monotonic()
        self._shown = ""

    def ended(self, outcome: Outcome) -> None:
        """Tell of a shot that has ended."""
        self._ended += 1
        seconds = f" {outcome.seconds:.1f} s" if outcome.seconds else ""
        remark = f": {outcome.remark}" if outcome.remark else ""
        self._clear()
        self._stream.write(f"[{self._ended}/{self._total}] {outcome.shot.name} {outcome.state}{seconds}{remark}\n")
        self._stream.flush()

    def running(self, shots: Sequence[Progressing], to_do: int, performed: int) -> None:
        """Show what is under way.

        :param to_do: shots of this run that were not finished before; :param performed: how many of them have ended.
        """
        if not self._live or not shots:
            return
        share = (performed + sum(s.fraction for s in shots)) / max(to_do, 1)
        elapsed = time.monotonic() - self._began
        left = f", {_clock(elapsed * (1 - share) / share)} left" if share > 0.02 and elapsed > 2 else ""
        parts = " · ".join(f"{s.name} {s.stage} {s.fraction:.0%}" for s in shots)
        line = f"{'#' * int(share * 20):.<20} {share:.0%}{left}  {parts}"[: shutil.get_terminal_size().columns - 1]
        if line != self._shown:
            self._shown = line
            self._stream.write(f"\r\033[K{line}")
            self._stream.flush()

    def close(self) -> None:
        """Leave the line."""
        self._clear()
        self._stream.flush()

    def _clear(self) -> None:
        if self._live and self._shown:
            self._stream.write("\r\033[K")
            self._shown = ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
