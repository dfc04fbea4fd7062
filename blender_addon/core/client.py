# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire to the bridge: one worker thread with a DEALER socket, two queues to the rest of the add-on.

The main thread never touches a socket: it puts messages into :meth:`Client.send` and takes messages
and :class:`LinkEvent` s out of :attr:`Client.inbox`.
"""

from __future__ import annotations

import logging
import queue
import socket
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from ..shared.errors import UnderstudyError
from ..shared.keys import ClientKey
from ..shared.protocol import Message, new_id
from ..shared.state import BridgeRecord
from ..shared.wire import decode, encode

__all__ = ["Client", "LinkEvent", "Timing"]

_log = logging.getLogger("understudy.client")
_JOIN_SECONDS: Final = 2.0


@dataclass(frozen=True)
class LinkEvent:
    """Something that happened to the connection itself.

    :ivar kind: "connected" (``body`` is the bridge's welcome), "lost" or "failed" (``error`` says why).
    """

    kind: Literal["connected", "lost", "failed"]
    body: dict[str, Any] | None = None
    error: UnderstudyError | None = None


@dataclass(frozen=True)
class Timing:
    """Seconds: how often to ping, how long silence is borne, how long the first answer and a reconnect may take."""

    ping: float = 1.0
    silence: float = 15.0
    hello: float = 10.0
    reconnect: float = 1.5


class Client:
    """One connection to one bridge, from :meth:`start` to :meth:`close`.

    After a "lost" or "failed" event the thread has ended and the client is only good for :meth:`close`.

    :param record: the bridge's address and token, from its lock file.
    :param name: what the bridge's log calls this client.
    :param key: by which a bridge on another machine knows this client, and the client the bridge.
    """

    def __init__(self, record: BridgeRecord, name: str, timing: Timing | None = None, key: ClientKey | None = None) -> None:
        self.record = record
        self._key = key
        self.inbox: queue.Queue[Message | LinkEvent] = queue.Queue()
        self._name = name
        self._timing = timing or Timing()
        self._outbox: queue.Queue[Message] = queue.Queue()
        self._stop = threading.Event()
        # a pair of plain sockets wakes the thread from its poll: ZeroMQ's own must not be touched by two threads
        self._listener, self._bell = socket.socketpair()
        for end in (self._listener, self._bell):
            end.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="understudy-client", daemon=True)
        self._hello_id = new_id()
        self._welcomed = False
        self._identity = new_id().encode()

    def start(self) -> None:
        """Begin to connect; the outcome comes as a :class:`LinkEvent`."""
        self._thread.start()

    def send(self, message: Message) -> None:
        """Hand a message to the thread; its arrays must not be changed any more."""
        self._outbox.put(message)
        self._ring()

    def close(self) -> None:
        """Close the socket and end the thread; waits for it, but not for a bridge that is silent. Safe to call twice."""
        if self._bell.fileno() == -1:
            return
        self._stop.set()
        self._ring()
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)
        self._bell.close()
        if not self._thread.is_alive():
            self._listener.close()

    def _ring(self) -> None:
        try:
            self._bell.send(b".")
        except BlockingIOError:
            return  # it is ringing already

    def _run(self) -> None:
        try:
            import zmq
        except ImportError:
            self._fail("failed", UnderstudyError(
                "unsupported", "The messaging library pyzmq is missing from this Blender.",
                "Install the add-on from the zip file for your platform, which brings it along."))
            return
        context = zmq.Context()
        try:
            self._serve(zmq, context)
        except zmq.ZMQError as error:
            _log.exception("socket failed")
            self._fail("failed", UnderstudyError(
                "bridge_not_running", f"The bridge cannot be reached at {self.record.address} ({error}).",
                "Check the bridge's address in the preferences."))
        finally:
            # every socket is closed by now with linger 0, otherwise term() would wait for unsent messages
            context.destroy(linger=0)

    def _fail(self, kind: Literal["lost", "failed"], error: UnderstudyError) -> None:
        if not self._stop.is_set():
            _log.warning("%s: %s", kind, error)
            self.inbox.put(LinkEvent(kind, error=error))

    def _serve(self, zmq: Any, context: Any) -> None:
        from zmq.utils.monitor import recv_monitor_message

        dealer = context.socket(zmq.DEALER)
        dealer.linger = 0
        # the same identity after a reconnect, so that answers to earlier messages still arrive
        dealer.setsockopt(zmq.ROUTING_ID, self._identity)
        dealer.setsockopt(zmq.SNDHWM, 0)
        dealer.setsockopt(zmq.RCVHWM, 0)
        monitor = dealer.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        try:
            if self._key is not None:
                self._lock_with_key(zmq, dealer, self._key)
            dealer.connect(self.record.address)
            self._loop(zmq, dealer, monitor, recv_monitor_message)
        finally:
            dealer.disable_monitor()
            monitor.close(0)
            dealer.close(0)

    @staticmethod
    def _lock_with_key(zmq: Any, dealer: Any, key: ClientKey) -> None:
        dealer.curve_serverkey = key.bridge.encode()
        dealer.curve_publickey, dealer.curve_secretkey = key.public.encode(), key.secret.encode()
        # a machine that has gone without a word is noticed in half a minute, also where a firewall forgets idle connections
        dealer.setsockopt(zmq.HEARTBEAT_IVL, 10_000)
        dealer.setsockopt(zmq.HEARTBEAT_TIMEOUT, 30_000)

    def _loop(self, zmq: Any, dealer: Any, monitor: Any, recv_monitor_message: Any) -> None:
        timing = self._timing
        poller = zmq.Poller()
        for source in (dealer, monitor, self._listener):
            poller.register(source, zmq.POLLIN)
        self._transmit(dealer, Message("hello", self._hello_id, {"client": self._name}))
        began = heard = pinged = time.monotonic()
        dropped: float | None = None
        while not self._stop.is_set():
            ready = dict(poller.poll(int(timing.ping * 250)))
            now = time.monotonic()
            if self._listener.fileno() in ready:
                self._listener.recv(4096)
            if monitor in ready:
                event = recv_monitor_message(monitor)["event"]
                if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                    self._fail("failed", UnderstudyError(
                        "unauthorised", f"The bridge at {self.record.address} does not know this computer's key.",
                        "Make a key with 'understudy keys add NAME' there, and name its file in the preferences."))
                    return
                dropped = now if event == zmq.EVENT_DISCONNECTED else None
            if dealer in ready:
                heard = now
                if not self._receive(zmq, dealer):
                    return
            if self._welcomed:
                while not self._outbox.empty():
                    self._transmit(dealer, self._outbox.get())
                if now - pinged >= timing.ping:
                    pinged = now
                    self._transmit(dealer, Message("ping"))
                gone = dropped is not None and now - dropped > timing.reconnect
                if gone or now - heard > timing.silence:
                    self._fail("lost", UnderstudyError(
                        "bridge_lost", "The bridge stopped answering." if not gone else "The bridge went away.",
                        f"Press Perform again to start it anew; its log is {self.record.log or 'in the state folder'}."))
                    return
            elif now - began > timing.hello:
                self._fail("failed", UnderstudyError(
                    "bridge_not_running", f"No bridge answers at {self.record.address}.",
                    "Start the bridge, or correct its address in the preferences." if self._key is None else
                    "Start the bridge there, or correct its address and server key in the preferences."))
                return

    def _transmit(self, dealer: Any, message: Message) -> None:
        try:
            frames = encode(replace(message, token=self.record.token))
        except (UnderstudyError, ValueError) as error:
            shown = error if isinstance(error, UnderstudyError) else UnderstudyError(
                "request_invalid", f"The request holds a value that cannot be sent ({error}).", "Correct it and perform again.")
            self.inbox.put(Message("error", message.id, shown.to_json()))
            return
        dealer.send_multipart(frames, copy=False)

    def _receive(self, zmq: Any, dealer: Any) -> bool:
        """Take in all that has come; False when the connection is at its end."""
        while True:
            try:
                frames = dealer.recv_multipart(flags=zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return True
            try:
                message = decode(frames, receiver="client")
            except UnderstudyError as error:
                self._fail("failed", error)
                return False
            if message.type == "pong":
                continue
            if message.id == self._hello_id:
                if message.type == "error":
                    self._fail("failed", UnderstudyError.from_json(message.body))
                    return False
                if message.type == "welcome":
                    self._welcomed = True
                    self.inbox.put(LinkEvent("connected", body=message.body))
                continue
            self.inbox.put(message)
