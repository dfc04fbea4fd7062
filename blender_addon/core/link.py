# SPDX-License-Identifier: GPL-3.0-or-later
"""One bridge, found or started, kept connected: the state that the panel's first line shows."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from typing import Any, Final, Literal

from ..shared.errors import UnderstudyError
from ..shared.keys import ClientKey
from ..shared.protocol import Message
from ..shared.state import BridgeRecord, read_record
from .bridge_process import BridgeCommand, BridgeProcess, pid_alive
from .client import Client, LinkEvent, Timing

__all__ = ["BridgeLink", "LinkState"]

_log = logging.getLogger("understudy.link")
LinkState = Literal["off", "starting", "connecting", "ready", "failed"]
SHUTDOWN_SECONDS: Final = 1.5


class BridgeLink:
    """Goes from "off" over "starting" and "connecting" to "ready", and to "failed" with :attr:`error` set.

    :meth:`poll` never blocks; call it often. A lost connection is tried once more where the bridge's process is
    still there; :attr:`epoch` grows with every connection, so that the owner can ask for its open jobs again.

    :param command: makes the command to start the bridge with; may raise :class:`UnderstudyError`.
    :param name: what the bridge's log calls this client.
    :param auto_start: whether :meth:`want` may start a bridge where none runs.
    :param record: gives a fixed address and token (a bridge on another machine), or None for the lock file's.
    :param key: gives the key for that address, or None; read anew for every connection, and may raise :class:`UnderstudyError`.
    """

    def __init__(self, command: Callable[[], BridgeCommand], name: str, *, auto_start: Callable[[], bool] = lambda: True,
                 record: Callable[[], BridgeRecord | None] = lambda: None, timing: Timing | None = None,
                 key: Callable[[], ClientKey | None] = lambda: None) -> None:
        self.state: LinkState = "off"
        self.error: UnderstudyError | None = None
        self.welcome: dict[str, Any] = {}
        self.epoch = 0
        self.process = BridgeProcess()
        self._command = command
        self._name = name
        self._auto_start = auto_start
        self._fixed_record = record
        self._key = key
        self._timing = timing
        self._client: Client | None = None
        self._log = ""
        self._retried = False
        self._dead_record: BridgeRecord | None = None
        self._shutting_down_until = 0.0

    @property
    def device(self) -> str:
        """What the bridge computes on, as it says."""
        return str(self.welcome.get("device", ""))

    @property
    def log_path(self) -> str:
        """The bridge's log file, or that of its failed start."""
        return self._log or str(self.process.log_path)

    def want(self, *, start: bool = False) -> None:
        """Move towards "ready": connect to a running bridge, or start one.

        :param start: the user asks for it: ignore the pause after failures and the automatic start's switch.
        """
        if self.state in ("starting", "connecting", "ready"):
            return
        self.error = None
        if start:
            self.process.failures = 0
        fixed = self._fixed_record()
        record = fixed or read_record()
        stale = record is not None and fixed is None and (not pid_alive(record.pid) or record == self._dead_record)
        if record is not None and not stale:
            self._connect(record)
        else:
            self._start(by_user=start)

    def _start(self, *, by_user: bool) -> None:
        try:
            if not by_user and not self._auto_start():
                raise UnderstudyError("bridge_not_running", "The bridge is not running.", "Press Start Bridge.")
            if not self.process.may_start():
                raise UnderstudyError(
                    "bridge_not_running", f"The bridge failed to start {self.process.failures} times in a row.",
                    f"Read {self.process.log_path}, then press Start Bridge.")
            self.process.start(self._command())
        except UnderstudyError as error:
            self._fail(error)
        else:
            self.state = "starting"

    def _connect(self, record: BridgeRecord) -> None:
        self._drop_client()
        try:
            key = self._key() if self._fixed_record() is not None else None
        except UnderstudyError as error:
            self._fail(error)
            return
        self._client = Client(record, self._name, self._timing, key)
        self._client.start()
        self.state = "connecting"

    def poll(self, limit: int = 1000) -> list[Message]:
        """Advance, and return at most ``limit`` messages that came."""
        if self.state == "starting":
            outcome, record = self.process.poll()
            if outcome == "ready" and record is not None:
                self._connect(record)
            elif outcome == "failed":
                self._fail(self.process.error or UnderstudyError("bridge_not_running", "The bridge did not start."))
        messages: list[Message] = []
        while self._client is not None and len(messages) < limit:
            try:
                item = self._client.inbox.get_nowait()
            except queue.Empty:
                break
            if isinstance(item, LinkEvent):
                self._on_event(item)
            else:
                messages.append(item)
        return messages

    def wait(self, seconds: float) -> list[Message]:
        """Like :meth:`poll`, but first wait up to ``seconds`` for something to come. For use without an event loop."""
        deadline = time.monotonic() + seconds
        while not (messages := self.poll()) and time.monotonic() < deadline:
            time.sleep(min(0.005, seconds))
        return messages

    def _on_event(self, event: LinkEvent) -> None:
        if event.kind == "connected":
            self.welcome = event.body or {}
            self._log = str(self.welcome.get("log", ""))
            self.state = "ready"
            self.epoch += 1
            self._retried = False
            self._dead_record = None
            _log.info("connected to %s", self.welcome.get("bridge"))
            return
        record = self._client.record if self._client else None
        self._drop_client()
        error = event.error
        assert error is not None
        if error.code in ("bridge_not_running", "bridge_lost"):
            self._dead_record = record
        if event.kind == "lost" and record is not None:
            code = self.process.exit_code()
            alive = code is None if self.process.pid == record.pid else pid_alive(record.pid)
            if alive and not self._retried:
                self._retried = True
                self._connect(record)
                return
            if code is not None:
                error = UnderstudyError("bridge_lost", f"The bridge stopped with exit code {code}.",
                                        f"Press Perform again to start it anew; its log is {record.log}.")
        nobody = event.kind == "failed" and error.code == "bridge_not_running" and not self._retried
        if nobody and self._fixed_record() is None and self._auto_start() and not self.process.running:
            # the lock file was left behind by a bridge that is gone, and its pid belongs to another process now
            self._start(by_user=False)
            return
        self._retried = False
        self._fail(error)

    def _fail(self, error: UnderstudyError) -> None:
        self.state = "failed"
        self.error = error
        self.welcome = {}

    def send(self, message: Message) -> None:
        """Send now. :raises UnderstudyError: ``bridge_not_running`` when not connected."""
        if self._client is None or self.state != "ready":
            raise UnderstudyError("bridge_not_running", "The bridge is not connected.", "Press Start Bridge.")
        self._client.send(message)

    def stop(self) -> None:
        """Disconnect, and end the bridge if it is this add-on's own."""
        if self._client is not None and self.state == "ready" and self.process.running:
            self._client.send(Message("shutdown"))
            self.process.wait(SHUTDOWN_SECONDS)
        self.close()
        self.process.stop()

    def close(self) -> None:
        """Disconnect; leave the bridge as it is."""
        self._drop_client()
        self.state = "off"
        self.error = None
        self.welcome = {}

    def _drop_client(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
