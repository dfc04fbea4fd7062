# SPDX-License-Identifier: Apache-2.0
"""What tests of a shot do again and again: direct, perform, look at what is there."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import bpy
import numpy as np


def write_wav(path: Path, seconds: float = 2.0, rate: int = 16000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        tone = (8000 * np.sin(np.arange(int(seconds * rate)) * 0.1)).astype("<i2")
        file.writeframes(tone.tobytes())
    return path


def direct(character: Any, text: str = "walks forward", start: float = 1, end: float = 61, **values: Any) -> Any:
    item = character.understudy.directions.add()
    item.text, item.start, item.end, item.uuid = text, start, end, f"id{len(character.understudy.directions)}"
    for name, value in values.items():
        setattr(item, name, value)
    return item


def perform(progress: Any = None) -> bpy.types.Action:
    from blender_addon.batch import perform_blocking

    return perform_blocking(bpy.context, progress)


def curves_of(character: Any) -> list[Any]:
    """All curves of the shown take: in one action from 4.4 on, in one per data-block before."""
    from blender_addon import compat, takes

    take = takes.current(character)
    actions = {take.action, *(part.action for part in take.parts)}
    return [curve for action in actions for curve in compat.action_curves(action)]


def actions_per_take() -> int:
    from blender_addon import compat

    return 1 if compat.has_slots() else 2


def snapshot(character: Any) -> Any:
    """All that a failure must leave as it is."""
    data = character.animation_data
    return (
        [(d.uuid, d.text, d.start, d.end) for d in character.understudy.directions], data.action if data else None,
        [a.name for a in bpy.data.actions], bpy.context.scene.frame_start, bpy.context.scene.frame_end,
        len(character.understudy.takes), character.understudy.seed, [o.name for o in bpy.data.objects],
    )
