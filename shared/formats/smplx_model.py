# SPDX-License-Identifier: Apache-2.0
"""A user's own SMPL-X model file, in numpy: a body's proportions, its surface at rest and how the joints carry it.

The layout is that of the published npz files (the keys that the ``smplx`` package reads). Neither the files nor anything
out of them comes with Understudy: they are licensed to their users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ..errors import UnderstudyError
from ..skeleton import JOINT_COUNT, PARENTS
from .arrays import ArrayFile, invalid, open_arrays

__all__ = ["GENDERS", "SMPLX_LICENCE", "SmplxModel", "find_model", "read_model"]

GENDERS: Final = ("neutral", "female", "male")
SMPLX_LICENCE: Final = "SMPL-X model licence: non-commercial research use unless licensed from Meshcapade"
_SHAPE_COLUMNS: Final = 300
_NEEDED: Final = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights", "hands_meanl",
                  "hands_meanr", "hands_componentsl", "hands_componentsr", "lmk_faces_idx", "lmk_bary_coords")
_WHERE: Final = "Download the SMPL-X models from smpl-x.is.tue.mpg.de and name the npz file or its folder."


def find_model(model: str | Path, gender: str = "neutral") -> Path:
    """The model file: ``model`` itself, or the one for ``gender`` in the folder ``model`` or its folder ``smplx``.

    :raises UnderstudyError: ``file_missing``, ``request_invalid``.
    """
    if gender not in GENDERS:
        raise UnderstudyError("request_invalid", f"There is no SMPL-X model of the gender {gender!r}.",
                              "Choose neutral, female or male.")
    path = Path(model)
    if path.is_file():
        return path
    if path.is_dir():
        for folder in (path, path / "smplx"):
            for suffix in ("", "_2020"):
                if (file := folder / f"SMPLX_{gender.upper()}{suffix}.npz").is_file():
                    return file
        raise UnderstudyError("file_missing", f"The folder {path} has no SMPLX_{gender.upper()}.npz.", _WHERE)
    raise UnderstudyError("file_missing", f"There is no SMPL-X model file {path}.", _WHERE)


@dataclass(frozen=True)
class SmplxModel:
    """One model file. The model's axes are +Y up, +Z forward, metres; its origin is in the trunk.

    :ivar template: (V, 3). :ivar shape_directions: (V, 3, S). :ivar expression_directions: (V, 3, E). :ivar regressor: (55, V).
    :ivar faces: (F, 3) int32 triangles. :ivar mean_hands: (2, 15, 3) axis-angle, left and right.
    """

    name: str
    template: np.ndarray
    shape_directions: np.ndarray
    expression_directions: np.ndarray
    regressor: np.ndarray
    faces: np.ndarray
    mean_hands: np.ndarray
    path: Path

    @property
    def shape_count(self) -> int:
        """Shape coefficients (betas) of the file: 10 in the older ones, 300 in the newer."""
        return int(self.shape_directions.shape[2])

    @property
    def expression_count(self) -> int:
        """Expression coefficients of the file: 10 or 100."""
        return int(self.expression_directions.shape[2])

    def checked(self, betas: Sequence[float] | np.ndarray) -> np.ndarray:
        """(S,) betas, padded with zeros. :raises UnderstudyError: ``request_invalid`` for more than there are, or bad ones."""
        b = np.asarray(betas, dtype=np.float64).reshape(-1)
        if not np.isfinite(b).all():
            raise UnderstudyError("request_invalid", "The shape coefficients contain NaN or infinity.", "Give finite betas.")
        if len(b) > self.shape_count and np.any(b[self.shape_count:]):
            raise UnderstudyError(
                "request_invalid", f"{len(b)} shape coefficients were given and the model has {self.shape_count}.",
                "Use the SMPL-X model file with 300 shape components, or fewer betas.")
        return np.pad(b[: self.shape_count], (0, max(self.shape_count - len(b), 0)))

    def surface(self, betas: np.ndarray) -> np.ndarray:
        """(V, 3) vertices in the T-pose of a checked shape, metres."""
        vertices: np.ndarray = self.template + self.shape_directions @ betas
        return vertices

    def joints(self, betas: np.ndarray) -> np.ndarray:
        """(55, 3) rest joints of a checked shape, metres."""
        joints: np.ndarray = self.regressor @ self.surface(betas)
        return joints

    def skin_weights(self) -> np.ndarray:
        """(V, 55) how far each joint carries each vertex; rows add up to 1. :raises UnderstudyError: ``file_invalid``."""
        with open_arrays(self.path) as file:
            weights = file.numbers("weights")
        if weights.shape != (len(self.template), JOINT_COUNT):
            raise invalid(self.name, f"its weights have shape {weights.shape}", _WHERE)
        return weights

    def offsets(self, betas: np.ndarray) -> np.ndarray:
        """(55, 3) metres, as :data:`shared.skeleton.NEUTRAL_OFFSETS`; row 0 is the pelvis above the lowest vertex."""
        joints = self.joints(betas)
        offsets = joints.copy()
        for j in range(1, JOINT_COUNT):
            offsets[j] = joints[j] - joints[PARENTS[j]]
        offsets[0] = (0.0, joints[0, 1] - float(self.surface(betas)[:, 1].min()), 0.0)
        return offsets


def read_model(path: str | Path, gender: str = "neutral") -> SmplxModel:
    """A model from its npz file, or from the folder that holds it.

    :raises UnderstudyError: ``file_missing``, ``file_invalid``, ``request_invalid``.
    """
    path = find_model(path, gender)
    with open_arrays(path) as file:
        return _read(file, path)


def _read(file: ArrayFile, path: Path) -> SmplxModel:
    missing = [key for key in _NEEDED if key not in file]
    if missing:
        raise UnderstudyError("file_invalid", f"{file.name} is not an SMPL-X model file: it has no {missing[0]}.", _WHERE)
    template, directions, regressor = (file.numbers(k) for k in ("v_template", "shapedirs", "J_regressor"))
    if regressor.shape != (JOINT_COUNT, len(template)) or directions.shape[:2] != template.shape:
        raise invalid(file.name, f"its joint regressor has shape {regressor.shape} and its template {template.shape}", _WHERE)
    # the older files have 10 shape and 10 expression columns, the newer ones 300 and 100
    newer = directions.shape[2] >= _SHAPE_COLUMNS + 100
    start = _SHAPE_COLUMNS if newer else 10
    stop = min(directions.shape[2], start + (100 if newer else 10))
    hands = np.stack([file.numbers("hands_meanl"), file.numbers("hands_meanr")]).reshape(2, 15, 3)
    return SmplxModel(file.name, template, directions[:, :, :start], directions[:, :, start:stop], regressor,
                      file.numbers("f").astype(np.int32), hands, path)
