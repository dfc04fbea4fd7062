# SPDX-License-Identifier: GPL-3.0-or-later
"""How a picture file is meant to be held: the EXIF orientation of a JPEG, which Blender does not obey."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

__all__ = ["orientation", "upright"]

_ORIENTATION_TAG: Final = 0x0112


def orientation(content: bytes) -> int:
    """1 to 8 as EXIF counts; 1, upright, for every file that says nothing (or is no JPEG)."""
    if content[:2] != b"\xff\xd8":
        return 1
    place = 2
    try:
        while content[place] == 0xFF and content[place + 1] != 0xDA:
            length = struct.unpack_from(">H", content, place + 2)[0]
            if content[place + 1] == 0xE1 and content[place + 4: place + 10] == b"Exif\0\0":
                return _of_tiff(content[place + 10: place + 2 + length])
            place += 2 + length
    except (IndexError, struct.error):
        return 1
    return 1


def _of_tiff(block: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}[block[:2]] if block[:2] in (b"II", b"MM") else ""
    if not order:
        return 1
    start = struct.unpack_from(order + "I", block, 4)[0]
    for n in range(struct.unpack_from(order + "H", block, start)[0]):
        tag, _, _, value = struct.unpack_from(order + "HHIH", block, start + 2 + 12 * n)
        if tag == _ORIENTATION_TAG:
            return value if 1 <= value <= 8 else 1
    return 1


def upright(pixels: np.ndarray, value: int) -> np.ndarray:
    """Pixels (H, W, …), first row on top, turned and mirrored as an orientation asks for."""
    if value in (2, 4, 5, 7):
        pixels = pixels[:, ::-1]
    turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(value, 0)
    return np.ascontiguousarray(np.rot90(pixels, turns))
