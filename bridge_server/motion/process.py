# SPDX-License-Identifier: Apache-2.0
"""A generator that lives in an environment of its own: a process that speaks protocol 1 (docs/generators.md).

This side binds a socket on loopback and starts the process, which connects to it under a name that only the two know. To
the process this side is a client, to the bridge it is a :class:`.generator.Generator` like any other.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import zmq

import shared
from bridge_server.audio.sound import Audio
from shared import wire
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.protocol import Message, new_id
from shared.requests import MotionRequest, motion_from_message

from .generator import Chunk, Description, Report
from .process_spec import ProcessSpec

__all__ = ["ProcessFactory", "ProcessGenerator", "write_kit"]

LOGGER = logging.getLogger("understudy.generator")
_POLL_MS: Final = 50
_STOP_SECONDS: Final = 2.0


def write_kit(folder: Path) -> Path:
    """Put what a generator's process needs of Understudy into a folder: ``understudy_generator.py`` and ``shared``."""
    shutil.copytree(Path(shared.__file__).parent, folder / "shared", ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("process_host.py"), folder / "understudy_generator.py")
    return folder


class ProcessFactory:
    """Makes generators of one file."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec

    def __call__(self, weights: str, device: str) -> ProcessGenerator:
        """Start it and wait until it has loaded. :raises UnderstudyError: ``unsupported``, ``worker_died``, ``timeout``."""
        return ProcessGenerator(self.spec, weights, device)

    def about(self) -> Description:
        """Without starting it."""
        spec = self.spec
        return Description(spec.name, spec.summary, spec.needs, not spec.why_not(), spec.why_not(), spec.licence, spec.non_commercial,
                           f"process {' '.join(spec.line)}")


class _Child:
    """One run of the process."""

    def __init__(self, spec: ProcessSpec, weights: str, device: str) -> None:
        self.spec = spec
        self._kit = tempfile.TemporaryDirectory(prefix="understudy-generator-", ignore_cleanup_errors=True)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.setsockopt(zmq.MAXMSGSIZE, wire.LIMITS.total_bytes)
        port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        # another user of this machine who finds the port can neither pose as the process nor be heard
        self._identity = f"generator-{secrets.token_hex(16)}".encode()
        self._token = secrets.token_urlsafe(32)
        self.last_words: deque[str] = deque(maxlen=20)
        config = {"address": f"tcp://127.0.0.1:{port}", "identity": self._identity.decode(), "token": self._token,
                  "weights": weights, "device": device}
        try:
            self.process = self._start(config)
        except UnderstudyError:
            self._free()
            raise

    def _start(self, config: dict[str, Any]) -> subprocess.Popen[bytes]:
        spec, kit = self.spec, write_kit(Path(self._kit.name))
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")} | spec.environment
        # the kit alone: the bridge's own packages must not get between the process and its environment's
        environment["PYTHONPATH"] = os.pathsep.join(p for p in (str(kit), spec.environment.get("PYTHONPATH", "")) if p)
        try:
            process = subprocess.Popen(spec.line, cwd=spec.folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT)
        except OSError as error:
            raise UnderstudyError("unsupported", f"The generator {spec.name} cannot be started: {spec.why_not() or error.strerror}.",
                                  spec.needs or "Correct its file.") from error
        assert process.stdin is not None
        self._reader = threading.Thread(target=self._read, args=(process,), name="generator-output", daemon=True)
        self._reader.start()
        try:
            process.stdin.write(json.dumps(config).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            pass  # it ended at once, which the next look at it reports with its exit code
        return process

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            self.last_words.append(text)
            LOGGER.info("%s: %s", self.spec.name, text)

    def send(self, message: Message) -> None:
        message.token = self._token
        self._socket.send_multipart([self._identity, *wire.encode(message)], copy=False)

    def receive(self) -> Message | None:
        """The next message, or None when a moment passed without one.

        :raises UnderstudyError: ``worker_died``; ``bad_message``, ``version_mismatch``.
        """
        if self._socket.poll(_POLL_MS):
            identity, *frames = self._socket.recv_multipart(copy=False)
            if identity.bytes != self._identity:
                return None
            message = wire.decode(frames, receiver="client")
            return message if secrets.compare_digest(message.token, self._token) else None
        if self.process.poll() is not None and not self._socket.poll(0):
            raise self._died()
        return None

    def _died(self) -> UnderstudyError:
        code = self.process.returncode
        self._reader.join(timeout=0.5)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        words = next((w for w in reversed(self.last_words) if w.strip()), "")
        return UnderstudyError("worker_died", f"The generator {self.spec.name} ended unexpectedly "
                               f"({how}{f'; it said: {words[:300]}' if words else ''}).",
                               "Perform again, which starts it anew; if that does not help, look at the bridge's log.")

    def end(self, seconds: float = _STOP_SECONDS) -> None:
        """End it, by force if it does not end when its standard input does."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.close()
        except OSError:
            pass  # nobody is left to read it
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(timeout=1.0)
        self.process.stdout.close()
        self._free()

    def _free(self) -> None:
        self._socket.close(0)
        self._context.term()
        self._kit.cleanup()


class ProcessGenerator:
    """See :class:`.generator.Generator`.

    :raises UnderstudyError: what the generator says about its loading; ``unsupported`` when it cannot be started,
        ``worker_died`` when it ended, ``timeout`` when it took too long.
    """

    def __init__(self, spec: ProcessSpec, weights: str, device: str) -> None:
        self.spec, self._weights, self._device = spec, weights, device
        self._children: list[_Child] = []  # none or one; the finalizer holds this list and not the generator
        self._facts: dict[str, Any] = {}
        self._smaller = 0
        self._ending = weakref.finalize(self, _end, self._children)
        self._ensure(lambda: None)

    def _ensure(self, waiting: Callable[[], None]) -> _Child:
        """The running process, started and loaded if need be."""
        if self._children and self._children[0].process.poll() is None:
            return self._children[0]
        self.close()
        if why := self.spec.why_not():
            raise UnderstudyError("unsupported", f"The generator {self.spec.name} cannot be started: {why}.",
                                  self.spec.needs or "Correct its file.")
        child = _Child(self.spec, self._weights, self._device)
        self._children.append(child)
        deadline = time.monotonic() + self.spec.start_seconds
        try:
            while True:
                waiting()
                message = child.receive()
                if message is not None:
                    message.raise_if_error()
                    if message.type == "welcome":
                        self._facts = next(iter(message.body.get("models", [])), {})
                        return child
                elif time.monotonic() > deadline:
                    raise UnderstudyError("timeout", f"The generator {self.spec.name} did not load within {self.spec.start_seconds:g} s.",
                                          "Raise start_seconds in its file, or look at the bridge's log.")
        except UnderstudyError:
            self.close()
            raise

    def close(self) -> None:
        """End the process."""
        _end(self._children)

    def describe(self) -> dict[str, Any]:
        """See :class:`.generator.Generator`: what the process said of itself over what its file says."""
        spec = self.spec
        facts = {k: v for k, v in self._facts.items() if k != "can_shrink"}
        return {"name": spec.name, "weights": self._weights, "licence": spec.licence, "device": self._device, **facts,
                "non_commercial": spec.non_commercial or bool(facts.get("non_commercial")), "process": True}

    def shrink(self) -> bool:
        """Ask for less memory with the next request; False where the generator cannot do with less."""
        self._smaller += 1
        return bool(self._facts.get("can_shrink"))

    def perform(self, request: MotionRequest, audio: Audio | None, report: Report, chunk: Chunk | None = None) -> Motion:
        """See :class:`.generator.Generator`. :raises UnderstudyError: also ``worker_died``, after which it can be tried again."""
        stage, fraction = "starting the generator", 0.0
        child = self._ensure(lambda: report(stage, fraction))
        # the sound travels decoded, so that the process needs no library for it
        message = replace(request, audio=None).to_message(new_id())
        if audio is not None:
            message.buffers["speech"] = audio.samples.astype(np.float32, copy=False)
            message.body["speech_rate"] = audio.rate
        if self._facts.get("can_shrink"):
            message.body["smaller"] = self._smaller
        child.send(message)
        answered = False
        try:
            while True:
                answer = child.receive()
                if answer is not None and answer.id == message.id:
                    answered = answer.type in ("error", "result")
                    answer.raise_if_error()
                    if answer.type == "progress":
                        stage, fraction = answer.body["stage"], answer.body["fraction"]
                    elif answer.type == "chunk" and chunk is not None:
                        # what arrives are read-only views of the message, so everything is copied
                        part = motion_from_message(answer)
                        chunk(answer.body["first_frame"], part.slice(0, len(part)))
                    elif answer.type == "result":
                        return self._signed(motion_from_message(answer), request)
                report(stage, fraction)
        finally:
            if not answered:
                self._let_go(child, message.id)

    def _signed(self, motion: Motion, request: MotionRequest) -> Motion:
        """A copy that says who made it and under which terms."""
        facts = {"generator": self.describe(), "seed": request.seed}
        return replace(motion.slice(0, len(motion)), metadata={**facts, **motion.metadata})

    def _let_go(self, child: _Child, job: str) -> None:
        """Stop a request that nobody waits for any more; a process that does not let go of it in time is ended."""
        if child.process.poll() is None:
            child.send(Message("cancel", job))
            deadline = time.monotonic() + self.spec.cancel_seconds
            try:
                while time.monotonic() < deadline:
                    answer = child.receive()
                    if answer is not None and answer.id == job and answer.type in ("error", "result"):
                        return
            except UnderstudyError as error:
                LOGGER.warning("%s: %s", self.spec.name, error)
            LOGGER.warning("%s: did not stop within %g s and is ended", self.spec.name, self.spec.cancel_seconds)
        self.close()


def _end(box: list[_Child]) -> None:
    while box:
        box.pop().end()
