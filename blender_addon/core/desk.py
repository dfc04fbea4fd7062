# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs that are out at the bridge: what was asked, how far it is, what came back."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ..shared.errors import UnderstudyError
from ..shared.face_requests import FaceRequest, Heard, SpeechRequest
from ..shared.films import FilmOrder, preview_of
from ..shared.motion import Motion
from ..shared.protocol import Message, new_id
from ..shared.requests import MotionRequest, motion_from_message
from .link import BridgeLink

__all__ = ["Desk", "Job", "STAGE_LABELS"]

_log = logging.getLogger("understudy.desk")

STAGE_LABELS: Final[dict[str, str]] = {
    "starting": "starting the bridge", "connecting": "connecting", "waiting": "waiting", "queued": "in the queue",
    "sending": "sending",
}
"""Words for the stages of the add-on's own; the bridge's stages are words already."""

JobState = Literal["waiting", "sent", "done", "failed", "cancelled"]


@dataclass
class Job:
    """One request on its way.

    :ivar owner: what the result is for; the desk only passes it on.
    :ivar stage: what is being done now, a word for the user.
    :ivar fraction: of the whole job, [0, 1].
    :ivar eta: seconds left as the bridge estimates, or None.
    :ivar final_frames: how many frames from the start are final already.
    :ivar parts: these frames, as they came, one after the other.
    :ivar motion: the performance; :ivar film: of a film, what came back of it; :ivar heard: words and suggestions.
    :ivar preview: of a film, number and picture (H, W, 3) of the frame that was drawn last.
    """

    request: MotionRequest | FaceRequest | SpeechRequest | FilmOrder
    owner: object = None
    id: str = field(default_factory=new_id)
    state: JobState = "waiting"
    stage: str = "waiting"
    fraction: float = 0.0
    eta: float | None = None
    final_frames: int = 0
    parts: list[Motion] = field(default_factory=list)
    motion: Motion | None = None
    film: Any = None
    heard: Heard | None = None
    preview: Any = None
    error: UnderstudyError | None = None
    began: float = field(default_factory=time.monotonic)
    _epoch: int = 0

    @property
    def open(self) -> bool:
        """Whether more is to come."""
        return self.state in ("waiting", "sent")

    @property
    def label(self) -> str:
        """Stage, percentage and time left in one line."""
        stage = STAGE_LABELS.get(self.stage, self.stage)
        if self.state == "waiting":
            return stage[:1].upper() + stage[1:] + f" · {time.monotonic() - self.began:.0f} s"
        left = "" if self.eta is None else f" · {int(self.eta) // 60}:{int(self.eta) % 60:02d} left"
        return f"{stage[:1].upper()}{stage[1:]} {self.fraction * 100:.0f} %{left}"


class Desk:
    """Open jobs over one link. Single-threaded: call everything from the thread that calls :meth:`poll`."""

    def __init__(self, link: BridgeLink) -> None:
        self.link = link
        self.jobs: dict[str, Job] = {}

    def submit(self, request: MotionRequest | FaceRequest | SpeechRequest | FilmOrder, owner: object = None) -> Job:
        """Take a request; it is sent as soon as the bridge is there.

        :raises UnderstudyError: ``direction_invalid`` or ``request_too_large``, before anything is started.
        """
        job = Job(request, owner)
        request.to_message(job.id)
        self.jobs[job.id] = job
        self.link.want()
        self._advance(job)
        return job

    def cancel(self, job: Job) -> None:
        """Give a job up: at once here, and at the bridge as soon as it hears of it."""
        if not job.open:
            return
        if job.state == "sent" and self.link.state == "ready":
            self.link.send(Message("cancel", job.id))
        job.state = "cancelled"
        job.error = UnderstudyError("cancelled", "The performance was cancelled.", "")
        self.jobs.pop(job.id, None)

    def poll(self) -> list[Job]:
        """Advance everything, and return the jobs that have ended since the last call."""
        for message in self.link.poll():
            self._on_message(message)
        return self._settle()

    def wait(self, seconds: float) -> list[Job]:
        """Like :meth:`poll`, but waits up to ``seconds`` for something to happen."""
        for message in self.link.wait(seconds):
            self._on_message(message)
        return self._settle()

    def close(self) -> None:
        """Forget all jobs, telling a connected bridge, and disconnect."""
        for job in list(self.jobs.values()):
            self.cancel(job)
        self.link.close()

    def _settle(self) -> list[Job]:
        for job in list(self.jobs.values()):
            self._advance(job)
        ended = [job for job in self.jobs.values() if not job.open]
        for job in ended:
            del self.jobs[job.id]
        return ended

    def _advance(self, job: Job) -> None:
        link = self.link
        if not job.open:
            return
        if link.state == "failed":
            assert link.error is not None
            error = link.error
            if job.state == "sent" and error.code in ("bridge_lost", "bridge_not_running"):
                error = UnderstudyError("bridge_lost", "The bridge stopped in the middle of the performance.",
                                        f"Press Perform again to start it anew; its log is {link.log_path}.")
            self._fail(job, error)
        elif link.state == "ready":
            if job.state == "waiting":
                job.state, job.stage, job._epoch = "sent", "sending", link.epoch
                link.send(job.request.to_message(job.id))
            elif job._epoch != link.epoch:
                # connected anew: what came in between is lost, so ask for it
                job._epoch = link.epoch
                link.send(Message("fetch", job.id))
        elif link.state in ("starting", "connecting"):
            if job.state == "waiting":
                job.stage = link.state
        elif link.state == "off":
            self._fail(job, UnderstudyError("bridge_lost", "The bridge was stopped.", "Press Perform again."))

    def _fail(self, job: Job, error: UnderstudyError) -> None:
        _log.warning("job %s failed: %s", job.id, error)
        job.state, job.error = ("cancelled" if error.code == "cancelled" else "failed"), error

    def _keep(self, job: Job, message: Message, first: int) -> None:
        """Append the frames of a chunk that are not there yet; the final result does not depend on them."""
        try:
            part = motion_from_message(message)
        except UnderstudyError as error:
            _log.warning("job %s: a chunk was left out: %s", job.id, error)
            return
        known = sum(len(p) for p in job.parts)
        job.parts.append(part.slice(known - first, len(part)))

    def _on_message(self, message: Message) -> None:
        if message.type == "status":
            # a bridge that was met while it loaded did not know them yet
            self.link.welcome.update({name: message.body[name] for name in ("renderers", "faces") if name in message.body})
        job = self.jobs.get(message.id)
        if job is None or not job.open:
            return
        if message.type == "accepted":
            job.stage = "queued"
        elif message.type == "progress":
            job.stage = str(message.body["stage"])
            # a bar that runs backwards looks broken; a retried job may report less than before
            job.fraction = max(job.fraction, float(message.body["fraction"]))
            eta = message.body.get("eta")
            job.eta = None if eta is None else float(eta)
        elif message.type == "chunk":
            rotations = message.buffers.get("rotations")
            if rotations is not None:
                first, end = int(message.body["first_frame"]), int(message.body["first_frame"]) + len(rotations)
                if first <= sum(len(p) for p in job.parts) < end:
                    self._keep(job, message, first)
                job.final_frames = max(job.final_frames, end)
            else:
                job.preview = preview_of(message) or job.preview
        elif message.type == "result":
            try:
                if isinstance(job.request, FilmOrder):
                    job.film = job.request.read_result(message)
                elif isinstance(job.request, SpeechRequest):
                    job.heard = job.request.read(message)
                else:
                    job.motion = motion_from_message(message)
            except UnderstudyError as error:
                self._fail(job, error)
            else:
                job.state, job.fraction = "done", 1.0
        elif message.type == "error":
            told = UnderstudyError.from_json(message.body)
            if told.code == "not_found":
                told = UnderstudyError("bridge_lost", "The bridge no longer knows this performance.",
                                        "Press Perform again.")
            self._fail(job, told)
