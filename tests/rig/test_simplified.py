# SPDX-License-Identifier: Apache-2.0
"""Few keys, measured where they are seen: hands, feet and head in the scene against those of one key per frame, frames out of order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy
import numpy as np
import pytest

import blender_addon
from blender_addon import cast, compat, staging
from blender_addon.character import add_character
from blender_addon.shared import rotations as rot
from blender_addon.shared.motion import Motion
from blender_addon.shared.skeleton import JOINT_COUNT, JOINT_INDEX, NEUTRAL_OFFSETS

from .motions import DATA, walk

ENDS = ("left_wrist", "right_wrist", "left_ankle", "right_ankle", "head")


@pytest.fixture(params=["mannequin", "mixamo_arkit"])
def character(request: pytest.FixtureRequest) -> Iterator[Any]:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    blender_addon.register()
    try:
        if request.param == "mannequin":
            yield add_character(bpy.context)
        else:
            path = DATA / "characters" / f"{request.param}.blend"
            if not path.is_file():
                pytest.skip(f"{path.name} is not beside the repository")
            bpy.ops.wm.open_mainfile(filepath=str(path))
            yield next(o for o in bpy.data.objects if o.type == "ARMATURE")
    finally:
        blender_addon.unregister()


def talking(frames: int = 240) -> Motion:
    """Strokes in minimum jerk and holds of all joints above the hips, the body swaying over standing feet."""
    rng = np.random.default_rng(4)
    turns = np.zeros((frames, JOINT_COUNT, 3))
    legs = {JOINT_INDEX[f"{side}_{part}"] for side in ("left", "right") for part in ("hip", "knee", "ankle", "foot")}
    arms = {JOINT_INDEX[f"{side}_{part}"] for side in ("left", "right") for part in ("shoulder", "elbow", "wrist")}
    for joint in set(range(JOINT_COUNT)) - legs:
        size = 0.5 if joint in arms else 0.25 if joint > 21 else 0.06
        at, here = 0, np.zeros(3)
        while at < frames:
            there, length, hold = rng.normal(scale=size, size=3), int(rng.integers(9, 24)), int(rng.integers(5, 40))
            u = np.linspace(0, 1, length)[:, None]
            piece = np.concatenate((here + (there - here) * (10 * u**3 - 15 * u**4 + 6 * u**5), np.repeat(there[None], hold, 0)))
            turns[at : at + len(piece), joint] = piece[: frames - at]
            at, here = at + len(piece), there
    q = rot.continuous(rot.axis_angle_to_quat(turns))
    sway = 0.02 * np.sin(np.arange(frames)[:, None] / 30 * np.array([1.3, 0.0, 0.9]))
    return Motion(30.0, q, NEUTRAL_OFFSETS[0] + sway - [0, 0.01, 0], contacts=np.ones((frames, 4), dtype=np.float32))


def seen(character: Any, bones: list[str], frames: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """World places (F, N, 3) and rotations (F, N, 4) of bones as Blender evaluates the action."""
    places, turns = [], []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        evaluated = character.evaluated_get(bpy.context.evaluated_depsgraph_get())
        matrices = [np.array(evaluated.matrix_world @ evaluated.pose.bones[bone].matrix) for bone in bones]
        places.append([m[:3, 3] for m in matrices])
        turns.append([rot.matrix_to_quat(m[:3, :3] / np.linalg.norm(m[:3, 0])) for m in matrices])
    return np.array(places), np.array(turns)


@pytest.mark.parametrize(("kind", "fewer"), [("talking", 6.0), ("walking", 3.0)])
def test_hands_feet_and_head_stay_within_the_error_in_the_scene(character: Any, kind: str, fewer: float) -> None:
    motion = talking() if kind == "talking" else walk(120)
    bpy.context.scene.render.fps = 30
    bones = [cast.mapping_of(character).first(slot) for slot in ENDS]
    frames = np.random.default_rng(0).permutation(np.arange(1, len(motion) + 1, 3)).tolist()
    found, counts = [], []
    for mode in ("DENSE", "SIMPLIFIED"):
        character.understudy.key_mode = mode
        action = staging.apply_motion(character, motion, 1.0, {})
        found.append(seen(character, bones, frames))
        counts.append(sum(len(curve.keyframe_points) for curve in compat.action_curves(action)))
    (dense, dense_turns), (sparse, sparse_turns) = found
    apart = 1000 * np.linalg.norm(dense - sparse, axis=2).max(axis=0)
    turned = np.degrees(rot.angle_between(dense_turns, sparse_turns)).max(axis=0)
    assert np.all(apart <= 2.0), dict(zip(ENDS, apart, strict=True))
    assert np.all(turned <= 0.5), dict(zip(ENDS, turned, strict=True))
    assert counts[0] / counts[1] >= fewer, counts
