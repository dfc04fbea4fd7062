# SPDX-License-Identifier: GPL-3.0-or-later
"""One trial of a connection, beside the one that is in use: whether a bridge answers at an address, and what it says of itself."""

from __future__ import annotations

import queue
import time
from typing import Final

from ..shared.keys import ClientKey
from ..shared.state import BridgeRecord
from .client import Client, LinkEvent, Timing

__all__ = ["Trial"]

HELLO_SECONDS: Final = 5.0


class Trial:
    """Begins to connect at once; :meth:`poll` until it has something to say, then :meth:`close`."""

    def __init__(self, record: BridgeRecord, name: str, key: ClientKey | None = None, seconds: float = HELLO_SECONDS) -> None:
        self._client = Client(record, name, Timing(hello=seconds), key)
        self._began = time.monotonic()
        self._client.start()

    def poll(self) -> str | None:
        """A sentence about the bridge, or None while it is waited for. :raises UnderstudyError: why there is no connection."""
        try:
            event = self._client.inbox.get_nowait()
        except queue.Empty:
            return None
        if not isinstance(event, LinkEvent):
            return None
        if event.error is not None:
            raise event.error
        took = (time.monotonic() - self._began) * 1000
        welcome = event.body or {}
        device = f" on {welcome['device']}" if welcome.get("device") else ""
        waiting = int(welcome.get("queue", 0))
        trouble = (welcome.get("error") or {}).get("message", "")
        state = trouble or f"{welcome.get('state', 'ready')}, {waiting} job{'' if waiting == 1 else 's'} waiting"
        return f"Bridge {welcome.get('bridge')}{device} answered in {took:.0f} ms: {state}"

    def wait(self, seconds: float = 2 * HELLO_SECONDS) -> str:
        """Like :meth:`poll`, for use without an event loop. :raises UnderstudyError: why there is no connection."""
        until = time.monotonic() + seconds
        while (said := self.poll()) is None and time.monotonic() < until:
            time.sleep(0.01)
        return said or "The connection was neither made nor refused"

    def close(self) -> None:
        """End it; safe to call twice."""
        self._client.close()
