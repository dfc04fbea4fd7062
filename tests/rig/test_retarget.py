# SPDX-License-Identifier: Apache-2.0
"""The maths of retargeting, without Blender: against forward solves and properties that must hold for any motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.core.retarget import RetargetOptions, RigRest, retarget, rig_rest
from blender_addon.core.retarget.axes import quat_to_y_up, quat_to_z_up, vector_to_y_up, vector_to_z_up
from blender_addon.core.retarget.contacts import estimate_contacts, runs
from blender_addon.core.retarget.ik import two_bone
from blender_addon.core.rigs.detect import detect_rest
from blender_addon.core.rigs.mapping import Mapping
from blender_addon.shared import kinematics
from blender_addon.shared import rotations as rot
from blender_addon.shared.errors import UnderstudyError
from blender_addon.shared.motion import Motion
from blender_addon.shared.skeleton import CONTACT_NAMES, JOINT_COUNT, JOINT_INDEX, JOINT_NAMES, NEUTRAL_OFFSETS, PARENTS, rest_positions

from .motions import degrees, directions, own_rig, solve, walk, wild, z_up
from .published import body, load

LOOSE = RetargetOptions(plant_feet=False, keep_hands_apart=False)
QUARTER = np.sqrt(0.5)


def test_axes_agree_on_vectors_and_rotations() -> None:
    rng = np.random.default_rng(1)
    q, v = rot.normalise(rng.normal(size=(20, 4))), rng.normal(size=(20, 3))
    np.testing.assert_allclose(vector_to_z_up(rot.rotate(q, v)), rot.rotate(quat_to_z_up(q), vector_to_z_up(v)), atol=1e-12)
    np.testing.assert_allclose(quat_to_y_up(quat_to_z_up(q)), q)
    np.testing.assert_allclose(vector_to_y_up(vector_to_z_up(v)), v)
    np.testing.assert_allclose(vector_to_z_up(np.array([0.0, 0, 1])), [0, -1, 0])


def test_the_rest_pose_stays_the_rest_pose() -> None:
    rig = own_rig()
    result = retarget(Motion.rest(3), rig, detect_rest(rig))
    np.testing.assert_allclose(np.abs(result.rotations[..., 0]), 1.0, atol=1e-9)
    np.testing.assert_allclose(result.locations["pelvis"], 0.0, atol=1e-9)
    assert result.scale == pytest.approx(1.0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), turn=st.sampled_from([(1, 0, 0, 0), (QUARTER, QUARTER, 0, 0), (QUARTER, 0, 0, QUARTER), (0, 0, 0, 1)]),
       scale=st.sampled_from([1.0, 100.0, 0.4]))
def test_a_rolled_turned_scaled_copy_of_the_source_reproduces_its_joints(seed: int, turn: tuple[float, ...], scale: float) -> None:
    rng = np.random.default_rng(seed)
    turn_q = np.array(turn, dtype=float)
    rig = own_rig(rng.uniform(-3, 3, JOINT_COUNT), turn_q, scale)
    motion = wild(seed, frames=4)
    result = retarget(motion, rig, detect_rest(rig), LOOSE)
    wanted = rot.rotate(np.broadcast_to(turn_q, (4, JOINT_COUNT, 4)), z_up(motion.positions())) * scale
    for frame in (2, 0, 3):
        np.testing.assert_allclose(solve(rig, result, frame)[:, :3, 3], wanted[frame], atol=2e-6 * scale)


def test_channels_are_unit_and_continuous() -> None:
    rig = own_rig(np.linspace(-3, 3, JOINT_COUNT))
    q = retarget(walk(), rig, detect_rest(rig)).rotations
    np.testing.assert_allclose(np.linalg.norm(q, axis=-1), 1.0, atol=1e-9)
    assert np.all(np.sum(q[1:] * q[:-1], axis=-1) > 0)


def _a_pose(lower: float = 0.8, elbow: float = 0.6, spread: float = 0.15) -> tuple[list[str], list[int], np.ndarray, np.ndarray]:
    """The source skeleton stood into an A-pose with bent elbows and spread legs: (names, parents, heads, tails), Z up."""
    q = rot.identity(1, JOINT_COUNT)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        q[0, JOINT_INDEX[f"{side}_shoulder"]] = rot.axis_angle_to_quat(np.array([0, 0, -sign * lower]))
        q[0, JOINT_INDEX[f"{side}_elbow"]] = rot.axis_angle_to_quat(np.array([0, -sign * elbow, 0]))
        q[0, JOINT_INDEX[f"{side}_hip"]] = rot.axis_angle_to_quat(np.array([0, 0, sign * spread]))
        q[0, JOINT_INDEX[f"{side}_ankle"]] = rot.axis_angle_to_quat(np.array([0, 0, -sign * spread]))
        for finger in ("index", "middle", "ring", "pinky"):
            q[0, JOINT_INDEX[f"{side}_{finger}2"]] = rot.axis_angle_to_quat(np.array([0, 0, -sign * 0.3]))
    heads = z_up(Motion(30.0, q, NEUTRAL_OFFSETS[:1].copy()).positions()[0])
    tails = heads.copy()
    for j in range(JOINT_COUNT - 1, 0, -1):
        tails[PARENTS[j]] = heads[j]
    for j in range(JOINT_COUNT):
        if np.allclose(tails[j], heads[j]):
            tails[j] = heads[j] + (heads[j] - heads[PARENTS[j]]) * 0.8
    return list(JOINT_NAMES), list(PARENTS), heads, tails


@pytest.mark.parametrize("seed", range(4))
def test_limbs_of_an_a_pose_rig_point_where_the_source_points(seed: int) -> None:
    rig = rig_rest(*_a_pose())
    motion = wild(seed)
    result = retarget(motion, rig, detect_rest(rig), LOOSE)
    for frame in (7, 1, 4):
        heads = solve(rig, result, frame)[:, :3, 3]
        for (a, b), wanted in directions(motion, frame).items():
            assert degrees(heads[rig.index[b]] - heads[rig.index[a]], wanted) < 0.01, (a, b)


def test_an_elbow_bent_at_rest_bends_about_its_own_hinge() -> None:
    rig = rig_rest(*_a_pose())
    motion = Motion.rest(1)
    q = motion.rotations.copy()
    q[:, JOINT_INDEX["left_elbow"]] = rot.axis_angle_to_quat(np.array([0, -1.2, 0]))
    result = retarget(replace(motion, rotations=q), rig, detect_rest(rig), LOOSE)
    rest, pose = rig.matrices, solve(rig, result, 0)
    arm, fore = rig.index["left_shoulder"], rig.index["left_elbow"]
    # seen from the upper arm, the forearm turns about the hinge that its rest pose shows
    hinge_rest = np.cross(*(rest[b][:3, 1] for b in (arm, fore)))
    hinge_pose = np.cross(*(pose[b][:3, 1] for b in (arm, fore)))
    in_arm_rest, in_arm_pose = rest[arm][:3, :3].T @ hinge_rest, pose[arm][:3, :3].T @ hinge_pose
    assert degrees(in_arm_rest, in_arm_pose) < 1.0


@pytest.mark.parametrize("key", ["mixamo", "unreal4"])
def test_fingertips_follow_where_the_tails_of_bones_say_nothing(key: str) -> None:
    """As in FBX files whose bones lie along another axis: the ends of fingers are told by markers, or go straight on."""
    published = load(key)
    heads = published.heads("A")
    aside = np.random.default_rng(3).normal(size=heads.shape)
    rig = rig_rest(published.names, published.parents, heads, heads + 0.05 * aside / np.linalg.norm(aside, axis=1, keepdims=True))
    mapping = detect_rest(rig)
    tips = {f"{side}_{finger}3": body("A")[f"{side}_{finger}_tip"] for side in ("left", "right") for finger in ("index", "pinky", "thumb")}
    motion = wild(9)
    result = retarget(motion, rig, mapping, LOOSE)
    turns = quat_to_z_up(kinematics.world_rotations(motion.rotations.astype(float)))
    rest = z_up(rest_positions())
    for frame in (5, 2):
        pose = solve(rig, result, frame)
        for slot, tip in tips.items():
            bone = rig.index[mapping.first(slot)]
            end = (pose[bone] @ np.linalg.inv(rig.matrices[bone]) @ np.append(tip, 1.0))[:3]
            wanted = rot.rotate(turns[frame, JOINT_INDEX[slot]], rest[JOINT_INDEX[slot]] - rest[JOINT_INDEX[f"{slot[:-1]}2"]])
            assert degrees(end - pose[bone][:3, 3], wanted) < (1.0 if key == "mixamo" else 35.0), slot


def _spine_rig(count: int) -> tuple[RigRest, Mapping]:
    """The source skeleton with another number of bones in its spine, and its bone map."""
    heads, tails = z_up(rest_positions()), None
    keep = [n for n in JOINT_NAMES if n not in ("spine1", "spine2", "spine3")]
    names = ["pelvis", *(f"spine{i + 1}" for i in range(count)), *keep[1:]]
    bottom, top = heads[JOINT_INDEX["spine1"]], heads[JOINT_INDEX["neck"]]
    places = {f"spine{i + 1}": bottom + (top - bottom) * i / count for i in range(count)}
    places |= {n: heads[JOINT_INDEX[n]] for n in keep}
    parents = []
    for name in names:
        if name == "pelvis":
            parents.append(-1)
        elif name in ("neck", "left_collar", "right_collar"):
            parents.append(names.index(f"spine{count}"))
        elif name.startswith("spine"):
            n = int(name[5:])
            parents.append(0 if n == 1 else names.index(f"spine{n - 1}"))
        else:
            parents.append(names.index(JOINT_NAMES[PARENTS[JOINT_INDEX[name]]]))
    points = np.array([places[n] for n in names])
    tails = points + np.array([0, 0, 0.05])
    rig = rig_rest(names, parents, points, tails)
    mapping = detect_rest(rig)
    mapping = mapping.with_slots({**mapping.slots, "spine": tuple(f"spine{i + 1}" for i in range(count))})
    return rig, mapping


@pytest.mark.parametrize("count", range(1, 8))
def test_spines_of_any_length_end_with_the_source_chest(count: int) -> None:
    rig, mapping = _spine_rig(count)
    motion = wild(3)
    result = retarget(motion, rig, mapping, LOOSE)
    world = rot.identity(1)[0]
    for joint in ("pelvis", "spine1", "spine2", "spine3"):
        world = rot.mul(world, motion.rotations[5, JOINT_INDEX[joint]])
    pose = solve(rig, result, 5)[rig.index[f"spine{count}"]][:3, :3]
    turn = rot.matrix_to_quat(pose @ rig.matrices[rig.index[f"spine{count}"]][:3, :3].T)
    assert np.degrees(rot.angle_between(turn, quat_to_z_up(world))) < 0.01


def test_bones_in_between_and_without_inherited_rotation_do_not_disturb() -> None:
    names, parents, heads, tails = _a_pose()
    elbow = names.index("left_elbow")
    names.insert(elbow, "extra_elbow_helper")
    parents = [p + 1 if p >= elbow else p for p in parents]
    parents.insert(elbow, parents[elbow])
    heads, tails = np.insert(heads, elbow, heads[elbow] + 0.01, axis=0), np.insert(tails, elbow, tails[elbow] + 0.02, axis=0)
    parents[elbow + 1] = elbow
    rig = rig_rest(names, parents, heads, tails)
    motion = wild(5)
    result = retarget(motion, rig, detect_rest(rig), LOOSE)
    assert "extra_elbow_helper" not in result.bones
    at = solve(rig, result, 3)[:, :3, 3]
    wanted = directions(motion, 3)["left_elbow", "left_wrist"]
    assert degrees(at[rig.index["left_wrist"]] - at[rig.index["left_elbow"]], wanted) < 0.01


@pytest.mark.parametrize("scale", [1.0, 0.5, 100.0])
def test_planted_feet_stand_still_on_the_floor(scale: float) -> None:
    names, parents, heads, tails = _a_pose()
    rig = rig_rest(names, parents, heads * scale, tails * scale)
    motion = walk()
    result = retarget(motion, rig, detect_rest(rig))
    assert result.contacts is not None
    ankles = np.array([solve(rig, result, f)[:, :3, 3] for f in range(len(motion))]) / scale
    checked = 0
    for column, name in enumerate(CONTACT_NAMES):
        for start, stop in runs(result.contacts[:, column]):
            place = ankles[start:stop, rig.index[name]]
            assert np.ptp(place, axis=0).max() < 0.002, (name, start, stop)
            assert abs(place[:, 2].mean() - heads[names.index(name), 2]) < 0.005
            checked += stop - start
    assert checked > 60


def test_a_foot_that_slides_while_it_stands_goes_from_place_to_place_without_a_jump() -> None:
    rig = rig_rest(*_a_pose())
    motion = walk()
    frames = len(motion)
    contacts = np.zeros((frames, 4), dtype=np.float32)
    contacts[:, :2] = 1.0
    q = motion.rotations.copy()
    q[:, 1:6] = rot.identity(1)[0]
    translation = np.tile(NEUTRAL_OFFSETS[0], (frames, 1)) + np.linspace(0, 1, frames)[:, None] * np.array([0, 0, 0.45]) + [0, -0.02, 0]
    result = retarget(replace(motion, rotations=q, translation=translation, contacts=contacts), rig, detect_rest(rig))
    assert result.contacts is not None
    held = result.contacts[:, 0]
    assert 2 <= len(runs(held)) <= 5 and 0.3 < held.mean() < 1.0
    ankle = np.array([solve(rig, result, f)[rig.index["left_ankle"], :3, 3] for f in range(frames)])
    for start, stop in runs(held):
        assert np.ptp(ankle[start:stop], axis=0).max() < 0.002
    # 12 cm of the way in a fifth of a second, eased, are 3 cm a frame at most
    assert np.linalg.norm(np.diff(ankle, axis=0), axis=1).max() < 0.04


def test_planting_does_not_jump_when_a_foot_leaves() -> None:
    rig = rig_rest(*_a_pose())
    motion = walk()
    planted, free = (retarget(motion, rig, detect_rest(rig), RetargetOptions(plant_feet=p)) for p in (True, False))

    def fastest(result: object) -> float:
        ankle = np.array([solve(rig, result, f)[rig.index["left_ankle"], :3, 3] for f in range(len(motion))])  # type: ignore[arg-type]
        return float(np.abs(np.diff(ankle, n=2, axis=0)).max())

    assert fastest(planted) < fastest(free) + 0.01


@pytest.mark.parametrize("mode", ["bone", "object", "in_place"])
def test_root_modes_carry_the_same_body(mode: str) -> None:
    names, parents, heads, tails = _a_pose()
    names, parents = ["root", *names], [-1, *(p + 1 if p >= 0 else 0 for p in parents)]
    heads, tails = np.insert(heads, 0, 0.0, axis=0), np.insert(tails, 0, [0, 0.2, 0], axis=0)
    rig = rig_rest(names, parents, heads, tails)
    q = walk().rotations.copy()
    turn = rot.yaw_quat(np.linspace(0, 2.0, len(q)))
    q[:, 0] = rot.mul(turn, q[:, 0])
    motion = replace(walk(), rotations=q)
    plain, other = (retarget(motion, rig, detect_rest(rig), RetargetOptions(root=m)) for m in ("hips", mode))
    for frame in (50, 3, 80):
        wanted = solve(rig, plain, frame)
        got = solve(rig, other, frame)
        if mode == "object":
            assert other.object_location is not None and other.object_rotation is not None
            carry = np.eye(4)
            carry[:3, :3] = rot.quat_to_matrix(other.object_rotation[frame])
            carry[:3, 3] = other.object_location[frame]
            got = carry @ got
        pelvis = rig.index["pelvis"]
        if mode == "in_place":
            assert np.abs(got[pelvis, :2, 3] - wanted[pelvis, :2, 3]).max() > (0.01 if frame == 80 else -1)
            np.testing.assert_allclose(got[:, :3, :3], wanted[:, :3, :3], atol=1e-6)
            assert np.abs(got[pelvis, :2, 3]).max() < 0.05
        else:
            np.testing.assert_allclose(got[1:, :3, 3], wanted[1:, :3, 3], atol=1e-6)
    if mode == "bone":
        assert "root" in other.bones and np.ptp(other.locations["root"], axis=0).max() > 0.1


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_two_bone_ik_reaches_what_is_in_reach(seed: int) -> None:
    rng = np.random.default_rng(seed)
    root, middle = np.zeros((8, 3)), rng.normal(size=(8, 3))
    end = middle + rng.normal(size=(8, 3))
    a, b = np.linalg.norm(middle, axis=1), np.linalg.norm(end - middle, axis=1)
    aim = rng.normal(size=(8, 3))
    aim /= np.linalg.norm(aim, axis=1, keepdims=True)
    target = aim * (np.abs(a - b) + (a + b - np.abs(a - b)) * rng.uniform(0.05, 0.95, 8))[:, None]
    hinge = np.tile([1.0, 0, 0], (8, 1))
    upper, lower = two_bone(root, middle, end, target, hinge)
    knee = rot.rotate(upper, middle)
    np.testing.assert_allclose(knee + rot.rotate(lower, end - middle), target, atol=1.1e-3 * (a + b).max())


def test_a_straight_leg_bends_its_knee_forward() -> None:
    hip, knee, ankle = (np.array([[0.0, 0, z]]) for z in (0.9, 0.5, 0.1))
    upper, lower = two_bone(hip, knee, ankle, np.array([[0.0, 0, 0.3]]), np.array([[1.0, 0, 0]]))
    moved = hip + rot.rotate(upper, knee - hip)
    assert moved[0, 1] < -0.1  # forward is -Y
    np.testing.assert_allclose(moved + rot.rotate(lower, ankle - knee), [[0, 0, 0.3]], atol=1e-6)


def test_hands_do_not_pass_the_midline_where_the_source_hands_do_not() -> None:
    names, parents, heads, tails = _a_pose()
    # narrow shoulders: each arm sits 7 cm nearer to the middle
    stay = ("hip", "knee", "ankle", "foot", "eye", "collar")
    for j, name in enumerate(names):
        for side, sign in (("left", 1.0), ("right", -1.0)):
            if name.startswith(side) and not name.startswith(tuple(f"{side}_{s}" for s in stay)):
                heads[j, 0] -= sign * 0.07
                tails[j, 0] -= sign * 0.07
    rig = rig_rest(names, parents, heads, tails)
    frames = 40
    t = np.linspace(0, 1, frames)
    q = rot.identity(frames, JOINT_COUNT)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        q[:, JOINT_INDEX[f"{side}_shoulder"]] = rot.axis_angle_to_quat(np.stack((0 * t, -sign * (1.35 + 0 * t), -sign * 0.3 * t), -1))
        q[:, JOINT_INDEX[f"{side}_elbow"]] = rot.axis_angle_to_quat(np.stack((0 * t, -sign * (0.5 + 0.82 * t), 0 * t), -1))
    motion = Motion(30.0, q, np.tile(NEUTRAL_OFFSETS[0], (frames, 1)))
    # of each hand the wrist, the knuckles and the last joints: what is furthest over the middle counts
    joints = [[JOINT_INDEX[f"{side}_{part}"] for part in ("wrist", *(f"{f}{n}" for f in ("index", "middle", "pinky") for n in (1, 3)))]
              for side in ("left", "right")]

    def furthest(x: np.ndarray) -> np.ndarray:
        return np.stack((x[:, joints[0]].min(axis=1), -x[:, joints[1]].max(axis=1)), axis=1)

    source = furthest(motion.positions()[..., 0])

    def across(keep: bool) -> tuple[np.ndarray, np.ndarray]:
        result = retarget(motion, rig, detect_rest(rig), RetargetOptions(keep_hands_apart=keep))
        x = np.array([solve(rig, result, f)[:, 0, 3] for f in range(frames)])
        return furthest(x), x[:, [joints[0][0], joints[1][0]]] * np.array([1, -1])

    (free, free_wrists), (kept, kept_wrists) = across(False), across(True)
    assert free.min() < np.minimum(source, 0).min() - 0.03 and source.max() > 0
    assert np.all(kept >= np.minimum(source, 0.0) - 2e-3)
    # fingers alone would have passed: the wrists stay on their side without help
    assert np.any((free_wrists > 0) & (free < -0.005) & (source > 0))
    untouched = free > 0.01
    assert untouched.any()
    np.testing.assert_allclose(kept_wrists[untouched], free_wrists[untouched], atol=1e-5)
    assert np.abs(np.diff(kept_wrists, axis=0)).max() < 0.03


def test_contacts_are_estimated_where_there_are_none() -> None:
    motion = replace(walk(), contacts=np.zeros((90, 4), dtype=np.float32))
    found = estimate_contacts(motion)
    true = walk().contacts > 0.5
    assert np.mean(found[:, 0] == true[:, 0]) > 0.8


def test_too_little_of_a_body_is_refused_with_a_sentence() -> None:
    rig = rig_rest(["a", "b"], [-1, 0], np.array([[0.0, 0, 0], [0, 0, 1]]), np.array([[0.0, 0, 1], [0, 0, 2]]))
    with pytest.raises(UnderstudyError) as caught:
        retarget(Motion.rest(2), rig, detect_rest(rig))
    assert caught.value.code == "rig_unknown" and caught.value.fix


def test_motion_with_values_that_are_no_numbers_is_refused() -> None:
    rig = own_rig()
    motion = Motion.rest(3)
    motion.translation[1, 1] = np.nan
    with pytest.raises(UnderstudyError) as caught:
        retarget(motion, rig, detect_rest(rig))
    assert caught.value.code == "file_invalid"


def test_an_empty_motion_gives_empty_channels() -> None:
    rig = own_rig()
    assert len(retarget(Motion.rest(0), rig, detect_rest(rig))) == 0


@pytest.mark.parametrize("mode", ["hips", "bone", "object"])
def test_a_pose_is_read_back_from_its_channels(mode: str) -> None:
    from blender_addon.core.retarget.channels_in import channels_to_motion

    names, parents, heads, tails = _a_pose()
    names, parents = ["root", *names], [-1, *(p + 1 if p >= 0 else 0 for p in parents)]
    heads, tails = np.insert(heads, 0, 0.0, axis=0), np.insert(tails, 0, [0, 0.2, 0], axis=0)
    rig = rig_rest(names, parents, heads * 1.3, tails * 1.3)
    options = replace(LOOSE, root=mode)
    mapping = detect_rest(rig)
    motion = wild(11)
    result = retarget(motion, rig, mapping, options)
    turns = {name: result.rotations[:, k] for k, name in enumerate(result.bones)}
    read = channels_to_motion(rig, mapping, options, turns, dict(result.locations), motion, result.object_location, result.object_rotation)
    angle = np.degrees(rot.angle_between(read.rotations, motion.rotations))
    mapped = [j for j, name in enumerate(JOINT_NAMES) if mapping.bones("spine" if name.startswith("spine") else name)]
    assert angle[:, mapped].max() < 0.05
    np.testing.assert_allclose(read.translation, motion.translation, atol=1e-4)


@pytest.mark.parametrize(("count", "degrees_off"), [(1, 0.05), (3, 0.05), (6, 0.05), (2, 12.0), (5, 12.0)])
def test_a_spine_of_another_length_is_read_back(count: int, degrees_off: float) -> None:
    """Exact where bones end at the source's joints; elsewhere the sum is, and the bones between are near."""
    from blender_addon.core.retarget.channels_in import channels_to_motion

    rig, mapping = _spine_rig(count)
    motion = wild(3, amount=0.5)
    result = retarget(motion, rig, mapping, LOOSE)
    turns = {name: result.rotations[:, k] for k, name in enumerate(result.bones)}
    read = channels_to_motion(rig, mapping, LOOSE, turns, dict(result.locations), motion)
    again = retarget(read, rig, mapping, LOOSE)
    assert np.degrees(rot.angle_between(again.rotations, result.rotations)).max() < degrees_off
    for frame in (4, 1):
        one, two = (solve(rig, channels, frame)[rig.index["neck"], :3, :3] for channels in (again, result))
        np.testing.assert_allclose(one, two, atol=1e-4)
