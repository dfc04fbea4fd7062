# SPDX-License-Identifier: Apache-2.0
"""What rigs have more of or less of than the source: twist bones, split limbs, missing fingers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender_addon.core.retarget import RetargetOptions, RigRest, retarget, rig_rest
from blender_addon.core.rigs.detect import detect_rest
from blender_addon.shared import rotations as rot
from blender_addon.shared.motion import Motion
from blender_addon.shared.skeleton import JOINT_INDEX

from .motions import degrees, directions, solve, wild
from .published import Published, load

LOOSE = RetargetOptions(plant_feet=False, keep_hands_apart=False)


def _rig(published: Published, pose: str = "T") -> RigRest:
    heads = published.heads(pose)
    return rig_rest(published.names, published.parents, heads, published.tails(heads))


def _rolled(rig: RigRest, joint: str, angle: float, bone: str, options: RetargetOptions = LOOSE) -> float:
    """Degrees by which a bone turns in the world when a joint of the left arm turns about the arm, which is stretched out sideways."""
    still = Motion.rest(1)
    q = still.rotations.copy()
    q[:, JOINT_INDEX[joint]] = rot.axis_angle_to_quat(np.array([np.radians(angle), 0.0, 0.0]))
    mapping = detect_rest(rig)
    before, after = (solve(rig, retarget(motion, rig, mapping, options), 0)[rig.index[bone], :3, :3]
                     for motion in (still, replace(still, rotations=q)))
    turn = rot.matrix_to_quat(after @ before.T)
    return float(np.degrees(2 * np.arctan2(turn[1], turn[0])))


@pytest.mark.parametrize(("key", "joint", "bone", "share"), [
    # the hand's turn comes along the forearm, from nothing at the elbow to all of it at the wrist
    ("unreal5", "left_wrist", "lowerarm_l", 0.0), ("unreal5", "left_wrist", "lowerarm_twist_02_l", 0.33),
    ("unreal5", "left_wrist", "lowerarm_twist_01_l", 0.66), ("unreal5", "left_wrist", "hand_l", 1.0),
    ("unreal4", "left_wrist", "lowerarm_twist_01_l", 0.7),
    ("reallusion", "left_wrist", "CC_Base_L_ForearmTwist01", 0.25), ("reallusion", "left_wrist", "CC_Base_L_ForearmTwist02", 0.5),
    ("daz_genesis8", "left_wrist", "lForearmBend", 0.0), ("daz_genesis8", "left_wrist", "lForearmTwist", 0.5),
    # the upper arm's own turn is undone towards the shoulder
    ("unreal5", "left_shoulder", "upperarm_l", 1.0), ("unreal5", "left_shoulder", "upperarm_twist_01_l", 0.33),
    ("unreal5", "left_shoulder", "upperarm_twist_02_l", 0.66), ("unreal4", "left_shoulder", "upperarm_twist_01_l", 0.05),
    ("reallusion", "left_shoulder", "CC_Base_L_UpperarmTwist01", 0.0), ("reallusion", "left_shoulder", "CC_Base_L_UpperarmTwist02", 0.5),
])
def test_twist_bones_take_their_share(key: str, joint: str, bone: str, share: float) -> None:
    rig = _rig(load(key))
    assert _rolled(rig, joint, 60.0, bone) == pytest.approx(60.0 * share, abs=1.5)


def test_without_the_option_twist_bones_are_left_alone() -> None:
    rig = _rig(load("unreal5"))
    off = replace(LOOSE, twist=False)
    assert "lowerarm_twist_01_l" not in retarget(Motion.rest(1), rig, detect_rest(rig), off).bones
    assert _rolled(rig, "left_wrist", 60.0, "lowerarm_twist_01_l", off) == pytest.approx(0.0, abs=0.1)
    assert _rolled(rig, "left_wrist", 60.0, "hand_l", off) == pytest.approx(60.0, abs=0.1)


@pytest.mark.parametrize("kept", [("Thumb", "Index"), ("Thumb", "Index", "Pinky"), ("Index", "Middle", "Ring"), ()])
def test_hands_with_fewer_fingers_point_right(kept: tuple[str, ...]) -> None:
    published = load("mixamo")
    gone = {f"Hand{finger}" for finger in ("Thumb", "Index", "Middle", "Ring", "Pinky") if finger not in kept}
    stays = [i for i, name in enumerate(published.names) if not any(part in name for part in gone)]
    fewer = Published(published.preset, published.label, "A", published.sides, [published.names[i] for i in stays],
                      [stays.index(p) if (p := published.parents[i]) >= 0 else -1 for i in stays], [published.places[i] for i in stays])
    rig = _rig(fewer, "A")
    mapping = detect_rest(rig)
    assert mapping.preset == "mixamo" and not mapping.missing_core
    for finger in ("Middle", "Index", "Ring", "Pinky"):
        slot = f"left_{finger.lower()}1"
        assert (slot in mapping.slots) == (finger in kept) == (slot not in mapping.missing)
        assert finger in kept or f"LeftHand{finger}1" in mapping.missing[slot]
    motion = wild(6)
    result = retarget(motion, rig, mapping, LOOSE)
    knuckles = [finger.lower() for finger in ("Middle", "Index", "Ring", "Pinky") if finger in kept][:1]
    for frame in (7, 2):
        pose, source = solve(rig, result, frame)[:, :3, 3], motion.positions()[frame]
        for side in ("left", "right"):
            for finger in knuckles:
                ends = [rig.index[mapping.first(f"{side}_{part}")] for part in ("wrist", f"{finger}1")]
                v = source[JOINT_INDEX[f"{side}_{finger}1"]] - source[JOINT_INDEX[f"{side}_wrist"]]
                assert degrees(pose[ends[1]] - pose[ends[0]], np.array([v[0], -v[2], v[1]])) < 0.1, finger
            wanted = directions(motion, frame)[f"{side}_elbow", f"{side}_wrist"]
            arm = [rig.index[mapping.first(f"{side}_{part}")] for part in ("elbow", "wrist")]
            assert degrees(pose[arm[1]] - pose[arm[0]], wanted) < 0.1
