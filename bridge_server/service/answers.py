# SPDX-License-Identifier: Apache-2.0
"""What the bridge answers to each message of a client."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from bridge_server import __version__
from shared import wire
from shared.errors import UnderstudyError
from shared.face_requests import FaceRequest, SpeechRequest
from shared.films import FilmOrder
from shared.protocol import Message, error_message
from shared.requests import MotionRequest, check_request

from .front import LOCAL, Peer
from .jobs import Job
from .life import LOGGER, log_event
from .observe import Observer
from .scheduler import Scheduler, Send
from .settings import Settings
from .weights_sets import known_sets

__all__ = ["Answers"]

_ID: Final = re.compile(r"[A-Za-z0-9_.-]{0,64}")
CAPABILITIES: Final = ("motion", "film", "chunks", "cancel", "fetch", "list", "resume")


class Answers:
    """Reads messages, checks who sends them, and answers.

    :param token: what local clients must show.
    :param stop: called with a reason when a client asks the bridge to stop.
    """

    def __init__(
        self,
        settings: Settings,
        scheduler: Scheduler,
        send: Send,
        token: str,
        stop: Callable[[str], None],
        observer: Observer | None = None,
    ) -> None:
        self._settings, self._scheduler, self._send = settings, scheduler, send
        self._token = token.encode()
        self._stop = stop
        self._observer = observer or Observer()
        self._began = time.time()
        self._handlers: dict[str, Callable[[Peer, Message], Message | None]] = {
            "hello": self._hello,
            "ping": self._ping,
            "submit": self._submit,
            "cancel": self._cancel,
            "status": self._status,
            "list": self._list,
            "fetch": self._fetch,
            "shutdown": self._shutdown,
        }

    def take(self, peer: Peer, frames: Sequence[Any]) -> None:
        """Answer one message."""
        answer: Message | None
        try:
            message = wire.decode(frames, receiver="bridge")
            if peer.owner == LOCAL and not secrets.compare_digest(
                message.token.encode(errors="surrogatepass"), self._token
            ):
                raise UnderstudyError(
                    "unauthorised",
                    "The bridge does not know this client: the token is missing or not this session's.",
                    "Read the token from the bridge's lock file again, or restart the bridge.",
                )
            answer = self._handlers[message.type](peer, message)
        except UnderstudyError as error:
            self._observer.refused(error.code)
            log_event("request.refused", code=error.code, why=error.message, owner=peer.owner, level=logging.WARNING)
            error.log = str(self._settings.log_file)
            answer = error_message(_id_of(frames), error)
        except Exception as error:  # the boundary to the network: one client's message must not end everybody's bridge
            LOGGER.exception("request.failed owner=%s", peer.owner)
            failure = UnderstudyError(
                "internal", f"The bridge could not handle a message ({type(error).__name__}).", "Send the log file with a report."
            )
            failure.log = str(self._settings.log_file)
            answer = error_message(_id_of(frames), failure)
        if answer is not None:
            self._send(peer, answer)

    def _facts(self) -> dict[str, Any]:
        scheduler = self._scheduler
        error = scheduler.error()
        return {
            "state": scheduler.state(),
            "queue": len(scheduler.queue),
            "queue_limit": self._settings.queue_limit,
            "error": error.to_json() if error else None,
        }

    def _hello(self, peer: Peer, message: Message) -> Message:
        workers = self._scheduler.workers
        models = [m for w in workers for m in w.description.get("models", [])]
        log_event("client.hello", client=message.body["client"], owner=peer.owner)
        return Message(
            "welcome",
            message.id,
            {
                "bridge": __version__,
                "device": ", ".join(filter(None, (w.description.get("device", "") for w in workers))),
                "capabilities": list(CAPABILITIES),
                "models": models,
                "renderers": self._offers("renderers"),
                "faces": self._offers("faces"),
                "weights": known_sets(),
                "pid": os.getpid(),
                "log": str(self._settings.log_file),
                **self._facts(),
            },
        )

    def _offers(self, what: str) -> list[Any]:
        """Renderers of films or routes of faces, as the first worker that is up describes them; none before that."""
        return next((w.facts[what] for w in self._scheduler.workers if w.facts.get(what)), [])

    def _ping(self, peer: Peer, message: Message) -> Message:
        # the buffers go back as they came: so a client measures its connection
        return Message("pong", message.id, self._facts(), message.buffers)

    def _submit(self, peer: Peer, message: Message) -> Message | None:
        if not message.id:
            raise UnderstudyError("bad_message", "A submit needs an id.", "Give each job an id of its own.")
        known = self._scheduler.find(message.id)
        if known is not None:
            self._check_owner(peer, known, message.id)
            self._send(peer, Message("accepted", known.id, {"position": self._scheduler.position(known)}))
            return self._deliver(peer, known)
        if message.body["kind"] == "film":
            FilmOrder.from_message(message)
        elif message.body["kind"] == "motion":
            request = MotionRequest.from_message(message)
            check_request(request)
            self._check_folder(request.weights)
        elif message.body["kind"] == "speech":
            SpeechRequest.from_message(message)
        elif message.body["kind"] == "face":
            FaceRequest.from_message(message)
        else:
            raise UnderstudyError(
                "unsupported",
                f"This bridge does no jobs of kind {message.body['kind']!r}.",
                "Update the bridge, or ask for motion, a film, a face or the words of a speech.",
            )
        job = Job(
            message.id,
            message.body["kind"],
            peer.owner,
            peer.identity,
            listeners={peer},
            retryable=message.body.get("retryable") is True,
        )
        message.token = ""
        job.frames = wire.encode(message)
        self._scheduler.submit(job)
        return None

    def _check_folder(self, weights: str) -> None:
        """A request may name a folder of weights; it must not make the bridge read just any."""
        if not weights.isprintable():
            raise UnderstudyError(
                "request_invalid",
                f"{weights!a} cannot be the name of a set of weights.",
                "Use the name of a set that the bridge has.",
            )
        if weights == self._settings.weights or not re.search(r"[/\\]|^\.+$|^~|:", weights):
            return
        wanted = Path(weights).resolve()
        allowed = [folder.resolve() for folder in self._settings.allowed_folders]
        if not any(wanted == folder or folder in wanted.parents for folder in allowed):
            raise UnderstudyError(
                "unauthorised",
                f"The folder {weights} is not one that this bridge may read.",
                "Start the bridge with --allow-folder and that folder, or use shipped weights by name.",
            )

    def _check_owner(self, peer: Peer, job: Job, wanted: str) -> None:
        if job.owner != peer.owner:
            # the same answer as for a job that is not there: another client's jobs are not to be seen
            raise UnderstudyError(
                "not_found", f"The bridge knows no job {wanted!r}.", "It may have been cleaned away; perform again."
            )

    def _job(self, peer: Peer, message: Message) -> Job:
        wanted = message.body.get("job", message.id)
        named = isinstance(wanted, str) and _ID.fullmatch(wanted) is not None
        job = self._scheduler.find(wanted) if named else None
        if job is None:
            raise UnderstudyError(
                "not_found",
                f"The bridge knows no job {str(wanted)[:64]!a}.",
                "It may have been cleaned away; perform again.",
            )
        self._check_owner(peer, job, wanted)
        return job

    def _cancel(self, peer: Peer, message: Message) -> Message | None:
        job = self._job(peer, message)
        if job.final:
            return Message("status", message.id, job.describe())
        job.listeners.add(peer)
        self._scheduler.cancel(job)
        return None

    def _status(self, peer: Peer, message: Message) -> Message:
        if "job" in message.body:
            job = self._job(peer, message)
            return Message("status", message.id, {**job.describe(), "position": self._scheduler.position(job)})
        workers = [
            {
                "pid": w.pid,
                "state": w.state,
                "job": w.job.id if w.job else None,
                "device": w.description.get("device", ""),
            }
            for w in self._scheduler.workers
        ]
        return Message(
            "status",
            message.id,
            {
                **self._facts(),
                "workers": workers,
                "renderers": self._offers("renderers"),
                "faces": self._offers("faces"),
                "uptime": time.time() - self._began,
                "pid": os.getpid(),
                "log": str(self._settings.log_file),
            },
        )

    def _list(self, peer: Peer, message: Message) -> Message:
        return Message("jobs", message.id, {"jobs": [j.describe() for j in self._scheduler.list(peer.owner)]})

    def _fetch(self, peer: Peer, message: Message) -> Message | None:
        job = self._job(peer, message)
        if not job.final:
            job.listeners.add(peer)
            return Message("status", message.id, {**job.describe(), "position": self._scheduler.position(job)})
        return self._deliver(peer, job)

    def _deliver(self, peer: Peer, job: Job) -> Message | None:
        """What there is of a job, to a client that comes (back) for it."""
        if not job.final:
            job.listeners.add(peer)
            return None
        if job.state != "done":
            assert job.error is not None
            return error_message(job.id, job.error)
        frames = self._scheduler.result(job)
        if frames is None:
            raise UnderstudyError(
                "not_found", "The result of this job is no longer kept.", "Perform again with a new id."
            )
        self._send(peer, frames)
        return None

    def _shutdown(self, peer: Peer, message: Message) -> Message:
        if peer.owner != LOCAL:
            raise UnderstudyError(
                "unauthorised",
                "Only a client on the bridge's own machine may stop it.",
                "Stop it there, with 'understudy stop'.",
            )
        self._stop("a client asked for it")
        return Message("status", message.id, {"state": "stopping"})


def _id_of(frames: Sequence[Any]) -> str:
    """The id of a message that could not be accepted, as far as it can be read."""
    try:
        view = memoryview(frames[0].buffer)
        header = json.loads(bytes(view)) if view.nbytes <= wire.LIMITS.header_bytes else {}
        found = header.get("id", "")
        return found if isinstance(found, str) and _ID.fullmatch(found) else ""
    except (ValueError, IndexError, AttributeError, RecursionError):
        return ""
