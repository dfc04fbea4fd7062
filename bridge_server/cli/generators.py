# SPDX-License-Identifier: Apache-2.0
"""``understudy generators``: which motion generators there are, and the kit for writing one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from shared.errors import UnderstudyError

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "generators",
        help="list motion generators",
        description="List the motion generators that are found, with their licences and what they need. "
        "docs/generators.md says how to add one.",
    )
    parser.add_argument(
        "--kit",
        type=Path,
        metavar="DIR",
        help="write understudy_generator.py and the package shared into a folder: what a generator in an environment of its "
        "own may import, for an editor or a type checker",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the list, or write the kit."""
    if arguments.kit is not None:
        from bridge_server.motion.process import write_kit

        try:
            arguments.kit.mkdir(parents=True, exist_ok=True)
            write_kit(arguments.kit)
        except OSError as error:
            raise UnderstudyError(
                "file_invalid", f"{arguments.kit} cannot be written ({error.strerror}).", "Choose another folder."
            ) from error
        print(f"written to {arguments.kit}")
        return 0
    from bridge_server.motion import generator
    from bridge_server.motion.process_spec import config_folder

    for item in generator.describe_all():
        print(f"{item.name}{' (the default)' if item.name == generator.DEFAULT else ''}: {item.summary or 'no summary'}")
        terms = f"{item.licence or 'not stated'}{', non-commercial use only' if item.non_commercial else ''}"
        for label, text in (("from", item.source), ("licence", terms), ("needs", item.needs), ("cannot run here", item.why_not)):
            if text:
                print(f"  {label}: {text}")
    print(f"\nGenerators of your own: packages, or files in {config_folder() / 'generators'}")
    return 0
