# SPDX-License-Identifier: Apache-2.0
"""Keys for clients on other machines: CURVE, ZeroMQ's own encryption and authentication.

``keys/bridge.json`` holds the bridge's own pair, ``keys/clients/NAME.pub`` one public key of each client that may
connect. A client gets a file with its own pair and the bridge's public key. The folder is read at every handshake, so
that a key that is added or removed counts at once for new connections.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, Final

import zmq
import zmq.utils.z85

from shared.errors import UnderstudyError
from shared.keys import ClientKey

__all__ = ["Authenticator", "KeyRing"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
ZAP: Final = "inproc://zeromq.zap.01"
DOMAIN: Final = "understudy"


def _write_private(path: Path, data: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(data, file)
    temporary.replace(path)


class KeyRing:
    """The keys of one state folder."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "keys"
        self._clients = self._folder / "clients"

    def bridge(self) -> tuple[str, str]:
        """(public, secret) of the bridge in Z85; made when there is none yet."""
        path = self._folder / "bridge.json"
        if not path.is_file():
            public, secret = zmq.curve_keypair()
            _write_private(path, {"public": public.decode(), "secret": secret.decode()})
        data = json.loads(path.read_text(encoding="utf-8"))
        return data["public"], data["secret"]

    def add(self, name: str) -> ClientKey:
        """Make a pair for a client and let it in; its secret is kept nowhere but in the returned value.

        :raises UnderstudyError: ``request_invalid`` for a name that is taken or cannot be one.
        """
        if not _NAME.fullmatch(name):
            raise UnderstudyError(
                "request_invalid",
                f"{name!r} cannot be the name of a client.",
                "Use letters, digits, - and _, 64 at most.",
            )
        path = self._clients / f"{name}.pub"
        if path.exists():
            raise UnderstudyError(
                "request_invalid",
                f"There is already a client named {name}.",
                "Remove it first with 'understudy keys remove', or choose another name.",
            )
        public, secret = zmq.curve_keypair()
        self._clients.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        temporary.write_text(public.decode() + "\n", encoding="ascii")
        temporary.replace(path)
        return ClientKey(name, public.decode(), secret.decode(), self.bridge()[0])

    def remove(self, name: str) -> None:
        """Shut a client out. :raises UnderstudyError: ``not_found``."""
        path = self._clients / f"{name}.pub"
        if not _NAME.fullmatch(name) or not path.exists():
            raise UnderstudyError(
                "not_found", f"There is no client named {name!r}.", "List them with 'understudy keys list'."
            )
        path.unlink()

    def clients(self) -> dict[str, str]:
        """Public key of each client by name."""
        found = {}
        for path in sorted(self._clients.glob("*.pub")):
            found[path.stem] = path.read_text(encoding="ascii").strip()
        return found


class Authenticator:
    """Answers ZeroMQ's question whether a key may connect (ZAP, RFC 27), in the bridge's own loop.

    :ivar socket: to be polled; :meth:`answer` is due when it is readable.
    """

    def __init__(self, context: zmq.Context[Any], ring: KeyRing) -> None:
        self._ring = ring
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(ZAP)

    def answer(self, frames: list[Any]) -> str | None:
        """Let one handshake through or not; returns the client's name, or None when it was refused."""
        parts = [bytes(f.buffer) for f in frames]
        # [identity, empty, version, request id, domain, address, identity, mechanism, key]
        request = parts[3] if len(parts) > 3 else b""
        name = None
        if len(parts) == 9 and parts[2] == b"1.0" and parts[4] == DOMAIN.encode() and parts[7] == b"CURVE":
            key = zmq.utils.z85.encode(parts[8]).decode()
            name = next((n for n, public in self._ring.clients().items() if public == key), None)
        verdict = [b"200", b"OK", name.encode()] if name else [b"400", b"unknown key", b""]
        self.socket.send_multipart([parts[0], b"", b"1.0", request, *verdict, b""])
        return name
