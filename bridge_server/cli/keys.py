# SPDX-License-Identifier: Apache-2.0
"""``understudy keys``: who may connect from other machines."""

from __future__ import annotations

import argparse
import json
import os
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bridge_server.cli import options
from bridge_server.service.keys import KeyRing
from shared.errors import UnderstudyError
from shared.state import BridgeRecord, read_record

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "keys",
        help="make and list keys of clients on other machines",
        description="Make, list and remove the keys of clients on other machines. "
        "The bridge reads them at every connection.",
    )
    options.add_state(parser)
    actions = parser.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="make a key file for a client")
    add.add_argument("name")
    add.add_argument("--out", type=Path, help="where to write the key file (default: NAME.key.json here)")
    listing = actions.add_parser("list", help="list the clients that may connect")
    remove = actions.add_parser("remove", help="shut a client out")
    for action in (add, listing, remove):
        options.add_state(action, again=True)
    remove.add_argument("name")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do it; returns 0."""
    ring = KeyRing(options.folder(arguments))
    if arguments.action == "list":
        print(f"bridge {ring.bridge()[0]}")
        for name, public in ring.clients().items():
            print(f"{name} {public}")
    elif arguments.action == "remove":
        ring.remove(arguments.name)
        print(f"{arguments.name} can no longer connect.")
    else:
        out = arguments.out or Path(f"{arguments.name}.key.json")
        if out.exists():
            raise UnderstudyError("file_invalid", f"{out} exists already.", "Choose another --out.")
        if not out.parent.is_dir():
            raise UnderstudyError(
                "file_missing", f"There is no folder {out.parent}.", "Make it, or choose another --out."
            )
        key = ring.add(arguments.name)
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(key), file, indent=1)
        print(f"{arguments.name} may connect with {out}; the file holds its secret, so hand it over safely.")
        print(_for_blender(key.bridge, out.name, read_record(options.folder(arguments))))
    return 0


def _for_blender(bridge: str, file: str, record: BridgeRecord | None) -> str:
    """What is to be pasted into the add-on's preferences on the other machine."""
    address = record.remote if record is not None else ""
    if not address:
        address = "tcp://HOST:PORT   once the bridge runs: understudy serve --host ADDRESS --port PORT"
    elif "//0.0.0.0:" in address or "//[::]:" in address:
        address = f"tcp://{socket.gethostname()}:{address.rpartition(':')[2]}"
    return (
        "\nIn Blender on that machine, in the preferences under Add-ons, Understudy:\n"
        f"  Address     {address}\n"
        f"  Server Key  {bridge}\n"
        f"  Key File    where {file} lies there\n"
        f"Or in a terminal there: understudy status --address ADDRESS --key {file}"
    )
