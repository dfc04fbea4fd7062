# SPDX-License-Identifier: Apache-2.0
"""``understudy generate`` on motion that is already there: a way between two poses, a stretch made anew, a loop."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from shared.edits import Edit, Lock, Range
from shared.errors import UnderstudyError
from shared.formats.read import read_motion
from shared.motion import Motion
from shared.skeleton import BODY_PARTS

__all__ = ["add_options", "edit_from", "parse_key", "parse_lock", "parse_range"]


def add_options(parser: Any) -> None:
    """The options of edits."""
    group = parser.add_argument_group("on motion that is there")
    group.add_argument(
        "--between",
        nargs=2,
        metavar=("BEFORE", "AFTER"),
        help="perform the way from one key pose to another, --seconds long; each is a motion file, or FILE@TIME for one pose "
        "of it, or FILE@START-END for a stretch. Both come back as they are, with the way between them",
    )
    group.add_argument("--edit", type=Path, metavar="FILE", help="a motion file, some of which is to be performed again; with "
                       "--seconds longer than it lasts, it is performed on from its end")
    group.add_argument(
        "--range",
        action="append",
        default=[],
        metavar="START-END[:PART]",
        help=f"what of --edit to perform again; parts are {', '.join(BODY_PARTS)}; may be repeated",
    )
    group.add_argument(
        "--lock", action="append", default=[], metavar="TIME[:PART]", help="a pose inside a range that must stay; may be repeated"
    )
    group.add_argument("--loop", action="store_true", help="let the end of --edit flow into its beginning")


def _invalid(what: str, text: str, form: str) -> UnderstudyError:
    return UnderstudyError("request_invalid", f"The {what} {text[:60]!r} cannot be read.", f"Write it as {form}, times in seconds.")


def _part(text: str) -> str:
    if text and text not in BODY_PARTS:
        raise UnderstudyError("request_invalid", f"There is an unknown body part {text[:60]!r}.", f"Choose one of {', '.join(BODY_PARTS)}.")
    return text or "full"


def parse_range(text: str) -> Range:
    """``START-END[:PART]``. :raises UnderstudyError: ``request_invalid``."""
    times, _, part = text.partition(":")
    start, dash, end = times.partition("-")
    try:
        if not dash:
            raise ValueError
        return Range(float(start), float(end), _part(part))
    except ValueError as error:
        raise _invalid("range", text, "START-END or START-END:PART") from error


def parse_lock(text: str) -> Lock:
    """``TIME[:PART]``. :raises UnderstudyError: ``request_invalid``."""
    time, _, part = text.partition(":")
    try:
        return Lock(float(time), _part(part))
    except ValueError as error:
        raise _invalid("lock", text, "TIME or TIME:PART") from error


def parse_key(text: str) -> Motion:
    """A motion file, one pose of it (``FILE@TIME``) or a stretch (``FILE@START-END``).

    :raises UnderstudyError: ``file_missing``, ``file_invalid``, ``request_invalid``.
    """
    # a name may hold the sign as well
    name, at, when = (text, "", "") if Path(text).is_file() else text.rpartition("@")
    motion = read_motion(name or text, hands=False)
    if not at:
        return motion
    start, dash, end = when.partition("-")
    try:
        first = round(float(start) * motion.fps)
        last = round(float(end) * motion.fps) if dash else first + 1
    except ValueError as error:
        raise _invalid("key", text, "FILE, FILE@TIME or FILE@START-END") from error
    if not 0 <= first < last <= len(motion):
        raise UnderstudyError("request_invalid", f"{when} s does not lie in {Path(name).name}, which lasts {motion.duration:.2f} s.",
                              "Choose another time.")
    return motion.slice(first, last)


def edit_from(arguments: argparse.Namespace) -> Edit | None:
    """The edit that the options describe, or None.

    :raises UnderstudyError: what is wrong with them.
    """
    if arguments.between and arguments.edit:
        raise UnderstudyError("request_invalid", "Both --between and --edit were given.", "Choose one of them.")
    if arguments.between:
        if not arguments.seconds:
            raise UnderstudyError("request_invalid", "It is not said how long the way between the poses is.", "Add --seconds.")
        edit = Edit.between(parse_key(arguments.between[0]), parse_key(arguments.between[1]), arguments.seconds)
    elif arguments.edit:
        edit = Edit(read_motion(arguments.edit, hands=True), [parse_range(text) for text in arguments.range], loop=arguments.loop)
    else:
        if arguments.range or arguments.lock or arguments.loop:
            raise UnderstudyError("request_invalid", "There is nothing that a range, lock or loop could apply to.",
                                  "Name the motion with --edit.")
        return None
    edit.locks = [parse_lock(text) for text in arguments.lock]
    edit.check(arguments.seconds)
    return edit
