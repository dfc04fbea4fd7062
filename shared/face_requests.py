# SPDX-License-Identifier: Apache-2.0
"""Jobs beside the performance: hearing the words of a speech (kind ``speech``), and a face alone (kind ``face``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from . import speech, timeline
from .edits import Edit, Range
from .errors import UnderstudyError
from .face_settings import FaceSettings
from .motion import Motion
from .protocol import Message, new_id
from .requests import motion_from_message
from .schema import problem
from .speech import Word
from .timeline import Direction

__all__ = ["FaceRequest", "Heard", "SpeechRequest", "Suggestion"]

_SPEECH: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "transcript": {"type": "string", "maxLength": 100_000}, "audio_name": {"type": "string", "maxLength": 500},
        "suggest": {"type": "boolean"}, "language": {"type": "string", "maxLength": 20},
        "spacing": {"type": "number", "minimum": 0.5, "maximum": 600},
        "threshold": {"type": "number", "minimum": 0, "maximum": 1},
    },
}
_FACE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "transcript": {"type": "string", "maxLength": 100_000}, "audio_name": {"type": "string", "maxLength": 500},
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}, "face_settings": {"type": "object"},
        "directions": {"type": "array", "maxItems": timeline.MAX_DIRECTIONS, "items": {"type": "object"}},
    },
}


def _audio(message: Message) -> np.ndarray | None:
    audio = message.buffers.get("audio")
    if audio is not None and (audio.dtype != np.uint8 or audio.ndim != 1):
        raise UnderstudyError("request_invalid", "The audio did not arrive as the bytes of a file.",
                              "Send the file's bytes as one uint8 buffer named audio.")
    return audio


def _checked(message: Message, schema: dict[str, Any]) -> dict[str, Any]:
    data = dict(message.body["request"])
    if found := problem(data, schema, "request"):
        raise UnderstudyError("request_invalid", f"The request cannot be performed: {found}.",
                              "Correct this value and perform again.")
    return data


@dataclass(frozen=True)
class Suggestion:
    """:ivar direction: a strip, ready to be placed. :ivar reason: one sentence for the artist.
    :ivar word: what the gesture's stroke meets. :ivar score: about 0.4 (thin) to 1.
    """

    direction: Direction
    reason: str
    word: str = ""
    score: float = 0.0


@dataclass(frozen=True)
class Heard:
    """The result of a ``speech`` job.

    :ivar words: with times. :ivar source: ``transcript``, ``recogniser``, ``signal`` or ``none``.
    :ivar suggestions: directions for what is said, where they were asked for. :ivar warnings: sentences for the user.
    """

    words: list[Word]
    source: str = "none"
    suggestions: list[Suggestion] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The body of the ``result``."""
        rows = [{**timeline.to_json([s.direction])["directions"][0], "reason": s.reason, "word": s.word, "score": s.score}
                for s in self.suggestions]
        return {"words": speech.to_json(self.words), "source": self.source, "suggestions": rows, "warnings": self.warnings}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Heard:
        """The inverse of :meth:`to_json`. :raises UnderstudyError: ``bad_message``."""
        try:
            rows = data.get("suggestions", [])
            directions = timeline.from_json(rows)
            suggestions = [Suggestion(d, str(r.get("reason", "")), str(r.get("word", "")), float(r.get("score", 0)))
                           for d, r in zip(directions, rows, strict=True)]
            return cls(speech.from_json(data["words"]), str(data.get("source", "none")), suggestions,
                       [str(w) for w in data.get("warnings", [])])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnderstudyError("bad_message", f"The result holds no words ({error}).",
                                  "Update the add-on and the bridge to the same release.") from error


@dataclass
class SpeechRequest:
    """What is said and when; and, if wanted, directions for it. Nothing is performed.

    :ivar audio: (N,) uint8, the bytes of an audio file. :ivar transcript: what is said, if known.
    :ivar suggest: also look for gestures that carry meaning; needs the transcript.
    :ivar spacing: least seconds between two suggestions. :ivar threshold: least score of one.
    """

    audio: np.ndarray | None = None
    audio_name: str = ""
    transcript: str = ""
    language: str = ""
    suggest: bool = False
    spacing: float = 5.0
    threshold: float = 0.5

    def to_message(self, id: str | None = None, token: str = "") -> Message:
        """The ``submit`` message."""
        names = ("audio_name", "transcript", "language", "suggest", "spacing", "threshold")
        buffers = {} if self.audio is None else {"audio": self.audio}
        return Message("submit", id or new_id(), {"kind": "speech", "request": {n: getattr(self, n) for n in names}}, buffers, token)

    @classmethod
    def from_message(cls, message: Message) -> SpeechRequest:
        """The inverse, with every value checked. :raises UnderstudyError: ``request_invalid`` or ``audio_missing``."""
        data = _checked(message, _SPEECH)
        request = cls(_audio(message), **{k: data[k] for k in _SPEECH["properties"] if k in data})
        if request.audio is None:
            raise UnderstudyError("audio_missing", "There is no speech to listen to.", "Choose the speech first.")
        if request.suggest and not request.transcript.strip():
            raise UnderstudyError("request_invalid", "Directions are suggested for a transcript, and there is none.",
                                  "Write what is said into the transcript.")
        return request

    @staticmethod
    def read(message: Message) -> Heard:
        """The answer in a ``result``."""
        return Heard.from_json(message.body)


@dataclass
class FaceRequest:
    """The face of a performance that is there, made anew in some stretches; all else of it stays bit-identical.

    :ivar base: what is there, at the rate of the result. :ivar ranges: (start, end) seconds.
    :ivar audio: as in :class:`~.requests.MotionRequest`, and likewise the other fields.
    """

    base: Motion
    ranges: list[tuple[float, float]] = field(default_factory=list)
    audio: np.ndarray | None = None
    audio_name: str = ""
    transcript: str = ""
    seed: int = 0
    directions: list[Direction] = field(default_factory=list)
    face_settings: FaceSettings = field(default_factory=FaceSettings)

    def _edit(self) -> Edit:
        return Edit(self.base, [Range(a, b, "head") for a, b in self.ranges])

    def to_message(self, id: str | None = None, token: str = "") -> Message:
        """The ``submit`` message. :raises UnderstudyError: ``request_invalid`` for ranges outside the base."""
        edit = self._edit()
        edit.check()
        data, buffers = edit.to_parts()
        if self.audio is not None:
            buffers = {**buffers, "audio": self.audio}
        request = {
            "edit": data, "transcript": self.transcript, "audio_name": self.audio_name, "seed": self.seed,
            "directions": timeline.to_json(self.directions)["directions"], "face_settings": self.face_settings.to_json(),
        }
        return Message("submit", id or new_id(), {"kind": "face", "request": request}, buffers, token)

    @classmethod
    def from_message(cls, message: Message) -> FaceRequest:
        """The inverse, with every value checked. :raises UnderstudyError: ``request_invalid`` or ``direction_invalid``."""
        data = _checked(message, _FACE)
        edit = Edit.from_parts(data.get("edit"), message.buffers)
        known = {k: data[k] for k in ("transcript", "audio_name", "seed") if k in data}
        return cls(edit.base, [(r.start, r.end) for r in edit.ranges], _audio(message), **known,
                   directions=timeline.from_json(data.get("directions", [])),
                   face_settings=FaceSettings.from_json(data.get("face_settings", {})))

    @staticmethod
    def read(message: Message) -> Motion:
        """The answer in a ``result``."""
        return motion_from_message(message)
