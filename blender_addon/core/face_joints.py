# SPDX-License-Identifier: GPL-3.0-or-later
"""Jaw and eye joints from face curves, for rigs that have bones where others have shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from ..shared import rotations as rot
from ..shared.motion import Motion
from ..shared.skeleton import JOINT_INDEX

__all__ = ["with_face_joints"]

JAW_OPEN_RADIANS: Final = 0.33
"""Turn of the jaw at jawOpen = 1, about 19 degrees: the ARKit reference head's opening."""
EYE_RADIANS: Final = 0.5
"""Turn of an eye at eyeLook… = 1."""
_STILL: Final = 1e-3


def _is_still(motion: Motion, joint: int) -> bool:
    q = motion.rotations[:, joint]
    return len(q) == 0 or float(np.max(rot.angle_between(q, rot.identity(len(q))))) < _STILL


def with_face_joints(motion: Motion) -> Motion:
    """The motion with jaw and eyes turned as its face curves say, where the joints themselves are at rest."""
    curves = {name: np.asarray(values, dtype=np.float64) for name, values in motion.face.items()}
    zero = np.zeros(len(motion))
    turned: dict[int, np.ndarray] = {}
    if "jawOpen" in curves:
        turned[JOINT_INDEX["jaw"]] = np.stack((curves["jawOpen"] * JAW_OPEN_RADIANS, zero, zero), axis=-1)
    for side, outwards in (("Left", 1.0), ("Right", -1.0)):
        look = {way: curves.get(f"eyeLook{way}{side}", zero) for way in ("Up", "Down", "In", "Out")}
        if any(np.any(v != 0) for v in look.values()):
            # +Y is up and +X the character's left: a positive turn about X lowers the gaze, about Y leads it left
            pitch, yaw = look["Down"] - look["Up"], outwards * (look["Out"] - look["In"])
            turned[JOINT_INDEX[f"{side.lower()}_eye"]] = EYE_RADIANS * np.stack((pitch, yaw, zero), axis=-1)
    turned = {joint: v for joint, v in turned.items() if _is_still(motion, joint)}
    if not turned:
        return motion
    rotations = motion.rotations.copy()
    for joint, vectors in turned.items():
        rotations[:, joint] = rot.axis_angle_to_quat(vectors)
    return replace(motion, rotations=rotations)
