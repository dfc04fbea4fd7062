# SPDX-License-Identifier: Apache-2.0
"""``understudy status``."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from bridge_server.cli import options
from bridge_server.cli.client import connect

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "status", help="say what the bridge is doing", description="Say what the bridge is doing."
    )
    options.add_state(parser)
    options.add_bridge(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the state; returns 0, or raises when no bridge answers."""
    with connect(options.folder(arguments), arguments.address, arguments.token, arguments.key) as client:
        status, jobs = client.status(), client.jobs()
    if arguments.json:
        print(json.dumps({**status, "jobs": jobs}, indent=1))
        return 0
    print(
        f"{status['state']}, process {status['pid']}, up {status['uptime']:.0f} s, {status['queue']} waiting; "
        f"log {status['log']}"
    )
    if status["error"]:
        print(f"  {status['error']['message']} {status['error']['fix']}")
    for worker in status["workers"]:
        print(f"  worker {worker['pid']}: {worker['state']} {worker['device']} {worker['job'] or ''}".rstrip())
    for job in jobs[-20:]:
        began = time.strftime("%H:%M:%S", time.localtime(job["created"]))
        stage = job["stage"] if job["state"] == "running" else ""
        print(f"  {began} {job['job']} {job['state']} {job['fraction']:.0%} {stage}".rstrip())
    return 0
