# SPDX-License-Identifier: GPL-3.0-or-later
"""From a motion of the source skeleton to pose channels of a rig; the maths stand in :mod:`.plan` and :mod:`.align`."""

from __future__ import annotations

import numpy as np

from ...shared import kinematics
from ...shared import rotations as rot
from ...shared.errors import UnderstudyError
from ...shared.motion import Motion
from ...shared.skeleton import BODY_JOINT_COUNT, JOINT_INDEX, NEUTRAL_OFFSETS, PARENTS
from ..rigs.mapping import Mapping
from .align import limb_directions
from .arms import keep_hands_apart
from .axes import FORWARD, UP, quat_to_z_up, vector_to_y_up, vector_to_z_up
from .contacts import standing
from .controls import control_channels
from .feet import plant
from .options import RetargetOptions, RetargetResult
from .plan import Plan, make_plan
from .pose import Pose
from .rig import RigRest

__all__ = ["hips_middle", "retarget", "source_place"]

_HIPS = [JOINT_INDEX["left_hip"], JOINT_INDEX["right_hip"]]
_SOURCE_ANKLE = float(NEUTRAL_OFFSETS[[0, 1, 4, 7], 1].sum())


def _check(motion: Motion) -> None:
    if not (np.all(np.isfinite(motion.rotations)) and np.all(np.isfinite(motion.translation))):
        raise UnderstudyError("file_invalid", "The motion contains values that are not numbers.",
                              "Perform the take again, or import another file.")


def _heading(turn: np.ndarray) -> np.ndarray:
    """Quaternions (T, 4) about the vertical that face where ``turn`` (T, 4) takes forward to; continuous in time."""
    f = rot.rotate(turn, np.broadcast_to(FORWARD, (len(turn), 3)))
    angle = np.unwrap(np.arctan2(f[:, 0], -f[:, 1]))
    return rot.axis_angle_to_quat(angle[:, None] * UP)


def _world_turns(motion: Motion) -> np.ndarray:
    """World rotations (T, 55, 4) of the source joints since the T-pose, Blender's axes."""
    return quat_to_z_up(kinematics.world_rotations(rot.normalise(motion.rotations.astype(np.float64))))


def hips_middle(plan: Plan, pose: Pose) -> np.ndarray:
    """The middle between the hip joints (T, 3), character axes."""
    hips = [chain[0] for side in ("left", "right") if (chain := plan.of_slot(f"{side}_hip"))]
    if not hips:
        hips = plan.of_slot("pelvis")[:1]
    return np.asarray(np.mean([pose.head(k) for k in hips], axis=0))


def _place_hips(plan: Plan, pose: Pose, middle: np.ndarray) -> None:
    """Move the whole pose so that the middle between the hip joints is at ``middle`` (T, 3)."""
    pose.shift(middle - hips_middle(plan, pose))


def _unstretch(plan: Plan, pose: Pose) -> None:
    """Turn limbs so that they point right *after* a non-uniform scale of the armature object has stretched them.

    With the object's matrix as ``R · U`` (rotation, symmetric stretch), a segment that should point along ``d`` in the world
    must point along ``U⁻¹ · d`` inside the armature.
    """
    matrix = plan.rig.object_matrix[:3, :3]
    _, sizes, right = np.linalg.svd(matrix)
    if sizes[2] <= 1e-9 or sizes[0] / sizes[2] < 1.001:
        return
    frame = rot.quat_to_matrix(plan.body.frame)
    unstretch = frame @ (right.T @ np.diag(1.0 / sizes) @ right) @ frame.T
    for slot, direction in limb_directions(plan.rig, plan.mapping, plan.body).items():
        chain = plan.of_slot(slot)
        if not chain:
            continue
        rest = plan.body.rest[plan.driven[chain[0]]]
        own = np.broadcast_to(rot.rotate(rot.conjugate(rest), direction), (len(pose.offset), 3))
        now = rot.rotate(pose.rotations[:, chain[0]], own)
        pose.turn(chain, rot.from_two_vectors(now, now @ unstretch.T))


def _origin(plan: Plan) -> np.ndarray:
    """Where the source's origin (3,) lies for the target, character axes.

    Heights are measured from the ankle at rest, so that a straight leg of the source is a straight leg of the
    target whatever the height of its ankle above the sole is.
    """
    body = plan.body
    hips = [body.heads[plan.driven[chain[0]]] for side in ("left", "right") if (chain := plan.of_slot(f"{side}_hip"))]
    ankles = [body.heads[plan.driven[chain[0]]] for side in ("left", "right") if (chain := plan.of_slot(f"{side}_ankle"))]
    rest = np.mean(hips, axis=0)
    ankle = float(np.mean([a[2] for a in ankles])) if ankles else body.floor + _SOURCE_ANKLE * body.scale
    return np.array([rest[0], rest[1], ankle - _SOURCE_ANKLE * body.scale])


def _target_middle(plan: Plan, source_middle: np.ndarray) -> np.ndarray:
    """Where the middle between the target's hip joints should be, (T, 3), from the source's, Blender's axes, metres."""
    return np.asarray(source_middle * plan.body.scale + _origin(plan))


def source_place(plan: Plan, target: np.ndarray) -> np.ndarray:
    """The inverse for places (T, 3): from character axes and armature units to the source's metres."""
    return np.asarray((target - _origin(plan)) / plan.body.scale)


def _blended(turns: np.ndarray, plan: Plan) -> np.ndarray:
    """World turns (T, K, 4) of the driven bones since the T-pose."""
    result = turns[:, plan.joints[:, 0]]
    between = np.flatnonzero((plan.share > 1e-9) & (plan.joints[:, 0] != plan.joints[:, 1]))
    if len(between):
        share = plan.share[between]
        first, second = turns[:, plan.joints[between, 0]], turns[:, plan.joints[between, 1]]
        whole = share > 1 - 1e-9
        result[:, between] = np.where(whole[:, None], second, rot.slerp(first, second, share))
    return result


def retarget(
    motion: Motion, rig: RigRest, mapping: Mapping, options: RetargetOptions | None = None
) -> RetargetResult:
    """The motion as pose channels of the rig, over the motion's own frames.

    :raises UnderstudyError: ``rig_unknown`` when too little of a body is mapped, ``file_invalid`` for a motion with
        values that are not numbers.
    """
    options = options or RetargetOptions()
    _check(motion)
    plan = make_plan(rig, mapping, options)
    notes = list(plan.notes)
    frames = len(motion)
    if frames == 0:
        return RetargetResult(motion.fps, (), np.zeros((0, 0, 4)), {}, notes=tuple(notes))

    turns = _world_turns(motion)
    offsets = vector_to_z_up(NEUTRAL_OFFSETS)
    pelvis = vector_to_z_up(motion.translation.astype(np.float64))
    source_middle = pelvis + rot.rotate(turns[:, 0], np.broadcast_to(offsets[_HIPS].mean(axis=0), (frames, 3)))

    ground = _ground_path(turns, source_middle)
    root_mode = options.root
    if root_mode == "bone" and not _has_root(plan):
        notes.append("The rig has no root bone above its hips; the way through the room is on the hips.")
        root_mode = "hips"

    pose = Pose(plan, rot.mul(_blended(turns, plan), plan.factor))
    _unstretch(plan, pose)
    _place_hips(plan, pose, _target_middle(plan, source_middle))
    places = _positions(turns, pelvis)
    contacts = standing(motion, options.estimate_contacts, vector_to_y_up(places))
    if options.plant_feet:
        contacts = plant(plan, pose, contacts, turns, motion.fps, options.blend_seconds)
    if options.keep_hands_apart:
        keep_hands_apart(plan, pose, turns, places)
    pose.apply_twists()
    return _channels(motion, plan, pose, ground, root_mode, contacts, notes)


def _positions(turns: np.ndarray, pelvis: np.ndarray) -> np.ndarray:
    """Places (T, 22, 3) of the source's body joints, metres, Blender's axes."""
    offsets = vector_to_z_up(NEUTRAL_OFFSETS)
    result = np.empty((len(turns), BODY_JOINT_COUNT, 3))
    result[:, 0] = pelvis
    for j in range(1, BODY_JOINT_COUNT):
        p = PARENTS[j]
        result[:, j] = result[:, p] + rot.rotate(turns[:, p], np.broadcast_to(offsets[j], pelvis.shape))
    return result


def _has_root(plan: Plan) -> bool:
    root, rig = plan.mapping.first("root"), plan.rig
    return root is not None and rig.is_ancestor(rig.index[root], int(plan.driven[plan.of_slot("pelvis")[0]]))


def _properties(plan: Plan) -> dict[str, float]:
    """Custom properties of control bones by data path."""
    result = {}
    for name, value in plan.mapping.properties.items():
        bone, _, key = name.partition(":")
        escaped = bone.replace("\\", "\\\\").replace('"', '\\"')
        result[f'pose.bones["{escaped}"]["{key}"]'] = float(value)
    return result


def _ground_path(turns: np.ndarray, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heading (T, 4) and place on the floor (T, 3) of the source, metres."""
    return _heading(turns[:, 0]), middle * np.array([1.0, 1.0, 0.0])


def _channels(
    motion: Motion, plan: Plan, pose: Pose, ground: tuple[np.ndarray, np.ndarray], root_mode: str,
    contacts: np.ndarray, notes: list[str],
) -> RetargetResult:
    """Pose channels; the way through the room is taken off the body and put where ``root_mode`` wants it."""
    rig, body = plan.rig, plan.body
    heading, path = ground[0], ground[1] * body.scale
    none = rot.identity(1)[0]
    bones = [rig.names[i] for i in plan.driven]
    rotations = pose.basis()
    locations: dict[str, np.ndarray] = {}
    carried: tuple[np.ndarray, np.ndarray] | None = None  # heading and path that something below the hips carries
    object_location = object_rotation = None
    if root_mode == "in_place":
        carried = (np.broadcast_to(none, heading.shape), path)
    elif root_mode in ("bone", "object"):
        carried = (heading, path)

    if carried is not None:
        # the body relative to the carrier, which turns about the vertical through the character's rest place
        back = rot.conjugate(carried[0])
        pose = pose.moved(back, -rot.rotate(back, carried[1]))
        rotations = pose.basis()
    to_armature = rot.conjugate(body.frame)
    if root_mode == "object":
        scale_and_turn = rig.object_matrix[:3, :3]
        along = rot.rotate(np.broadcast_to(to_armature, (len(path), 4)), path)
        object_location = along @ scale_and_turn.T
        object_rotation = rot.continuous(rot.mul(rot.mul(to_armature, heading), body.frame))
    if root_mode == "bone":
        root = rig.index[plan.mapping.bones("root")[0]]
        rest = body.rest[root]
        # the root bone must be a plain one: turn about its rest place, then move along the floor
        turn = rot.mul(rot.mul(rot.conjugate(rest), heading), rest)
        pivot = body.heads[root]
        move = path + rot.rotate(heading, np.broadcast_to(pivot, path.shape)) - pivot
        locations[rig.names[root]] = rot.rotate(np.broadcast_to(rot.conjugate(rest), heading.shape), move)
        bones.insert(0, rig.names[root])
        rotations = np.concatenate((turn[:, None], rotations), axis=1)

    copied, turns, places = control_channels(plan, pose)
    bones += copied
    rotations = np.concatenate((rotations, turns), axis=1)
    locations |= places
    carrier, place = pose.location_carrier()
    if carrier is None:
        notes.append("No bone above the hips can be moved; the character stays in place.")
    else:
        locations[rig.names[carrier]] = place
    return RetargetResult(
        motion.fps, tuple(bones), rot.continuous(rotations), locations, object_location, object_rotation,
        contacts, body.scale, body.floor, tuple(notes), _properties(plan),
    )
