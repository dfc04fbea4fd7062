# SPDX-License-Identifier: GPL-3.0-or-later
"""How loud the speech is over time, for the background of the strips; read once per file."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import compat

__all__ = ["RATE", "forget", "of_character", "of_file"]

RATE = 50.0
"""Values per second."""
LONGEST_SECONDS = 600.0
"""Longer files are not drawn: reading them would hold up the interface."""

_kept: dict[tuple[str, float], np.ndarray | None] = {}


def of_character(character: Any) -> np.ndarray | None:
    """Energy (N,) in [0, 1] of the character's sound file, or None where there is none that can be read."""
    settings = character.understudy
    if settings.sound_source != "FILE" or not settings.sound_path:
        return None
    path = Path(bpy.path.abspath(settings.sound_path))
    try:
        key = (str(path), path.stat().st_mtime)
    except OSError:
        return None
    if key not in _kept:
        _kept[key] = of_file(path)
    return _kept[key]


def of_file(path: Path) -> np.ndarray | None:
    """Energy (N,) in [0, 1], the loudest value being 1; None without the module that reads it or for what is no sound."""
    aud = compat.sound_module()
    if aud is None:
        return None
    try:
        sound = aud.Sound(str(path))
        rate = float(sound.specs[0])
        if not 0 < sound.length / rate <= LONGEST_SECONDS:
            return None
        samples = np.asarray(sound.data()).mean(axis=1)
    except aud.error:
        return None
    size = max(int(rate / RATE), 1)
    blocks = samples[: len(samples) // size * size].reshape(-1, size)
    if not len(blocks):
        return None
    energy = np.sqrt(np.mean(np.square(blocks, dtype=np.float64), axis=1))
    return energy / max(float(energy.max()), 1e-9)


def forget() -> None:
    """Drop what was read."""
    _kept.clear()
