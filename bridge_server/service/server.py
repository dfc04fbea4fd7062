# SPDX-License-Identifier: Apache-2.0
"""The bridge process: its socket, what it answers, and when it stops."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import zmq

from bridge_server import __version__
from shared import wire
from shared.errors import UnderstudyError
from shared.protocol import Message, error_message
from shared.requests import MotionRequest, check_request
from shared.state import BridgeRecord, lock_file, write_record

from .jobs import Job
from .life import InstanceLock, ParentWatch, Signals, log_event
from .scheduler import Scheduler
from .settings import (
    EXIT_ALREADY_RUNNING,
    EXIT_CANNOT_BIND,
    EXIT_INTERNAL,
    EXIT_OK,
    EXIT_PARENT_GONE,
    EXIT_STATE,
    Settings,
)

__all__ = ["Bridge", "serve"]

CAPABILITIES: Final = ("motion", "chunks", "cancel", "fetch", "list")
LINGER_MS: Final = 1000


class Bridge:
    """One bridge; :meth:`run` returns when it has stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._token = secrets.token_urlsafe(32)
        self._context = zmq.Context()
        self._front: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._inner: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._scheduler: Scheduler
        self._stop: tuple[int, str] | None = None
        self._began = time.time()
        self._handlers: dict[str, Callable[[bytes, Message], Message | None]] = {
            "hello": self._hello,
            "ping": self._ping,
            "submit": self._submit,
            "cancel": self._cancel,
            "status": self._status,
            "list": self._list,
            "fetch": self._fetch,
            "shutdown": self._shutdown,
        }

    def bind(self) -> str:
        """Open the sockets; returns the address. :raises UnderstudyError: ``unsupported`` or ``bridge_not_running``."""
        settings = self._settings
        if settings.host not in ("127.0.0.1", "localhost", "::1"):
            raise UnderstudyError(
                "unsupported",
                f"Binding to {settings.host} is refused: without keys anybody could use the bridge.",
                "Bind to 127.0.0.1.",
            )
        host = "127.0.0.1" if settings.host == "localhost" else settings.host
        for socket in (self._front, self._inner):
            socket.linger = LINGER_MS
            socket.setsockopt(zmq.MAXMSGSIZE, wire.LIMITS.total_bytes)
        self._front.setsockopt(zmq.ROUTER_MANDATORY, 1)
        if ":" in host:
            self._front.setsockopt(zmq.IPV6, 1)
            host = f"[{host}]"
        try:
            self._front.bind(f"tcp://{host}:{settings.port or '*'}")
        except zmq.ZMQError as error:
            raise UnderstudyError(
                "bridge_not_running",
                f"The bridge cannot listen on {host}, port {settings.port} ({error}).",
                "Choose another --port, or 0 to let the system choose a free one.",
            ) from error
        self._inner.bind("tcp://127.0.0.1:*")
        self._scheduler = Scheduler(settings, self._inner, self._send)
        return self._front.getsockopt_string(zmq.LAST_ENDPOINT)

    def run(self, address: str) -> int:
        """Serve until asked to stop; returns the exit code."""
        settings = self._settings
        parent = ParentWatch(settings.parent_pid)
        poller = zmq.Poller()
        poller.register(self._front, zmq.POLLIN)
        poller.register(self._inner, zmq.POLLIN)
        with Signals() as signals:
            self._scheduler.tick()  # the worker starts to load while clients find the address
            write_record(
                BridgeRecord(address, self._token, os.getpid(), __version__, str(settings.log_file)), settings.state_dir
            )
            log_event("bridge.ready", address=address, pid=os.getpid(), version=__version__)
            parent_checked = 0.0
            while self._stop is None:
                ready = dict(poller.poll(int(1000 * self._scheduler.next_due())))
                if self._inner in ready:
                    self._drain(self._inner, self._scheduler.on_worker)
                if self._front in ready:
                    self._drain(self._front, self._on_client)
                self._scheduler.tick()
                if signals.received:
                    self._stop = EXIT_OK, f"signal {signals.received}"
                elif (now := time.monotonic()) - parent_checked > 1.0:
                    parent_checked = now
                    if parent.gone():
                        self._stop = EXIT_PARENT_GONE, f"parent process {settings.parent_pid} has gone"
        code, reason = self._stop
        log_event("bridge.stopping", reason=reason)
        return code

    def close(self) -> None:
        """Stop workers, close sockets, remove the lock file."""
        if hasattr(self, "_scheduler"):
            self._scheduler.stop()
        self._front.close()
        self._inner.close(0)
        self._context.term()

    @property
    def reason(self) -> str:
        """Why it stopped."""
        return self._stop[1] if self._stop else ""

    # ---- messages

    @staticmethod
    def _drain(socket: zmq.Socket[bytes], take: Callable[[Sequence[Any]], None], most: int = 64) -> None:
        for _ in range(most):
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            take(frames)

    def _send(self, identity: bytes, content: Message | Sequence[Any]) -> None:
        frames = wire.encode(content) if isinstance(content, Message) else content
        try:
            self._front.send_multipart([identity, *frames], zmq.NOBLOCK, copy=False)
        except zmq.ZMQError as error:
            # a client that has gone, or does not read: its result is kept for fetch
            log_event("client.unreachable", client=identity.hex(), why=error.strerror, level=logging.DEBUG)

    def _on_client(self, frames: Sequence[Any]) -> None:
        identity = frames[0].bytes
        answer: Message | None
        try:
            message = wire.decode(frames[1:], receiver="bridge")
            if not secrets.compare_digest(message.token.encode(), self._token.encode()):
                raise UnderstudyError(
                    "unauthorised",
                    "The bridge does not know this client: the token is missing or not this session's.",
                    "Read the token from the bridge's lock file again, or restart the bridge.",
                )
            answer = self._handlers[message.type](identity, message)
        except UnderstudyError as error:
            log_event("request.refused", code=error.code, why=error.message, level=logging.WARNING)
            answer = error_message(_id_of(frames[1:]), error)
        if answer is not None:
            self._send(identity, answer)

    def _facts(self) -> dict[str, Any]:
        scheduler = self._scheduler
        error = scheduler.error()
        return {
            "state": scheduler.state(),
            "queue": len(scheduler.queue),
            "queue_limit": self._settings.queue_limit,
            "error": error.to_json() if error else None,
        }

    def _hello(self, identity: bytes, message: Message) -> Message:
        workers = self._scheduler.workers
        models = [m for w in workers for m in w.description.get("models", [])]
        return Message(
            "welcome",
            message.id,
            {
                "bridge": __version__,
                "device": ", ".join(w.description.get("device", "") for w in workers).strip(", "),
                "capabilities": list(CAPABILITIES),
                "models": models,
                "renderers": [],
                "pid": os.getpid(),
                "log": str(self._settings.log_file),
                **self._facts(),
            },
        )

    def _ping(self, identity: bytes, message: Message) -> Message:
        return Message("pong", message.id, self._facts())

    def _submit(self, identity: bytes, message: Message) -> Message | None:
        if not message.id:
            raise UnderstudyError("bad_message", "A submit needs an id.", "Give each job an id of its own.")
        known = self._scheduler.jobs.get(message.id)
        if known is not None:
            self._send(identity, Message("accepted", known.id, {"position": self._scheduler.position(known)}))
            return self._deliver(identity, known)
        if message.body["kind"] != "motion":
            raise UnderstudyError(
                "unsupported",
                f"This bridge does no jobs of kind {message.body['kind']!r}.",
                "Update the bridge, or ask for motion.",
            )
        check_request(MotionRequest.from_message(message))
        job = Job(message.id, message.body["kind"], client=identity, listeners={identity})
        message.token = ""
        job.frames = wire.encode(message)
        position = self._scheduler.submit(job)
        self._send(identity, Message("accepted", job.id, {"position": position}))
        if position == 0 and self._scheduler.state() == "loading":
            self._send(identity, Message("progress", job.id, {"stage": "loading model", "fraction": 0.0, "eta": None}))
        return None

    def _job(self, message: Message) -> Job:
        wanted = message.body.get("job", message.id)
        job = self._scheduler.jobs.get(wanted) if isinstance(wanted, str) else None
        if job is None:
            raise UnderstudyError(
                "not_found",
                f"The bridge knows no job {str(wanted)[:64]!r}.",
                "It may have been cleaned away; perform again.",
            )
        return job

    def _cancel(self, identity: bytes, message: Message) -> Message | None:
        job = self._job(message)
        job.listeners.add(identity) if not job.final else None
        if job.final:
            return Message("status", message.id, job.describe())
        self._scheduler.cancel(job)
        return None

    def _status(self, identity: bytes, message: Message) -> Message:
        if "job" in message.body:
            job = self._job(message)
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
                "uptime": time.time() - self._began,
                "pid": os.getpid(),
                "log": str(self._settings.log_file),
            },
        )

    def _list(self, identity: bytes, message: Message) -> Message:
        return Message("jobs", message.id, {"jobs": [j.describe() for j in self._scheduler.jobs.values()]})

    def _fetch(self, identity: bytes, message: Message) -> Message | None:
        job = self._job(message)
        if not job.final:
            job.listeners.add(identity)
            return Message("status", message.id, {**job.describe(), "position": self._scheduler.position(job)})
        return self._deliver(identity, job)

    def _deliver(self, identity: bytes, job: Job) -> Message | None:
        """What there is of a job, to a client that comes (back) for it."""
        if job.result is not None:
            self._send(identity, job.result)
        elif job.final:
            assert job.error is not None
            return error_message(job.id, job.error)
        else:
            job.listeners.add(identity)
        return None

    def _shutdown(self, identity: bytes, message: Message) -> Message:
        self._stop = EXIT_OK, "a client asked for it"
        return Message("status", message.id, {"state": "stopping"})


def _id_of(frames: Sequence[Any]) -> str:
    """The id of a message that could not be accepted, as far as it can be read."""
    try:
        view = memoryview(frames[0].buffer)
        header = json.loads(bytes(view)) if view.nbytes <= wire.LIMITS.header_bytes else {}
        found = header.get("id", "")
        return found if isinstance(found, str) and re.fullmatch(r"[A-Za-z0-9_.-]{0,64}", found) else ""
    except (ValueError, IndexError, AttributeError, RecursionError):
        return ""


def serve(settings: Settings, say: Callable[[str], None] = print) -> int:
    """Run a bridge in this process; returns the exit code. Logging must be set up."""
    lock = InstanceLock(settings.state_dir)
    try:
        if not lock.acquire():
            say(f"A bridge is already running with the folder {settings.state_dir}; stop it with 'understudy stop'.")
            log_event("bridge.exit", code=EXIT_ALREADY_RUNNING, reason="another bridge runs with this state folder")
            return EXIT_ALREADY_RUNNING
    except OSError as error:
        say(
            f"The state folder {settings.state_dir} cannot be used ({error.strerror}); choose another with --state-dir."
        )
        return EXIT_STATE
    bridge = Bridge(settings)
    code, reason = EXIT_INTERNAL, "an internal error, see the lines before"
    try:
        try:
            address = bridge.bind()
        except UnderstudyError as error:
            say(str(error))
            code, reason = EXIT_CANNOT_BIND, error.message
            return code
        say(f"Understudy bridge {__version__} listens on {address}; log {settings.log_file}")
        code = bridge.run(address)
        reason = bridge.reason
        return code
    except Exception:
        logging.getLogger("understudy.bridge").exception("bridge.crash")
        raise
    finally:
        # the address goes before the lock does, so that no client finds one without the other
        lock_file(settings.state_dir).unlink(missing_ok=True)
        bridge.close()
        lock.release()
        log_event("bridge.exit", code=code, reason=reason)
