# SPDX-License-Identifier: Apache-2.0
"""Queue, workers and what happens to a job between them."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import zmq

from shared.errors import UnderstudyError
from shared.protocol import Message, error_message

from .jobs import Job
from .life import log_event
from .settings import Settings
from .workers import WorkerProcess

__all__ = ["CANCEL_ANSWER", "Scheduler"]

CANCEL_ANSWER: Final = 0.2
"""Seconds after which a client is told that its job is cancelled, whether or not the worker has let go of it."""
ATTEMPTS: Final = 2
KEEP_JOBS: Final = 256
PERFORMER: Final = "bridge_server.performing:MotionPerformer"

Send = Callable[[bytes, "Message | Sequence[Any]"], None]


class Scheduler:
    """Gives jobs to workers and what they say to the clients.

    :param send: sends a message, or ready frames, to a client's connection.
    :param inner: the ROUTER that the workers connect to, bound.
    """

    def __init__(self, settings: Settings, inner: zmq.Socket[bytes], send: Send) -> None:
        self._settings = settings
        self._inner = inner
        self._send = send
        self.jobs: dict[str, Job] = {}
        self.queue: deque[Job] = deque()
        address = inner.getsockopt_string(zmq.LAST_ENDPOINT)
        self.workers = [
            WorkerProcess(
                n,
                address,
                PERFORMER,
                {"generator": settings.generator, "weights": settings.weights, "device": device},
                settings.log_file,
            )
            for n, device in enumerate(settings.device.split(","))
        ]

    # ---- what clients ask for

    def submit(self, job: Job) -> int:
        """Queue a job; returns how many are before it.

        :raises UnderstudyError: ``busy``.
        """
        if len(self.queue) >= self._settings.queue_limit:
            raise UnderstudyError(
                "busy",
                f"The bridge is busy: {len(self.queue)} jobs are waiting.",
                "Wait until some are done, then perform again.",
            )
        own = sum(1 for j in self.jobs.values() if not j.final and (j.client, j.owner) == (job.client, job.owner))
        if own >= self._settings.client_limit:
            raise UnderstudyError(
                "busy",
                f"You already have {own} jobs with this bridge, the most that one client may have.",
                "Wait until some are done, then perform again.",
            )
        self.jobs[job.id] = job
        self.queue.append(job)
        for worker in self.workers:
            worker.retry_now()
        log_event("job.queued", job=job.id, kind=job.kind, owner=job.owner, position=self.position(job))
        self._dispatch()  # at once, so that a free worker does not count against the limit of the queue
        return self.position(job)

    def position(self, job: Job) -> int:
        """How many jobs are before this one, running ones counted."""
        running = sum(1 for w in self.workers if w.job is not None)
        ahead = self.queue.index(job) if job in self.queue else 0
        return max(0, ahead + running - (len(self.workers) - 1)) if job.state == "queued" else 0

    def cancel(self, job: Job) -> None:
        """Stop a job; its listeners get ``error`` with code ``cancelled``, within a quarter of a second."""
        if job.final or job.cancel_at is not None:
            return
        log_event("job.cancel", job=job.id, state=job.state)
        if job.state == "queued":
            self.queue.remove(job)
            self._finish(job, "cancelled", error=_cancelled())
            return
        job.cancel_at = time.monotonic()
        for worker in self.workers:
            if worker.job is job:
                self._to_worker(worker, [b"cancel", job.id.encode()])
                worker.kill_at = job.cancel_at + self._settings.cancel_grace

    def state(self) -> str:
        """``ready`` when a job could start now, else ``busy``, ``loading`` or ``failed``."""
        states = [w.state for w in self.workers]
        if any(w.free and w.state != "failed" for w in self.workers):
            return "ready"
        if any(w.job is not None for w in self.workers):
            return "busy"
        if any(s in ("starting", "loading") for s in states):
            return "loading"
        return "failed" if any(w.state == "failed" or w.broken for w in self.workers) else "loading"

    def error(self) -> UnderstudyError | None:
        """Why no worker can perform, when that is so."""
        for worker in self.workers:
            if worker.error:
                return worker.error
            if worker.broken:
                return self._does_not_start(worker)
        return None

    # ---- what workers say

    def on_worker(self, frames: Sequence[Any]) -> None:
        """Take one message from the inner socket."""
        identity = frames[0].bytes
        worker = next((w for w in self.workers if w.identity == identity), None)
        if worker is None:
            return  # a worker that was given up, or somebody who is none
        if frames[1].bytes == b"state":
            worker.on_state(json.loads(frames[2].bytes))
            return
        header = json.loads(frames[2].bytes)
        job = worker.job
        if job is None or job.id != header["id"]:
            return
        kind, body = header["type"], header.get("body", {})
        if kind == "progress":
            job.stage, job.fraction, job.eta = body["stage"], body["fraction"], body["eta"]
            if not job.final:
                self._tell(job, frames[2:])
        elif kind == "chunk":
            if not job.final:
                self._tell(job, frames[2:])
        else:
            worker.job = None
            worker.kill_at = None
            worker.idle_since = time.monotonic()
            if worker.state in ("failed", "unloaded") and kind == "result":
                worker.state = "ready"
            if job.final:
                return
            if kind == "result":
                self._finish(job, "done", frames=frames[2:], stages=body.get("stages"))
            else:
                error = UnderstudyError.from_json(body)
                if error.code == "internal":
                    error.fix = f"See the log file {self._settings.log_file}."
                self._finish(job, "cancelled" if error.code == "cancelled" else "failed", error=error)

    def tick(self) -> None:
        """Everything that is due by now: starts, deaths, cancels, the next job."""
        now = time.monotonic()
        for worker in self.workers:
            if (how := worker.died()) is not None:
                self._on_death(worker, how)
            worker.start_if_due()
            job = worker.job
            if job is not None and job.cancel_at is not None and not job.final and now - job.cancel_at > CANCEL_ANSWER:
                self._finish(job, "cancelled", error=_cancelled())
            if worker.kill_at is not None and now > worker.kill_at:
                log_event(
                    "worker.kill",
                    worker=worker.number,
                    reason="it did not let go of a cancelled job",
                    level=logging.WARNING,
                )
                worker.kill_at = None
                worker.kill()
        self._dispatch()
        if self.queue and all(w.broken for w in self.workers):
            error = self._does_not_start(self.workers[0])
            while self.queue:
                self._finish(self.queue.popleft(), "failed", error=error)

    def next_due(self) -> float:
        """Seconds that the caller may sleep before the next :meth:`tick`."""
        pressing = any(w.job is not None and w.job.cancel_at is not None for w in self.workers)
        return 0.02 if pressing else 0.1

    def stop(self) -> None:
        """End all jobs and workers."""
        for job in [*self.queue, *(w.job for w in self.workers if w.job is not None)]:
            if not job.final:
                self._finish(
                    job,
                    "interrupted",
                    error=UnderstudyError(
                        "bridge_lost",
                        "The bridge was stopped before the job was done.",
                        "Start the bridge and perform again.",
                    ),
                )
        self.queue.clear()
        for worker in self.workers:
            worker.stop(2.0)

    # ---- inside

    def _to_worker(self, worker: WorkerProcess, frames: Sequence[Any]) -> None:
        self._inner.send_multipart([worker.identity, *frames], copy=False)

    def _dispatch(self) -> None:
        for worker in self.workers:
            if worker.free and self.queue:
                self._give(worker, self.queue.popleft())

    def _give(self, worker: WorkerProcess, job: Job) -> None:
        worker.job = job
        job.state, job.started = "running", time.time()
        job.attempts += 1
        log_event("job.start", job=job.id, worker=worker.number, attempt=job.attempts, waited=job.started - job.created)
        self._to_worker(worker, [b"job", *job.frames])
        self._announce_positions()

    def _announce_positions(self) -> None:
        for n, waiting in enumerate(self.queue):
            body = {"stage": "waiting", "fraction": 0.0, "eta": None, "position": n + 1}
            self._tell(waiting, Message("progress", waiting.id, body))

    def _on_death(self, worker: WorkerProcess, how: str) -> None:
        job, worker.job = worker.job, None
        log_event("worker.died", worker=worker.number, how=how, job=job.id if job else None, level=logging.ERROR)
        if job is None or job.final:
            return
        if job.cancel_at is not None:
            self._finish(job, "cancelled", error=_cancelled())
        elif job.attempts < ATTEMPTS:
            job.state = "queued"
            self.queue.appendleft(job)
            self._tell(
                job, Message("progress", job.id, {"stage": "restarting the worker", "fraction": 0.0, "eta": None})
            )
        else:
            self._finish(
                job,
                "failed",
                error=UnderstudyError(
                    "worker_died",
                    f"The worker process ended ({how}) while it performed, {ATTEMPTS} times.",
                    f"See the log file {self._settings.log_file}; a shorter stretch may need less memory.",
                ),
            )

    def _does_not_start(self, worker: WorkerProcess) -> UnderstudyError:
        words = next((w for w in reversed(worker.last_words) if w.strip()), "it said nothing")
        return UnderstudyError(
            "worker_died",
            f"The worker process does not start ({words[:300]}).",
            f"Run 'understudy doctor', or see the log file {self._settings.log_file}.",
        )

    def _tell(self, job: Job, content: Message | Sequence[Any]) -> None:
        for listener in list(job.listeners):
            self._send(listener, content)

    def _finish(
        self,
        job: Job,
        state: str,
        *,
        frames: Sequence[Any] | None = None,
        error: UnderstudyError | None = None,
        stages: dict[str, float] | None = None,
    ) -> None:
        job.state, job.finished, job.error = state, time.time(), error
        job.frames = []
        if frames is not None:
            job.fraction, job.eta = 1.0, 0.0
            job.result = list(frames)
        self._tell(job, frames if frames is not None else error_message(job.id, error or _cancelled()))
        job.listeners.clear()
        times = {f"t_{name.replace(' ', '_')}": seconds for name, seconds in (stages or {}).items()}
        log_event(
            f"job.{state}",
            job=job.id,
            code=error.code if error else None,
            seconds=job.finished - (job.started or job.created),
            **times,
            level=logging.WARNING if state == "failed" else logging.INFO,
        )
        finals = [j for j in self.jobs.values() if j.final]
        for old in finals[: max(0, len(finals) - KEEP_JOBS)]:
            del self.jobs[old.id]


def _cancelled() -> UnderstudyError:
    return UnderstudyError("cancelled", "The job was cancelled.", "Perform again when you like.")
