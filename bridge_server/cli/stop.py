# SPDX-License-Identifier: Apache-2.0
"""``understudy stop``."""

from __future__ import annotations

import argparse
from typing import Any

import psutil

from bridge_server.cli import options
from bridge_server.cli.client import connect
from shared.errors import UnderstudyError

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "stop", help="stop the bridge", description="Stop the bridge; running jobs are ended."
    )
    options.add_state(parser)
    options.add_bridge(parser)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long to wait for its end (default: 15)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Stop the bridge and wait for its end; returns 0."""
    with connect(options.folder(arguments), arguments.address, arguments.token, arguments.key) as client:
        pid = int(client.status()["pid"])
        client.shutdown()
    if arguments.address is None:
        try:
            psutil.Process(pid).wait(arguments.seconds)
        except psutil.NoSuchProcess:
            pass  # gone already, which is what was asked for
        except psutil.TimeoutExpired as error:
            raise UnderstudyError(
                "timeout",
                f"The bridge (process {pid}) has not ended within {arguments.seconds:g} s.",
                "End the process by hand.",
            ) from error
    print("The bridge has stopped.")
    return 0
