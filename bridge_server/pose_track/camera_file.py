# SPDX-License-Identifier: Apache-2.0
"""Cameras as Blender's add-on writes them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

import numpy as np

from bridge_server.pose_track.camera import Camera
from shared.errors import UnderstudyError

__all__ = ["read_camera"]

_FORMAT: Final = "understudy-camera-1"


def read_camera(path: str | Path, frames: int, fps: float) -> Camera:
    """The camera of each frame of a performance: one at another rate is taken at the nearest frame, a shorter one is held.

    :param frames: of the performance. :param fps: of the performance.
    :raises UnderstudyError: ``file_missing``, ``file_invalid``, or ``request_invalid`` for matrices that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no camera {path}.", "Check the path.")
    try:
        with np.load(path, allow_pickle=False) as z:
            if str(z["format"]) != _FORMAT:
                raise ValueError(f"its format is {z['format']}")
            view, projection = np.asarray(z["view"], np.float64), np.asarray(z["projection"], np.float64)
            width, height, rate = int(z["width"]), int(z["height"]), float(z["fps"])
            if view.shape != projection.shape or view.shape[1:] != (4, 4) or len(view) == 0 or not rate > 0:
                raise ValueError(f"views are {view.shape} and projections {projection.shape}")
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UnderstudyError("file_invalid", f"{path.name} is not a camera ({error}).", "Export it from Blender again.") from error
    index = np.minimum(np.rint(np.arange(frames) / fps * rate).astype(int), len(view) - 1)
    return Camera(width, height, view[index], projection[index])
