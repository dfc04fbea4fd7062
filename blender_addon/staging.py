# SPDX-License-Identifier: GPL-3.0-or-later
"""From a motion to a take on the character's rig."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from . import cast, compat, faces, keys, rig_reader, takes
from .core.channels import Channel, rotation_channels
from .core.face_joints import with_face_joints
from .core.retarget.options import RetargetOptions, RetargetResult
from .core.retarget.transfer import retarget
from .core.rigs.mapping import Mapping
from .keyframes import mark_generated
from .shared import rotations as rot
from .shared.motion import Motion

__all__ = ["Performed", "apply_motion", "channels_of", "generator_facts"]

_log = logging.getLogger("understudy.staging")

LEG_SLOTS = ("root", "pelvis", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle")
LEG_SHARE = 0.2
"""Of the allowed error, for what carries the feet."""


def _channels(character: Any, result: RetargetResult) -> list[Channel]:
    found: list[Channel] = []
    by_mode: dict[str, list[int]] = {}
    for k, bone in enumerate(result.bones):
        path, mode = f'pose.bones["{bpy.utils.escape_identifier(bone)}"].', character.pose.bones[bone].rotation_mode
        found += rotation_channels(path, bone, mode, result.rotations[:, k])
    for bone, values in result.locations.items():
        path = f'pose.bones["{bpy.utils.escape_identifier(bone)}"].location'
        found += [Channel(path, n, bone, values[:, n]) for n in range(3)]
    # what makes a control rig obey these controls (FK instead of IK) holds for the whole take
    found += [Channel(path, 0, "Rig Settings", np.full(len(result), value)) for path, value in result.properties.items()]
    if result.object_location is not None:
        rest = np.array(character.location)
        found += [Channel("location", n, "Object Transforms", rest[n] + result.object_location[:, n]) for n in range(3)]
    if result.object_rotation is not None:
        own = np.array(character.matrix_basis.to_quaternion())
        found += rotation_channels("", "Object Transforms", character.rotation_mode, rot.mul(own, result.object_rotation))
    return found


@dataclass(frozen=True)
class Performed:
    """A motion as channels of one rig.

    :ivar body: the armature object's channels; :ivar faces: shape key blocks with theirs.
    :ivar limit: the error allowed on a channel's property, in its units.
    """

    result: RetargetResult
    mapping: Mapping
    body: list[Channel]
    faces: list[tuple[Any, list[Channel]]]
    limit: Callable[[Channel], float]


def channels_of(character: Any, motion: Motion) -> Performed:
    """Retarget a motion to a character; nothing is changed.

    :raises UnderstudyError: ``rig_unknown`` or what else the retargeting finds.
    """
    mapping = cast.mapping_of(character)
    face_keys = faces.driven_keys(character)
    jaw, eyes = faces.bones_wanted(character, mapping)
    # what shapes show, bones must not show a second time
    options = RetargetOptions(root=character.understudy.root, jaw=jaw, eyes=eyes)
    result = retarget(with_face_joints(motion), rig_reader.read_rig(character), mapping, options)
    found = [(key, channels) for key, shapes in face_keys if (channels := faces.face_channels(shapes, motion))]
    return Performed(result, mapping, _channels(character, result), found,
                     _limits(character.understudy, mapping, result.scale))


def apply_motion(character: Any, motion: Motion, start: float, facts: dict[str, Any]) -> Any:
    """Retarget a motion and write it as a new take, which is then shown. Returns the take's action.

    The artist's action is kept and can be stepped back to. Rotation modes stay as they are.

    :param start: frame of the motion's first frame; frame ``start + n`` shows sample ``n`` at the scene's rate.
    :raises UnderstudyError: ``rig_unknown`` or what else the retargeting finds; nothing has been changed then.
    """
    settings = character.understudy
    rate = float(facts.get("fps", motion.fps))
    if motion.fps != rate:
        motion = motion.resample(rate)
    performed = channels_of(character, motion)

    frames = start + np.arange(len(motion))
    action = compat.new_action(f"{character.name} take {len(settings.takes) + 1}")
    written = [action]
    try:
        body = compat.action_targets(action, character, "OBJECT")
        _write(settings, body, frames, performed.body, performed.limit)
        targets = []
        for key, channels in performed.faces:
            target = compat.action_targets(action, key, "KEY")
            if target.action not in written:
                written.append(target.action)
            _write(settings, target, frames, channels, lambda _: settings.face_error)
            targets.append((key, target))
        for one in written:
            one.use_frame_range = True
            one.frame_start, one.frame_end = float(frames[0]), float(frames[-1])
            mark_generated(one)
        takes.remember_own(character, [key for key, _ in targets])
        takes.add_take(character, body, targets, motion, {**facts, **generator_facts(motion.metadata)})
    except BaseException:
        for one in written:
            bpy.data.actions.remove(one)
        raise
    takes.show(character, len(settings.takes) - 1)
    if not settings.seed_locked:
        settings.seed = (settings.seed + 1) % 2**31
    for note in performed.result.notes:
        _log.info("%s: %s", character.name, note)
    return action


def _write(settings: Any, target: compat.ActionTarget, frames: np.ndarray, channels: list[Channel],
           limit: Callable[[Channel], float]) -> None:
    if settings.key_mode == "SIMPLIFIED":
        keys.write_sparse(target, frames, channels, limit)
    else:
        keys.write_channels(target, frames, channels)


def _limits(settings: Any, mapping: Mapping, scale: float) -> Callable[[Channel], float]:
    """The error allowed on each property, in its own units."""
    # an angle at the hip is a way at the foot, and a foot that stands must not swim
    legs = {bone for slot in LEG_SLOTS for bone in mapping.bones(slot)}

    def limit(channel: Channel) -> float:
        share = LEG_SHARE if channel.group in legs else 1.0
        kind = channel.data_path.rpartition(".")[2]
        if kind == "location":
            return settings.key_distance * scale * share
        # |dq| is half the angle; three Euler angles can add up; for axis and angle no simple relation holds
        units = {"rotation_quaternion": 0.5, "rotation_euler": 3**-0.5, "rotation_axis_angle": 0.25}
        return settings.key_angle * share * units.get(kind, 1.0)

    return limit


def generator_facts(metadata: dict[str, Any]) -> dict[str, Any]:
    """What the generator says about itself, without what the request says already."""
    known = {k: v for k, v in metadata.items() if k not in ("directions", "seed", "fps")}
    try:
        json.dumps(known)
    except (TypeError, ValueError):
        return {}
    return {"generator": known}
