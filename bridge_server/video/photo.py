# SPDX-License-Identifier: Apache-2.0
"""Reading the photograph of the person who is to perform."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from shared.errors import UnderstudyError

__all__ = ["Photo", "load_photo"]

MAX_PIXELS: Final = 200_000_000
WORKING_PIXELS: Final = 4_000_000
"""Larger photographs are reduced to this on reading; no renderer here shows more."""
MIN_SIDE: Final = 64


@dataclass(frozen=True)
class Photo:
    """A photograph.

    :ivar pixels: (H, W, 3) uint8 RGB.
    :ivar alpha: (H, W) uint8 where the file has a real one, else None.
    :ivar scale: pixels here for each pixel of the file.
    :ivar notes: sentences about what was done with an unusual file.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    name: str = "photograph"
    digest: str = ""
    scale: float = 1.0
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def grey(self) -> bool:
        """Whether the picture has no colour."""
        sample = self.pixels[::7, ::7].astype(int)
        return bool((sample.max(-1) - sample.min(-1)).mean() < 3)


def load_photo(path: str | Path) -> Photo:
    """Read a picture file the way it is meant to be seen: turned by its EXIF, any depth, any colour mode.

    :raises UnderstudyError: ``file_missing``, ``file_invalid``, or ``request_too_large`` over 200 megapixels.
    """
    path = Path(path)
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no photograph {path}.", "Check the path.")
    notes = []
    try:
        with warnings.catch_warnings():
            # Pillow's own limit is checked by the size below, before any pixel is decoded
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                count = image.width * image.height
                if count > MAX_PIXELS:
                    raise Image.DecompressionBombError
                if min(image.size) < MIN_SIDE:
                    raise UnderstudyError("file_invalid", f"{path.name} is only {image.width}x{image.height} pixels.",
                                          f"Choose a photograph of at least {MIN_SIDE} pixels on its short side.")
                scale = min(1.0, float(np.sqrt(WORKING_PIXELS / count)))
                if scale < 1 and image.format == "JPEG":
                    image.draft(None, (int(image.width * scale), int(image.height * scale)))
                before = (image.width, image.height)
                image.load()
                seen = ImageOps.exif_transpose(image) or image
                if scale < 1:
                    size = (max(round(seen.width * scale * before[0] / image.width), MIN_SIDE),
                            max(round(seen.height * scale * before[1] / image.height), MIN_SIDE))
                    goal = float(np.sqrt(WORKING_PIXELS / (seen.width * seen.height)))
                    if goal < 1:
                        size = (round(seen.width * goal), round(seen.height * goal))
                        seen = seen.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
                    notes.append(f"The photograph of {count / 1e6:.0f} megapixels was reduced to {seen.width}x{seen.height}.")
                alpha = None
                if "A" in seen.getbands() or "transparency" in seen.info:
                    rgba = np.asarray(seen.convert("RGBA"))
                    alpha, pixels = rgba[..., 3].copy(), rgba[..., :3].copy()
                    if (alpha > 250).all():
                        alpha = None
                else:
                    pixels = _rgb(seen)
    except (Image.DecompressionBombError,) as error:
        raise UnderstudyError("request_too_large", f"{path.name} has more than {MAX_PIXELS // 1_000_000} megapixels.",
                              "Reduce the photograph first.") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be read as a picture ({type(error).__name__}).",
                              "Choose a JPEG, PNG, WebP or TIFF file.") from error
    photo = Photo(pixels, alpha, path.name, sha256(path.read_bytes()).hexdigest(), scale, notes)
    if photo.grey:
        notes.append("The photograph is grey-scale, so the film is.")
    return photo


def _rgb(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8; 16-bit greys are brought down by their range, which Pillow's own conversion would clip."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image).astype(np.float64)
        top = 65535.0 if values.max() > 255 else 255.0
        return np.repeat((np.clip(values / top, 0, 1) * 255).astype(np.uint8)[..., None], 3, 2)
    return np.asarray(image.convert("RGB")).copy()
