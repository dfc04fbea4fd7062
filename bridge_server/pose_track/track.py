# SPDX-License-Identifier: Apache-2.0
"""The pose track: 2D key points over time, what every renderer of films takes."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bridge_server.pose_track.layout import POINT_COUNT
from shared.errors import UnderstudyError

__all__ = ["PoseTrack"]

_FORMAT = "understudy-pose-track-1"


@dataclass
class PoseTrack:
    """Key points of one person. Frame ``f`` is at time ``f / fps``.

    :ivar fps: frames per second.
    :ivar width: pixels of the picture.
    :ivar height: pixels of the picture.
    :ivar points: (T, 66, 2) float, x to the right and y down in pixels; (0, 0) is the upper left **corner** of the picture.
    :ivar confidence: (T, 66) in [0, 1]; 0 for what is not there, hidden, or outside of the picture.
    :ivar depth: (T, 66) distance from the camera along its view, metres.
    :ivar face_centre: (T, 2) pixels, the middle of the face; the head mask is centred there.
    :ivar face_size: side of the head mask in pixels, one number for the whole track; 0 where there is none.
    :ivar metadata: JSON-serialisable facts.
    :raises ValueError: where shapes do not agree.
    """

    fps: float
    width: int
    height: int
    points: np.ndarray
    confidence: np.ndarray
    depth: np.ndarray
    face_centre: np.ndarray
    face_size: float = 0.0
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frames = len(self.points)
        for name, shape in (("points", (frames, POINT_COUNT, 2)), ("confidence", (frames, POINT_COUNT)),
                            ("depth", (frames, POINT_COUNT)), ("face_centre", (frames, 2))):
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(f"{name} has shape {np.shape(getattr(self, name))}, expected {shape}")
        if not (self.fps > 0 and self.width > 0 and self.height > 0):
            raise ValueError("fps, width and height must be positive")

    def __len__(self) -> int:
        return len(self.points)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self) / self.fps

    def take(self, index: np.ndarray | slice) -> PoseTrack:
        """The frames ``index``, as a copy."""
        index = np.arange(len(self))[index]
        return replace(self, points=self.points[index], confidence=self.confidence[index], depth=self.depth[index],
                       face_centre=self.face_centre[index], metadata=dict(self.metadata))

    def scaled(self, width: int, height: int) -> PoseTrack:
        """The same track for a picture of another size; each axis is scaled by itself."""
        scale = np.array([width / self.width, height / self.height])
        return replace(self, width=width, height=height, points=self.points * scale,
                       face_centre=self.face_centre * scale, face_size=self.face_size * float(scale.min()))

    def save(self, path: str | Path) -> None:
        """Write npz (no pickle). The file appears whole or not at all."""
        head = {"format": _FORMAT, "fps": self.fps, "width": self.width, "height": self.height,
                "face_size": self.face_size, "metadata": self.metadata}
        file = io.BytesIO()
        np.savez_compressed(file, head=np.array(json.dumps(head)), points=self.points.astype(np.float32),
                            confidence=self.confidence.astype(np.float32), depth=self.depth.astype(np.float32),
                            face_centre=self.face_centre.astype(np.float32))
        temporary = Path(path).with_name(Path(path).name + ".part")
        temporary.write_bytes(file.getvalue())
        temporary.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> PoseTrack:
        """Read what :meth:`save` wrote. :raises UnderstudyError: ``file_missing`` or ``file_invalid``."""
        path = Path(path)
        if not path.is_file():
            raise UnderstudyError("file_missing", f"There is no file {path}.", "Check the path.")
        try:
            with np.load(path, allow_pickle=False) as z:
                head = json.loads(str(z["head"]))
                if head["format"] != _FORMAT:
                    raise ValueError(f"its format is {head['format']}")
                return cls(float(head["fps"]), int(head["width"]), int(head["height"]), z["points"], z["confidence"],
                           z["depth"], z["face_centre"], float(head["face_size"]), dict(head["metadata"]))
        except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise UnderstudyError("file_invalid", f"{path.name} is not a pose track ({error}).",
                                  "Make it again with 'understudy film --track'.") from error
