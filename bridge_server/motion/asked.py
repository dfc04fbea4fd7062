# SPDX-License-Identifier: Apache-2.0
"""What a request asks of the built-in generator: for how long, and what of a performance that is there stays."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bridge_server.audio.sound import Audio
from shared.edits import Lock, Range
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.requests import MAX_SECONDS, MotionRequest

__all__ = ["Held", "length_of"]


@dataclass
class Held:
    """A performance that stays outside ``ranges`` and at ``locks``.

    :ivar undirected: where no direction is, nothing is asked, rather than to stand idle.
    """

    motion: Motion
    ranges: list[Range]
    locks: list[Lock]
    undirected: bool = False

    def stretched(self, tempo: float, tokens: int) -> tuple[Motion, list[Range], int, list[Lock]]:
        """What :func:`.editing.known_tokens` takes, in performed time: a second of the take is ``tempo`` seconds there."""
        ranges = [replace(r, start=r.start * tempo, end=r.end * tempo) for r in self.ranges]
        return (replace(self.motion, fps=self.motion.fps / tempo), ranges, tokens,
                [replace(lock, time=lock.time * tempo) for lock in self.locks])


def length_of(request: MotionRequest, audio: Audio | None) -> float:
    """Seconds of the performance. :raises UnderstudyError: when nothing says how long it should be."""
    if request.duration:
        seconds = request.duration
    elif audio is not None:
        seconds = audio.duration
    else:
        enabled = [d for d in request.directions if d.enabled]
        if not enabled:
            raise UnderstudyError("audio_missing", "There is neither speech nor a direction to perform.",
                                  "Choose a sound, or add a direction to the timeline.")
        seconds = max(d.end for d in enabled)
    if seconds > MAX_SECONDS:
        raise UnderstudyError("audio_too_long", f"The performance would last {seconds / 60:.0f} minutes; "
                              f"{MAX_SECONDS / 60:.0f} are performed at once.", "Perform the shot in parts.")
    return seconds
