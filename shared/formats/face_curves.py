# SPDX-License-Identifier: Apache-2.0
"""Faces for other programs: ARKit's 52 curves, Oculus's 15 visemes, SMPL-X's jaw, eyes and expression, as a table or arrays."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from .. import rotations as rot
from ..errors import UnderstudyError
from ..face_curves import ARKIT, ARKIT_INDEX
from ..motion import Motion
from ..skeleton import JOINT_INDEX

__all__ = ["OCULUS", "SUFFIXES", "check_face_suffix", "stacked", "visemes_of", "write_face_curves"]

OCULUS: Final = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou")
"""The visemes of Oculus's lip sync set, in its order."""
SUFFIXES: Final = (".csv", ".npz")
_JOINTS: Final = ("jaw", "left_eye", "right_eye")


def stacked(curves: Mapping[str, np.ndarray]) -> np.ndarray:
    """(T, 52) float64 in ARKit order; curves that are missing count as 0."""
    out = np.zeros((max((len(v) for v in curves.values()), default=0), len(ARKIT)))
    for name, values in curves.items():
        if name in ARKIT_INDEX:
            out[:, ARKIT_INDEX[name]] = values
    return out


def visemes_of(arkit: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """(T, 15) weights of :data:`OCULUS` in [0, 1], each row with sum 1: ``sil`` is what the others leave.

    :param arkit: (T, 52). :param inverse: (52, 14), the weights of the visemes without silence that a curve stands for.
    """
    weights = np.clip(arkit @ inverse, 0, 1)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1)
    return np.concatenate((np.maximum(1 - weights.sum(axis=1, keepdims=True), 0), weights), axis=1)


def check_face_suffix(path: Path) -> None:
    """:raises UnderstudyError: ``unsupported`` for a file that is neither a table nor arrays."""
    if path.suffix.lower() not in SUFFIXES:
        raise UnderstudyError("unsupported", f"Face curves cannot be written as {path.suffix or 'a file without suffix'}.",
                              f"Choose a name that ends in {' or '.join(SUFFIXES)}.")


def write_face_curves(motion: Motion, path: str | Path, inverse: np.ndarray) -> None:
    """Write a motion's face by suffix; the file appears only when it is complete.

    ``.csv``: one row a frame with ``time`` (seconds), the ARKit names, ``viseme_sil`` to ``viseme_ou``, ``jaw_x`` to ``right_eye_z``
    (rotation vectors of the SMPL-X joints, radians) and ``expression_0`` on. ``.npz``: ``fps``, ``arkit`` (T, 52) with ``arkit_names``,
    ``visemes`` (T, 15) with ``viseme_names``, ``jaw``, ``left_eye``, ``right_eye`` (T, 3) and ``expression`` (T, E). There are expression
    coefficients where the motion has some: from a fit that the bridge was given, or from a network that has learnt them.

    :param inverse: as :func:`visemes_of` takes it.
    :raises UnderstudyError: ``unsupported``; ``request_invalid`` for a motion without a face. :raises OSError: where it cannot be written.
    """
    path = Path(path)
    check_face_suffix(path)
    if not motion.face:
        raise UnderstudyError("request_invalid", "The motion has no face, so there are no face curves to write.",
                              "Perform it with its face.")
    arkit = stacked(motion.face).astype(np.float32)
    visemes = visemes_of(arkit, inverse).astype(np.float32)
    joints: dict[str, Any] = {
        n: rot.quat_to_axis_angle(motion.rotations[:, JOINT_INDEX[n]].astype(np.float64)).astype(np.float32) for n in _JOINTS}
    temporary = path.with_name(path.name + ".part")
    if path.suffix.lower() == ".npz":
        with open(temporary, "wb") as file:
            np.savez_compressed(file, fps=np.float64(motion.fps), arkit_names=np.array(ARKIT), arkit=arkit, viseme_names=np.array(OCULUS),
                                visemes=visemes, expression=motion.expression.astype(np.float32), **joints)
    else:
        names = ["time", *ARKIT, *(f"viseme_{n}" for n in OCULUS), *(f"{n}_{axis}" for n in _JOINTS for axis in "xyz"),
                 *(f"expression_{k}" for k in range(motion.expression.shape[1]))]
        rows = np.concatenate((motion.times[:, None], arkit, visemes, *joints.values(), motion.expression), axis=1)
        with open(temporary, "w", encoding="utf-8", newline="") as text:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(names)
            writer.writerows([f"{value:.6g}" for value in row] for row in rows)
    temporary.replace(path)
