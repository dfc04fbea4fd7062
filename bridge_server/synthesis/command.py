# SPDX-License-Identifier: Apache-2.0
"""``understudy synthesize``: write a training set of synthetic performances."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from shared.errors import UnderstudyError

from .dataset import synthesise

__all__ = ["add_arguments", "add_parser", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--data", type=Path, required=True, help="folder with free_extra and gesture_notation")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--minutes", type=float, default=180.0, help="length of the set, all splits together (180)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same set (0)")
    parser.set_defaults(run=run)


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command to the subparsers of a command line; its ``run`` default takes the parsed arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "synthesize", help="write a training set of synthetic speech with gestures", description=__doc__)
    add_arguments(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    shown = -1.0

    def report(stage: str, fraction: float) -> None:
        nonlocal shown
        if time.monotonic() - shown > 2 or fraction >= 1:
            shown = time.monotonic()
            print(f"\r{stage:24s} {100 * fraction:5.1f} %", end="", file=sys.stderr, flush=True)

    try:
        head = synthesise(args.data, args.out, args.minutes, args.seed, report)
    except UnderstudyError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    print(file=sys.stderr)
    for split, facts in head["splits"].items():
        print(f"{split}: {facts['clips']} clips, {facts['minutes']} min")
    for entry in head["skipped"]:
        print(f"skipped {entry['name']}: {entry['reason']}")
    return 0
