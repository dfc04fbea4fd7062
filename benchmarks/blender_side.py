# SPDX-License-Identifier: Apache-2.0
"""One measurement inside Blender's Python; the figure is printed as ``@result <seconds>``."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

FRAMES = 1800


def register() -> float:
    """Seconds of the first ``register()`` in this process, its imports included."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    since = time.perf_counter()
    import blender_addon

    blender_addon.register()
    seconds = time.perf_counter() - since
    blender_addon.unregister()
    return seconds


def keys() -> float:
    """Seconds from a received motion of 55 joints to keys on the mannequin: retargeting, curves, the stored take.

    The mannequin's jaw and eyes are moved by shape keys, of which 52 are keyed in the place of those three bones.
    """
    import bpy

    import blender_addon
    from blender_addon import staging
    from blender_addon.shared import rotations
    from blender_addon.shared.face_curves import ARKIT
    from blender_addon.shared.motion import Motion

    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_addon.register()
    bpy.context.scene.render.fps = 30
    bpy.ops.understudy.add_character()
    character = bpy.context.scene.understudy.character

    # smooth, on every joint, so that nothing can be left out
    t = np.arange(FRAMES)[:, None, None] / 30
    rng = np.random.default_rng(0)
    angles = 0.2 * np.sin(2 * np.pi * (rng.uniform(0.2, 1.5, (1, 55, 3)) * t + rng.random((1, 55, 3))))
    way = np.stack((0.3 * np.sin(t[:, 0, 0]), 0.96 + 0.02 * np.sin(3 * t[:, 0, 0]), 0.5 * t[:, 0, 0]), 1)
    motion = Motion(30.0, rotations.continuous(rotations.axis_angle_to_quat(angles)).astype(np.float32), way.astype(np.float32),
                    face={name: rng.random(FRAMES, dtype=np.float32) for name in ARKIT})
    staging.apply_motion(character, motion.slice(0, 10), 1.0, {})  # the first call also imports
    seconds = float("inf")
    for _ in range(5):
        since = time.perf_counter()
        action = staging.apply_motion(character, motion, 1.0, {})
        seconds = min(seconds, time.perf_counter() - since)
    bones = {c.group.name for layer in action.layers for strip in layer.strips for bag in strip.channelbags for c in bag.fcurves}
    if len(bones) < 52 + 1 or action.frame_range[1] != FRAMES:
        raise RuntimeError(f"{len(bones)} bones were keyed up to frame {action.frame_range[1]}")
    blender_addon.unregister()
    return seconds


if __name__ == "__main__":
    print(f"\n@result {json.dumps({'register': register, 'keys': keys}[sys.argv[1]]())}", flush=True)
    # classes that are still registered at interpreter exit crash Blender 4.2 and hang 4.5
    os._exit(0)
