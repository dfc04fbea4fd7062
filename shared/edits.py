# SPDX-License-Identifier: Apache-2.0
"""What is to be made anew of a performance that is already there, and what must stay."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np

from . import rotations as rot
from .errors import UnderstudyError
from .motion import Motion
from .schema import problem
from .skeleton import BODY_PARTS, JOINT_COUNT, PART_JOINTS

__all__ = ["KINDS", "Edit", "Lock", "Range"]

KINDS: Final = ("perform", "between")
"""``perform`` makes the ranges anew as a new take would be; ``between`` leads from what is before a range to what is after it."""

MAX_BETWEEN: Final = 60.0
"""Seconds between two key poses at most."""
_TIME: Final = {"type": "number", "minimum": 0, "maximum": 1e6}
_PART: Final = {"enum": list(BODY_PARTS)}
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "ranges": {"type": "array", "maxItems": 1000, "items": {
            "type": "object", "required": ["start", "end"], "properties": {"start": _TIME, "end": _TIME, "part": _PART}}},
        "locks": {"type": "array", "maxItems": 100_000, "items": {
            "type": "object", "required": ["time"], "properties": {"time": _TIME, "part": _PART}}},
        "loop": {"type": "boolean"}, "kind": {"enum": list(KINDS)},
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
    :ivar kind: one of :data:`KINDS`.
    """

    base: Motion
    ranges: list[Range] = field(default_factory=list)
    locks: list[Lock] = field(default_factory=list)
    loop: bool = False
    kind: str = "perform"

    @classmethod
    def between(cls, before: Motion, after: Motion, seconds: float) -> Edit:
        """The way from one key pose, or keyed stretch, to another.

        The result is ``before``, the way, ``after``: of the two every frame comes back bit-identical, and a single frame of
        each is enough.

        :param before: at least one frame, in its place and heading. :param after: likewise, brought to ``before``'s frame rate.
        :param seconds: from the last frame of ``before`` to the first of ``after``.
        :raises UnderstudyError: ``request_invalid`` for motions without frames and times that leave no frame between.
        """
        if not len(before) or not len(after):
            raise _invalid("A key pose is missing: one of the two motions has no frames.", "Choose a pose before and a pose after.")
        if after.fps != before.fps:
            after = after.resample(before.fps) if len(after) > 1 else replace(after, fps=before.fps)
        if not 0 < seconds <= MAX_BETWEEN:
            raise _invalid(f"The way between the poses cannot last {seconds:g} s.", f"Choose a time up to {MAX_BETWEEN:g} s.")
        frames = round(seconds * before.fps) - 1
        if frames < 1:
            raise _invalid(f"No frame lies between poses that are {seconds:g} s apart at {before.fps:g} frames per second.",
                           "Move the poses further apart.")
        way = before.take(np.full(frames, len(before) - 1))
        t = (np.arange(frames) + 1) / (frames + 1)
        t = t * t * (3 - 2 * t)
        way.rotations = rot.slerp(before.rotations[-1:], after.rotations[:1], t[:, None]).astype(before.rotations.dtype)
        way.translation = ((1 - t[:, None]) * before.translation[-1] + t[:, None] * after.translation[0]).astype(before.translation.dtype)
        base = before.concatenate(way).concatenate(after)
        return cls(base, [Range(len(before) / before.fps, (len(before) + frames) / before.fps)], kind="between")

    def check(self, seconds: float | None = None) -> None:
        """Refuse what cannot be made.

        :param seconds: what the request lasts: longer than the base, the edit need name nothing but to go on.
        :raises UnderstudyError: ``request_invalid`` for empty ranges, ranges outside the base and locks that exclude them.
        """
        for part in (*(r.part for r in self.ranges), *(lock.part for lock in self.locks)):
            if part not in BODY_PARTS:
                raise _invalid(f"The edit is for the unknown body part {part!r}.", f"Choose one of {', '.join(BODY_PARTS)}.")
        for n, r in enumerate(self.ranges, start=1):
            if r.end <= r.start:
                raise _invalid(f"Range {n} ends at {r.end:.2f} s, not after its start.", "Give the range an end after its start.")
            if r.start >= self.base.duration:
                raise _invalid(f"Range {n} starts after the take ends at {self.base.duration:.2f} s.",
                               "Choose a range inside the take, or lengthen the performance.")
        for n, lock in enumerate(self.locks, start=1):
            if lock.time > self.base.duration:
                raise _invalid(f"Lock {n} at {lock.time:.2f} s lies after the take ends at {self.base.duration:.2f} s.",
                               "Remove the lock, or lengthen the take first.")
        if self.kind == "between" and (self.loop or not self.ranges):
            raise _invalid("A way between two poses needs a range, and cannot be a loop.", "Name the range between the poses.")
        longer = seconds is not None and round(seconds * self.base.fps) > len(self.base)
        if not self.ranges and not self.loop and not self.locks and not longer:
            raise _invalid("The edit names nothing to perform again.", "Choose a range, ask for a loop, or lengthen the performance.")
        locked = self._locked_frames()
        for n, r in enumerate(self.ranges, start=1):
            first, end = round(r.start * self.base.fps), min(round(r.end * self.base.fps), len(self.base))
            frames = locked[r.part]
            if end > first and np.searchsorted(frames, end) - np.searchsorted(frames, first) == end - first:
                raise _invalid(f"Every frame of range {n} is locked, so there is nothing to perform again.",
                               "Unlock some keys, or choose another range.")

    def _locked_frames(self) -> dict[str, np.ndarray]:
        """For each part of a range, the frames (sorted) at which locks hold all of its joints, together if not alone.

        Kept sorted and counted in: a thousand ranges over a hundred thousand locks must not hold up whoever checks them.
        """
        times = np.array([lock.time for lock in self.locks], np.float64)
        parts = np.array([lock.part for lock in self.locks], dtype="U16")
        at, where = np.unique(np.rint(times * self.base.fps).astype(np.int64), return_inverse=True)
        held = np.zeros((len(at), JOINT_COUNT), bool)
        for part in np.unique(parts):
            held[np.ix_(np.unique(where[parts == part]), np.array(PART_JOINTS[str(part)]))] = True
        return {part: at[held[:, list(PART_JOINTS[part])].all(1)] for part in {r.part for r in self.ranges}}

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The JSON and the buffers (names begin with ``base_``) of the edit in a ``submit``."""
        m = self.base
        face = np.stack(list(m.face.values()), 1) if m.face else np.zeros((len(m), 0), np.float32)
        buffers = {"rotations": m.rotations, "translation": m.translation, "expression": m.expression, "contacts": m.contacts, "face": face}
        data = {"ranges": [asdict(r) for r in self.ranges], "locks": [asdict(x) for x in self.locks], "loop": self.loop, "kind": self.kind,
                "fps": m.fps, "face_names": list(m.face)}
        return data, {f"base_{k}": np.ascontiguousarray(v) for k, v in buffers.items()}

    @classmethod
    def from_parts(cls, data: Any, buffers: dict[str, np.ndarray], seconds: float | None = None) -> Edit:
        """The inverse of :meth:`to_parts`; ``seconds`` as :meth:`check` takes it. :raises UnderstudyError: ``request_invalid``."""
        if found := problem(data, _SCHEMA, "edit"):
            raise _invalid(f"The edit cannot be read: {found}.", "Correct this value and perform again.")
        try:
            base = Motion(
                float(data["fps"]), buffers["base_rotations"], buffers["base_translation"], buffers["base_expression"],
                dict(zip(data["face_names"], buffers["base_face"].T, strict=True)), buffers["base_contacts"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _invalid(f"The take to be edited did not arrive whole ({error}).", "Perform again.") from error
        edit = cls(base, [Range(float(r["start"]), float(r["end"]), r.get("part", "full")) for r in data.get("ranges", [])],
                   [Lock(float(x["time"]), x.get("part", "full")) for x in data.get("locks", [])], bool(data.get("loop", False)),
                   data.get("kind", "perform"))
        edit.check(seconds)
        return edit


def _invalid(message: str, fix: str) -> UnderstudyError:
    return UnderstudyError("request_invalid", message, fix)
