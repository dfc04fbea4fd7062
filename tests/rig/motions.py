# SPDX-License-Identifier: Apache-2.0
"""Source motions, rigs and an independent forward solve for the tests of retargeting."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from blender_addon.core.retarget import RetargetResult, RigRest, rig_rest
from blender_addon.shared import rotations as rot
from blender_addon.shared.motion import Motion
from blender_addon.shared.skeleton import END_POINTS, JOINT_COUNT, JOINT_INDEX, JOINT_NAMES, NEUTRAL_OFFSETS, PARENTS, rest_positions

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SEGMENTS = [(f"{side}_{a}", f"{side}_{b}") for side in ("left", "right")
            for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "middle1"),
                         ("index1", "index2"), ("index2", "index3"), ("pinky1", "pinky2"), ("ring2", "ring3"), ("thumb2", "thumb3"))]


def z_up(v: np.ndarray) -> np.ndarray:
    """Written out again here, so that a fault in the add-on's own conversion shows."""
    return np.stack((v[..., 0], -v[..., 2], v[..., 1]), axis=-1)


def clip(folder: str, name_part: str = "", at_least: int = 60) -> Motion:
    """The first clip of a data set whose first caption contains ``name_part``; skips where the data is absent."""
    base = DATA / folder
    if not (base / "clips.json").is_file():
        pytest.skip(f"{folder} is not beside the repository")
    clips = json.loads((base / "clips.json").read_text(encoding="utf-8"))["clips"]
    c = next(c for c in clips if name_part in c["captions"][0]["text"] and c["frames"] >= at_least)
    with np.load(base / f"shard_{c['shard']:02d}.npz") as z:
        rows = slice(c["first"], c["first"] + min(c["frames"], 150))
        return Motion.from_body(30.0, rot.normalise(z["rot"][rows].astype(np.float64)), z["trans"][rows].astype(np.float64))


def wild(seed: int, frames: int = 12, amount: float = 1.2) -> Motion:
    """Independent random turns of all joints; no contacts, feet off the floor."""
    rng = np.random.default_rng(seed)
    q = rot.axis_angle_to_quat(rng.normal(size=(frames, JOINT_COUNT, 3)) * amount / 2)
    translation = NEUTRAL_OFFSETS[0] + rng.normal(size=(frames, 3)) * 0.3 + np.array([0, 1.0, 0])
    return Motion(30.0, rot.continuous(q), translation)


def walk(frames: int = 90) -> Motion:
    """Steps on the spot and forward with bending knees and both feet flat now and then, with true contacts."""
    t = np.arange(frames) / 30.0
    q = rot.identity(frames, JOINT_COUNT)
    contacts = np.zeros((frames, 4), dtype=np.float32)
    for side, phase, column in (("left", 0.0, 0), ("right", np.pi, 2)):
        s = np.sin(2 * np.pi * t / 1.2 + phase)
        lift = np.maximum(s, 0.0)
        q[:, JOINT_INDEX[f"{side}_hip"]] = rot.axis_angle_to_quat(np.stack((-0.9 * lift, 0 * t, 0 * t), -1))
        q[:, JOINT_INDEX[f"{side}_knee"]] = rot.axis_angle_to_quat(np.stack((1.3 * lift, 0 * t, 0 * t), -1))
        q[:, JOINT_INDEX[f"{side}_ankle"]] = rot.axis_angle_to_quat(np.stack((-0.25 * lift, 0 * t, 0 * t), -1))
        contacts[:, column] = contacts[:, column + 1] = s <= 0
    q[:, JOINT_INDEX["left_shoulder"]] = rot.axis_angle_to_quat(np.stack((0 * t, 0 * t, -1.2 + 0.2 * np.sin(t)), -1))
    q[:, JOINT_INDEX["right_shoulder"]] = rot.axis_angle_to_quat(np.stack((0 * t, 0 * t, 1.2 + 0.2 * np.sin(t)), -1))
    translation = np.tile(NEUTRAL_OFFSETS[0], (frames, 1)) + np.stack((0.02 * np.sin(3 * t), -0.02 - 0.01 * np.cos(9 * t), 0.05 * t), -1)
    return Motion(30.0, q, translation, contacts=contacts)


def own_rig(rolls: np.ndarray | None = None, turn: np.ndarray | None = None, scale: float = 1.0) -> RigRest:
    """The source skeleton as a rig, its bones rolled, the whole turned (quaternion) and scaled inside its armature."""
    heads = z_up(rest_positions())
    tails = heads.copy()
    for j in range(JOINT_COUNT - 1, 0, -1):
        tails[PARENTS[j]] = heads[j]
    for j in range(JOINT_COUNT):
        if np.allclose(tails[j], heads[j]):
            tails[j] = heads[j] + (heads[j] - heads[PARENTS[j]]) * 0.7
    for name, (owner, offset) in END_POINTS.items():
        if name.endswith(("head_top", "toe_end")):
            tails[JOINT_INDEX[owner]] = heads[JOINT_INDEX[owner]] + z_up(np.array(offset))
    if turn is not None:
        heads, tails = (rot.rotate(np.broadcast_to(turn, (JOINT_COUNT, 4)), p) for p in (heads, tails))
    return rig_rest(JOINT_NAMES, list(PARENTS), heads * scale, tails * scale, rolls)


def solve(rig: RigRest, result: RetargetResult, frame: int) -> np.ndarray:
    """Pose matrices (B, 4, 4) in armature space as Blender composes them, from the channels alone."""
    pose = np.empty_like(rig.matrices)
    for b, name in enumerate(rig.names):
        basis = np.eye(4)
        if name in result.bones:
            basis[:3, :3] = rot.quat_to_matrix(result.rotations[frame, result.bones.index(name)])
        if name in result.locations:
            basis[:3, 3] = result.locations[name][frame]
        p = int(rig.parents[b])
        above = np.eye(4) if p < 0 else pose[p] @ np.linalg.inv(rig.matrices[p])
        pose[b] = above @ rig.matrices[b] @ basis
    return pose


def directions(motion: Motion, frame: int) -> dict[tuple[str, str], np.ndarray]:
    """Unit directions of the source's limb segments, Blender's axes."""
    positions = z_up(motion.positions()[frame])
    result = {}
    for a, b in SEGMENTS:
        v = positions[JOINT_INDEX[b]] - positions[JOINT_INDEX[a]]
        result[a, b] = v / np.linalg.norm(v)
    return result


def degrees(a: np.ndarray, b: np.ndarray) -> float:
    """Angle between two directions."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)))
