# SPDX-License-Identifier: Apache-2.0
"""The bridge process: one loop over its sockets, until there is a reason to stop."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable

import zmq

from bridge_server import __version__
from shared import wire
from shared.errors import UnderstudyError
from shared.state import BridgeRecord, lock_file, write_record

from .answers import Answers
from .front import Front, drain
from .life import LOGGER, InstanceLock, ParentWatch, Signals, log_event
from .observe import Observer
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
from .store import JobStore

__all__ = ["Bridge", "serve"]


class Bridge:
    """One bridge; :meth:`run` returns when it has stopped.

    :raises UnderstudyError: ``bridge_not_running`` or ``unsupported`` when it cannot listen.
    """

    def __init__(self, settings: Settings, observer: Observer) -> None:
        self._settings = settings
        self._stop: tuple[int, str] | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._inner: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._inner.linger = 0
        self._inner.setsockopt(zmq.MAXMSGSIZE, wire.LIMITS.total_bytes)
        try:
            self._front = Front(self._context, settings)
        except UnderstudyError:
            self._inner.close()
            self._context.term()
            raise
        self._inner.bind("tcp://127.0.0.1:*")
        self._store = JobStore(settings.state_dir / "jobs", limit=settings.disk_limit)
        self._scheduler = Scheduler(settings, self._inner, self._front.send, self._store, observer)
        self._token = secrets.token_urlsafe(32)
        self._answers = Answers(settings, self._scheduler, self._front.send, self._token, self._asked_to_stop, observer)

    @property
    def address(self) -> str:
        """Endpoint on loopback."""
        return self._front.address

    @property
    def remote(self) -> str:
        """Endpoint for clients with keys, or ""."""
        return self._front.remote

    @property
    def reason(self) -> str:
        """Why it stopped."""
        return self._stop[1] if self._stop else ""

    def _asked_to_stop(self, reason: str) -> None:
        self._stop = EXIT_OK, reason

    def run(self) -> int:
        """Serve until asked to stop; returns the exit code."""
        settings, scheduler = self._settings, self._scheduler
        parent = ParentWatch(settings.parent_pid)
        poller = zmq.Poller()
        poller.register(self._inner, zmq.POLLIN)
        self._front.register(poller)
        with Signals() as signals:
            scheduler.recover()
            scheduler.tick()  # the worker starts to load while clients find the address
            write_record(
                BridgeRecord(
                    self.address, self._token, os.getpid(), __version__, str(settings.log_file), self.remote
                ),
                settings.state_dir,
            )
            log_event(
                "bridge.ready", address=self.address, remote=self.remote or None, pid=os.getpid(), version=__version__
            )
            parent_checked = 0.0
            while self._stop is None:
                ready = dict(poller.poll(int(1000 * scheduler.next_due())))
                if self._inner in ready:
                    drain(self._inner, scheduler.on_worker)
                self._front.receive(ready, self._answers.take)
                scheduler.tick()
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
        """Stop workers, close sockets and store."""
        self._scheduler.stop()
        self._front.close()
        self._inner.close(0)
        self._store.close()
        self._context.term()


def serve(settings: Settings, say: Callable[[str], None] = print, observer: Observer | None = None) -> int:
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
    code, reason = EXIT_INTERNAL, "an internal error, see the lines before"
    bridge: Bridge | None = None
    try:
        # of a bridge that was killed; nobody is to connect there
        lock_file(settings.state_dir).unlink(missing_ok=True)
        bridge = Bridge(settings, observer or Observer())
        say(f"Understudy bridge {__version__} listens on {bridge.address}; log {settings.log_file}")
        if bridge.remote:
            say(f"Clients with keys connect to {bridge.remote}")
        code = bridge.run()
        reason = bridge.reason
        return code
    except UnderstudyError as error:
        say(str(error))
        code, reason = EXIT_CANNOT_BIND, error.message
        return code
    except Exception:
        LOGGER.exception("bridge.crash")
        raise
    finally:
        # the address goes before the lock does, so that no client finds one without the other
        lock_file(settings.state_dir).unlink(missing_ok=True)
        if bridge is not None:
            bridge.close()
        lock.release()
        log_event("bridge.exit", code=code, reason=reason)
