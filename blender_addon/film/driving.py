# SPDX-License-Identifier: GPL-3.0-or-later
"""A film of the performing character through the film's camera, for renderers that take one in place of key points."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..shared.errors import UnderstudyError
from .scene_camera import check_camera

__all__ = ["film_character"]


@contextmanager
def _kept(*owners: tuple[Any, dict[str, Any]]) -> Iterator[None]:
    """Set attributes, and put the former values back in the reverse order."""
    before: list[tuple[Any, str, Any]] = []
    try:
        for owner, values in owners:
            for name, value in values.items():
                if hasattr(owner, name):
                    before.append((owner, name, getattr(owner, name)))
                    setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)


def film_character(scene: Any, character: Any, frames: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """(N,) uint8: the bytes of an H.264 film of the scene's frames, drawn by Workbench through the scene's camera, without a skeleton.

    :raises UnderstudyError: ``request_invalid`` without a camera, ``unsupported`` where Blender cannot draw here.
    """
    check_camera(scene)
    render, image, ffmpeg, shading = scene.render, scene.render.image_settings, scene.render.ffmpeg, scene.display.shading
    now = scene.frame_current
    with tempfile.TemporaryDirectory(prefix="understudy-") as folder:
        path = Path(folder) / "driving.mp4"
        # the kind of file first: it decides which settings there are
        with _kept((scene, {"frame_start": frames[0], "frame_end": frames[1], "frame_step": 1, "use_preview_range": False}),
                   (render, {"engine": "BLENDER_WORKBENCH", "resolution_x": size[0], "resolution_y": size[1], "resolution_percentage": 100,
                             "use_sequencer": False, "use_compositing": False, "use_file_extension": False, "filepath": str(path),
                             "film_transparent": False, "use_border": False}),
                   (image, {"media_type": "VIDEO"}), (image, {"file_format": "FFMPEG", "color_mode": "RGB"}),
                   (ffmpeg, {"format": "MPEG4", "codec": "H264", "constant_rate_factor": "HIGH", "audio_codec": "NONE", "gopsize": 12}),
                   (shading, {"light": "STUDIO", "color_type": "MATERIAL", "show_object_outline": False}),
                   (character, {"hide_render": True})):
            try:
                bpy.ops.render.render(animation=True, write_still=False)
            except RuntimeError as error:
                raise UnderstudyError("unsupported", f"Blender could not film the character ({str(error).strip().splitlines()[-1]}).",
                                      "Choose a renderer that takes key points.") from error
            finally:
                scene.frame_set(now)
        if not path.is_file() or not path.stat().st_size:
            raise UnderstudyError("unsupported", "Blender wrote no film of the character; it may lack a display to draw with.",
                                  "Choose a renderer that takes key points.")
        return np.fromfile(path, np.uint8)
