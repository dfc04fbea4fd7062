# SPDX-License-Identifier: Apache-2.0
"""SMPL-X from the user's own model file, through the ``smplx`` package.

Neither the package nor the model files come with Understudy: both are for non-commercial research unless a licence is
bought. The package unpickles two tables of the published files, so use only model files from their makers. 
What is asked of a body without a surface (proportions, joints) is computed here from the model's joint regressor;
the surface is the package's own forward pass.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.formats.smplx_model import GENDERS, SMPLX_LICENCE, find_model, read_model
from shared.kinematics import world_rotations
from shared.motion import Motion
from shared.skeleton import JOINT_COUNT, PARENTS

from .protocol import Mesh

__all__ = ["GENDERS", "SmplxBody", "find_model"]


class SmplxBody:
    """One person's shape in SMPL-X.

    Translation and rotations are those of :class:`~shared.motion.Motion`: the pelvis is where ``translation`` says, hands are
    absolute (the mean hand is not added). Expression coefficients beyond the model's are left out.

    :param model: the npz file, or a folder that holds ``SMPLX_NEUTRAL.npz`` and so on.
    :param betas: at most as many shape coefficients as the model has.
    :raises UnderstudyError: see :func:`.protocol.load_body`.
    """

    licence = SMPLX_LICENCE

    def __init__(self, model: str | Path, *, gender: str = "neutral", betas: Sequence[float] | np.ndarray = (),
                 device: str = "cpu") -> None:
        self._file = read_model(model, gender)
        self.path = self._file.path
        self.gender = gender
        self.device = device
        self.name = f"SMPL-X {gender}"
        self.shape_count, self.expression_count = self._file.shape_count, self._file.expression_count
        self.mean_hands, self.faces = self._file.mean_hands, self._file.faces
        self.betas = self._file.checked(betas)
        self._joints = self._file.joints(self.betas)
        self._joint_expression = np.tensordot(self._file.regressor, self._file.expression_directions, 1)
        self._model: Any = None

    def _rest_joints(self, expression: np.ndarray | None = None) -> np.ndarray:
        """(55, 3), or (T, 55, 3) for expressions (T, E): rest positions in the model's own axes, whose origin is in the trunk."""
        return self._joints if expression is None else self._joints + np.einsum("jck,tk->tjc", self._joint_expression, expression)

    def rest_pelvis(self) -> np.ndarray:
        """(3,) metres from the model's origin: what ``trans`` in an AMASS file lacks of the pelvis' position."""
        return self._rest_joints()[0]

    def proportions(self, betas: Sequence[float] | np.ndarray) -> tuple[np.ndarray, float]:
        """Rest pelvis (3,) and leg length (hip to knee to ankle) of another shape of this model, metres."""
        joints = self._file.joints(self._file.checked(betas))
        legs = sum(float(np.linalg.norm(joints[b] - joints[a])) for a, b in ((1, 4), (4, 7), (2, 5), (5, 8)))
        return joints[0], legs / 2

    def rest_offsets(self) -> np.ndarray:
        """(55, 3) metres; row 0 is the pelvis above the lowest vertex."""
        return self._file.offsets(self.betas)

    def _expression(self, motion: Motion) -> np.ndarray:
        """(T, E) with the model's number of coefficients."""
        x = motion.expression[:, : self.expression_count].astype(np.float64)
        return np.pad(x, ((0, 0), (0, self.expression_count - x.shape[1])))

    def joints(self, motion: Motion) -> np.ndarray:
        """World positions (T, 55, 3), metres; jaw and eyes move a little with the expression, as the model has it."""
        rest = self._rest_joints(self._expression(motion))
        world = world_rotations(motion.rotations.astype(np.float64))
        positions = np.empty_like(rest)
        positions[:, 0] = motion.translation
        for j in range(1, JOINT_COUNT):
            p = PARENTS[j]
            positions[:, j] = positions[:, p] + rot.rotate(world[:, p], rest[:, j] - rest[:, p])
        return positions

    def mesh(self, motion: Motion, frame: int) -> Mesh:
        """The surface in one frame. :raises UnderstudyError: ``unsupported`` without the smplx package."""
        if not -len(motion) <= frame < len(motion):
            raise IndexError(f"frame {frame} of {len(motion)}")
        vertices = self.vertices(motion.slice(frame % len(motion), frame % len(motion) + 1))[0]
        return Mesh(vertices, self.faces)

    def vertices(self, motion: Motion, batch: int = 64) -> np.ndarray:
        """(T, V, 3) float32 of every frame, ``batch`` at a time."""
        import torch

        model = self._smplx()
        pose = rot.quat_to_axis_angle(motion.rotations.astype(np.float64)).astype(np.float32)
        expression = self._expression(motion)
        # the package turns about the rest pelvis, which stays where it is in the model
        shift = motion.translation - self._rest_joints(expression)[:, 0]
        parts = []
        for a in range(0, len(motion), batch):
            rows = slice(a, a + batch)
            count = len(pose[rows])

            def tensor(x: np.ndarray, n: int = count) -> torch.Tensor:
                return torch.as_tensor(np.ascontiguousarray(x), dtype=torch.float32, device=self.device).reshape(n, -1)

            with torch.no_grad():
                output = model(
                    betas=tensor(np.tile(self.betas, (count, 1))), global_orient=tensor(pose[rows, 0]),
                    body_pose=tensor(pose[rows, 1:22]), jaw_pose=tensor(pose[rows, 22]), leye_pose=tensor(pose[rows, 23]),
                    reye_pose=tensor(pose[rows, 24]), left_hand_pose=tensor(pose[rows, 25:40]),
                    right_hand_pose=tensor(pose[rows, 40:55]), expression=tensor(expression[rows]), transl=tensor(shift[rows]))
            parts.append(output.vertices.cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros((0, len(self._file.template), 3), np.float32)

    def _smplx(self) -> Any:
        """The package's model, made when first needed."""
        if self._model is None:
            if importlib.util.find_spec("smplx") is None:
                raise UnderstudyError(
                    "unsupported", "The SMPL-X surface needs the Python package smplx, which is not installed.",
                    "Run: pip install smplx==0.1.28 torch==2.13.0 (smplx is for non-commercial research use).")
            import smplx

            with contextlib.redirect_stdout(io.StringIO()):  # it prints a warning about older model files
                model = smplx.SMPLX(
                    model_path=str(self.path), gender=self.gender, ext="npz", use_pca=False, flat_hand_mean=True,
                    num_betas=self.shape_count, num_expression_coeffs=self.expression_count)
            self._model = model.to(self.device).eval()
        return self._model
