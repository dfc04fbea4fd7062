# SPDX-License-Identifier: Apache-2.0
"""The list of commands and the way from a command line to one of them.

Only the module of the command that is asked for is imported, so that ``serve`` never pays for torch.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from bridge_server import __version__
from shared.errors import UnderstudyError

__all__ = ["COMMANDS", "Command", "main"]


class Command(NamedTuple):
    """A command: ``module`` has ``add_parser(subparsers)``, which sets ``run``, a function of the parsed arguments that
    returns the exit code."""

    name: str
    module: str
    help: str


COMMANDS: Final = (
    Command("serve", "bridge_server.cli.serve", "run a bridge in this terminal"),
    Command("generate", "bridge_server.cli.generate", "perform speech and directions, without Blender"),
    Command("batch", "bridge_server.batch.command", "perform a table of shots with Blender"),
    Command("status", "bridge_server.cli.status", "say what the bridge is doing"),
    Command("stop", "bridge_server.cli.stop", "stop the bridge"),
    Command("keys", "bridge_server.cli.keys", "make and list keys of clients on other machines"),
    Command("doctor", "bridge_server.cli.doctor", "check this installation and say how to repair it"),
    Command("generators", "bridge_server.cli.generators", "list motion generators"),
    Command("prepare", "bridge_server.training.prepare_command", "read motion data sets into one on-disk format"),
    Command("synthesize", "bridge_server.synthesis.command", "make synthetic performances to train on"),
    Command("train", "bridge_server.training.command", "train the tokenizer and the two branches"),
    Command("evaluate", "bridge_server.evaluation.command", "measure a set of weights"),
    Command("film", "bridge_server.video.command", "make a film from a performance and one photograph"),
    Command("evaluate-video", "bridge_server.video.measure_command", "measure a film"),
    Command("bank", "bridge_server.pose_track.bank_command", "make a relation bank of motion tokens and real 2D motion"),
)


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code. Every failure is one sentence on standard error."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:2] == ["evaluate", "video"]:
        arguments[:2] = ["evaluate-video"]
    parser = argparse.ArgumentParser(
        prog="understudy", description="Performs speech and written directions as character motion."
    )
    parser.add_argument("--version", action="version", version=f"understudy {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    for command in COMMANDS:
        if command.name == wanted and _exists(command.module):
            importlib.import_module(command.module).add_parser(subparsers)
        elif _exists(command.module):
            subparsers.add_parser(command.name, help=command.help)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except UnderstudyError as error:
        print(f"understudy: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("understudy: stopped by Ctrl-C", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader of a pipe has gone; Python would complain once more at exit
        sys.stderr.close()
        return 141
