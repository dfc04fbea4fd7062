# SPDX-License-Identifier: Apache-2.0
"""Linear maps from the ARKit curves to other face sets: Oculus visemes, SMPL-X joints, SMPL-X or FLAME expression."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from bridge_server.face.eyes import EYE_RANGE
from bridge_server.face.visemes import MOUTH_CURVES, VISEMES, shape_matrix
from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.face_curves import ARKIT, ARKIT_INDEX
from shared.formats.face_curves import stacked, visemes_of

__all__ = [
    "JAW_FORWARD",
    "JAW_OPEN",
    "JAW_SIDE",
    "expression",
    "load_fit",
    "stack",
    "to_smplx_joints",
    "to_visemes",
    "viseme_map",
]

JAW_OPEN: Final = np.radians(24.0)
"""Turn of the SMPL-X jaw joint about +X, radians, at ``jawOpen`` 1; positive opens."""
JAW_SIDE: Final = np.radians(8.0)
"""Turn of the jaw about +Y at ``jawLeft`` 1, to the character's left."""
JAW_FORWARD: Final = np.radians(-3.0)
"""Turn of the jaw about +X at ``jawForward`` 1: a joint cannot slide, so the chin comes up and out a little."""


def stack(curves: Mapping[str, np.ndarray]) -> np.ndarray:
    """(T, 52) float64 in ARKit order; curves that are missing count as 0."""
    return stacked(curves)


def viseme_map() -> np.ndarray:
    """(52, 14): ARKit curves times this give the weights of the visemes without silence.

    The regularised pseudo-inverse of the mouth shapes in :mod:`~.visemes`, so a shape maps mostly to its own
    viseme. The tongue is hardly seen: ``kk``, ``nn`` and ``DD`` differ little in the curves and share their weight.
    """
    shapes = shape_matrix()[1:]
    shapes = shapes * np.array([float(n in MOUTH_CURVES) for n in ARKIT])
    gram = shapes @ shapes.T
    return shapes.T @ np.linalg.inv(gram + 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram)))


def to_visemes(curves: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The fifteen Oculus visemes, each (T,) float32 in [0, 1]; ``sil`` is what the others leave of 1."""
    weights = visemes_of(stack(curves), viseme_map())
    return {name: column.astype(np.float32) for name, column in zip(VISEMES, weights.T, strict=True)}


def to_smplx_joints(curves: Mapping[str, np.ndarray]) -> np.ndarray:
    """(T, 3, 4) local unit quaternions wxyz of SMPL-X jaw, left eye and right eye (joints 22 to 24)."""
    c = stack(curves)

    def of(name: str) -> np.ndarray:
        return c[:, ARKIT_INDEX[name]]

    vectors = np.zeros((len(c), 3, 3))
    vectors[:, 0, 0] = JAW_OPEN * of("jawOpen") + JAW_FORWARD * of("jawForward")
    vectors[:, 0, 1] = JAW_SIDE * (of("jawLeft") - of("jawRight"))
    vectors[:, 1, 1] = EYE_RANGE * (of("eyeLookOutLeft") - of("eyeLookInLeft"))
    vectors[:, 2, 1] = EYE_RANGE * (of("eyeLookInRight") - of("eyeLookOutRight"))
    for k, side in ((1, "Left"), (2, "Right")):
        vectors[:, k, 0] = EYE_RANGE * (of(f"eyeLookDown{side}") - of(f"eyeLookUp{side}"))
    return rot.continuous(rot.axis_angle_to_quat(vectors))


def load_fit(path: str | Path) -> np.ndarray:
    """A user's matrix from ARKit weights to expression coefficients, (52, E) float64.

    ``.npy``, or ``.npz`` with one array. Rows are the ARKit shapes in the order of ``shared.face_curves.ARKIT``; 51
    rows (without ``tongueOut``) and the transposed layout are taken too. A matrix belongs to the expression basis of
    one SMPL-X or FLAME model file.

    :raises UnderstudyError: ``file_missing`` or ``file_invalid``.
    """
    path = Path(path)
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no file {path.name} for the face fit.", "Check its path.")
    try:
        loaded = np.load(path, allow_pickle=False)
        array = np.asarray(loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]], dtype=np.float64)
    except (ValueError, OSError, IndexError, EOFError) as error:
        raise UnderstudyError(
            "file_invalid",
            f"{path.name} is not a numpy array of numbers ({error}).",
            "Save the fit matrix with numpy.save.",
        ) from error
    rows = (len(ARKIT) - 1, len(ARKIT))
    if array.ndim == 2 and array.shape[0] not in rows and array.shape[1] in rows:
        array = array.T
    if array.ndim != 2 or array.shape[0] not in rows or not np.isfinite(array).all():
        raise UnderstudyError(
            "file_invalid",
            f"The fit matrix in {path.name} has shape {array.shape}, not (52, E) or (51, E).",
            "Give one row per ARKit shape and one column per expression coefficient.",
        )
    return np.vstack((array, np.zeros((len(ARKIT) - len(array), array.shape[1]))))


def expression(curves: Mapping[str, np.ndarray], fit: np.ndarray | None) -> np.ndarray:
    """(T, E) float32 expression coefficients by a fit matrix (52, E); (T, 0) without one.

    No matrix ships: SMPL-X's expression basis is licensed to its users, and a fit belongs to that basis.
    """
    c = stack(curves)
    return (c @ fit if fit is not None else np.zeros((len(c), 0))).astype(np.float32)
