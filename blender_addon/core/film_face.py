# SPDX-License-Identifier: GPL-3.0-or-later
"""From a posed face back to ARKit's curves: what shape keys, jaw and eye bones show, whoever set them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..shared import rotations as rot
from ..shared.face_curves import ARKIT
from ..shared.skeleton import JOINT_INDEX
from .face_joints import EYE_RADIANS, JAW_OPEN_RADIANS
from .rigs.face_shapes import FaceMap, viseme_shapes

__all__ = ["curves_of_joints", "curves_of_shapes"]


def curves_of_shapes(face: FaceMap, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """ARKit curves (T,) float32 that would give a face's shapes the values (T,) that they have.

    Least squares, each curve clipped to [0, 1]; only curves that reach one of the shapes. Looks that are made of visemes are
    taken apart into the curves that each viseme stands for.
    """
    shapes = [name for name in face.drivers if name in values]
    names = sorted({curve for name in shapes for curve in face.drivers[name]})
    out: dict[str, np.ndarray] = {}
    if shapes:
        matrix = np.array([[face.drivers[name].get(curve, 0.0) for curve in names] for name in shapes])
        shown = np.stack([np.asarray(values[name], dtype=np.float64) for name in shapes])
        found = np.clip(np.linalg.lstsq(matrix, shown, rcond=None)[0], 0.0, 1.0)
        out = {name: curve.astype(np.float32) for name, curve in zip(names, found, strict=True)}
    rows = viseme_shapes()
    for name, viseme in face.visemes.items():
        if name in values:
            for k in np.flatnonzero(rows[viseme]):
                curve = (rows[viseme][k] * np.asarray(values[name])).astype(np.float32)
                out[ARKIT[k]] = np.clip(out.get(ARKIT[k], 0.0) + curve, 0.0, 1.0).astype(np.float32)
    return out


def curves_of_joints(turns: np.ndarray, known: np.ndarray) -> dict[str, np.ndarray]:
    """The inverse of :func:`.face_joints.with_face_joints`, from world turns (T, 55, 4) of the joints that are known (55,)."""
    head = JOINT_INDEX["head"]
    out: dict[str, np.ndarray] = {}

    def local(name: str) -> np.ndarray | None:
        j = JOINT_INDEX[name]
        if not (known[j] and known[head]):
            return None
        return rot.quat_to_axis_angle(rot.mul(rot.conjugate(turns[:, head]), turns[:, j]))

    if (jaw := local("jaw")) is not None:
        out["jawOpen"] = np.clip(jaw[:, 0] / JAW_OPEN_RADIANS, 0.0, 1.0).astype(np.float32)
    for side, outwards in (("Left", 1.0), ("Right", -1.0)):
        if (eye := local(f"{side.lower()}_eye")) is not None:
            pitch, yaw = eye[:, 0] / EYE_RADIANS, outwards * eye[:, 1] / EYE_RADIANS
            for way, value in (("Down", pitch), ("Up", -pitch), ("Out", yaw), ("In", -yaw)):
                out[f"eyeLook{way}{side}"] = np.clip(value, 0.0, 1.0).astype(np.float32)
    return out
