# SPDX-License-Identifier: GPL-3.0-or-later
"""The built-in rig presets, one explicit list."""

from __future__ import annotations

from typing import Final

from ..preset import Preset
from . import capture, characters, engines, rigging

__all__ = ["PRESETS", "by_key"]

PRESETS: Final[tuple[Preset, ...]] = (
    *characters.PRESETS, *engines.PRESETS, *rigging.PRESETS, *capture.PRESETS,
)


def by_key(key: str) -> Preset | None:
    """The built-in preset of that key, or None."""
    return next((preset for preset in PRESETS if preset.key == key), None)
