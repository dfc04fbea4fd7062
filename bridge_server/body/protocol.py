# SPDX-License-Identifier: Apache-2.0
"""What a body can be asked, whichever it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from shared.motion import Motion

__all__ = ["Body", "Mesh", "load_body"]


@dataclass(frozen=True)
class Mesh:
    """:ivar vertices: (V, 3) float32 metres, +Y up. :ivar faces: (F, 3) int32 triangles, counterclockwise from outside."""

    vertices: np.ndarray
    faces: np.ndarray


class Body(Protocol):
    """A person's shape: proportions for kinematics and contacts, and a surface to look at.

    :ivar name: for messages, such as ``SMPL-X neutral``.
    :ivar licence: the terms under which the body may be used.
    """

    name: str
    licence: str

    def rest_offsets(self) -> np.ndarray:
        """(55, 3) metres, as :data:`shared.skeleton.NEUTRAL_OFFSETS`: row 0 is the pelvis above the floor in the T-pose."""

    def joints(self, motion: Motion) -> np.ndarray:
        """World positions (T, 55, 3) of the joints, metres, +Y up; ``motion.translation`` is where the pelvis is."""

    def mesh(self, motion: Motion, frame: int) -> Mesh:
        """The surface in one frame. :raises IndexError: for a frame that the motion does not have."""


def load_body(
    model: str | Path | None = None, *, gender: str = "neutral", betas: Sequence[float] | np.ndarray = (), device: str = "cpu"
) -> Body:
    """SMPL-X where a model file or a folder of them is given, else the neutral skeleton.

    :param gender: ``neutral``, ``female`` or ``male``; chooses among a folder's files.
    :param betas: shape coefficients; those that the model does not have are refused.
    :raises UnderstudyError: ``file_missing`` or ``file_invalid`` for the model file, ``unsupported`` where the package
        that reads it is not installed, ``request_invalid`` for an unknown gender or bad betas.
    """
    from .neutral import NeutralBody

    if model is None:
        return NeutralBody()
    from .smplx_body import SmplxBody

    return SmplxBody(model, gender=gender, betas=betas, device=device)
