# SPDX-License-Identifier: Apache-2.0
"""Motion of any human skeleton onto the SMPL-X joints: world-space rotation transfer with rest-pose difference.

For every joint the source's world rotation **since its rest pose** is applied to ours, corrected by the constant rotation
between the two rest poses' bone directions. So limbs point where the source's point in every frame, whatever the source's
local axes are. With S the source's world rotation, S0 that in its rest pose, R the rotation that makes its rest pose stand
upright and face +Z, and C the least rotation from our rest bone to its upright rest bone::

    W(t) = S(t) S0^-1 R^-1 C

Where no pose of the file can serve as a rest pose, rotations are fitted to the joint positions (:mod:`.positions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .. import rotations as rot
from ..kinematics import local_rotations
from ..skeleton import BODY_JOINT_COUNT, JOINT_COUNT, JOINT_INDEX, JOINT_NAMES, LEG_LENGTH, NEUTRAL_OFFSETS, PARENTS
from .conventions import Roles
from .positions import pelvis_from_hips, rotations_from_positions

__all__ = ["RestPose", "Transferred", "find_rest", "map_positions", "transfer", "up_axis", "upright"]

_J: Final = JOINT_INDEX
_Y_FROM_Z: Final = rot.axis_angle_to_quat(np.array([-np.pi / 2, 0.0, 0.0]))
_FLAT_FOOT: Final = np.sin(np.radians(50.0))


@dataclass(frozen=True)
class RestPose:
    """A pose of the source near a T-pose or A-pose, in the file's axes.

    :ivar rotations: (J, 4) world rotations.
    :ivar positions: (J, 3) world positions.
    :ivar label: ``zero`` or the frame's number, for the metadata.
    """

    rotations: np.ndarray
    positions: np.ndarray
    label: str


@dataclass(frozen=True)
class Transferred:
    """:ivar rotations: (T, 55, 4) local. :ivar pelvis: (T, 3) metres. :ivar scale: metres per unit of the file."""

    rotations: np.ndarray
    pelvis: np.ndarray
    scale: float


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def _key_points(p: np.ndarray, roles: Roles) -> dict[str, np.ndarray]:
    """Places that say how a body stands, from positions (…, J, 3)."""
    j = roles.joints
    top = j.get("head", roles.spine[-1] if roles.spine else None)
    hips = (p[..., j["left_hip"], :] + p[..., j["right_hip"], :]) / 2
    shoulders = (p[..., j["left_shoulder"], :] + p[..., j["right_shoulder"], :]) / 2
    left = (p[..., j["left_hip"], :] - p[..., j["right_hip"], :]) + (
        p[..., j["left_shoulder"], :] - p[..., j["right_shoulder"], :])
    return {"hips": hips, "up": (shoulders if top is None else p[..., top, :]) - hips, "left": left}


def up_axis(positions: np.ndarray, roles: Roles) -> str:
    """``y`` or ``z``: the axis along which the head is above the hips, over all frames of (T, J, 3)."""
    mean = _unit(_key_points(positions, roles)["up"]).mean(0)
    return "z" if abs(mean[2]) > abs(mean[1]) else "y"


def upright(points: RestPose, roles: Roles) -> np.ndarray:
    """R (4,): turns the rest pose so that its head is up along +Y and its left side lies towards +X.

    A rest pose that is within 15 degrees of standing along one of the file's axes is taken to stand along it exactly.
    """
    key = _key_points(points.positions, roles)
    up = _snap(_unit(key["up"]))
    left = key["left"] - np.dot(key["left"], up) * up
    left = _snap(_unit(left))
    left = _unit(left - np.dot(left, up) * up)
    # rows are the axes of the upright frame, seen in the file's
    return rot.matrix_to_quat(np.stack((left, up, np.cross(left, up))))


def _snap(v: np.ndarray) -> np.ndarray:
    axis = np.zeros(3)
    k = int(np.argmax(np.abs(v)))
    axis[k] = np.sign(v[k])
    return axis if np.dot(axis, v) > np.cos(np.radians(15.0)) else v


def badness(rest: RestPose, roles: Roles) -> float:
    """How far a pose is from a T-pose or A-pose: 0 is one, above 1 it cannot serve as a rest pose."""
    p = rot.rotate(np.broadcast_to(upright(rest, roles), (len(rest.positions), 4)), rest.positions)
    j = roles.joints
    worst = [0.0]

    def direction(a: str, b: str) -> np.ndarray:
        return _unit(p[j[b]] - p[j[a]])

    hips_to_chest = _unit(_key_points(p, roles)["up"])
    worst.append((1 - hips_to_chest[1]) / 0.13)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        thigh, shin = direction(f"{side}_hip", f"{side}_knee"), direction(f"{side}_knee", f"{side}_ankle")
        upper, lower = direction(f"{side}_shoulder", f"{side}_elbow"), direction(f"{side}_elbow", f"{side}_wrist")
        worst.append((1 + thigh[1]) / 0.14)          # about 30 degrees from straight down
        worst.append((1 - float(thigh @ shin)) / 0.07)  # about 20 degrees of bend
        worst.append((1 - float(upper @ lower)) / 0.18)  # about 35 degrees of bend
        worst.append((upper[1] - 0.3) / 0.2)         # raised arms leave the twist open
        worst.append(abs(upper[2]) / 0.55)
        if f"{side}_foot" in j:
            foot = direction(f"{side}_ankle", f"{side}_foot")
            worst.append((0.2 - foot[2]) / 0.2 if foot[1] > -0.9 else 0.0)
        worst.append(0.0 if sign * p[j[f"{side}_wrist"], 0] > sign * p[j[f"{side}_hip"], 0] - 0.05 else 2.0)
    return max(worst)


def find_rest(
    zero: RestPose, rotations: np.ndarray, positions: np.ndarray, roles: Roles, *, posed_first: bool = False
) -> RestPose | None:
    """The pose to measure rotations from; None where there is none.

    That is frame 0 where it was put in front of the motion as a T-pose (``posed_first``), else the skeleton's zero pose where
    that is a person standing, else the frame that comes nearest to a T- or A-pose.
    """
    if posed_first and badness(first := RestPose(rotations[0], positions[0], "0"), roles) <= 1:
        return first
    if badness(zero, roles) <= 1:
        return zero
    frames = np.unique(np.linspace(0, len(rotations) - 1, min(len(rotations), 200)).astype(int))
    poses = [RestPose(rotations[f], positions[f], str(f)) for f in frames]
    marks = [badness(pose, roles) for pose in poses]
    best = int(np.argmin(marks))
    return poses[best] if marks[best] <= 1 else None


def _axis_turn(up: str) -> np.ndarray:
    if up not in ("y", "z"):
        raise ValueError(f"up must be 'y' or 'z', not {up!r}")
    return _Y_FROM_Z if up == "z" else rot.identity()


def _children(roles: Roles) -> dict[str, str]:
    """The joint towards which the bone of a limb's joint points."""
    pairs = {}
    for side in ("left", "right"):
        for a, b in (("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"), ("shoulder", "elbow"), ("elbow", "wrist")):
            pairs[f"{side}_{a}"] = f"{side}_{b}"
        for finger in ("middle1", "index1"):
            if f"{side}_{finger}" in roles.joints:
                pairs[f"{side}_wrist"] = f"{side}_{finger}"
                break
        for finger in ("thumb", "index", "middle", "ring", "pinky"):
            pairs[f"{side}_{finger}1"] = f"{side}_{finger}2"
            pairs[f"{side}_{finger}2"] = f"{side}_{finger}3"
    return pairs


def _corrections(rest: RestPose, roles: Roles, turn: np.ndarray) -> dict[str, np.ndarray]:
    """C of every mapped joint."""
    p = rot.rotate(np.broadcast_to(turn, (len(rest.positions), 4)), rest.positions)
    j = roles.joints
    result: dict[str, np.ndarray] = {}
    for joint, child in _children(roles).items():
        if joint not in j or child not in j:
            continue
        ours, theirs = NEUTRAL_OFFSETS[_J[child]], p[j[child]] - p[j[joint]]
        if np.linalg.norm(theirs) < 1e-9:
            continue
        if joint.endswith("_ankle") and abs(_unit(theirs)[1]) < _FLAT_FOOT:
            # both soles are flat in the rest pose; ankles sit at different heights, so only the heading counts
            ours, theirs = ours * [1, 0, 1], theirs * [1, 0, 1]
        result[joint] = rot.from_two_vectors(ours, theirs)
    for name in j:
        if name not in result:
            parent = JOINT_NAMES[PARENTS[_J[name]]]
            limb = name.endswith(("_wrist", "_foot", "3")) or parent in result and name.endswith("2")
            result[name] = result.get(parent, rot.identity()) if limb else rot.identity()
    return result


def map_positions(positions: np.ndarray, roles: Roles) -> np.ndarray:
    """Positions (T, 22, 3) in SMPL-X order; what the skeleton lacks is filled in between its neighbours."""
    j = roles.joints
    p = np.zeros((len(positions), BODY_JOINT_COUNT, 3))
    for name, i in j.items():
        if _J[name] < BODY_JOINT_COUNT:
            p[:, _J[name]] = positions[:, i]
    p[:, 0] = positions[:, roles.pelvis]
    hips = (p[:, _J["left_hip"]] + p[:, _J["right_hip"]]) / 2
    chest = (p[:, _J["left_shoulder"]] + p[:, _J["right_shoulder"]]) / 2
    line = [hips, *(positions[:, i] for i in roles.spine), chest]
    steps = [float(np.median(np.linalg.norm(b - a, axis=-1))) for a, b in zip(line, line[1:], strict=False)]
    along = np.concatenate(([0.0], np.cumsum(steps))) / max(sum(steps), 1e-12)
    for name, part in (("spine1", 0.3), ("spine2", 0.55), ("spine3", 0.7), ("neck", 1.0)):
        k = min(int(np.searchsorted(along, part, side="right")) - 1, len(line) - 2)
        w = (part - along[k]) / max(along[k + 1] - along[k], 1e-12)
        p[:, _J[name]] = (1 - w) * line[k] + w * line[k + 1]
    if "head" not in j:
        p[:, _J["head"]] = p[:, _J["neck"]] + (chest - hips) * 0.25
    for side in ("left", "right"):
        if f"{side}_collar" not in j:
            p[:, _J[f"{side}_collar"]] = 0.7 * chest + 0.3 * p[:, _J[f"{side}_shoulder"]]
        if f"{side}_foot" not in j:
            ankle = p[:, _J[f"{side}_ankle"]]
            ahead = np.cross(p[:, _J["left_hip"]] - p[:, _J["right_hip"]], chest - hips)
            p[:, _J[f"{side}_foot"]] = ankle + 0.15 * np.linalg.norm(chest - hips, axis=-1, keepdims=True) * _unit(ahead)
    return p


def transfer(
    rotations: np.ndarray, positions: np.ndarray, roles: Roles, rest: RestPose | None, *, up: str = "y",
    scale: float | None = None,
) -> Transferred:
    """SMPL-X rotations on the neutral skeleton.

    :param rotations: (T, J, 4) world rotations of the source.
    :param positions: (T, J, 3) its world positions.
    :param rest: its rest pose; None fits rotations to the positions instead.
    :param up: ``y`` or ``z``, the world's up axis in the file.
    :param scale: metres per unit; None fits the legs to the neutral skeleton's.
    """
    turn = _axis_turn(up)
    positions = rot.rotate(np.broadcast_to(turn, (*positions.shape[:2], 4)), positions)
    j = roles.joints
    middle = (positions[:, j["left_hip"]] + positions[:, j["right_hip"]]) / 2
    legs = np.mean([np.median(np.linalg.norm(positions[:, j[f"{s}_{b}"]] - positions[:, j[f"{s}_{a}"]], axis=-1))
                    for s in ("left", "right") for a, b in (("hip", "knee"), ("knee", "ankle"))]) * 2
    factor = LEG_LENGTH / max(float(legs), 1e-12) if scale is None else scale
    if rest is None:
        body, _, _ = rotations_from_positions(map_positions(positions, roles))
        full = rot.identity(len(body), JOINT_COUNT)
        full[:, :BODY_JOINT_COUNT] = body
        return Transferred(rot.continuous(full), pelvis_from_hips(middle, body[:, 0], factor), factor)

    standing = upright(rest, roles)
    since_rest = rot.mul(rot.mul(turn, rotations), rot.conjugate(rot.mul(standing, rest.rotations)))
    correction = _corrections(rest, roles, standing)
    world = np.zeros((len(rotations), JOINT_COUNT, 4))
    done = {"pelvis"}
    world[:, 0] = since_rest[:, roles.pelvis]
    chain = [since_rest[:, i] for i in (roles.pelvis, *roles.spine)]
    for k, name in enumerate(("spine1", "spine2", "spine3")):
        # the source's spine may have any number of joints: read it off at a third, two thirds and its end
        place = (k + 1) / 3 * (len(chain) - 1)
        low = min(int(place + 1e-9), len(chain) - 1)
        world[:, _J[name]] = rot.slerp(chain[low], chain[min(low + 1, len(chain) - 1)],
                                       np.full(len(rotations), max(place - low, 0.0)))
        done.add(name)
    if roles.neck:
        # of two neck joints the turns often oppose each other; ours spans both
        half = np.full(len(rotations), 0.5 if len(roles.neck) > 1 else 1.0)
        world[:, _J["neck"]] = rot.slerp(since_rest[:, roles.neck[0]], since_rest[:, roles.neck[-1]], half)
        done.add("neck")
    elif "head" in j:
        world[:, _J["neck"]] = rot.slerp(world[:, _J["spine3"]], since_rest[:, j["head"]], np.full(len(rotations), 0.5))
        done.add("neck")
    for name, i in j.items():
        world[:, _J[name]] = rot.mul(since_rest[:, i], correction[name])
        done.add(name)
    for k, name in enumerate(JOINT_NAMES):
        if name not in done:
            world[:, k] = world[:, PARENTS[k]]
    local = rot.continuous(rot.normalise(local_rotations(world)))
    return Transferred(local, pelvis_from_hips(middle, world[:, 0], factor), factor)
