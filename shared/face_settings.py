# SPDX-License-Identifier: Apache-2.0
"""What an artist sets for a face: emotion over time, where the eyes look, how strong each part is, corrected words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from . import speech
from .errors import UnderstudyError
from .schema import problem
from .speech import Word

__all__ = ["EMOTIONS", "FaceSettings", "Sampled"]

EMOTIONS: Final = ("neutral", "happy", "sad", "angry", "surprised", "disgusted", "afraid", "contempt")

_STRENGTH: Final = {"type": "number", "minimum": 0, "maximum": 2}
_CURVE: Final[dict[str, Any]] = {
    "type": "object", "required": ["rate", "values"],
    "properties": {"rate": {"type": "number", "minimum": 0.01, "maximum": 240},
                   "values": {"type": "array", "minItems": 1, "maxItems": 400_000, "items": {"type": "number"}}},
}
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "mouth": _STRENGTH, "brows": _STRENGTH, "blinks": _STRENGTH, "nods": _STRENGTH,
        "lead": {"type": "number", "minimum": -0.5, "maximum": 0.5},
        "head_share": {"type": "number", "minimum": 0, "maximum": 1},
        "language": {"type": "string", "maxLength": 20}, "route": {"type": "string", "maxLength": 64},
        "emotions": {"type": "object", "properties": {name: {"type": ["number", "object"]} for name in EMOTIONS}},
        "gaze": {"type": ["object", "null"]},
    },
}
_STRENGTHS: Final = ("mouth", "brows", "blinks", "nods", "lead", "head_share")


@dataclass(frozen=True)
class Sampled:
    """A value over time: sample ``k`` is at ``k / rate`` seconds, held at both ends.

    :ivar values: (N,) or (N, 3).
    """

    rate: float
    values: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        """The value at ``times`` (T,), linearly between samples: (T,) or (T, 3)."""
        grid = np.arange(len(self.values)) / self.rate
        values = np.asarray(self.values, dtype=np.float64)
        if values.ndim == 1:
            return np.interp(times, grid, values)
        return np.stack([np.interp(times, grid, column) for column in values.T], axis=1)

    def to_json(self) -> dict[str, Any]:
        """``{"rate", "values"}``, rows one after the other."""
        return {"rate": self.rate, "values": [round(float(v), 5) for v in np.ravel(self.values)]}


@dataclass
class FaceSettings:
    """:ivar emotions: intensity in [0, 1] by name of :data:`EMOTIONS`, constant or over time; beside what directions say.
    :ivar gaze: points that the eyes look at, (N, 3) metres in the performer's space (+Y up, +Z forward, the origin on the
        floor under the pelvis at the start), or None: straight ahead of the head.
    :ivar head_share: of the turn towards the gaze's target, what the head takes before the eyes, 0 to 1.
    :ivar mouth: scales the speech part of the mouth. :ivar brows: brow raises. :ivar blinks: how often the eyes blink.
    :ivar nods: head movement with the speech. All of 1 as performed, 0 to 2.
    :ivar lead: seconds by which the lips run ahead of the sound; negative: behind.
    :ivar words: corrected words; None: found in the sound.
    :ivar language: of the speech, such as ``en``; empty: unknown.
    :ivar route: who performs the face: empty for the bridge's own rules, else the name of a route that it offers.
    """

    emotions: dict[str, float | Sampled] = field(default_factory=dict)
    gaze: Sampled | None = None
    head_share: float = 0.5
    mouth: float = 1.0
    brows: float = 1.0
    blinks: float = 1.0
    nods: float = 1.0
    lead: float = 0.01
    words: list[Word] | None = None
    language: str = ""
    route: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON; only what differs from the defaults."""
        plain = FaceSettings()
        data: dict[str, Any] = {n: getattr(self, n) for n in (*_STRENGTHS, "language", "route") if getattr(self, n) != getattr(plain, n)}
        if self.emotions:
            data["emotions"] = {n: v.to_json() if isinstance(v, Sampled) else float(v) for n, v in self.emotions.items()}
        if self.gaze is not None:
            data["gaze"] = self.gaze.to_json()
        if self.words is not None:
            data["words"] = speech.to_json(self.words)
        return data

    @classmethod
    def from_json(cls, data: Any) -> FaceSettings:
        """The inverse of :meth:`to_json`, with every value checked. :raises UnderstudyError: ``request_invalid``."""
        found = problem(data, _SCHEMA, "face_settings")
        if found is None and (unknown := set(data.get("emotions", {})) - set(EMOTIONS)):
            found = f"there is no emotion {sorted(unknown)[0]!r}"
        if found is None:
            curves = [(f"emotions.{n}", v) for n, v in data.get("emotions", {}).items() if isinstance(v, dict)]
            curves += [("gaze", data["gaze"])] if data.get("gaze") is not None else []
            found = next((p for n, v in curves if (p := problem(v, _CURVE, f"face_settings.{n}"))), None)
            if found is None and data.get("gaze") is not None and len(data["gaze"]["values"]) % 3:
                found = "face_settings.gaze has a point without three numbers"
        if found:
            raise UnderstudyError("request_invalid", f"The face cannot be performed like this: {found}.",
                                  "Correct this value and perform again.")
        settings = cls(**{n: data[n] for n in (*_STRENGTHS, "language", "route") if n in data})
        for name, value in data.get("emotions", {}).items():
            settings.emotions[name] = _curve(value).clipped() if isinstance(value, dict) else float(np.clip(value, 0, 1))
        if data.get("gaze") is not None:
            gaze = _curve(data["gaze"])
            settings.gaze = Sampled(gaze.rate, gaze.values.reshape(-1, 3))
        if data.get("words") is not None:
            settings.words = speech.from_json(data["words"])
        return settings


class _Curve(Sampled):
    def clipped(self) -> Sampled:
        return Sampled(self.rate, np.clip(self.values, 0, 1))


def _curve(data: dict[str, Any]) -> _Curve:
    return _Curve(float(data["rate"]), np.array(data["values"], dtype=np.float64))
