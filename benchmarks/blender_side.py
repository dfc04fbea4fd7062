# SPDX-License-Identifier: Apache-2.0
"""One measurement inside Blender's Python; the figure (seconds, or a ratio) is printed as ``@result <number>``."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def _mannequin() -> Any:
    """The add-on registered, and its own character in an empty scene."""
    import bpy

    import blender_addon

    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_addon.register()
    bpy.context.scene.render.fps = 30
    bpy.ops.understudy.add_character()
    return bpy.context.scene.understudy.character


def _motion(*, face: bool) -> Any:
    """Smooth, on every joint, so that nothing can be left out."""
    from blender_addon.shared import rotations
    from blender_addon.shared.face_curves import ARKIT
    from blender_addon.shared.motion import Motion

    t = np.arange(FRAMES)[:, None, None] / 30
    rng = np.random.default_rng(0)
    angles = 0.2 * np.sin(2 * np.pi * (rng.uniform(0.2, 1.5, (1, 55, 3)) * t + rng.random((1, 55, 3))))
    way = np.stack((0.3 * np.sin(t[:, 0, 0]), 0.96 + 0.02 * np.sin(3 * t[:, 0, 0]), 0.5 * t[:, 0, 0]), 1)
    curves = {name: rng.random(FRAMES, dtype=np.float32) for name in ARKIT} if face else {}
    return Motion(30.0, rotations.continuous(rotations.axis_angle_to_quat(angles)).astype(np.float32), way.astype(np.float32), face=curves)


def _least(action: Callable[[], object], times: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """The least of several runs; ratios count processor time, into which other programs on the machine do not enter."""
    seconds = float("inf")
    for _ in range(times):
        since = clock()
        action()
        seconds = min(seconds, clock() - since)
    return seconds


def keys() -> float:
    """Seconds from a received motion of 55 joints to keys on the mannequin: retargeting, curves, the stored take.

    The mannequin's jaw and eyes are moved by shape keys, of which 52 are keyed in the place of those three bones.
    """
    import blender_addon
    from blender_addon import compat, staging

    character, motion = _mannequin(), _motion(face=True)
    staging.apply_motion(character, motion.slice(0, 10), 1.0, {})  # the first call also imports
    seconds = _least(lambda: staging.apply_motion(character, motion, 1.0, {}), 5)
    action = character.animation_data.action
    bones = {c.group.name for c in compat.action_curves(action) if c.group is not None}
    if len(bones) < 52 + 1 or action.frame_range[1] != FRAMES:
        raise RuntimeError(f"{len(bones)} bones were keyed up to frame {action.frame_range[1]}")
    blender_addon.unregister()
    return seconds


def _skeleton_alone(character: Any) -> None:
    """Without the mesh: each frame that Blender evaluates would also deform it, which is not what is compared."""
    import bpy

    for thing in [o for o in bpy.data.objects if o != character]:
        bpy.data.objects.remove(thing)


def nla_bake(*, bare: bool = False) -> float:
    """How many times more processor time constraints and ``nla.bake`` take for the same motion on the same character.

    Both key every frame of every bone that moves, and neither keys scales; what is kept with a take counts for the add-on. Baking
    evaluates every frame, and with it the character's mesh, which is there when an animator bakes.

    :param bare: with the skeleton alone in the scene.
    """
    import bpy

    import blender_addon
    from blender_addon import compat, staging

    character, motion = _mannequin(), _motion(face=False)
    staging.apply_motion(character, motion.slice(0, 10), 1.0, {})
    if bare:
        _skeleton_alone(character)
    own = _least(lambda: staging.apply_motion(character, motion, 1.0, {}), 5, time.process_time)

    source = character.copy()
    source.data = character.data.copy()
    bpy.context.scene.collection.objects.link(source)
    character.animation_data_clear()
    for bone in character.pose.bones:
        constraint = bone.constraints.new("COPY_TRANSFORMS")
        constraint.target, constraint.subtarget = source, bone.name
    bpy.context.view_layer.update()
    source.select_set(False)
    character.select_set(True)
    bpy.context.view_layer.objects.active = character
    bpy.ops.object.mode_set(mode="POSE")
    since = time.process_time()
    bpy.ops.nla.bake(frame_start=1, frame_end=FRAMES, step=1, only_selected=False, visual_keying=True, clear_constraints=True,
                     bake_types={"POSE"}, channel_types={"LOCATION", "ROTATION"})
    baked = time.process_time() - since
    bpy.ops.object.mode_set(mode="OBJECT")
    # it is the same motion, on frames that are visited out of order
    name = character.pose.bones[-1].name
    for frame in (900, 17, 1800):
        bpy.context.scene.frame_set(frame)
        apart = (source.pose.bones[name].head - character.pose.bones[name].head).length
        if apart > 1e-3:
            raise RuntimeError(f"the baked motion is {apart:.3f} m off at frame {frame}")
    if len(compat.action_curves(character.animation_data.action)[0].keyframe_points) != FRAMES:
        raise RuntimeError("not every frame was baked")
    print(f"nla.bake {baked:.2f} s, here {own:.3f} s", flush=True)
    blender_addon.unregister()
    return baked / own


def keyframe_insert() -> float:
    """How many times more processor time ``keyframe_insert`` takes than the add-on for the same 1800 keys of 55 bones."""
    import bpy

    import blender_addon
    from blender_addon import compat
    from blender_addon import keys as writing
    from blender_addon.core.channels import Channel, escaped

    character = _mannequin()
    _skeleton_alone(character)
    bones = [b.name for b in character.pose.bones][:55]
    for name in bones:
        character.pose.bones[name].rotation_mode = "QUATERNION"
    quaternions = np.asarray(_motion(face=False).rotations[:, :len(bones)])
    frames = np.arange(1.0, FRAMES + 1)
    channels = [Channel(f'pose.bones["{escaped(name)}"].rotation_quaternion', k, name, quaternions[:, b, k])
                for b, name in enumerate(bones) for k in range(4)]

    def write() -> None:
        target = compat.action_targets(compat.new_action("bulk"), character, "OBJECT")
        for row in writing.dense_keys(frames, channels):
            writing.write_keys(target, row)

    own = _least(write, 5, time.process_time)
    values = quaternions.tolist()
    poses = [character.pose.bones[name] for name in bones]
    character.animation_data_clear()
    since = time.process_time()
    for n in range(FRAMES):
        for pose, value in zip(poses, values[n], strict=True):
            pose.rotation_quaternion = value
            pose.keyframe_insert("rotation_quaternion", frame=n + 1, group=pose.name)
    inserted = time.process_time() - since
    if sum(len(c.keyframe_points) for c in compat.action_curves(character.animation_data.action)) != FRAMES * len(channels):
        raise RuntimeError("not every key was inserted")
    print(f"keyframe_insert {inserted:.2f} s, here {own:.3f} s for {len(bones)} bones", flush=True)
    blender_addon.unregister()
    return inserted / own


MEASURES = {"register": register, "keys": keys, "nla_bake": nla_bake, "nla_bake_bare": lambda: nla_bake(bare=True),
            "keyframe_insert": keyframe_insert}

if __name__ == "__main__":
    print(f"\n@result {json.dumps(MEASURES[sys.argv[1]]())}", flush=True)
    # classes that are still registered at interpreter exit crash Blender 4.2 and hang 4.5
    os._exit(0)
