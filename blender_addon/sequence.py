# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the sequencer belongs to a character: its sound strips, and the frame at which they begin."""

from typing import Any

import bpy

from . import compat

__all__ = ["MARK", "free_channel", "heard", "origin", "own_strip", "sound_strips"]

MARK = "understudy"
"""Custom property of the strip that was laid into the sequencer for a character: the character's name."""


def sound_strips(scene: Any) -> list[Any]:
    """The sound strips of a scene's sequencer."""
    return [s for s in compat.strips(scene) if s.type == "SOUND"]


def free_channel(scene: Any, start: float, end: float) -> int:
    """The lowest channel with nothing in it between two frames."""
    taken = {s.channel for s in compat.strips(scene) if compat.strip_range(s)[0] < end and compat.strip_range(s)[1] > start}
    return next(n for n in range(1, 129) if n not in taken)


def own_strip(context: bpy.types.Context, character: Any) -> Any:
    """The sequencer strip that Choose Speech made for this character, or None."""
    for strip in sound_strips(compat.sequencer_scene(context)):
        if strip.get(MARK) == character.name:
            return strip
    return None


def heard(context: bpy.types.Context, character: Any) -> list[Any]:
    """The sound strips that make up the character's speech in the sequencer."""
    channel = character.understudy.sequencer_channel
    return [s for s in sound_strips(compat.sequencer_scene(context)) if not s.mute and channel in (0, s.channel)]


def origin(context: bpy.types.Context, character: Any) -> float:
    """The frame at which the character's performance begins: that of its sound, or the scene's first."""
    scene: Any = context.scene
    if character.understudy.sound_source == "FILE":
        strip = own_strip(context, character)
        if strip is not None:
            return compat.strip_start(strip)
    return float(scene.frame_start)
