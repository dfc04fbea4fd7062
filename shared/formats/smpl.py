# SPDX-License-Identifier: Apache-2.0
"""Pose files of the SMPL family: AMASS (SMPL-H and SMPL-X), BEAT2 / EMAGE, Kimodo's export, HY-Motion, Meshcapade.

They share axis-angle vectors per joint and a translation, and differ in the names of the keys, the number of joints,
the up axis, and whether hands are absolute. In all of them the pelvis is at ``trans`` plus the rest position of the
pelvis **in the file's axes**, because the models turn about the pelvis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .. import rotations as rot
from ..errors import UnderstudyError
from ..motion import Motion
from ..skeleton import JOINT_COUNT
from .arrays import ArrayFile, invalid
from .hands import MeanHands, needed

__all__ = ["DIALECTS", "REST_PELVIS", "Dialect", "detect", "frame_rate", "read_smpl", "up_axis_of"]

REST_PELVIS: Final[dict[str, tuple[float, float, float]]] = {"smplx": (0.0, -0.35, 0.01), "smplh": (0.0, -0.23, 0.03)}
"""Where the mean body's pelvis is from the model's origin, metres, rounded to a centimetre; the exact place depends on
gender and betas and is known only to the model file (:class:`bridge_server.body.SmplxBody`)."""

_RATES: Final = ("mocap_frame_rate", "mocap_framerate", "fps", "frame_rate")


@dataclass(frozen=True)
class Dialect:
    """How one project writes its files.

    :ivar up: ``y``, ``z``, or None where both are met: then the pelvis' own up axis decides.
    :ivar hands: ``absolute`` or ``offset`` (from the mean hand).
    :ivar fps: rate of files that state none.
    """

    name: str
    model: str
    up: str | None
    hands: str = "absolute"
    fps: float | None = None


DIALECTS: Final[dict[str, Dialect]] = {d.name: d for d in (
    Dialect("amass-smplh", "smplh", "z"),
    Dialect("amass-smplx", "smplx", "z"),
    Dialect("kimodo-amass", "smplx", None),
    Dialect("hy-motion", "smplh", "y", fps=30.0),
    Dialect("beat2", "smplx", "y", hands="offset", fps=30.0),
    Dialect("meshcapade", "smplx", None),
)}


def detect(file: ArrayFile) -> Dialect | None:
    """The dialect of a file by its keys, or None."""
    keys = file.keys
    if {"poses", "trans", "expressions", "model"} <= keys:
        return DIALECTS["beat2"]
    if {"poses", "trans", "Rh"} <= keys:
        return DIALECTS["hy-motion"]
    if {"root_orient", "pose_body", "trans"} <= keys:
        return DIALECTS["amass-smplx" if "poses" in keys else "kimodo-amass"]
    if {"poses", "trans"} <= keys:
        if "surface_model_type" in keys:
            return DIALECTS["amass-smplx"]
        width = file.raw("poses")[:1].size
        if width == 156 and "mocap_framerate" in keys:
            return DIALECTS["amass-smplh"]
        return DIALECTS["meshcapade"]
    return None


def frame_rate(file: ArrayFile, default: float | None, given: float | None = None) -> float:
    """Frames per second: ``given``, else what the file says, else ``default``. :raises UnderstudyError: ``file_invalid``."""
    rate = given if given is not None else file.scalar(*_RATES)
    if rate is None:
        rate = default
    if rate is None:
        raise invalid(file.name, "it does not say how many frames a second it has", "Give its frame rate.")
    if not 0 < rate <= 1000:
        raise invalid(file.name, f"its frame rate is {rate:g}", "Give its frame rate.")
    return float(rate)


def up_axis_of(root: np.ndarray) -> str:
    """``y`` or ``z``: where the pelvis' own +Y points on the average, from rotations (T, 4)."""
    up = rot.rotate(root, np.broadcast_to(np.array([0.0, 1.0, 0.0]), (len(root), 3))).mean(0)
    return "z" if abs(up[2]) > abs(up[1]) else "y"


_TO_Y_UP: Final = rot.axis_angle_to_quat(np.array([-np.pi / 2, 0.0, 0.0]))
# Kimodo exports by x90 and then 180 degrees about Z, so that +Z forward becomes +Y forward; this undoes both
_KIMODO_TO_Y_UP: Final = rot.mul(_TO_Y_UP, rot.axis_angle_to_quat(np.array([0.0, 0.0, -np.pi])))


def _axis_angles(file: ArrayFile, dialect: Dialect) -> np.ndarray:
    """(T, 55, 3) as stored, in SMPL-X joint order."""
    if "poses" in file:
        raw = file.numbers("poses")
        if raw.ndim < 2:
            raise invalid(file.name, f"poses has shape {raw.shape}")
        if not len(raw):
            raise invalid(file.name, "it has no frames")
        poses = raw.reshape(len(raw), -1)
        width = poses.shape[1]
        full = np.zeros((len(poses), JOINT_COUNT, 3))
        if width == 165:
            full[:] = poses.reshape(-1, 55, 3)
        elif width in (66, 72):
            full[:, :22] = poses[:, :66].reshape(-1, 22, 3)
        elif width == 156:
            full[:, :22] = poses[:, :66].reshape(-1, 22, 3)
            full[:, 25:] = poses[:, 66:].reshape(-1, 30, 3)
        else:
            raise invalid(file.name, f"poses has {width} numbers a frame instead of 66, 72, 156 or 165")
        return full
    root = file.numbers("root_orient", 3)
    full = np.zeros((len(root), JOINT_COUNT, 3))
    full[:, 0] = root
    spans = {"pose_body": (1, 22), "pose_jaw": (22, 23), "pose_eye": (23, 25), "pose_hand": (25, 55)}
    for key, (a, b) in spans.items():
        if key in file:
            part = file.numbers(key, 3 * (b - a))
            if len(part) != len(root):
                raise invalid(file.name, f"{key} has {len(part)} frames and root_orient {len(root)}")
            full[:, a:b] = part.reshape(-1, b - a, 3)
    return full


def _model_of(file: ArrayFile, dialect: Dialect) -> str:
    stated = file.text("surface_model_type").lower()
    if stated.startswith("smplx"):
        return "smplx"
    if dialect.name == "meshcapade" and file.raw("poses")[:1].size != 165:
        return "smplh"
    return dialect.model


def read_smpl(
    file: ArrayFile, dialect: Dialect, *, source_fps: float | None = None, mean_hands: MeanHands | None = None,
    hands: bool = True, up: str | None = None, rest_pelvis: np.ndarray | None = None,
) -> Motion:
    """A Motion at the file's own rate.

    :param mean_hands: (2, 15, 3) axis-angle, see :mod:`.hands`; needed where hands are offsets.
    :param hands: False leaves the fingers at rest.
    :param up: ``y`` or ``z`` instead of the dialect's.
    :param rest_pelvis: (3,) metres, the rest pelvis of the file's own body instead of :data:`REST_PELVIS`.
    :raises UnderstudyError: ``file_invalid``; ``file_missing`` where the mean hands are needed and absent.
    """
    poses = _axis_angles(file, dialect)
    trans = file.numbers("trans", 3)
    if len(trans) != len(poses):
        raise invalid(file.name, f"trans has {len(trans)} frames and the poses {len(poses)}")
    if not len(poses):
        raise invalid(file.name, "it has no frames")
    if not hands:
        poses[:, 25:] = 0.0
    elif dialect.hands == "offset":
        if mean_hands is None:
            raise needed(file.name)
        poses[:, 25:] += mean_hands.reshape(30, 3)
    quaternions = rot.axis_angle_to_quat(poses)
    fps = frame_rate(file, dialect.fps, source_fps)
    model = _model_of(file, dialect)
    pelvis = trans + (np.array(REST_PELVIS[model]) if rest_pelvis is None else np.asarray(rest_pelvis, np.float64))
    axis = up or dialect.up or up_axis_of(quaternions[:, 0])
    if axis not in ("y", "z"):
        raise ValueError(f"up must be 'y' or 'z', not {axis!r}")
    if axis == "z":
        turn = _KIMODO_TO_Y_UP if dialect.name == "kimodo-amass" else _TO_Y_UP
        quaternions[:, 0] = rot.mul(turn, quaternions[:, 0])
        pelvis = rot.rotate(turn, pelvis)
    expression = np.zeros((len(poses), 0))
    if "expressions" in file:
        expression = file.numbers("expressions")
        if expression.ndim != 2 or len(expression) != len(poses):
            raise invalid(file.name, f"expressions has shape {expression.shape} and the poses {len(poses)} frames")
    return Motion(
        fps, rot.continuous(rot.normalise(quaternions)).astype(np.float32), pelvis.astype(np.float32),
        expression.astype(np.float32), metadata=_facts(file, dialect, model, hands))


def _facts(file: ArrayFile, dialect: Dialect, model: str, hands: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"source": file.name, "format": dialect.name, "model": model,
                             "gender": file.text("gender", "neutral"), "hands": "absolute" if hands else "rest"}
    if "betas" in file:
        try:
            betas = np.atleast_2d(file.numbers("betas"))
        except UnderstudyError:
            return facts  # the shape is not needed to play the motion
        facts["betas"] = [round(float(b), 6) for b in betas.reshape(-1, betas.shape[-1])[0]]
    return facts
