# SPDX-License-Identifier: Apache-2.0
"""``understudy serve``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from bridge_server.cli import options
from bridge_server.metrics import PrometheusObserver, observer
from bridge_server.service.life import logging_to
from bridge_server.service.server import serve
from bridge_server.service.settings import Settings

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "serve", help="run a bridge in this terminal", description="Run a bridge until it is stopped."
    )
    options.add_state(parser)
    options.add_model(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1); others need keys"
    )
    parser.add_argument("--port", type=_port, default=0, help="port, 0 for a free one (default: 0)")
    parser.add_argument("--parent-pid", type=int, metavar="PID", help="stop when this process has gone")
    parser.add_argument("--queue-limit", type=_positive, default=64, help="jobs that may wait (default: 64)")
    parser.add_argument(
        "--client-limit", type=_positive, default=32, help="jobs of one client that may wait or run (default: 32)"
    )
    parser.add_argument(
        "--cancel-grace",
        type=float,
        default=3.0,
        metavar="SECONDS",
        help="how long a worker may take to let go of a cancelled job before it is restarted (default: 3)",
    )
    parser.add_argument(
        "--curve", action="store_true", help="also listen for clients with keys when --host is this machine"
    )
    parser.add_argument(
        "--allow-folder", type=Path, action="append", default=[], metavar="DIR", help="folder that requests may name"
    )
    parser.add_argument(
        "--disk-limit", type=_positive, default=2048, metavar="MB", help="for kept requests and results (default: 2048)"
    )
    parser.add_argument(
        "--unload-after",
        type=float,
        default=1800.0,
        metavar="SECONDS",
        help="drop an idle model, 0 never (default: 1800)",
    )
    parser.add_argument(
        "--executor", choices=("local", "ray"), default="local", help="where workers run (default: local)"
    )
    parser.add_argument("--ray-address", default="", help="Ray cluster (default: $RAY_ADDRESS, or this machine alone)")
    parser.add_argument("--metrics-port", type=_port, metavar="PORT", help="serve Prometheus metrics on this machine")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--verbose", action="store_true", help="log to the terminal as well")
    parser.set_defaults(run=run)


def _port(text: str) -> int:
    if not 0 <= (port := int(text)) <= 65535:
        raise argparse.ArgumentTypeError("a port lies from 0 to 65535")
    return port


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Run the bridge; returns its exit code."""
    settings = Settings(
        state_dir=options.folder(arguments),
        host=arguments.host,
        port=arguments.port,
        device=arguments.device,
        parent_pid=arguments.parent_pid,
        generator=arguments.generator,
        weights=arguments.weights,
        queue_limit=arguments.queue_limit,
        client_limit=arguments.client_limit,
        cancel_grace=arguments.cancel_grace,
        curve=arguments.curve,
        allowed_folders=tuple(arguments.allow_folder),
        disk_limit=arguments.disk_limit << 20,
        unload_after=arguments.unload_after,
        executor=arguments.executor,
        ray_address=arguments.ray_address,
    )
    # workers keep unfinished films there
    os.environ["UNDERSTUDY_STATE_DIR"] = str(settings.state_dir)
    with logging_to(settings.log_file, verbose=arguments.verbose, as_json=arguments.log_format == "json"):
        counting = observer(arguments.metrics_port)
        if isinstance(counting, PrometheusObserver):
            print(f"Metrics are at http://127.0.0.1:{counting.port}/metrics", flush=True)
        return serve(settings, say=lambda line: print(line, flush=True), observer=counting)
