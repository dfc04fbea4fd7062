# SPDX-License-Identifier: Apache-2.0
"""What a ``submit`` of kind ``motion`` asks for, and what its ``result`` brings."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np

from . import timeline
from .edits import Edit
from .errors import UnderstudyError
from .face_settings import FaceSettings
from .motion import Motion
from .protocol import Message, new_id
from .schema import problem
from .timeline import Direction

__all__ = ["MAX_SECONDS", "MOTION_REQUEST_SCHEMA", "MotionRequest", "check_request", "motion_from_message", "motion_to_buffers"]

MAX_SECONDS: Final = 3600.0
"""Longest performance of one request, seconds."""

_SCALE: Final = {"type": "number", "minimum": 0, "maximum": 2}
MOTION_REQUEST_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "fps": {"type": "number", "minimum": 1, "maximum": 240},
        "duration": {"type": ["number", "null"], "minimum": 0, "maximum": MAX_SECONDS},
        "directions": {"type": "array", "maxItems": timeline.MAX_DIRECTIONS, "items": {"type": "object"}},
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
        "weights": {"type": "string", "maxLength": 200},
        "text_guidance": {"type": ["number", "null"], "minimum": 0, "maximum": 20},
        "audio_guidance": {"type": ["number", "null"], "minimum": 0, "maximum": 20},
        "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 5},
        "amplitude": _SCALE, "tempo": _SCALE, "energy": _SCALE,
        "in_place": {"type": "boolean"}, "face": {"type": "boolean"}, "keep_time": {"type": "boolean"},
        "audio_name": {"type": "string", "maxLength": 500},
        "transcript": {"type": "string", "maxLength": 100_000}, "face_settings": {"type": "object"},
    },
}


@dataclass
class MotionRequest:
    """Everything that shapes a performance.

    :ivar fps: frames per second of the result.
    :ivar duration: seconds, or None for the length of the audio (without audio: the end of the last direction).
    :ivar seed: same seed, same request, same weights: same motion on the same machine.
    :ivar weights: name of a weights set.
    :ivar text_guidance: scale of classifier-free guidance for the directions; None: as the weights do it best.
    :ivar audio_guidance: the same for the speech.
    :ivar temperature: of the choice of tokens, 0 takes the likeliest; None: as the weights do it best.
    :ivar amplitude: gesture size, 1 as generated.
    :ivar in_place: keep the pelvis over its starting point.
    :ivar keep_time: lead strokes to syllables where speech alone drives the body.
    :ivar transcript: what is said, if known: the lips then follow the words.
    :ivar face_settings: emotion, gaze, strengths and corrected words.
    :ivar audio: (N,) uint8, the bytes of an audio file, or None.
    :ivar edit: a performance to change instead of a new one.
    """

    fps: float = 30.0
    duration: float | None = None
    directions: list[Direction] = field(default_factory=list)
    seed: int = 0
    weights: str = "starter"
    text_guidance: float | None = None
    audio_guidance: float | None = None
    temperature: float | None = None
    amplitude: float = 1.0
    tempo: float = 1.0
    energy: float = 1.0
    in_place: bool = False
    keep_time: bool = True
    face: bool = True
    audio_name: str = ""
    transcript: str = ""
    face_settings: FaceSettings = field(default_factory=FaceSettings)
    audio: np.ndarray | None = None
    edit: Edit | None = None

    def to_message(self, id: str | None = None, token: str = "") -> Message:
        """The ``submit`` message. :raises UnderstudyError: ``direction_invalid``, before anything is sent."""
        timeline.check(self.directions, self.duration)
        request = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("audio", "directions", "edit", "face_settings")}
        request["face_settings"] = self.face_settings.to_json()
        request["directions"] = timeline.to_json(self.directions)["directions"]
        buffers = {} if self.audio is None else {"audio": self.audio}
        if self.edit is not None:
            self.edit.check(self.duration)
            request["edit"], base = self.edit.to_parts()
            buffers |= base
        return Message("submit", id or new_id(), {"kind": "motion", "request": request}, buffers, token)

    @classmethod
    def from_message(cls, message: Message) -> MotionRequest:
        """The inverse of :meth:`to_message`, with every value checked.

        :raises UnderstudyError: ``request_invalid`` or ``direction_invalid``.
        """
        data = dict(message.body["request"])
        if found := problem(data, MOTION_REQUEST_SCHEMA, "request"):
            raise UnderstudyError("request_invalid", f"The request cannot be performed: {found}.",
                                  "Correct this value and perform again.")
        known = {k: data[k] for k in MOTION_REQUEST_SCHEMA["properties"] if k in data}
        known["face_settings"] = FaceSettings.from_json(data.get("face_settings", {}))
        request = cls(**known)
        request.directions = timeline.from_json(data.get("directions", []))
        timeline.check(request.directions, request.duration)
        request.audio = message.buffers.get("audio")
        if request.audio is not None and (request.audio.dtype != np.uint8 or request.audio.ndim != 1):
            raise UnderstudyError("request_invalid", "The audio did not arrive as the bytes of a file.",
                                  "Send the file's bytes as one uint8 buffer named audio.")
        if data.get("edit") is not None:
            request.edit = Edit.from_parts(data["edit"], message.buffers, request.duration)
            if request.edit.base.fps != request.fps:
                raise UnderstudyError("request_invalid", f"The take has {request.edit.base.fps:g} frames per second, the request "
                                      f"{request.fps:g}.", "Perform the edit at the take's own frame rate.")
        return request


def check_request(request: MotionRequest) -> None:
    """Refuse a request that says neither what to perform nor for how long, or that asks for more than the limit.

    :raises UnderstudyError: ``audio_missing`` or ``request_invalid``.
    """
    enabled = [d for d in request.directions if d.enabled]
    if request.audio is None and not enabled and not request.duration:
        raise UnderstudyError("audio_missing", "There is neither speech nor a direction to perform.",
                              "Choose a sound, or write a direction on the timeline.")
    if request.audio is None and request.duration is None and max(d.end for d in enabled) > MAX_SECONDS:
        raise UnderstudyError("request_invalid", f"The last direction ends after the {MAX_SECONDS / 60:.0f} minutes "
                              "that one performance can have.", "Perform the shot in parts.")


def motion_to_buffers(motion: Motion) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A motion as the body and the float32 buffers of a ``result`` or ``chunk`` message."""
    body = {"fps": motion.fps, "face_names": list(motion.face), "metadata": motion.metadata}
    face = np.stack(list(motion.face.values()), axis=1) if motion.face else np.zeros((len(motion), 0))
    arrays = {"rotations": motion.rotations, "translation": motion.translation, "expression": motion.expression,
              "contacts": motion.contacts, "face": face}
    return body, {name: np.ascontiguousarray(a, dtype=np.float32) for name, a in arrays.items()}


def motion_from_message(message: Message) -> Motion:
    """The motion in a ``result`` or ``chunk``; its arrays are views, copy before editing.

    :raises UnderstudyError: ``bad_message`` when buffers are missing or do not fit together.
    """
    try:
        b = message.buffers
        curves = dict(zip(message.body["face_names"], b["face"].T, strict=True))
        return Motion(float(message.body["fps"]), b["rotations"], b["translation"], b["expression"], curves,
                      b["contacts"], message.body.get("metadata", {}))
    except (KeyError, TypeError, ValueError) as error:
        raise UnderstudyError("bad_message", f"The result is not a motion ({error}).",
                              "Update the add-on and the bridge to the same release.") from error
