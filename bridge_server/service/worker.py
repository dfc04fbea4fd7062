# SPDX-License-Identifier: Apache-2.0
"""The worker process: holds the models and does one job at a time.

Started by the bridge as ``python -m bridge_server.service.worker`` with one line of JSON on standard
input: ``{"address", "identity", "performer": "module:attribute", "options": {…}}``. The worker connects to
the bridge's inner ROUTER under that identity, which nobody else knows. Standard input stays open as long
as the bridge lives; its end is the end of the worker, however the bridge ended.

To the bridge: ``[b"state", JSON]`` (loading, ready, failed, unloaded), ``[b"facts", JSON]`` (what else it can do),
``[b"job", header, buffer, …]`` (a message for the client as in :mod:`shared.wire`). From the bridge:
``[b"job", header, buffer, …]``, ``[b"cancel", id]``, ``[b"unload"]``, ``[b"stop"]``.

Two threads: the main one runs the model, the other one owns the socket, so that a cancel arrives while the model is
busy. The cancel takes effect at the next report of progress or at the next call of a torch module.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import zmq

from shared import wire
from shared.errors import UnderstudyError
from shared.protocol import Message, error_message

__all__ = [
    "Performer",
    "Worker",
    "cancelled",
    "internal_error",
    "main",
    "out_of_memory",
    "resolve",
    "stop_between_layers",
]

LOGGER = logging.getLogger("understudy.worker")
PROGRESS_INTERVAL = 0.05


class Performer(Protocol):
    """What a worker runs; made once from the options that the bridge was started with."""

    def load(self) -> dict[str, Any]:
        """Load the models and describe them. :raises UnderstudyError: with a sentence for the user."""

    def unload(self) -> None:
        """Give the memory of the models back; the next job loads them again."""

    def perform(
        self,
        message: Message,
        report: Callable[[str, float], None],
        chunk: Callable[[int, dict[str, Any], dict[str, np.ndarray]], None],
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Do the job of a ``submit``; returns body and buffers of its ``result``."""

    def shrink(self, error: BaseException) -> bool:
        """After running out of memory: arrange to need less on the next try; False when there is nothing to reduce."""

    def too_little_memory(self, message: Message, detail: str) -> UnderstudyError:
        """What to tell the user when it did not help: ``out_of_memory`` with the figure that would fit.

        :param detail: what the library said.
        """


def cancelled() -> UnderstudyError:
    """The error by which a cancel leaves the model."""
    return UnderstudyError("cancelled", "The job was cancelled.", "Perform again when you like.")


def stop_between_layers(check: Callable[..., None]) -> bool:
    """Call ``check`` before every torch module, so that it can stop a model between two layers and not only between two
    steps; False while torch has not been imported."""
    if (torch := sys.modules.get("torch")) is None:
        return False
    torch.nn.modules.module.register_module_forward_pre_hook(check)
    return True


class _Cancel:
    """Which jobs are to stop; shared by the two threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._current: str | None = None
        self.wanted = threading.Event()

    def begin(self, job: str) -> None:
        with self._lock:
            self._current = job
            self.wanted.clear()
            if job in self._ids:
                self.wanted.set()

    def end(self) -> None:
        with self._lock:
            self._ids.discard(self._current or "")
            self._current = None
            self.wanted.clear()

    def ask(self, job: str) -> None:
        with self._lock:
            self._ids.add(job)
            if job == self._current:
                self.wanted.set()

    def check(self, *_: Any) -> None:
        if self.wanted.is_set():
            raise cancelled()


class Worker:
    """Runs a :class:`Performer` for the bridge."""

    def __init__(self, address: str, identity: str, performer: Performer) -> None:
        self._address = address
        self._identity = identity.encode()
        self._performer = performer
        self._context = zmq.Context()
        self._tasks: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._cancel = _Cancel()
        self._out = self._context.socket(zmq.PAIR)
        self._out.linger = 2000
        self._out.bind("inproc://out")
        self._hooked = False
        self._thread = threading.Thread(target=self._talk, name="bridge-socket", daemon=True)

    def run(self) -> None:
        """Serve until told to stop."""
        self._thread.start()
        self._load()
        facts: Callable[[], dict[str, Any]] | None = getattr(self._performer, "facts", None)
        if facts is not None:
            self._tasks.put(("facts", None))
        while True:
            task, argument = self._tasks.get()
            if task == "stop":
                break
            if task == "facts" and facts is not None:
                # nobody waits for these; a job comes first
                if self._tasks.empty():
                    self._send([b"facts", json.dumps(facts()).encode()])
                else:
                    self._tasks.put(("facts", None))
                continue
            if task == "unload":
                self._performer.unload()
                self._state("unloaded")
            else:
                self._job(argument)
        self._send([b"bye"])
        self._thread.join(timeout=2)
        self._out.close(0)
        self._context.term()

    def _talk(self) -> None:
        """The socket's thread."""
        inner = self._context.socket(zmq.PAIR)
        inner.connect("inproc://out")
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.IDENTITY, self._identity)
        socket.linger = 1000
        socket.connect(self._address)
        poller = zmq.Poller()
        poller.register(inner, zmq.POLLIN)
        poller.register(socket, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if inner in ready:
                frames = inner.recv_multipart(copy=False)
                if frames[0].bytes == b"bye":
                    break
                socket.send_multipart(frames, copy=False)
            if socket in ready:
                frames = socket.recv_multipart(copy=False)
                tag = frames[0].bytes
                if tag == b"cancel":
                    self._cancel.ask(frames[1].bytes.decode())
                elif tag == b"job":
                    self._tasks.put(("job", frames[1:]))
                else:
                    self._tasks.put((tag.decode(), None))
        inner.close(0)
        socket.close()

    def _send(self, frames: Sequence[Any]) -> None:
        self._out.send_multipart(frames, copy=False)

    def _message(self, message: Message) -> None:
        self._send([b"job", *wire.encode(message)])

    def _state(self, state: str, **facts: Any) -> None:
        self._send([b"state", json.dumps({"state": state, "pid": os.getpid(), **facts}).encode()])

    def _load(self) -> bool:
        self._state("loading")
        began = time.monotonic()
        try:
            description = self._performer.load()
        except UnderstudyError as error:
            self._state("failed", error=error.to_json())
            return False
        except Exception as error:  # the boundary of third-party model code: reported, logged, never swallowed
            LOGGER.exception("loading failed")
            self._state("failed", error=internal_error("The model could not be loaded", error).to_json())
            return False
        self._hook()
        self._state(
            "ready", models=[description], device=description.get("device", ""), seconds=time.monotonic() - began
        )
        return True

    def _hook(self) -> None:
        if not self._hooked:
            self._hooked = stop_between_layers(self._cancel.check)

    def _job(self, frames: Sequence[Any]) -> None:
        message = wire.decode(frames, receiver="bridge")
        self._cancel.begin(message.id)
        try:
            self._cancel.check()
            result = self._attempts(message)
        except UnderstudyError as error:
            result = error_message(message.id, error)
        except Exception as error:
            LOGGER.exception("job %s failed", message.id)
            result = error_message(message.id, internal_error("The performance failed", error))
        finally:
            self._cancel.end()
        self._hook()
        self._message(result)

    def _attempts(self, message: Message) -> Message:
        for again in (True, False):
            try:
                return self._attempt(message)
            except Exception as error:
                # an error that is not retryable says that the generator has tried with less itself
                if not out_of_memory(error) or (isinstance(error, UnderstudyError) and not error.retryable):
                    raise
                detail = str(error)
                LOGGER.warning("job %s ran out of memory: %s", message.id, detail)
            # outside the handler, where the failed attempt's tensors are no longer held by its traceback
            if not (again and self._performer.shrink(MemoryError(detail))):
                break
            smaller = {"stage": "again with less memory", "fraction": 0.0, "eta": None}
            self._message(Message("progress", message.id, smaller))
        raise self._performer.too_little_memory(message, detail)

    def _attempt(self, message: Message) -> Message:
        progress = _Progress(message.id, self._message, self._cancel.check)

        def chunk(first_frame: int, body: dict[str, Any], buffers: dict[str, np.ndarray]) -> None:
            self._cancel.check()
            self._message(Message("chunk", message.id, {"first_frame": first_frame, **body}, buffers))

        progress("starting", 0.0)
        body, buffers = self._performer.perform(message, progress, chunk)
        return Message("result", message.id, {**body, "stages": progress.stages()}, buffers)


class _Progress:
    """Sends progress with a time that is left; knows how long each stage took."""

    def __init__(self, job: str, send: Callable[[Message], None], check: Callable[[], None]) -> None:
        self._job, self._send, self._check = job, send, check
        self._began = self._stage_began = time.monotonic()
        self._sent = -1.0
        self._stage = ""
        self._fraction = 0.0
        self._seconds: dict[str, float] = {}

    def __call__(self, stage: str, fraction: float) -> None:
        self._check()
        now = time.monotonic()
        if stage != self._stage:
            self._note(now)
            self._stage = stage
        elif now - self._sent < PROGRESS_INTERVAL:
            return
        self._sent = now
        # a generator that restarts a stage must not make the bar run backwards
        self._fraction = min(max(float(fraction), self._fraction), 1.0)
        elapsed = now - self._began
        eta = elapsed / self._fraction * (1 - self._fraction) if self._fraction > 0.02 and elapsed > 0.1 else None
        self._send(Message("progress", self._job, {"stage": stage[:64], "fraction": self._fraction, "eta": eta}))

    def _note(self, now: float) -> None:
        if self._stage:
            self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + now - self._stage_began
        self._stage_began = now

    def stages(self) -> dict[str, float]:
        """Seconds by stage."""
        self._note(time.monotonic())
        return {name: round(seconds, 4) for name, seconds in self._seconds.items()}


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on the host or on a device."""
    if isinstance(error, UnderstudyError):
        return error.code == "out_of_memory"
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ in ("OutOfMemoryError", "_ArrayMemoryError")
        or (isinstance(error, RuntimeError) and "out of memory" in str(error).lower())
    )


def internal_error(what: str, error: BaseException) -> UnderstudyError:
    """What a user is told of an exception that nobody foresaw."""
    return UnderstudyError(
        "internal", f"{what} ({type(error).__name__}: {str(error)[:500]}).", "Send the log file with a report."
    )


def resolve(name: str) -> Any:
    """The object that ``module:attribute`` names. :raises UnderstudyError: ``unsupported``."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnderstudyError(
            "unsupported", f"There is no {name} to run ({error}).", "Check the name and that its package is installed."
        ) from error


def _end_with_standard_input() -> None:
    while sys.stdin.buffer.read(1024):
        pass
    os._exit(0)


def main() -> None:
    """Entry point of the process."""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the whole group; the bridge decides
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="worker %(levelname)s %(message)s")
    config = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    performer = resolve(config["performer"])(**config["options"])
    Worker(config["address"], config["identity"], performer).run()
    logging.shutdown()
    # interpreter teardown of native libraries has nothing left to do and is where they crash
    os._exit(0)


if __name__ == "__main__":
    main()
