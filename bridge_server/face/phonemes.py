# SPDX-License-Identifier: Apache-2.0
"""Who says when which sound is said: the transcript, the recogniser, or nobody."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge_server.face.acoustics import Acoustics
from bridge_server.face.mouth import Segment
from bridge_server.motion.generator import Audio

__all__ = ["Phonemes", "find"]


@dataclass
class Phonemes:
    """:ivar segments: in time order; empty when only the signal is left to go by.
    :ivar source: ``transcript``, ``recogniser``, ``signal`` or ``artist``.
    :ivar warnings: sentences for the user.
    """

    segments: list[Segment]
    source: str
    warnings: list[str] = field(default_factory=list)


def find(audio: Audio, acoustics: Acoustics, transcript: str | None) -> Phonemes:
    """Visemes with times."""
    return Phonemes([], "signal")
