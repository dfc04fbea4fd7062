# SPDX-License-Identifier: Apache-2.0
"""The neutral skeleton as a body: our own proportions, and a mesh of one tapered block per bone."""

from __future__ import annotations

import numpy as np

from shared import rotations as rot
from shared.kinematics import forward
from shared.motion import Motion
from shared.skeleton import END_POINTS, JOINT_COUNT, JOINT_INDEX, NEUTRAL_OFFSETS, PARENTS

from .protocol import Mesh

__all__ = ["NeutralBody"]

_FACES = np.array([(0, 2, 1), (0, 3, 2), (0, 4, 3), (0, 1, 4), (5, 1, 2), (5, 2, 3), (5, 3, 4), (5, 4, 1)], np.int32)


def _bones() -> list[tuple[int, np.ndarray]]:
    """(joint, offset in its rest frame) of every bone, end points included."""
    bones = [(p, np.array(NEUTRAL_OFFSETS[j])) for j, p in enumerate(PARENTS) if p >= 0]
    return bones + [(JOINT_INDEX[joint], np.array(offset)) for joint, offset in END_POINTS.values()]


def _block(offset: np.ndarray) -> np.ndarray:
    """(6, 3) vertices of an octahedron along a bone: its head, four around it at a fifth of the length, its tail."""
    length = float(np.linalg.norm(offset))
    width = min(max(0.12 * length, 0.004), 0.035)
    turn = rot.from_two_vectors(np.array([0.0, 1.0, 0.0]), offset)
    local = np.array([(0, 0, 0), (width, 0.2 * length, 0), (0, 0.2 * length, -width), (-width, 0.2 * length, 0),
                      (0, 0.2 * length, width), (0, length, 0)])
    return rot.rotate(np.broadcast_to(turn, (6, 4)), local)


class NeutralBody:
    """The skeleton of :mod:`shared.skeleton`, a neutral adult of 1.70 m."""

    name = "neutral skeleton"
    licence = "Apache-2.0"

    def rest_offsets(self) -> np.ndarray:
        """(55, 3) metres."""
        return np.array(NEUTRAL_OFFSETS)

    def joints(self, motion: Motion) -> np.ndarray:
        """World positions (T, 55, 3), metres."""
        return motion.positions()

    def mesh(self, motion: Motion, frame: int) -> Mesh:
        """A block per bone, in one frame."""
        if not -len(motion) <= frame < len(motion):
            raise IndexError(f"frame {frame} of {len(motion)}")
        one = motion.take(np.array([frame % len(motion)]))
        positions, world = forward(one.rotations.astype(np.float64), one.translation.astype(np.float64))
        vertices, faces = [], []
        for n, (joint, offset) in enumerate(_bones()):
            block = _block(offset)
            vertices.append(positions[0, joint] + rot.rotate(np.broadcast_to(world[0, joint], (6, 4)), block))
            faces.append(_FACES + 6 * n)
        assert len(vertices) == JOINT_COUNT - 1 + len(END_POINTS)
        return Mesh(np.concatenate(vertices).astype(np.float32), np.concatenate(faces))
