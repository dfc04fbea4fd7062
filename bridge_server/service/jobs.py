# SPDX-License-Identifier: Apache-2.0
"""A job and its states."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

from shared.errors import UnderstudyError

__all__ = ["FINAL", "Job"]

FINAL: Final = ("done", "failed", "cancelled", "interrupted")
"""States that a job does not leave by itself."""


@dataclass
class Job:
    """One piece of work that a client asked for.

    :ivar id: the id of the ``submit``; submitting the same id again is the same job.
    :ivar owner: who submitted: the name of the client's key, or "local".
    :ivar client: the connection's identity, for the limit per client.
    :ivar frames: the ``submit`` as frames for the worker, without the token; empty once it has ended.
    :ivar listeners: connections that get progress and result.
    :ivar state: queued, running, done, failed, cancelled or interrupted.
    :ivar attempts: how often a worker has begun it.
    :ivar retryable: run it again when the bridge was ended in the middle of it.
    :ivar result: frames of the ``result`` message while they are held in memory.
    """

    id: str
    kind: str
    owner: str = "local"
    client: bytes = b""
    frames: list[Any] = field(default_factory=list)
    listeners: set[Any] = field(default_factory=set)
    state: str = "queued"
    attempts: int = 0
    stage: str = ""
    fraction: float = 0.0
    eta: float | None = None
    created: float = field(default_factory=time.time)
    started: float | None = None
    finished: float | None = None
    retryable: bool = False
    error: UnderstudyError | None = None
    result: list[Any] | None = None
    cancel_at: float | None = None

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.state in FINAL

    def describe(self) -> dict[str, Any]:
        """The job as it stands in ``status`` and ``jobs`` answers."""
        return {
            "job": self.id,
            "kind": self.kind,
            "state": self.state,
            "stage": self.stage,
            "fraction": self.fraction,
            "eta": self.eta,
            "attempts": self.attempts,
            "created": self.created,
            "started": self.started,
            "finished": self.finished,
            "error": self.error.to_json() if self.error else None,
        }
