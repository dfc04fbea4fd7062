# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference picture: its file's bytes, its points, and the statement that it may be used."""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

from ..shared.errors import UnderstudyError
from .settings import picture_of

if TYPE_CHECKING:
    from ..core.film_points import Point

__all__ = ["content_of", "digest_of", "load", "permitted", "points_of", "set_points"]

MAX_BYTES = 200 << 20


def content_of(image: Any) -> tuple[bytes, str]:
    """The bytes of a picture's file, packed or on disk, and its name.

    :raises UnderstudyError: ``file_missing`` or ``file_invalid``.
    """
    if image is None:
        raise UnderstudyError("file_missing", "No reference picture is chosen.", "Choose the photograph of one person.")
    name = Path(bpy.path.abspath(image.filepath)).name or f"{image.name}.png"
    if image.packed_file is not None:
        return bytes(image.packed_file.data), name
    path = Path(bpy.path.abspath(image.filepath))
    if image.source != "FILE" or not image.filepath:
        raise UnderstudyError("file_invalid", f"The picture {image.name} is no picture file.", "Save it as a file, or choose another.")
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no picture {path}.", "Choose the picture again.")
    if path.stat().st_size > MAX_BYTES:
        raise UnderstudyError("request_too_large", f"{path.name} has more than {MAX_BYTES >> 20} MB.", "Reduce the picture first.")
    try:
        return path.read_bytes(), name
    except OSError as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be read ({error.strerror or error}).",
                              "Choose another picture.") from error


def digest_of(image: Any) -> str:
    """SHA-256 of the picture's file. :raises UnderstudyError: as :func:`content_of`."""
    return sha256(content_of(image)[0]).hexdigest()


def permitted(image: Any) -> bool:
    """Whether the artist has stated that this picture, as it is now, may be used.

    :raises UnderstudyError: as :func:`content_of`.
    """
    kept = picture_of(image)
    return bool(kept.permission.strip()) and kept.permission_digest == digest_of(image)


def load(path: Path) -> Any:
    """A picture file as an image block, held upright; one that is loaded already is taken again.

    :raises UnderstudyError: ``file_missing`` or ``file_invalid``.
    """
    from ..core.picture_files import orientation

    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no picture {path}.", "Check the path.")
    try:
        image: Any = bpy.data.images.load(str(path), check_existing=True)
        empty = not image.size[0]
    except RuntimeError as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be read as a picture.", "Choose a JPEG or PNG file.") from error
    if empty:
        bpy.data.images.remove(image)
        raise UnderstudyError("file_invalid", f"{path.name} cannot be read as a picture.", "Choose a JPEG or PNG file.")
    value = orientation(path.read_bytes()[: 1 << 18])
    return image if value == 1 else _turned(image, value)


def _turned(image: Any, value: int) -> Any:
    """An upright copy, kept inside the .blend: Blender shows a camera's pictures as they lay in the camera."""
    from ..core.picture_files import upright

    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    held = upright(pixels.reshape(height, width, 4)[::-1], value)
    copy: Any = bpy.data.images.new(f"{image.name} upright", held.shape[1], held.shape[0])
    copy.colorspace_settings.name = image.colorspace_settings.name
    copy.pixels.foreach_set(np.ascontiguousarray(held[::-1]).reshape(-1))
    copy.file_format = "PNG"
    copy.pack()
    if not image.users:
        bpy.data.images.remove(image)
    return copy


def points_of(image: Any) -> "list[Point]":
    """The 18 points on a picture, or none where they have not been placed."""
    from ..core.film_points import NAMES, Point

    kept = picture_of(image).points
    return [Point(p.x, p.y, p.shown) for p in kept] if len(kept) == len(NAMES) else []


def set_points(image: Any, points: "list[Point]") -> None:
    """Keep points with a picture."""
    kept = picture_of(image).points
    kept.clear()
    for point in points:
        item = kept.add()
        item.x, item.y, item.shown = point.x, point.y, point.shown
