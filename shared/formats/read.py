# SPDX-License-Identifier: Apache-2.0
"""Any motion file that is known, as a Motion."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from ..errors import UnderstudyError
from ..motion import Motion
from .arrays import invalid, open_arrays
from .bvh_reader import bvh_to_motion, read_bvh
from .hands import mean_hands_of
from .humanml3d import motion_from_features
from .kimodo import is_kimodo, read_kimodo
from .smpl import detect, read_smpl

__all__ = ["KNOWN", "read_motion"]

KNOWN: Final = ("Known are npz files of Understudy, AMASS (SMPL-H, SMPL-X), BEAT2, Kimodo, HY-Motion and Meshcapade, HumanML3D's "
                "new_joint_vecs (npy) and BVH.")


def read_motion(
    path: str | Path, *, fps: float | None = None, mean_hands: str | Path | np.ndarray | None = None,
    hands: bool = True, source_fps: float | None = None, up: str | None = None, rest_pelvis: np.ndarray | None = None,
) -> Motion:
    """Read a motion file of any known kind, told apart by its content.

    Positions are as in the file, turned to +Y up; skeletons other than SMPL's are brought to the neutral skeleton's size.

    :param fps: rate of the result, by exact resampling in time; None keeps the file's.
    :param mean_hands: SMPL-X model file, or its 90 numbers; needed for BEAT2, whose hands are offsets from them.
    :param hands: False leaves the fingers at rest, and needs no mean hands.
    :param source_fps: the file's true rate, where what it states is wrong or absent.
    :param up: ``y`` or ``z`` instead of the axis that is found.
    :param rest_pelvis: (3,) metres, rest position of the pelvis of the file's own body (SMPL files only).
    :raises UnderstudyError: ``file_missing``, ``file_invalid``, ``rig_unknown``.
    """
    path = Path(path)
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no file {path}.", "Check the path.")
    if fps is not None and not 0 < fps <= 1000:
        raise UnderstudyError("request_invalid", f"Cannot resample to {fps:g} frames per second.", "Ask for 1 to 1000.")
    motion = _read(path, mean_hands, hands, source_fps, up, rest_pelvis)
    return motion if fps is None else motion.resample(fps)


def _read(path: Path, mean_hands: str | Path | np.ndarray | None, hands: bool, source_fps: float | None, up: str | None,
          rest_pelvis: np.ndarray | None) -> Motion:
    suffix = path.suffix.lower()
    if suffix == ".bvh":
        motion = bvh_to_motion(read_bvh(path), up=up)
        if source_fps is not None:
            motion.fps = source_fps
        return motion
    if suffix == ".npy":
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            why = "it is a Python object, which is not opened for safety" if "pickle" in str(error).lower() else "it is damaged"
            raise invalid(path.name, why) from error
        return motion_from_features(array, path.name, source_fps)
    if suffix != ".npz":
        raise UnderstudyError("file_invalid", f"{path.name} is of no known kind of motion file.", KNOWN)
    with open_arrays(path) as file:
        if "format" in file and file.text("format").startswith("understudy-motion"):
            return Motion.load(path)
        if is_kimodo(file):
            return read_kimodo(file, source_fps)
        dialect = detect(file)
        if dialect is None:
            shown = ", ".join(sorted(file.keys)[:8]) + (" …" if len(file.keys) > 8 else "")
            raise UnderstudyError("file_invalid", f"{path.name} is no motion file that is known (it holds: {shown}).", KNOWN)
        needs_mean = hands and dialect.hands == "offset"
        return read_smpl(file, dialect, source_fps=source_fps, mean_hands=mean_hands_of(mean_hands) if needs_mean else None,
                         hands=hands, up=up, rest_pelvis=rest_pelvis)
