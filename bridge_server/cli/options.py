# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from shared.state import state_dir

__all__ = ["add_bridge", "add_model", "add_state", "folder"]


def add_state(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """``--state-dir``; ``again`` after an action, where it must not undo what stands before."""
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=argparse.SUPPRESS if again else None,
        metavar="DIR",
        help="folder of lock file, logs and jobs (default: the user's state folder)",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """``--generator``, ``--weights``, ``--device``."""
    parser.add_argument(
        "--generator",
        type=_generator,
        default="versa",
        help="motion generator: a name, module:attribute, or process:FILE.toml for one in an environment of its own "
        "(default: versa)",
    )
    parser.add_argument("--weights", default="starter", help="set of weights, a name or a folder (default: starter)")
    parser.add_argument(
        "--device",
        default="auto",
        help="auto, cpu, cuda, cuda:1, mps; several with commas, one worker each (default: auto)",
    )


def _generator(text: str) -> str:
    """A file is named from where the user stands, and a bridge that is started for it stands elsewhere."""
    kind, colon, path = text.partition(":")
    return f"process:{Path(path).expanduser().absolute()}" if colon and kind == "process" else text


def add_bridge(parser: argparse.ArgumentParser) -> None:
    """``--address`` and ``--token``, for a bridge that is not the one of the state folder."""
    parser.add_argument("--address", metavar="tcp://HOST:PORT", help="a bridge's address (default: from the lock file)")
    parser.add_argument("--key", type=Path, metavar="FILE", help="key file, for a bridge on another machine")
    parser.add_argument("--token", default="", help="the session token that goes with --address")


def folder(options: argparse.Namespace) -> Path:
    """The state folder that the options name."""
    return (options.state_dir or state_dir()).resolve()
