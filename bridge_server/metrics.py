# SPDX-License-Identifier: Apache-2.0
"""Prometheus metrics of a bridge, served over HTTP on this machine."""

from __future__ import annotations

from typing import Any

from bridge_server.service.observe import Observer
from shared.errors import UnderstudyError

__all__ = ["PrometheusObserver"]


class PrometheusObserver(Observer):
    """Serves ``http://127.0.0.1:PORT/metrics``.

    :param port: 0 lets the system choose; :attr:`port` says which.
    :raises UnderstudyError: ``unsupported`` without prometheus-client, ``bridge_not_running`` when the port is taken.
    """

    def __init__(self, port: int) -> None:
        try:
            import prometheus_client as prometheus
        except ImportError as error:
            raise UnderstudyError(
                "unsupported", "Metrics need the package prometheus-client.", "Run: pip install 'understudy[metrics]'"
            ) from error
        registry = prometheus.CollectorRegistry()
        self._queue = prometheus.Gauge("understudy_queue_jobs", "Jobs that wait.", registry=registry)
        self._running = prometheus.Gauge("understudy_running_jobs", "Jobs that run.", registry=registry)
        self._jobs = prometheus.Counter("understudy_jobs", "Jobs that ended.", ["state"], registry=registry)
        self._failures = prometheus.Counter("understudy_failures", "Jobs that failed.", ["code"], registry=registry)
        self._refused = prometheus.Counter(
            "understudy_refused", "Messages answered with an error.", ["code"], registry=registry
        )
        self._motion = prometheus.Counter("understudy_motion_seconds", "Motion made, seconds.", registry=registry)
        self._work = prometheus.Counter("understudy_work_seconds", "Time that jobs ran, seconds.", registry=registry)
        self._speed = prometheus.Gauge("understudy_motion_seconds_per_second", "Of the last job.", registry=registry)
        self._stages = prometheus.Histogram(
            "understudy_stage_seconds",
            "Time of each stage.",
            ["stage"],
            registry=registry,
            buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300),
        )
        try:
            self._server, self._thread = prometheus.start_http_server(port, "127.0.0.1", registry)
        except OSError as error:
            raise UnderstudyError(
                "bridge_not_running",
                f"Metrics cannot be served on port {port} ({error.strerror}).",
                "Choose another --metrics-port.",
            ) from error
        self.port = int(self._server.server_port)

    def queue(self, length: int, running: int) -> None:
        self._queue.set(length)
        self._running.set(running)

    def finished(self, state: str, code: str, seconds: float, motion_seconds: float, stages: dict[str, float]) -> None:
        self._jobs.labels(state).inc()
        if state == "failed":
            self._failures.labels(code).inc()
        self._motion.inc(motion_seconds)
        self._work.inc(seconds)
        if motion_seconds and seconds:
            self._speed.set(motion_seconds / seconds)
        for stage, took in stages.items():
            self._stages.labels(stage).observe(took)

    def refused(self, code: str) -> None:
        self._refused.labels(code).inc()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def observer(port: int | None) -> Any:
    """A :class:`PrometheusObserver` for a port, or an :class:`Observer` that counts nothing for None."""
    return Observer() if port is None else PrometheusObserver(port)
