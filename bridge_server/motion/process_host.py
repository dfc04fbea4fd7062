# SPDX-License-Identifier: Apache-2.0
"""The other side of a generator in an environment of its own: runs one and speaks protocol 1 with the bridge.

The bridge puts a copy of this file, named ``understudy_generator``, and of the package ``shared`` on the path of the process
that it starts. So the environment needs numpy and pyzmq and nothing of the bridge::

    from understudy_generator import serve_generator

    class MyGenerator:
        def __init__(self, weights, device): ...
        def describe(self): return {"name": "mine", "licence": "MIT", "non_commercial": False}
        def perform(self, request, audio, report, chunk=None): ...

    serve_generator(MyGenerator)

The bridge writes one line of JSON to standard input, ``{"address", "identity", "token", "weights", "device"}``, and keeps it open as
long as it lives: its end is the end of this process. What is printed goes to the bridge's log.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import zmq

from shared import __version__, wire
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.protocol import Message, error_message
from shared.requests import MotionRequest, motion_to_buffers

__all__ = ["Speech", "serve_generator"]

_INTERVAL = 0.05
"""Seconds between two messages of progress in the same stage."""


@dataclass(frozen=True)
class Speech:
    """Decoded speech: samples (N,) float32, mono, in [-1, 1], and samples per second."""

    samples: np.ndarray
    rate: int = 16_000

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.rate


def serve_generator(make: Callable[[str, str], Any]) -> None:
    """Serve until the bridge ends; does not return.

    :param make: ``(weights, device)`` to a generator, as :class:`bridge_server.motion.generator.Generator` says.
    """
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the whole group; the bridge decides
    config = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    _Host(config).run(make)
    sys.stdout.flush()
    sys.stderr.flush()
    # interpreter teardown of native libraries has nothing left to do and is where they crash
    os._exit(0)


def _end_with_standard_input() -> None:
    while sys.stdin.buffer.read(1024):
        pass
    os._exit(0)


def _cancelled() -> UnderstudyError:
    return UnderstudyError("cancelled", "The job was cancelled.", "Perform again when you like.")


class _Host:
    """The main thread runs the generator; another one owns the socket, so that a cancel arrives meanwhile."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._context = zmq.Context()
        self._tasks: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._cancels: set[str] = set()
        self._out = self._context.socket(zmq.PAIR)
        self._out.linger = 2000
        self._out.bind("inproc://out")
        self._thread = threading.Thread(target=self._talk, name="bridge-socket", daemon=True)
        self._smaller = 0

    def run(self, make: Callable[[str, str], Any]) -> None:
        self._thread.start()
        self._send(Message("status", "load", {"state": "loading", "pid": os.getpid()}))
        try:
            generator = make(self._config["weights"], self._config["device"])
            facts = {"can_shrink": callable(getattr(generator, "shrink", None)), **generator.describe()}
            self._send(Message("welcome", "load", {"bridge": f"understudy_generator {__version__}", "models": [facts], "pid": os.getpid()}))
        except UnderstudyError as error:
            self._send(error_message("load", error))
        except Exception as error:  # the boundary of third-party code: reported, logged, never swallowed
            traceback.print_exc()
            self._send(error_message("load", _internal("The generator could not be loaded", error)))
        else:
            while (message := self._tasks.get()) is not None:
                self._send(self._job(generator, message))
        self._out.send_multipart([b""])
        self._thread.join(timeout=2)

    def _talk(self) -> None:
        inner = self._context.socket(zmq.PAIR)
        inner.connect("inproc://out")
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.IDENTITY, self._config["identity"].encode())
        socket.linger = 1000
        socket.connect(self._config["address"])
        poller = zmq.Poller()
        poller.register(inner, zmq.POLLIN)
        poller.register(socket, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if inner in ready:
                frames = inner.recv_multipart(copy=False)
                if not frames[0].bytes:
                    break
                socket.send_multipart(frames, copy=False)
            if socket in ready:
                self._take(wire.decode(socket.recv_multipart(copy=False), receiver="bridge"), socket)
        inner.close(0)
        socket.close()

    def _take(self, message: Message, socket: Any) -> None:
        if message.type == "cancel":
            self._cancels.add(message.id)
        elif message.type == "submit":
            self._tasks.put(message)
        elif message.type == "ping":
            socket.send_multipart(wire.encode(Message("pong", message.id, token=self._config["token"])))
        elif message.type == "shutdown":
            self._tasks.put(None)

    def _send(self, message: Message) -> None:
        message.token = self._config["token"]
        self._out.send_multipart(wire.encode(message), copy=False)

    def _job(self, generator: Any, message: Message) -> Message:
        try:
            for _ in range(int(message.body.get("smaller", 0)) - self._smaller):
                self._smaller += 1
                generator.shrink()
            return self._perform(generator, message)
        except UnderstudyError as error:
            return error_message(message.id, error)
        except MemoryError as error:
            return error_message(message.id, UnderstudyError("out_of_memory", f"The generator ran out of memory ({error}).",
                                                             "Perform a shorter stretch."))
        except Exception as error:
            traceback.print_exc()
            if "out of memory" in str(error).lower():
                return error_message(message.id, UnderstudyError("out_of_memory", f"The generator ran out of memory ({error}).",
                                                                 "Perform a shorter stretch."))
            return error_message(message.id, _internal("The performance failed", error))

    def _perform(self, generator: Any, message: Message) -> Message:
        request = MotionRequest.from_message(message)
        samples = message.buffers.get("speech")
        audio = None if samples is None else Speech(samples, int(message.body["speech_rate"]))
        last = ["", -1.0]

        def check() -> None:
            if message.id in self._cancels:
                raise _cancelled()

        def report(stage: str, fraction: float) -> None:
            check()
            now = time.monotonic()
            if stage != last[0] or now - float(last[1]) >= _INTERVAL:
                last[:] = [stage, now]
                fraction = min(max(float(fraction), 0.0), 1.0)
                self._send(Message("progress", message.id, {"stage": stage[:64], "fraction": fraction}))

        def chunk(first_frame: int, part: Motion) -> None:
            check()
            body, buffers = motion_to_buffers(part)
            self._send(Message("chunk", message.id, {"first_frame": int(first_frame), **body}, buffers))

        report("starting", 0.0)
        motion = generator.perform(request, audio, report, chunk)
        return Message("result", message.id, *motion_to_buffers(motion))


def _internal(what: str, error: BaseException) -> UnderstudyError:
    return UnderstudyError("internal", f"{what} ({type(error).__name__}: {str(error)[:500]}).", "Send the log file with a report.")
