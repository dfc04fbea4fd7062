# SPDX-License-Identifier: Apache-2.0
"""The performer of a film: joints in space over time, of the neutral skeleton or of a rig in a scene."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from shared import rotations as rot
from shared.kinematics import forward
from shared.motion import Motion
from shared.skeleton import JOINT_COUNT, NEUTRAL_OFFSETS

__all__ = ["Joints"]


@dataclass(frozen=True)
class Joints:
    """A performance as positions and turns of the SMPL-X joints. Frame ``f`` is at time ``f / fps``.

    :ivar positions: (T, 55, 3) metres, +Y up. :ivar turns: (T, 55, 4) rotations since the T-pose in the same axes, wxyz.
    :ivar face: ARKit curves (T,). :ivar known: (55,) bool: joints that the performer has; the others' points are not seen.
    :ivar offsets: (55, 3) rest offsets, metres: the performer's own size. :ivar floor: height of the floor, metres.
    """

    fps: float
    positions: np.ndarray
    turns: np.ndarray
    face: dict[str, np.ndarray] = field(default_factory=dict)
    known: np.ndarray = field(default_factory=lambda: np.ones(JOINT_COUNT, bool))
    offsets: np.ndarray = field(default_factory=lambda: NEUTRAL_OFFSETS)
    metadata: dict[str, Any] = field(default_factory=dict)
    floor: float = 0.0

    def __post_init__(self) -> None:
        frames = len(self.positions)
        shapes = {"positions": (frames, JOINT_COUNT, 3), "turns": (frames, JOINT_COUNT, 4), "known": (JOINT_COUNT,),
                  "offsets": (JOINT_COUNT, 3)}
        for name, shape in shapes.items():
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(f"{name} has shape {np.shape(getattr(self, name))}, expected {shape}")

    @classmethod
    def of(cls, motion: Motion, offsets: np.ndarray = NEUTRAL_OFFSETS) -> Joints:
        """A performance of the neutral skeleton, or of one with other offsets."""
        positions, world = forward(motion.rotations.astype(np.float64), motion.translation.astype(np.float64), offsets)
        return cls(motion.fps, positions, world, dict(motion.face), offsets=offsets, metadata=dict(motion.metadata))

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self) / self.fps

    def at(self, seconds: np.ndarray, fps: float) -> Joints:
        """The performance at moments (N,), as frames of ``fps``; before the first and after the last frame it holds still."""
        time = np.clip(np.asarray(seconds, dtype=np.float64) * self.fps, 0, len(self) - 1)
        low = np.minimum(np.floor(time + 1e-9).astype(int), max(len(self) - 2, 0))
        high, part = np.minimum(low + 1, len(self) - 1), np.clip(time - low, 0, 1)
        a, b = self.positions[low], self.positions[high]
        turns = rot.slerp(self.turns[low].astype(np.float64), self.turns[high].astype(np.float64),
                          np.broadcast_to(part[:, None], low.shape + (JOINT_COUNT,)))
        face = {name: ((1 - part) * c[np.minimum(low, len(c) - 1)] + part * c[np.minimum(high, len(c) - 1)]).astype(np.float32)
                for name, c in self.face.items() if len(c)}
        return replace(self, fps=fps, positions=a + (b - a) * part[:, None, None], turns=turns, face=face)
