# SPDX-License-Identifier: Apache-2.0
"""Directions on a timeline: what the performer is asked to do, when, and with which part of the body."""

from __future__ import annotations

import json
import math
import uuid as uuid_module
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from .errors import UnderstudyError
from .skeleton import BODY_PARTS

__all__ = ["MAX_DIRECTIONS", "MAX_TEXT", "Direction", "active_at", "check", "from_json", "load", "to_json"]

MAX_TEXT: Final = 500
"""Characters in one direction; the text encoders read about 60 words and would drop the rest in silence."""
MAX_DIRECTIONS: Final = 2000
MIN_SECONDS: Final = 0.2
_FIX_TIMES: Final = "Give the direction an end that lies after its start."


@dataclass
class Direction:
    """One strip.

    :ivar start: seconds from the first frame of the performance.
    :ivar end: seconds, after ``start``.
    :ivar text: what to do, in words ("walks forward").
    :ivar part: one of :data:`~.skeleton.BODY_PARTS`.
    :ivar strength: 0 to 2; scales the text guidance, 1 is normal.
    :ivar seed: its own seed, or None for the take's.
    :ivar enabled: a muted strip is kept and not performed.
    :ivar uuid: stable identity; made when absent.
    """

    start: float
    end: float
    text: str
    part: str = "full"
    strength: float = 1.0
    seed: int | None = None
    enabled: bool = True
    uuid: str = field(default_factory=lambda: uuid_module.uuid4().hex)


def _invalid(message: str, fix: str) -> UnderstudyError:
    return UnderstudyError("direction_invalid", message, fix)


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:05.2f}"


def check(directions: Iterable[Direction], duration: float | None = None) -> list[Direction]:
    """The enabled directions, sorted by start.

    :param duration: seconds of the performance, if known: a strip that starts after it is refused.
    :raises UnderstudyError: ``direction_invalid``, naming the strip and what to change.
    """
    enabled = [d for d in directions if d.enabled]
    if len(enabled) > MAX_DIRECTIONS:
        raise _invalid(f"There are {len(enabled)} directions; at most {MAX_DIRECTIONS} are performed at once.",
                       "Mute some, or perform the shot in two parts.")
    for n, d in enumerate(enabled, start=1):
        if not (math.isfinite(d.start) and math.isfinite(d.end)):
            raise _invalid(f"Direction {n} has a time that is not a number.", _FIX_TIMES)
        name = f"Direction {n} at {_clock(max(d.start, 0.0))}"
        if not d.text.strip():
            raise _invalid(f"{name} has no text.", "Write what the character should do, or delete the strip.")
        if len(d.text) > MAX_TEXT:
            raise _invalid(f"{name} has {len(d.text)} characters; at most {MAX_TEXT} are read.",
                           "Shorten it, or split it into several strips.")
        if not any(c.isascii() and c.isalpha() for c in d.text):
            raise _invalid(f"{name} has no Latin letters, and the text model reads English only.",
                           "Write the direction in English.")
        if d.start < 0:
            raise _invalid(f"{name} starts before the performance does.", "Move the strip to a later start.")
        if d.end <= d.start:
            raise _invalid(f"{name} ends at {_clock(max(d.end, 0.0))}, not after its start.", _FIX_TIMES)
        if d.end - d.start < MIN_SECONDS - 1e-6:
            raise _invalid(f"{name} lasts only {d.end - d.start:.2f} s.", f"Make it at least {MIN_SECONDS} s long.")
        if duration is not None and d.start >= duration:
            raise _invalid(f"{name} starts after the performance ends at {_clock(duration)}.",
                           "Move the strip to an earlier start, or lengthen the performance.")
        if d.part not in BODY_PARTS:
            raise _invalid(f"{name} is for the unknown body part {d.part!r}.", f"Choose one of {', '.join(BODY_PARTS)}.")
        if not 0 <= d.strength <= 2:
            raise _invalid(f"{name} has strength {d.strength}.", "Choose a strength from 0 to 2.")
    return sorted(enabled, key=lambda d: (d.start, d.end))


def active_at(directions: Iterable[Direction], seconds: float) -> list[Direction]:
    """The enabled directions that cover a time (start included, end not)."""
    return [d for d in directions if d.enabled and d.start <= seconds < d.end]


def to_json(directions: Iterable[Direction]) -> dict[str, Any]:
    """``{"version": 1, "directions": [{start, end, text, part, strength, seed, enabled, uuid}]}``, times in seconds."""
    return {"version": 1, "directions": [asdict(d) for d in directions]}


def from_json(data: Any) -> list[Direction]:
    """The inverse of :func:`to_json`; only start, end and text are required.

    :raises UnderstudyError: ``direction_invalid`` when the layout is another. Values are checked by :func:`check`.
    """
    items = data.get("directions") if isinstance(data, dict) else data
    if not isinstance(items, list) or (isinstance(data, dict) and data.get("version", 1) != 1):
        raise _invalid("The directions are not in the layout that Understudy reads.",
                       'Write {"version": 1, "directions": [{"start": 0, "end": 2, "text": "walks forward"}]}.')
    result = []
    for n, item in enumerate(items, start=1):
        try:
            d = Direction(
                float(item["start"]), float(item["end"]), str(item["text"]), str(item.get("part", "full")),
                float(item.get("strength", 1.0)), None if item.get("seed") is None else int(item["seed"]),
                bool(item.get("enabled", True)),
            )
            if item.get("uuid"):
                d.uuid = str(item["uuid"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise _invalid(f"Direction {n} cannot be read ({type(error).__name__}: {error}).",
                           "Give each direction a start and an end in seconds, and a text.") from error
        result.append(d)
    return result


def load(path: str | Path) -> list[Direction]:
    """Directions from a JSON file.

    :raises UnderstudyError: ``file_missing`` or ``direction_invalid``.
    """
    path = Path(path)
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no file {path}.", "Check the path of the directions.")
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _invalid(f"{path.name} is not valid JSON ({error}).", "Correct the file, or export directions again.") from error
