# SPDX-License-Identifier: Apache-2.0
"""The sockets that clients connect to: one on loopback with a token, and one for other machines with keys."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import zmq

from shared import wire
from shared.errors import UnderstudyError
from shared.protocol import Message

from .keys import DOMAIN, Authenticator, KeyRing
from .life import log_event
from .settings import LOOPBACK, Settings

__all__ = ["LOCAL", "Front", "Peer"]

LOCAL: Final = "local"
"""Owner of the jobs that come over loopback."""
_MOST: Final = 64


class Peer(NamedTuple):
    """A connection.

    :ivar lane: index of the socket that it came by.
    :ivar identity: ZeroMQ's name for it.
    :ivar owner: "local", or the name of the client's key.
    """

    lane: int
    identity: bytes
    owner: str


class Front:
    """Binds, receives, sends.

    :ivar address: endpoint on loopback.
    :ivar remote: endpoint for other machines, or "".
    """

    def __init__(self, context: zmq.Context[Any], settings: Settings) -> None:
        self._context = context
        self._lanes: list[zmq.Socket[bytes]] = []
        self._authenticator: Authenticator | None = None
        self.remote = ""
        try:
            outside = settings.host not in LOOPBACK
            ring = KeyRing(settings.state_dir)
            if outside and not ring.clients():
                raise UnderstudyError(
                    "unsupported",
                    f"Listening on {settings.host} is refused: without keys anybody could use the bridge.",
                    "Make a key for each client with 'understudy keys add NAME', or listen on 127.0.0.1.",
                )
            keyed = outside or settings.curve
            self.address = self._bind("127.0.0.1" if outside else settings.host, 0 if keyed else settings.port, None)
            if keyed:
                self._authenticator = Authenticator(context, ring)
                self.remote = self._bind(settings.host, settings.port, ring)
        except UnderstudyError:
            self.close()
            raise

    def _bind(self, host: str, port: int, ring: KeyRing | None) -> str:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._lanes.append(socket)
        socket.linger = 1000
        socket.setsockopt(zmq.MAXMSGSIZE, wire.LIMITS.total_bytes)
        # a send to a client that has gone fails visibly rather than silently
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        if ring is not None:
            public, secret = ring.bridge()
            socket.curve_server = True
            socket.curve_publickey, socket.curve_secretkey = public.encode(), secret.encode()
            socket.zap_domain = DOMAIN.encode()
            # a client whose machine vanished is forgotten after half a minute
            socket.setsockopt(zmq.HEARTBEAT_IVL, 10_000)
            socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 30_000)
        host = "127.0.0.1" if host == "localhost" else host
        if ":" in host:
            socket.setsockopt(zmq.IPV6, 1)
            host = f"[{host}]"
        try:
            socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError as error:
            raise UnderstudyError(
                "bridge_not_running",
                f"The bridge cannot listen on {host}, port {port} ({error}).",
                "Choose another --port, or 0 to let the system choose a free one.",
            ) from error
        return str(socket.getsockopt_string(zmq.LAST_ENDPOINT))

    def register(self, poller: zmq.Poller) -> None:
        """Let a poller wait for these sockets."""
        for socket in self._lanes:
            poller.register(socket, zmq.POLLIN)
        if self._authenticator is not None:
            poller.register(self._authenticator.socket, zmq.POLLIN)

    def receive(self, ready: dict[Any, int], take: Callable[[Peer, Sequence[Any]], None]) -> None:
        """Hand over what has arrived, a bounded number of messages so that others get their turn."""
        if self._authenticator is not None and self._authenticator.socket in ready:
            drain(self._authenticator.socket, self._handshake)
        for lane, socket in enumerate(self._lanes):
            if socket in ready:
                for frames in received(socket):
                    owner = LOCAL if lane == 0 else str(frames[-1].get("User-Id"))
                    take(Peer(lane, frames[0].bytes, owner), frames[1:])

    def _handshake(self, frames: Sequence[Any]) -> None:
        assert self._authenticator is not None
        name = self._authenticator.answer(list(frames))
        log_event(
            "client.handshake",
            name=name,
            outcome="accepted" if name else "unknown key",
            level=logging.INFO if name else logging.WARNING,
        )

    def send(self, peer: Peer, content: Message | Sequence[Any]) -> None:
        """Send a message, or ready frames, without waiting and without copying."""
        frames = wire.encode(content) if isinstance(content, Message) else content
        try:
            self._lanes[peer.lane].send_multipart([peer.identity, *frames], zmq.NOBLOCK, copy=False)
        except zmq.ZMQError as error:
            # a client that has gone, or does not read: its result is kept for fetch
            log_event("client.unreachable", client=peer.identity.hex(), why=error.strerror, level=logging.DEBUG)

    def close(self) -> None:
        """Close the sockets; what was sent last still leaves."""
        for socket in self._lanes:
            socket.close()
        if self._authenticator is not None:
            self._authenticator.socket.close(0)


def received(socket: zmq.Socket[bytes]) -> list[list[zmq.Frame]]:
    """What a socket holds, at most :data:`_MOST` messages."""
    messages: list[list[zmq.Frame]] = []
    while len(messages) < _MOST:
        try:
            messages.append(socket.recv_multipart(zmq.NOBLOCK, copy=False))
        except zmq.Again:
            break
    return messages


def drain(socket: zmq.Socket[bytes], take: Callable[[Sequence[Any]], None]) -> None:
    """Hand over what a socket holds."""
    for frames in received(socket):
        take(frames)
