# SPDX-License-Identifier: Apache-2.0
"""Workers on a Ray cluster: ``understudy serve --executor ray``.

The bridge starts its worker processes as always; each of them does no work itself but holds one Ray actor, which runs the
same performer on whichever node has the resources. Results come back through Ray's object store. When the actor's node
dies, Ray starts the actor on another one and runs the job there again; when that fails too, the worker reports it and
the bridge's own rule (one more try, then ``worker_died``) applies.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.service.worker import cancelled, internal_error, out_of_memory, resolve, stop_between_layers
from shared import wire
from shared.errors import UnderstudyError
from shared.protocol import Message

__all__ = ["RayPerformer", "RemotePerformer"]

LOGGER = logging.getLogger("understudy.ray")
PERFORMER: Final = "bridge_server.performing:MotionPerformer"
POLL_SECONDS: Final = 0.05
TRIES: Final = 3
WAITING: Final = "waiting for a node"
START_SECONDS: Final = 300.0
GIGABYTE: Final = 1 << 30


class RemotePerformer:
    """The actor: a performer, with progress that is asked for and a cancel that is told.

    Errors are returned as JSON, never raised, so that they arrive as they were.
    """

    def __init__(self, performer: str, options: dict[str, Any]) -> None:
        self._performer = resolve(performer)(**options)
        self._lock = threading.Lock()
        self._job = ""
        self._events: list[tuple[Any, ...]] = []
        self._cancelled: set[str] = set()
        self._hooked = False

    def load(self) -> dict[str, Any]:
        """Load the models and describe them, with the node."""
        try:
            description = self._performer.load()
        except UnderstudyError as error:
            return {"error": error.to_json()}
        except Exception as error:  # a package that this node lacks, say: to be told as it is, not as the node's loss
            LOGGER.exception("loading failed")
            return {"error": internal_error("The model could not be loaded on its Ray node", error).to_json()}
        self._hook()
        return {**description, "node": _node()}

    def _hook(self) -> None:
        if not self._hooked:
            self._hooked = stop_between_layers(self._check)

    def unload(self) -> None:
        """Give the memory of the models back."""
        self._performer.unload()

    def cancel(self, job: str) -> None:
        """Stop a job at its next report or layer."""
        self._cancelled.add(job)

    def _check(self, *_: Any) -> None:
        if self._job in self._cancelled:
            raise cancelled()

    def events(self, job: str, since: int) -> list[tuple[Any, ...]]:
        """Progress and chunks of a job after the first ``since``."""
        with self._lock:
            return self._events[since:] if job == self._job else []

    def _add(self, *event: Any) -> None:
        self._check()
        with self._lock:
            # only the newest progress matters when they come faster than they are asked for
            if event[0] != "progress" or not self._events or self._events[-1][:2] != event[:2]:
                self._events.append(event)
            else:
                self._events[-1] = event

    def perform(self, job: str, frames: list[bytes]) -> dict[str, Any]:
        """Do a job; ``{"body", "buffers"}`` or ``{"error"}``."""
        with self._lock:
            self._job, self._events = job, []
        self._hook()
        try:
            message = wire.decode(frames, receiver="bridge")
            body, buffers = self._performer.perform(
                message,
                lambda stage, fraction: self._add("progress", stage, fraction),
                lambda first, body, buffers: self._add("chunk", first, body, buffers),
            )
        except UnderstudyError as error:
            return {"error": error.to_json()}
        except Exception as error:  # the boundary of third-party model code: reported, logged, never swallowed
            LOGGER.exception("job %s failed", job)
            failure = internal_error("The performance failed", error)
            if out_of_memory(error):
                # the worker process asks for a second try with less
                failure = UnderstudyError("out_of_memory", str(error) or "no figure was given")
            return {"error": failure.to_json()}
        return {"body": body, "buffers": buffers, "node": _node()}

    def shrink(self) -> bool:
        """Arrange to need less memory on the next try."""
        return bool(self._performer.shrink(MemoryError()))

    def too_little_memory(self, frames: list[bytes], detail: str) -> dict[str, Any]:
        """The error's JSON that says what would fit on this node."""
        error: UnderstudyError = self._performer.too_little_memory(wire.decode(frames, receiver="bridge"), detail)
        return error.to_json()


def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


class RayPerformer:
    """What a worker process of the bridge runs in place of the model: one actor, and the way to it.

    :param address: of the Ray cluster; "" for ``$RAY_ADDRESS``, or a cluster on this machine alone.
    :param memory: bytes that the actor asks the cluster for; 0 leaves that to Ray.
    :raises UnderstudyError: ``unsupported`` without Ray.
    """

    def __init__(
        self,
        generator: str,
        weights: str,
        device: str,
        address: str = "",
        memory: int = 2 * GIGABYTE,
        performer: str = PERFORMER,
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise UnderstudyError(
                "unsupported",
                "The executor ray needs the package ray.",
                "Run: pip install 'understudy[ray]', on every node.",
            ) from error
        self._ray = ray
        self._address = address or os.environ.get("RAY_ADDRESS") or None
        self._memory = memory
        self._wanted = device
        self._options = {"generator": generator, "weights": weights, "device": device}
        self._name = performer
        self._actor: Any = None

    def load(self) -> dict[str, Any]:
        """Find the cluster, start the actor, load its models."""
        ray = self._ray
        if not ray.is_initialized():
            try:
                ray.init(
                    address=self._address,
                    logging_level=logging.WARNING,
                    log_to_driver=False,
                    include_dashboard=False,
                    **({"namespace": "understudy"} if self._address else {}),
                )
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise UnderstudyError(
                    "unsupported",
                    f"The Ray cluster {self._address or 'on this machine'} cannot be "
                    f"joined ({str(error).splitlines()[0]}).",
                    "Check --ray-address.",
                ) from error
        device = self._wanted
        if device == "auto":
            device = "cuda" if ray.cluster_resources().get("GPU", 0) >= 1 else "cpu"
        # a source tree that is not installed must be found by the actor too; on other machines it has to be installed
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
        actor = ray.remote(RemotePerformer).options(
            num_cpus=1,
            num_gpus=1 if device.startswith("cuda") else 0,
            memory=self._memory or None,
            max_restarts=-1,
            max_task_retries=2,
            max_concurrency=4,
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )
        self._actor = actor.remote(self._name, {**self._options, "device": device.partition(":")[0]})
        try:
            description: dict[str, Any] = ray.get(self._actor.load.remote(), timeout=START_SECONDS)
        except ray.exceptions.GetTimeoutError as error:
            raise UnderstudyError(
                "timeout",
                f"No Ray node had room for a worker within {START_SECONDS:g} s (1 CPU"
                f"{', 1 GPU' if device.startswith('cuda') else ''}, {self._memory / GIGABYTE:g} GB).",
                "Add a node, or stop what uses the nodes.",
            ) from error
        except ray.exceptions.RayError as error:
            raise _lost(error) from error
        if "error" in description:
            raise UnderstudyError.from_json(description["error"])
        return description

    def unload(self) -> None:
        """Let the actor drop its models."""
        if self._actor is not None:
            self._ray.get(self._actor.unload.remote())

    def shrink(self, error: BaseException) -> bool:
        """Ask the actor to need less memory."""
        return bool(self._ray.get(self._actor.shrink.remote()))

    def too_little_memory(self, message: Message, detail: str) -> UnderstudyError:
        """As the actor says, which knows the memory of its node."""
        frames = [bytes(f) for f in wire.encode(message)]
        return UnderstudyError.from_json(self._ray.get(self._actor.too_little_memory.remote(frames, detail)))

    def perform(
        self,
        message: Message,
        report: Callable[[str, float], None],
        chunk: Callable[[int, dict[str, Any], dict[str, np.ndarray]], None],
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Run a job on the cluster; a cancel comes out of ``report``."""
        ray = self._ray
        if self._actor is None:
            self.load()
        frames = [bytes(f) for f in wire.encode(message)]
        for tries_left in reversed(range(TRIES)):
            try:
                outcome = self._run(message.id, frames, report, chunk)
                break
            except ray.exceptions.RayError as error:
                # the node died with the actor, or with its result; Ray is starting the actor elsewhere
                LOGGER.warning("job %s: %s", message.id, type(error).__name__)
                if not tries_left:
                    raise _lost(error) from error
                self._wait_for_actor(report)
        if "error" in outcome:
            raise UnderstudyError.from_json(outcome["error"])
        body = outcome["body"]
        body["metadata"] = {**body.get("metadata", {}), "node": outcome["node"]}
        return body, outcome["buffers"]

    def _run(
        self, job: str, frames: list[bytes], report: Callable[[str, float], None], chunk: Callable[..., None]
    ) -> dict[str, Any]:
        """One try. :raises ray.exceptions.RayError: when the actor or its node was lost."""
        ray = self._ray
        done = self._actor.perform.remote(job, frames)
        seen, last = 0, (WAITING, 0.0)
        try:
            while not ray.wait([done], timeout=POLL_SECONDS)[0]:
                last, seen = self._forward(job, seen, last, report, chunk)
                report(*last)
        except UnderstudyError:
            self._actor.cancel.remote(job)
            self._wait_for_end(done)
            raise
        outcome: dict[str, Any] = ray.get(done)
        self._forward(job, seen, last, report, chunk)
        return outcome

    def _wait_for_actor(self, report: Callable[[str, float], None]) -> None:
        """Until the actor answers again, wherever that is."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            report(WAITING, 0.0)
            try:
                self._ray.get(self._actor.events.remote("", 0), timeout=1.0)
                return
            except self._ray.exceptions.RayError:
                time.sleep(POLL_SECONDS)

    def _forward(
        self,
        job: str,
        seen: int,
        last: tuple[str, float],
        report: Callable[[str, float], None],
        chunk: Callable[..., None],
    ) -> tuple[tuple[str, float], int]:
        """Pass on what the actor has to say; an actor that is just being restarted elsewhere says nothing."""
        try:
            events = self._ray.get(self._actor.events.remote(job, max(0, seen - 1)), timeout=POLL_SECONDS)
        except self._ray.exceptions.RayError:
            return last, 0
        for n, event in enumerate(events, start=max(0, seen - 1)):
            if event[0] == "progress":
                last = (event[1], event[2])
                report(*last)
            elif n >= seen:
                chunk(event[1], event[2], event[3])
        return last, max(0, seen - 1) + len(events)

    def _wait_for_end(self, done: Any, seconds: float = 2.0) -> None:
        """The next job must not meet this one in the actor; one that does not let go is replaced with its actor."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._ray.wait([done], timeout=POLL_SECONDS)[0]:
                return
        LOGGER.warning("the actor did not let go of a cancelled job and is replaced")
        self._ray.kill(self._actor)
        self._actor = None


def _lost(error: BaseException) -> UnderstudyError:
    return UnderstudyError(
        "worker_died",
        f"The Ray node that performed was lost, also on another try ({type(error).__name__}).",
        "See that the cluster has a node left, then perform again.",
    )
