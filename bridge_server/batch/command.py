# SPDX-License-Identifier: Apache-2.0
"""``understudy batch``: the shots of a table, performed by Blenders without a window."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bridge_server.batch.blender import find_blender
from bridge_server.batch.bridge import SharedBridge
from bridge_server.batch.display import Display
from bridge_server.batch.runner import Runner
from bridge_server.cli import options
from shared.errors import UnderstudyError
from shared.shots import COLUMNS, Report, Shot, check_exports, read_shots, summary

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "batch",
        help="perform a table of shots with Blender",
        description="Perform the shots of a table: start Blender for each row, several at a time, over one bridge. "
        "Run it again after a failure or an interrupt: finished rows are passed over, and those whose files or cells have "
        "changed are performed again. Ends with 1 when a shot failed.",
    )
    parser.add_argument("table", type=Path, metavar="SHOTS.csv", help=f"columns: {', '.join(COLUMNS)}")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--blender", default="", metavar="PATH", help="Blender's program (default: $BLENDER, or the one installed)")
    which.add_argument("--python", default="", metavar="PATH", help="a Python that has Blender as its module bpy, in place of it")
    parser.add_argument("--jobs", type=_count, default=2, metavar="N", help="Blenders at a time (default: 2)")
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="report (default: SHOTS.report.json beside the table)")
    parser.add_argument("--again", action="store_true", help="perform finished shots again")
    parser.add_argument("--limit", type=float, default=60.0, metavar="MINUTES", help="end a shot after this long (default: 60)")
    parser.add_argument("--check", action="store_true", help="look for mistakes in the table, and perform nothing")
    options.add_state(parser)
    options.add_model(parser)
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends a batch as Ctrl-C does: with the Blenders ended, and the report complete."""
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check(shots: Sequence[Shot]) -> int:
    """Say what is wrong with each row, as far as that can be seen from outside of Blender; the exit code."""
    wrong = 0
    written = {r for s in shots for r in s.results}
    for shot in shots:
        problems = [f"There is no file {p}." for p in shot.sources if p not in written and not Path(p).is_file()]
        try:
            check_exports(shot.exports)
        except UnderstudyError as error:
            problems.append(str(error))
        wrong += bool(problems)
        for problem in problems:
            print(f"line {shot.row}, {shot.name}: {problem}")
    print(f"{len(shots)} shots, {wrong} with mistakes")
    return int(wrong > 0)


def run(arguments: argparse.Namespace) -> int:
    """Perform the table; returns 0, 1 when a shot failed, 130 when it was stopped."""
    shots = read_shots(arguments.table)
    if arguments.check:
        return _check(shots)
    path = (arguments.report or arguments.table.with_suffix(".report.json")).resolve()
    extra = ["--generator", arguments.generator, "--weights", arguments.weights, "--device", arguments.device]
    display = Display(sys.stderr, len(shots))
    runner = Runner(
        shots, lambda: find_blender(arguments.blender, arguments.python), SharedBridge(options.folder(arguments), extra),
        Report.load(path), display, jobs=arguments.jobs, logs=path.with_suffix(".logs"), again=arguments.again,
        limit=arguments.limit * 60)
    try:
        with _terminable():
            whole = runner.run()
    finally:
        display.close()
    print(summary(runner.outcomes))
    if not whole:
        print("understudy: stopped; run it again to go on", file=sys.stderr)
        return 130
    return int(any(o.state == "failed" for o in runner.outcomes))
