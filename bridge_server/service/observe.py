# SPDX-License-Identifier: Apache-2.0
"""What a bridge tells to whoever counts: queue, jobs, stages, failures."""

from __future__ import annotations

__all__ = ["Observer"]


class Observer:
    """Counts nothing; the base of those that do."""

    def queue(self, length: int, running: int) -> None:
        """Jobs that wait and jobs that run, after every change."""

    def finished(self, state: str, code: str, seconds: float, motion_seconds: float, stages: dict[str, float]) -> None:
        """A job has ended: its state, error code ("" when done), seconds it ran, of motion made, by stage."""

    def refused(self, code: str) -> None:
        """A message was answered with an error."""

    def close(self) -> None:
        """The bridge stops."""
