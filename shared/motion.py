# SPDX-License-Identifier: Apache-2.0
"""The Motion container: what a generator gives and what a retargeter takes."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from . import rotations as rot
from .errors import UnderstudyError
from .kinematics import forward
from .skeleton import CONTACT_NAMES, JOINT_COUNT, NEUTRAL_OFFSETS

__all__ = ["Motion"]


@dataclass
class Motion:
    """Frames of one performer. Frame ``f`` is at time ``f / fps`` exactly.

    :ivar fps: frames per second.
    :ivar rotations: (T, 55, 4) local unit quaternions wxyz in SMPL-X joint order, sign-continuous in time,
        relative to the T-pose.
    :ivar translation: (T, 3) world position of the pelvis, metres, +Y up.
    :ivar expression: (T, E) SMPL-X expression coefficients; E may be 0.
    :ivar face: named curves (T,), the ARKit names of :mod:`.face_curves`, weights in [0, 1].
    :ivar contacts: (T, 4) probability in [0, 1] that each of :data:`~.skeleton.CONTACT_NAMES` stands on the floor.
    :ivar metadata: JSON-serialisable facts: seed, directions, model id, licence of the weights.
    :raises ValueError: where lengths or shapes do not agree.
    """

    fps: float
    rotations: np.ndarray
    translation: np.ndarray
    expression: np.ndarray = field(default=None)  # type: ignore[arg-type]
    face: dict[str, np.ndarray] = field(default_factory=dict)
    contacts: np.ndarray = field(default=None)  # type: ignore[arg-type]
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frames = len(self.rotations)
        if self.expression is None:
            self.expression = np.zeros((frames, 0), dtype=np.float32)
        if self.contacts is None:
            self.contacts = np.zeros((frames, len(CONTACT_NAMES)), dtype=np.float32)
        if not self.fps > 0:
            raise ValueError(f"fps must be positive, not {self.fps}")
        expected = {"rotations": (frames, JOINT_COUNT, 4), "translation": (frames, 3),
                    "contacts": (frames, len(CONTACT_NAMES))}
        for name, shape in expected.items():
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(f"{name} has shape {np.shape(getattr(self, name))}, expected {shape}")
        if self.expression.ndim != 2 or len(self.expression) != frames:
            raise ValueError(f"expression has shape {self.expression.shape}, expected ({frames}, E)")
        for name, curve in self.face.items():
            if np.shape(curve) != (frames,):
                raise ValueError(f"face curve {name} has shape {np.shape(curve)}, expected ({frames},)")

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def duration(self) -> float:
        """Seconds, ``len / fps``."""
        return len(self) / self.fps

    @property
    def times(self) -> np.ndarray:
        """(T,) seconds."""
        return np.arange(len(self)) / self.fps

    @classmethod
    def rest(cls, frames: int, fps: float = 30.0) -> Motion:
        """``frames`` frames of the T-pose, standing on the floor at the origin."""
        return cls(fps, rot.identity(frames, JOINT_COUNT), np.tile(NEUTRAL_OFFSETS[0], (frames, 1)))

    @classmethod
    def from_body(cls, fps: float, rotations: np.ndarray, translation: np.ndarray, **rest: Any) -> Motion:
        """From the first J <= 55 joints (T, J, 4); the others stay in the rest pose."""
        full = rot.identity(len(rotations), JOINT_COUNT).astype(np.result_type(rotations, np.float32))
        full[:, : rotations.shape[1]] = rotations
        return cls(fps, full, translation, **rest)

    def positions(self, offsets: np.ndarray = NEUTRAL_OFFSETS) -> np.ndarray:
        """World positions (T, 55, 3) of the joints, metres."""
        return forward(self.rotations, self.translation, offsets)[0]

    def slice(self, start: int, stop: int) -> Motion:
        """Frames ``start`` to ``stop`` (excluded), as a copy."""
        return self.take(np.arange(len(self))[start:stop])

    def take(self, index: np.ndarray) -> Motion:
        """The frames ``index`` (N,), in that order, as a copy."""
        return replace(
            self, rotations=self.rotations[index], translation=self.translation[index],
            expression=self.expression[index], contacts=self.contacts[index],
            face={k: v[index] for k, v in self.face.items()}, metadata=dict(self.metadata),
        )

    def resample(self, fps: float, frames: int | None = None, *, first: int = 0) -> Motion:
        """The same motion at another rate; rotations by slerp, everything else linearly.

        Sample ``i`` of the result is taken at time ``(first + i) / fps``. ``frames`` defaults to as many samples as lie
        within the last frame's time.
        """
        if fps == self.fps and (frames is None or first + frames <= len(self)):
            return self.take(np.arange(first, len(self) if frames is None else first + frames))
        if len(self) == 0:
            return replace(self, fps=fps)
        if frames is None:
            frames = max(0, int(np.floor((len(self) - 1) / self.fps * fps + 1e-6)) + 1 - first)
        position = np.clip((first + np.arange(frames)) * (self.fps / fps), 0, len(self) - 1)
        low = np.floor(position + 1e-9).astype(int)
        high = np.minimum(low + 1, len(self) - 1)
        t = np.clip(position - low, 0.0, 1.0)

        def linear(x: np.ndarray) -> np.ndarray:
            w = t.reshape(-1, *[1] * (x.ndim - 1))
            return ((1 - w) * x[low] + w * x[high]).astype(x.dtype if x.dtype.kind == "f" else np.float64)

        return replace(
            self, fps=fps,
            rotations=rot.continuous(rot.slerp(self.rotations[low], self.rotations[high], t[:, None])),
            translation=linear(self.translation), expression=linear(self.expression),
            contacts=linear(self.contacts), face={k: linear(v) for k, v in self.face.items()},
            metadata=dict(self.metadata),
        )

    def concatenate(self, other: Motion, blend: int = 0) -> Motion:
        """This motion, then ``other``, with the last and first ``blend`` frames cross-faded.

        The result has ``len(self) + len(other) - blend`` frames. Positions are not aligned: place ``other`` first.

        :raises ValueError: when the rates differ or ``blend`` is longer than either motion.
        """
        if other.fps != self.fps:
            raise ValueError(f"rates differ: {self.fps} and {other.fps}")
        if not 0 <= blend <= min(len(self), len(other)):
            raise ValueError(f"cannot blend {blend} frames of {len(self)} and {len(other)}")
        a, b = len(self) - blend, blend
        w = (np.arange(blend) + 1) / (blend + 1)

        def join(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            ww = w.reshape(-1, *[1] * (x.ndim - 1))
            return np.concatenate((x[:a], (1 - ww) * x[a:] + ww * y[:b], y[b:])).astype(np.result_type(x, y))

        width = max(self.expression.shape[1], other.expression.shape[1])

        def widen(x: np.ndarray) -> np.ndarray:
            return np.pad(x, ((0, 0), (0, width - x.shape[1])))

        def curve(m: Motion, name: str) -> np.ndarray:
            return m.face.get(name, np.zeros(len(m), dtype=np.float32))

        middle = rot.slerp(self.rotations[a:], other.rotations[:b], w[:, None])
        return Motion(
            self.fps,
            rot.continuous(np.concatenate((self.rotations[:a], middle, other.rotations[b:]))),
            join(self.translation, other.translation),
            join(widen(self.expression), widen(other.expression)),
            {name: join(curve(self, name), curve(other, name)) for name in {**self.face, **other.face}},
            join(self.contacts, other.contacts),
            {**other.metadata, **self.metadata},
        )

    def to_bytes(self, *, compressed: bool = True) -> bytes:
        """The content of an npz without pickle.

        :param compressed: smaller by about a tenth (the last digits of rotations are noise), in thirty times the time.
        """
        file = io.BytesIO()
        save = np.savez_compressed if compressed else np.savez
        save(
            file, format=np.array("understudy-motion-1"), fps=np.array(self.fps),
            rotations=self.rotations.astype(np.float32), translation=self.translation.astype(np.float32),
            expression=self.expression.astype(np.float32), contacts=self.contacts.astype(np.float32),
            face_names=np.array(list(self.face), dtype="U64"),
            face=np.stack(list(self.face.values()), 1).astype(np.float32) if self.face
            else np.zeros((len(self), 0), np.float32),
            metadata=np.array(json.dumps(self.metadata)),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, name: str = "The data") -> Motion:
        """The inverse of :meth:`to_bytes`. :raises UnderstudyError: ``file_invalid``."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as z:
                if str(z["format"]) != "understudy-motion-1":
                    raise ValueError(f"format {z['format']}")
                names = [str(n) for n in z["face_names"]]
                return cls(
                    float(z["fps"]), z["rotations"], z["translation"], z["expression"],
                    dict(zip(names, z["face"].T.copy(), strict=True)), z["contacts"], json.loads(str(z["metadata"])),
                )
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise UnderstudyError(
                "file_invalid", f"{name} is not a motion file of Understudy ({error}).",
                "Choose a motion.npz that Understudy wrote, or import it as SMPL-X.",
            ) from error

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_bytes` to a file, which appears under its name only when complete."""
        path = Path(path)
        temporary = path.with_name(path.name + ".part")
        temporary.write_bytes(self.to_bytes())
        temporary.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> Motion:
        """Read what :meth:`save` wrote. :raises UnderstudyError: ``file_missing`` or ``file_invalid``."""
        path = Path(path)
        if not path.is_file():
            raise UnderstudyError("file_missing", f"There is no file {path}.", "Check the path.")
        return cls.from_bytes(path.read_bytes(), path.name)
