# SPDX-License-Identifier: Apache-2.0
"""What is to be made anew of a performance that is already there, and what must stay."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from .errors import UnderstudyError
from .motion import Motion
from .schema import problem
from .skeleton import BODY_PARTS

__all__ = ["Edit", "Lock", "Range"]

_TIME: Final = {"type": "number", "minimum": 0, "maximum": 1e6}
_PART: Final = {"enum": list(BODY_PARTS)}
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "ranges": {"type": "array", "maxItems": 1000, "items": {
            "type": "object", "required": ["start", "end"], "properties": {"start": _TIME, "end": _TIME, "part": _PART}}},
        "locks": {"type": "array", "maxItems": 100_000, "items": {
            "type": "object", "required": ["time"], "properties": {"time": _TIME, "part": _PART}}},
        "loop": {"type": "boolean"},
        "fps": {"type": "number", "minimum": 1, "maximum": 240},
        "face_names": {"type": "array", "maxItems": 1000, "items": {"type": "string", "maxLength": 200}},
    },
}


@dataclass
class Range:
    """A stretch of time to be performed again: seconds, and the body part that may change."""

    start: float
    end: float
    part: str = "full"


@dataclass
class Lock:
    """A pose that the artist has set: at ``time`` (seconds) the joints of ``part`` are what they are in the base."""

    time: float
    part: str = "full"


@dataclass
class Edit:
    """A performance and what to do with it.

    Frames outside every range, and joints outside its part, come back bit-identical. A base shorter than the
    request's duration is extended. ``loop`` makes the end flow into the beginning.

    :ivar base: what is there, at the request's frame rate.
    """

    base: Motion
    ranges: list[Range] = field(default_factory=list)
    locks: list[Lock] = field(default_factory=list)
    loop: bool = False

    def check(self) -> None:
        """:raises UnderstudyError: ``request_invalid`` for empty ranges, ranges outside the base and locks that exclude them."""
        for n, r in enumerate(self.ranges, start=1):
            if r.end <= r.start:
                raise _invalid(f"Range {n} ends at {r.end:.2f} s, not after its start.", "Give the range an end after its start.")
            if r.start >= self.base.duration:
                raise _invalid(f"Range {n} starts after the take ends at {self.base.duration:.2f} s.",
                               "Choose a range inside the take, or lengthen the performance.")
        if not self.ranges and not self.loop and not self.locks:
            raise _invalid("The edit names nothing to perform again.", "Choose a range, or ask for a loop.")
        rate = self.base.fps
        # counted in the sorted frames: a thousand ranges over a hundred thousand locks must not hold up whoever checks them
        locked = np.unique(np.array([round(lock.time * rate) for lock in self.locks if lock.part == "full"], np.int64))
        for n, r in enumerate(self.ranges, start=1):
            first, end = round(r.start * rate), round(r.end * rate)
            if end > first and np.searchsorted(locked, end) - np.searchsorted(locked, first) == end - first:
                raise _invalid(f"Every frame of range {n} is locked, so there is nothing to perform again.",
                               "Unlock some keys, or choose another range.")

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The JSON and the buffers (names begin with ``base_``) of the edit in a ``submit``."""
        m = self.base
        face = np.stack(list(m.face.values()), 1) if m.face else np.zeros((len(m), 0), np.float32)
        buffers = {"rotations": m.rotations, "translation": m.translation, "expression": m.expression, "contacts": m.contacts, "face": face}
        data = {"ranges": [asdict(r) for r in self.ranges], "locks": [asdict(x) for x in self.locks], "loop": self.loop,
                "fps": m.fps, "face_names": list(m.face)}
        return data, {f"base_{k}": np.ascontiguousarray(v) for k, v in buffers.items()}

    @classmethod
    def from_parts(cls, data: Any, buffers: dict[str, np.ndarray]) -> Edit:
        """The inverse of :meth:`to_parts`. :raises UnderstudyError: ``request_invalid``."""
        if found := problem(data, _SCHEMA, "edit"):
            raise _invalid(f"The edit cannot be read: {found}.", "Correct this value and perform again.")
        try:
            base = Motion(
                float(data["fps"]), buffers["base_rotations"], buffers["base_translation"], buffers["base_expression"],
                dict(zip(data["face_names"], buffers["base_face"].T, strict=True)), buffers["base_contacts"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _invalid(f"The take to be edited did not arrive whole ({error}).", "Perform again.") from error
        edit = cls(base, [Range(float(r["start"]), float(r["end"]), r.get("part", "full")) for r in data.get("ranges", [])],
                   [Lock(float(x["time"]), x.get("part", "full")) for x in data.get("locks", [])], bool(data.get("loop", False)))
        edit.check()
        return edit


def _invalid(message: str, fix: str) -> UnderstudyError:
    return UnderstudyError("request_invalid", message, fix)
