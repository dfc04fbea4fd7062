# SPDX-License-Identifier: Apache-2.0
"""What a ``submit`` of kind ``film`` asks for, and what its ``chunk`` and ``result`` bring."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np

from .errors import UnderstudyError
from .protocol import Message, new_id
from .schema import problem
from .skeleton import JOINT_COUNT, NEUTRAL_OFFSETS

__all__ = ["BODY_LIMBS", "BODY_NAMES", "FILM_SCHEMA", "FORMATS", "FRAMINGS", "POINT_COUNT", "QUALITIES", "Film", "FilmOrder", "Look",
           "film_from_message", "look_from_message", "preview_of", "standing_figure"]

POINT_COUNT: Final = 66
"""Key points of a pose track: 18 of the body, 6 of the feet, 21 of each hand."""
FRAMINGS: Final = ("scene", "head", "half", "whole")
"""Through the scene's camera, or a virtual one: talking head, half body, whole body."""
QUALITIES: Final = ("draft", "normal", "best")
FORMATS: Final = ("mp4", "mov", "png")
"""H.264 with AAC, ProRes with PCM, and numbered pictures in a zip archive."""
MAX_SIDE: Final = 4096
MAX_FRAMES: Final = 100_000

_SECOND: Final = {"type": "number", "minimum": 0, "maximum": 1e6}
_TEXT: Final = {"type": "string", "maxLength": 500}
FILM_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["action"],
    "properties": {
        "action": {"enum": ["film", "look"]},
        "photo_name": _TEXT, "audio_name": _TEXT, "driving_name": _TEXT,
        "renderer": {"type": "string", "maxLength": 64, "pattern": r"[A-Za-z0-9_.-]+"},
        "framing": {"enum": list(FRAMINGS)},
        "width": {"type": ["integer", "null"], "minimum": 64, "maximum": MAX_SIDE},
        "height": {"type": ["integer", "null"], "minimum": 64, "maximum": MAX_SIDE},
        "fps": {"type": "number", "minimum": 1, "maximum": 120},
        "performance_fps": {"type": "number", "minimum": 1, "maximum": 240},
        "face_names": {"type": "array", "maxItems": 200, "items": {"type": "string", "maxLength": 64}},
        "floor": {"type": "number", "minimum": -1e4, "maximum": 1e4},
        "camera_width": {"type": "integer", "minimum": 16, "maximum": 65536},
        "camera_height": {"type": "integer", "minimum": 16, "maximum": 65536},
        "audio_start": {"type": "number", "minimum": -1e6, "maximum": 1e6},
        "part_start": {"type": ["number", "null"], "minimum": 0, "maximum": 1e6},
        "part_end": {"type": ["number", "null"], "minimum": 0, "maximum": 1e6},
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
        "quality": {"enum": list(QUALITIES)},
        "format": {"enum": list(FORMATS)},
        "permission": {"type": "string", "maxLength": 2000},
        "mark": {"type": "boolean"},
        "facts": {"type": "object"},
    },
}

_ARRAYS: Final[dict[str, tuple[str, tuple[int | None, ...]]]] = {
    # name: element kind, shape; None is any length
    "photo": ("u", (None,)), "audio": ("u", (None,)), "driving": ("u", (None,)),
    "positions": ("f", (None, JOINT_COUNT, 3)), "turns": ("f", (None, JOINT_COUNT, 4)), "face": ("f", (None, None)),
    "known": ("b", (JOINT_COUNT,)), "offsets": ("f", (JOINT_COUNT, 3)),
    "view": ("f", (None, 4, 4)), "projection": ("f", (None, 4, 4)), "points": ("f", (POINT_COUNT, 3)),
}


# a standing person that fills a picture: shares of its width and height, arms a little off the body
_FIGURE: Final = {
    "nose": (0.50, 0.12), "neck": (0.50, 0.22), "shoulder": (0.10, 0.22), "elbow": (0.15, 0.37), "wrist": (0.17, 0.50),
    "hip": (0.06, 0.50), "knee": (0.065, 0.71), "ankle": (0.07, 0.92), "eye": (0.02, 0.10), "ear": (0.04, 0.11),
}
BODY_NAMES: Final = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)
"""OpenPose's 18 points of a body, the first of the 66. Left is the person's left."""
BODY_LIMBS: Final = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0), (0, 14),
    (14, 16), (0, 15), (15, 17),
)
"""The limbs between them, in the order in which every OpenPose drawer draws them."""


def standing_figure(width: int, height: int) -> np.ndarray:
    """(66, 3) points to drag from, where nothing is known of a picture: a standing person seen from the front."""
    # as wide as a body of this height is, whatever the picture's shape
    across = min(width, height * 0.75)
    out = np.zeros((POINT_COUNT, 3))
    for n, name in enumerate(BODY_NAMES):
        side, _, part = name.rpartition("_")
        x, y = _FIGURE[part]
        # who looks at the camera has their right side on the left of the picture
        offset = (x if side == "left" else -x) if side else 0.0
        out[n] = width / 2 + offset * across, y * height, 0.5
    return out


@dataclass
class FilmOrder:
    """A film to be made, or (``action`` "look") a photograph to be looked at before one.

    Arrays, all optional unless noted:

    :ivar photo: (N,) uint8, the bytes of a picture file; needed. :ivar audio: likewise of the speech.
    :ivar driving: likewise of a film of the performing character, for renderers that take one.
    :ivar positions: (T, 55, 3) joints, metres, +Y up, at ``performance_fps``; needed for a film. :ivar turns: (T, 55, 4) their
        rotations since the T-pose, wxyz; needed for a film. :ivar known: (55,) bool: joints that the performer has.
    :ivar offsets: (55, 3) rest offsets, metres. :ivar face: (T, len(face_names)) ARKit weights.
    :ivar view: (T, 4, 4) and :ivar projection: (T, 4, 4), the scene's camera as OpenGL matrices; for the framing "scene".
    :ivar points: (66, 3) x, y in the photograph's pixels (as seen, upright) and confidence, placed by the artist.

    Values:

    :ivar fps: of the film. :ivar width: pixels, None for the photograph's shape. :ivar floor: height of the floor, metres.
    :ivar audio_start: seconds into the sound at the first frame; may be negative.
    :ivar part_start: seconds within the film from which, :ivar part_end: to which it is drawn; None for all of it.
    :ivar permission: who allows the use of the photograph. :ivar mark: write a visible mark.
    :ivar facts: of the performance, for the film's metadata.
    """

    action: str = "film"
    photo: np.ndarray | None = None
    photo_name: str = ""
    audio: np.ndarray | None = None
    audio_name: str = ""
    audio_start: float = 0.0
    driving: np.ndarray | None = None
    driving_name: str = ""
    positions: np.ndarray | None = None
    turns: np.ndarray | None = None
    known: np.ndarray | None = None
    offsets: np.ndarray | None = None
    performance_fps: float = 30.0
    face: np.ndarray | None = None
    face_names: list[str] = field(default_factory=list)
    floor: float = 0.0
    view: np.ndarray | None = None
    projection: np.ndarray | None = None
    camera_width: int = 1920
    camera_height: int = 1080
    points: np.ndarray | None = None
    renderer: str = "puppet"
    framing: str = "half"
    width: int | None = None
    height: int | None = None
    fps: float = 25.0
    part_start: float | None = None
    part_end: float | None = None
    seed: int = 0
    quality: str = "normal"
    format: str = "mp4"
    permission: str = ""
    mark: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    def to_message(self, id: str | None = None, token: str = "") -> Message:
        """The ``submit`` message. :raises UnderstudyError: as :meth:`check`."""
        self.check()
        request = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _ARRAYS}
        buffers: dict[str, np.ndarray] = {}
        for name, (kind, _) in _ARRAYS.items():
            array = getattr(self, name)
            if array is not None:
                dtype = {"u": np.uint8, "b": np.bool_, "f": np.float64 if name in ("view", "projection") else np.float32}[kind]
                buffers[name] = np.ascontiguousarray(array, dtype=dtype)
        return Message("submit", id or new_id(), {"kind": "film", "request": request}, buffers, token)

    @classmethod
    def from_message(cls, message: Message) -> FilmOrder:
        """The inverse of :meth:`to_message`, with every value checked. :raises UnderstudyError: ``request_invalid``."""
        data = dict(message.body["request"])
        if found := problem(data, FILM_SCHEMA, "request"):
            raise UnderstudyError("request_invalid", f"The film cannot be made: {found}.", "Correct this value and film again.")
        given: dict[str, Any] = {k: data[k] for k in FILM_SCHEMA["properties"] if k in data}
        order = cls(**given, **{k: message.buffers[k] for k in _ARRAYS if k in message.buffers})  # type: ignore[arg-type]
        order.check()
        return order

    def check(self) -> None:
        """:raises UnderstudyError: ``request_invalid`` for what is missing or does not fit together."""
        for name, (kind, shape) in _ARRAYS.items():
            array = getattr(self, name)
            if array is None:
                continue
            fits = array.dtype.kind == kind and array.ndim == len(shape) and all(
                b is None or a == b for a, b in zip(array.shape, shape, strict=True))
            if not fits or (kind == "f" and not np.isfinite(array).all()):
                raise _bad(f"{name} is {array.dtype} {array.shape} or holds values that are not numbers")
        if self.photo is None or not len(self.photo):
            raise UnderstudyError("request_invalid", "There is no photograph to film.", "Choose the picture of a person.")
        if self.action == "look":
            return
        if self.positions is None or self.turns is None or not 2 <= len(self.positions) <= MAX_FRAMES:
            raise _bad("there is no performance of 2 to 100,000 frames")
        frames = len(self.positions)
        if len(self.turns) != frames or (self.face is not None and self.face.shape != (frames, len(self.face_names))):
            raise _bad("positions, turns and face are of different length")
        if self.framing == "scene" and (self.view is None or self.projection is None):
            raise UnderstudyError("request_invalid", "The scene's camera did not come with the film.",
                                  "Add a camera to the scene, or choose another framing.")
        for name in ("view", "projection"):
            if getattr(self, name) is not None and len(getattr(self, name)) not in (1, frames):
                raise _bad(f"{name} has {len(getattr(self, name))} matrices for {frames} frames")
        if (self.part_start is None) != (self.part_end is None):
            raise _bad("a part has a beginning and an end")

    def rest_offsets(self) -> np.ndarray:
        """(55, 3) metres."""
        return NEUTRAL_OFFSETS if self.offsets is None else self.offsets.astype(np.float64)

    def read_result(self, message: Message) -> Film | Look:
        """What the ``result`` of this order brings. :raises UnderstudyError: ``bad_message``."""
        return look_from_message(message) if self.action == "look" else film_from_message(message)


def _bad(what: str) -> UnderstudyError:
    return UnderstudyError("request_invalid", f"The film cannot be made: {what}.", "Update the add-on and the bridge to the same release.")


@dataclass(frozen=True)
class Film:
    """A film that was made.

    :ivar content: (N,) uint8, the bytes of the file; a zip archive of pictures for "png". :ivar facts: its provenance.
    :ivar first: number of the first frame within the whole film. :ivar notes: sentences for the user.
    """

    content: np.ndarray
    format: str
    frames: int
    first: int
    fps: float
    width: int
    height: int
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    signed: bool = False

    def to_body(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Body and buffers of the ``result``."""
        body = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("content", "notes")}
        return {**body, "notes": list(self.notes)}, {"film": self.content}


@dataclass(frozen=True)
class Look:
    """What was seen in a photograph.

    :ivar width: pixels of the picture as it is meant to be seen. :ivar points: (66, 3) proposed x, y and confidence.
    :ivar placed_by: name of the detector, or "proportion". :ivar notes: sentences for the user.
    """

    width: int
    height: int
    points: np.ndarray
    placed_by: str = ""
    notes: tuple[str, ...] = ()

    def to_body(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Body and buffers of the ``result``."""
        body = {"width": self.width, "height": self.height, "placed_by": self.placed_by, "notes": list(self.notes)}
        return body, {"points": np.ascontiguousarray(self.points, np.float32)}


_FILM_BODY: Final[dict[str, Any]] = {
    "type": "object", "required": ["format", "frames", "first", "fps", "width", "height"],
    "properties": {
        "format": {"enum": list(FORMATS)}, "frames": {"type": "integer", "minimum": 0}, "first": {"type": "integer", "minimum": 0},
        "fps": {"type": "number", "minimum": 0.1}, "width": {"type": "integer"}, "height": {"type": "integer"},
        "notes": {"type": "array", "items": {"type": "string"}}, "facts": {"type": "object"}, "signed": {"type": "boolean"},
    },
}
_LOOK_BODY: Final[dict[str, Any]] = {
    "type": "object", "required": ["width", "height"],
    "properties": {"width": {"type": "integer", "minimum": 1}, "height": {"type": "integer", "minimum": 1},
                   "placed_by": {"type": "string"}, "notes": {"type": "array", "items": {"type": "string"}}},
}


def _not_one(found: object) -> UnderstudyError:
    return UnderstudyError("bad_message", f"The result is not a film ({found}).", "Update the add-on and the bridge to the same release.")


def film_from_message(message: Message) -> Film:
    """The film in a ``result``. :raises UnderstudyError: ``bad_message``."""
    body, content = message.body, message.buffers.get("film")
    if found := problem(body, _FILM_BODY, "result"):
        raise _not_one(found)
    if content is None or content.dtype != np.uint8 or content.ndim != 1:
        raise _not_one("it has no bytes")
    return Film(content, body["format"], body["frames"], body["first"], float(body["fps"]), body["width"], body["height"],
                tuple(body.get("notes", ())), dict(body.get("facts", {})), bool(body.get("signed")))


def look_from_message(message: Message) -> Look:
    """What was seen, in a ``result``. :raises UnderstudyError: ``bad_message``."""
    body, points = message.body, message.buffers.get("points")
    if found := problem(body, _LOOK_BODY, "result"):
        raise _not_one(found)
    if points is None or points.shape != (POINT_COUNT, 3):
        raise _not_one("it has no points")
    return Look(body["width"], body["height"], points.astype(np.float64), body.get("placed_by", ""), tuple(body.get("notes", ())))


def preview_of(message: Message) -> tuple[int, np.ndarray] | None:
    """Number and picture (H, W, 3) uint8 RGB of a frame that a ``chunk`` of a film shows, or None for another chunk."""
    picture = message.buffers.get("preview")
    if picture is None or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        return None
    return int(message.body["first_frame"]), picture
