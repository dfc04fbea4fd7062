# SPDX-License-Identifier: Apache-2.0
"""A small blocking client of the bridge, for the command line, tools and tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import zmq
from zmq.utils.monitor import recv_monitor_message

from bridge_server import __version__
from shared import wire
from shared.errors import UnderstudyError
from shared.keys import ClientKey
from shared.motion import Motion
from shared.protocol import Message, new_id
from shared.requests import MotionRequest, check_request, motion_from_message
from shared.state import lock_file, read_record

__all__ = ["Client", "Progress", "connect"]

HELLO_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 10.0
LOST_SECONDS: Final = 3.0
"""How long a broken connection may take to come back before the job is given up."""

Progress = Callable[[str, float, "float | None"], None]
"""Takes stage, fraction and seconds left (or None)."""
Part = Callable[[int, Motion], None]


class Client:
    """One connection. Not for use by several threads.

    :param address: ZeroMQ endpoint of the bridge.
    :param token: the bridge's session token.
    :param key: for a bridge on another machine.
    :param log: the bridge's log file, named when the bridge is lost.
    """

    def __init__(
        self, address: str, token: str = "", *, log: str = "", pid: int | None = None, key: ClientKey | None = None
    ) -> None:
        self.address = address
        self._token = token
        self._log = log
        self._pid = pid
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        if key is not None:
            self._socket.curve_serverkey = key.bridge.encode()
            self._socket.curve_publickey, self._socket.curve_secretkey = key.public.encode(), key.secret.encode()
        # the default waits 0.1 s after each failure; a bridge that restarts on its port is found at once
        self._socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        )
        self._lost_at: float | None = None
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise UnderstudyError(
                "bridge_not_running",
                f"{address!r} is not an address that can be connected to ({error}).",
                "Write it as tcp://127.0.0.1:40123.",
            ) from error

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        if not self._context.closed:
            self._socket.disable_monitor()
            self._monitor.close(0)
            self._socket.close(0)
            self._context.term()

    def send(self, message: Message) -> None:
        """Send one message under this client's token."""
        message.token = message.token or self._token
        self._socket.send_multipart(wire.encode(message), copy=False)

    def receive(self, seconds: float) -> Message | None:
        """The next message, or None when none came in time.

        :raises UnderstudyError: ``bridge_lost`` when the connection broke and did not come back, ``bad_message``,
            ``version_mismatch``.
        """
        until = time.monotonic() + seconds
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        while True:
            left = until - time.monotonic()
            if self._lost_at is not None:
                left = min(left, 0.1)
            ready = dict(poller.poll(max(0, int(left * 1000))))
            if self._monitor in ready:
                event = recv_monitor_message(self._monitor)["event"]
                if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                    raise UnderstudyError(
                        "unauthorised",
                        f"The bridge at {self.address} does not know this client's key.",
                        "Make a key for it on the bridge's machine with 'understudy keys add NAME'.",
                    )
                self._lost_at = time.monotonic() if event == zmq.EVENT_DISCONNECTED else None
            if self._socket in ready:
                return wire.decode(self._socket.recv_multipart(copy=False), receiver="client")
            self._check_lost()
            if time.monotonic() >= until:
                return None

    def _check_lost(self) -> None:
        if self._lost_at is None:
            return
        gone = self._pid is not None and not psutil.pid_exists(self._pid)
        if gone or time.monotonic() - self._lost_at > LOST_SECONDS:
            raise self._logged(
                UnderstudyError(
                    "bridge_lost",
                    "The bridge ended, or the connection to it broke, before the answer came.",
                    "Start the bridge and perform again.",
                )
            )

    def _logged(self, error: UnderstudyError) -> UnderstudyError:
        error.log = self._log
        return error

    def ask(self, message: Message, seconds: float = ANSWER_SECONDS) -> Message:
        """Send a question and wait for the answer that carries its id.

        :raises UnderstudyError: what the bridge answers, or ``timeout``.
        """
        self.send(message)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            answer = self.receive(left)
            if answer is not None and answer.id == message.id:
                return answer.raise_if_error()
        raise self._logged(
            UnderstudyError(
                "timeout", f"The bridge did not answer within {seconds:g} s.", "Try again, or restart the bridge."
            )
        )

    def hello(self, seconds: float = HELLO_SECONDS) -> dict[str, Any]:
        """The body of ``welcome``. :raises UnderstudyError: ``bridge_not_running`` when nothing answers."""
        try:
            return self.ask(Message("hello", new_id(), {"client": f"understudy-cli {__version__}"}), seconds).body
        except UnderstudyError as error:
            if error.code not in ("timeout", "bridge_lost"):
                raise
            raise UnderstudyError(
                "bridge_not_running",
                f"No bridge answers at {self.address}.",
                "Check the address, the port and the key, or start a bridge with 'understudy serve'.",
            ) from error

    def perform(
        self,
        request: MotionRequest,
        progress: Progress | None = None,
        part: Part | None = None,
        *,
        id: str | None = None,
        seconds: float | None = None,
    ) -> Motion:
        """Submit a request and wait for its motion.

        :param part: receives (first frame, frames that are final) while the rest is being made.
        :param seconds: how long to wait at most; None for as long as it takes.
        :raises UnderstudyError: what is wrong with the request, what the bridge answers, ``bridge_lost``, ``timeout``.
        """
        check_request(request)
        message = request.to_message(id)
        self.send(message)
        try:
            return self.wait(message.id, progress, part, seconds=seconds)
        except KeyboardInterrupt:
            self.send(Message("cancel", message.id))
            raise

    def wait(
        self, job: str, progress: Progress | None = None, part: Part | None = None, *, seconds: float | None = None
    ) -> Motion:
        """The motion of a job that this connection submitted or fetches; parameters as in :meth:`perform`."""
        until = None if seconds is None else time.monotonic() + seconds
        while until is None or time.monotonic() < until:
            message = self.receive(1.0 if until is None else min(1.0, max(0.0, until - time.monotonic())))
            if message is None or message.id != job:
                continue
            message.raise_if_error()
            if message.type == "progress" and progress is not None:
                progress(message.body["stage"], message.body["fraction"], message.body.get("eta"))
            elif message.type == "chunk" and part is not None:
                part(message.body["first_frame"], motion_from_message(message))
            elif message.type == "result":
                motion = motion_from_message(message)
                motion.metadata = {**motion.metadata, "stages": message.body.get("stages", {})}
                return motion
        raise self._logged(
            UnderstudyError("timeout", f"The job was not done within {seconds:g} s.", "Wait longer, or cancel it.")
        )

    def fetch(
        self, job: str, progress: Progress | None = None, part: Part | None = None, *, seconds: float | None = None
    ) -> Motion:
        """The motion of a job submitted before, on this or another connection; parameters as in :meth:`perform`."""
        self.send(Message("fetch", job, {"job": job}))
        return self.wait(job, progress, part, seconds=seconds)

    def cancel(self, job: str) -> None:
        """Ask for a job to be stopped; the answer arrives where the job is waited for."""
        self.send(Message("cancel", job, {"job": job}))

    def status(self, job: str | None = None) -> dict[str, Any]:
        """What the bridge, or one job, is doing."""
        return self.ask(Message("status", new_id(), {} if job is None else {"job": job})).body

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs that the bridge remembers and this client may see."""
        found: list[dict[str, Any]] = self.ask(Message("list")).body["jobs"]
        return found

    def shutdown(self) -> None:
        """Stop the bridge. :raises UnderstudyError: ``timeout``."""
        self.ask(Message("shutdown"))


def read_audio(path: Path) -> np.ndarray:
    """A file as the uint8 buffer of a request.

    :raises UnderstudyError: ``file_missing``, ``audio_empty``, ``request_too_large``.
    """
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no file {path}.", "Check the path of the audio.")
    size = path.stat().st_size
    if size == 0:
        raise UnderstudyError(
            "audio_empty", f"{path.name} is empty (0 bytes).", "Export the sound again, or choose another file."
        )
    if size > wire.LIMITS.total_bytes - (1 << 20):
        raise UnderstudyError(
            "request_too_large",
            f"{path.name} has {size >> 20} MB; {wire.LIMITS.total_bytes >> 20} MB can be sent.",
            "Cut the sound into parts, or save it as FLAC, OGG or MP3.",
        )
    return np.fromfile(path, dtype=np.uint8)


@contextmanager
def connect(state_dir: Path, address: str | None = None, token: str = "", key: Path | None = None) -> Iterator[Client]:
    """A connected client that has been welcomed.

    :param state_dir: where the lock file lies, unless ``address`` is given.
    :raises UnderstudyError: ``bridge_not_running``, ``version_mismatch``, ``unauthorised``.
    """
    if address is not None:
        client = Client(address, token, key=ClientKey.load(key) if key else None)
    else:
        record = read_record(state_dir)
        if record is None:
            raise UnderstudyError(
                "bridge_not_running",
                f"No bridge is running (there is no {lock_file(state_dir)}).",
                "Start one with 'understudy serve'.",
            )
        if not psutil.pid_exists(record.pid):
            raise UnderstudyError(
                "bridge_not_running",
                f"The bridge (process {record.pid}) has ended without cleaning up.",
                f"Start one with 'understudy serve'; the old one's log file is {record.log}.",
            )
        client = Client(record.address, record.token, log=record.log, pid=record.pid)
    with client:
        client.hello()
        yield client
