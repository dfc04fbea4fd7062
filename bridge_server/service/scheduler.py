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
from .observe import Observer
from .settings import Settings
from .store import JobStore
from .workers import WorkerProcess

__all__ = ["CANCEL_ANSWER", "Scheduler"]

CANCEL_ANSWER: Final = 0.2
"""Seconds after which a client is told that its job is cancelled, whether or not the worker has let go of it."""
ATTEMPTS: Final = 2
RECOVERIES: Final = 4
"""Attempts after which a job is not run again by a restarted bridge: it may be what ends the bridge."""
PERFORMERS: Final = {
    "local": "bridge_server.performing:MotionPerformer",
    "ray": "bridge_server.executors.ray_actor:RayPerformer",
}
"""What worker processes run, by executor; imported by them alone."""

MOST_UNSAVED: Final = 16
"""Results that are kept in memory when they cannot be written to disk."""

Send = Callable[[Any, "Message | Sequence[Any]"], None]


class Scheduler:
    """Gives jobs to workers and what they say to the clients.

    :param send: sends a message, or ready frames, to a client's connection.
    :param inner: the ROUTER that the workers connect to, bound.
    """

    def __init__(
        self, settings: Settings, inner: zmq.Socket[bytes], send: Send, store: JobStore, observer: Observer
    ) -> None:
        self._settings = settings
        self._inner = inner
        self._send = send
        self._store = store
        self._observer = observer
        self._unsaved: deque[Job] = deque(maxlen=MOST_UNSAVED)
        self.jobs: dict[str, Job] = {}
        self.queue: deque[Job] = deque()
        address = inner.getsockopt_string(zmq.LAST_ENDPOINT)
        performer, extra = PERFORMERS[settings.executor], {}
        if settings.executor == "ray":
            extra["address"] = settings.ray_address
        self.workers = [
            WorkerProcess(
                n,
                address,
                performer,
                {"generator": settings.generator, "weights": settings.weights, "device": device, **extra},
                settings.log_file,
            )
            for n, device in enumerate(settings.device.split(","))
        ]

    def recover(self) -> None:
        """Take up what a former bridge left behind: run again what may be, report the rest as interrupted."""
        for job in self._store.unfinished():
            self.jobs[job.id] = job
            if job.retryable and job.frames and job.attempts < RECOVERIES:
                job.state = "queued"
                self.queue.append(job)
                log_event("job.recovered", job=job.id, attempts=job.attempts)
            else:
                self._finish(job, "interrupted", error=_interrupted())

    # ---- what clients ask for

    def find(self, id: str) -> Job | None:
        """A job that waits, runs or has ended."""
        return self.jobs.get(id) or next((j for j in self._unsaved if j.id == id), None) or self._store.get(id)

    def list(self, owner: str) -> list[Job]:
        """The newest jobs of an owner."""
        return [self.jobs.get(j.id, j) for j in self._store.newest(owner)]

    def result(self, job: Job) -> Sequence[Any] | None:
        """Frames of the result of a job that is done."""
        return job.result or self._store.result(job.id)

    def submit(self, job: Job) -> None:
        """Queue a job and tell its client how many are before it.

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
        self._store.add(job)
        self.queue.append(job)
        for worker in self.workers:
            worker.retry_now()
        # before the job can be given away, so that "accepted" is the first that the client hears
        position = self.position(job)
        self._tell(job, Message("accepted", job.id, {"position": position}))
        if position == 0 and self.state() == "loading":
            self._tell(job, Message("progress", job.id, {"stage": "loading model", "fraction": 0.0, "eta": None}))
        log_event("job.queued", job=job.id, kind=job.kind, owner=job.owner, position=position)
        self._dispatch()  # at once, so that a free worker does not count against the limit of the queue
        self._count()

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
            if (found := worker.error) or worker.broken:
                return self._logged(found or self._does_not_start(worker))
        return None

    def _logged(self, error: UnderstudyError) -> UnderstudyError:
        """The error with the file that has more: every failure that a client is told of names it; a cancel is none."""
        error.log = str(self._settings.log_file) if error.code != "cancelled" else ""
        return error

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
        if frames[1].bytes == b"facts":
            worker.facts = json.loads(frames[2].bytes)
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
            if worker.state == "unloaded" or (worker.state == "failed" and kind == "result"):
                worker.state = "ready"
            if job.final:
                return
            if kind == "result":
                self._finish(job, "done", frames=frames[2:], body=body, buffers=header.get("buffers", ()))
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
        self._unload_idle(now)
        if self.queue and all(w.broken for w in self.workers):
            error = self._does_not_start(self.workers[0])
            while self.queue:
                self._finish(self.queue.popleft(), "failed", error=error)

    def next_due(self) -> float:
        """Seconds that the caller may sleep before the next :meth:`tick`."""
        pressing = any(w.job is not None and w.job.cancel_at is not None for w in self.workers)
        return 0.02 if pressing else 0.1

    def stop(self) -> None:
        """End all jobs and workers; jobs that may be run again stay recorded for the next bridge."""
        for job in [*self.queue, *(w.job for w in self.workers if w.job is not None)]:
            if job.final:
                continue
            if job.retryable:
                self._tell(job, error_message(job.id, self._logged(_interrupted())))
            else:
                self._finish(job, "interrupted", error=_interrupted())
        self.queue.clear()
        for worker in self.workers:
            worker.stop(2.0)
        self._observer.close()

    # ---- inside

    def _to_worker(self, worker: WorkerProcess, frames: Sequence[Any]) -> None:
        self._inner.send_multipart([worker.identity, *frames], copy=False)

    def _unload_idle(self, now: float) -> None:
        limit = self._settings.unload_after
        for worker in self.workers:
            if limit and worker.state == "ready" and worker.job is None and now - worker.idle_since > limit:
                worker.state = "unloading"  # until it says that it has; no job is given to it in between
                self._to_worker(worker, [b"unload"])

    def _dispatch(self) -> None:
        for worker in self.workers:
            if worker.free and self.queue:
                self._give(worker, self.queue.popleft())

    def _give(self, worker: WorkerProcess, job: Job) -> None:
        worker.job = job
        job.state, job.started = "running", time.time()
        job.attempts += 1
        self._store.begin(job)
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
        body: dict[str, Any] | None = None,
        buffers: Sequence[dict[str, Any]] = (),
    ) -> None:
        job.state, job.finished, job.error = state, time.time(), self._logged(error) if error else None
        job.frames = []
        # the client first: it waits, the disk does not
        self._tell(job, frames if frames is not None else error_message(job.id, job.error or _cancelled()))
        job.listeners.clear()
        if not self._store.finish(job, frames):
            job.result = list(frames or ())
            self._unsaved.append(job)
        del self.jobs[job.id]
        ran = job.finished - (job.started or job.finished)
        stages = (body or {}).get("stages", {})
        motion = next((b["shape"][0] / body["fps"] for b in buffers if b["name"] == "rotations"), 0.0) if body else 0.0
        self._observer.finished(state, error.code if error else "", ran, motion, stages)
        self._count()
        times = {f"t_{name.replace(' ', '_')}": seconds for name, seconds in stages.items()}
        log_event(
            f"job.{state}",
            job=job.id,
            owner=job.owner,
            code=error.code if error else None,
            attempts=job.attempts,
            waited=(job.started or job.finished) - job.created,
            seconds=ran,
            motion=motion or None,
            **times,
            level=logging.WARNING if state == "failed" else logging.INFO,
        )

    def _count(self) -> None:
        self._observer.queue(len(self.queue), sum(w.job is not None for w in self.workers))


def _cancelled() -> UnderstudyError:
    return UnderstudyError("cancelled", "The job was cancelled.", "Perform again when you like.")


def _interrupted() -> UnderstudyError:
    return UnderstudyError(
        "bridge_lost", "The bridge was stopped before the job was done.", "Start the bridge and perform again."
    )
