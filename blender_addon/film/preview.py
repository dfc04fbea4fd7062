# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame that a film's renderer drew last, as an icon for the panel."""

from typing import Any

import bpy
import numpy as np

__all__ = ["clear", "icon", "show"]

_collection: Any = None
_shown: Any = None


def show(picture: np.ndarray) -> None:
    """Show a picture (H, W, 3) uint8, first row on top."""
    global _collection, _shown
    if bpy.app.background or picture is _shown:
        return
    from bpy.utils import previews

    if _collection is None:
        _collection = previews.new()
    _shown = picture
    # the icon is a square; the picture keeps its proportions in it
    side = max(picture.shape[:2])
    square = np.zeros((side, side, 4), np.float32)
    top, left = (side - picture.shape[0]) // 2, (side - picture.shape[1]) // 2
    part = square[top: top + picture.shape[0], left: left + picture.shape[1]]
    part[..., :3], part[..., 3] = picture / np.float32(255), 1.0
    item = _collection.get("film") or _collection.new("film")
    item.image_size = (side, side)
    item.image_pixels_float = square[::-1].reshape(-1).tolist()
    item.icon_size = (side, side)
    item.icon_pixels_float = square[::-1].reshape(-1).tolist()


def icon() -> int:
    """Icon value of the picture, 0 where there is none."""
    return int(_collection["film"].icon_id) if _collection is not None and "film" in _collection else 0


def clear() -> None:
    """Forget the picture."""
    global _collection, _shown
    if _collection is not None:
        from bpy.utils import previews

        previews.remove(_collection)
    _collection = _shown = None
