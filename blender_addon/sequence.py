# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the sequencer belongs to a character: its sound strips, and the frame at which they begin."""

from collections.abc import Callable
from typing import Any, NamedTuple

import bpy

from . import compat

__all__ = ["MARK", "free_channel", "heard", "origin", "own_strip", "played", "skipped", "sound_strips", "volume"]

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
    channel, scene = character.understudy.sequencer_channel, compat.sequencer_scene(context)
    return [s for s in sound_strips(scene)
            if not s.mute and channel in (0, s.channel) and not scene.sequence_editor.channels[s.channel].mute]


class Played(NamedTuple):
    """How a sound strip plays its content: at ``frame`` of the scene it is at ``content`` (in frames), and goes on with ``speed``."""

    frame: float
    content: float
    speed: float


def played(strip: Any, content_frames: float) -> Played:
    """The course of a sound strip between its handles.

    Blender does not tell scripts the speed of a retimed stretch, only where it begins. So what is trimmed away is taken to play as
    recorded, and several stretches between the handles to play with their mean speed.

    :param content_frames: length of the whole sound at its own speed, in frames of the scene.
    """
    keys = sorted(float(key.timeline_frame) for key in strip.retiming_keys)
    start = compat.strip_start(strip)
    if len(keys) < 2:
        return Played(start, 0.0, 1.0)
    left, right = compat.strip_range(strip)
    first, last = max((k for k in keys if k <= left), default=keys[0]), min((k for k in keys if k >= right - 1), default=keys[-1])
    rest = content_frames - strip.animation_offset_start - strip.animation_offset_end - (first - keys[0]) - (keys[-1] - last)
    return Played(first, first - keys[0], rest / (last - first) if last > first and rest > 0 else 1.0)


def skipped(strip: Any, fps: float) -> float:
    """Seconds of its sound that a strip leaves out before its content begins."""
    return float(strip.animation_offset_start / fps - compat.sound_offset(strip))


def volume(scene: Any, strip: Any) -> Callable[[float], float]:
    """How loud a sound strip is at a frame, by its own volume, which may be animated, and by the scene's."""
    path = f'["{bpy.utils.escape_identifier(strip.name)}"].volume'
    action = scene.animation_data.action if scene.animation_data else None
    curve = next((c for c in compat.action_curves(action) if c.data_path.endswith(path)), None) if action is not None else None
    if curve is None:
        constant = float(strip.volume * scene.audio_volume)
        return lambda frame: constant
    return lambda frame: float(curve.evaluate(frame) * scene.audio_volume)


def origin(context: bpy.types.Context, character: Any) -> float:
    """The frame at which the character's performance begins: that of its sound, or the scene's first."""
    scene: Any = context.scene
    if character.understudy.sound_source == "FILE":
        strip = own_strip(context, character)
        if strip is not None:
            return compat.strip_start(strip)
    return float(scene.frame_start)
