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
from .core.channels import Channel, escaped, rotation_channels
from .core.face_joints import with_face_joints
from .core.retarget.options import RetargetOptions, RetargetResult
from .core.retarget.rig import RigRest
from .core.retarget.transfer import retarget
from .core.rigs.face_shapes import FaceMap
from .core.rigs.mapping import Mapping
from .keyframes import MARKS_KEY, dense_marks, mark_generated
from .shared import rotations as rot
from .shared.motion import Motion

__all__ = ["Performed", "Setup", "apply_motion", "generator_facts", "limits"]

_log = logging.getLogger("understudy.staging")

LEG_SLOTS = ("root", "pelvis", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle")
LEG_SHARE = 0.2
"""Of the allowed error, for what carries the feet."""


@dataclass(frozen=True)
class Performed:
    """A motion as channels of one rig.

    :ivar body: the armature object's channels; :ivar faces: session uids of shape key blocks, with theirs.
    """

    result: RetargetResult
    body: list[Channel]
    faces: list[tuple[int, list[Channel]]]


@dataclass(frozen=True)
class Setup:
    """All that is to be known of a character to retarget to it, as plain data: :meth:`perform` may run on any thread."""

    rig: RigRest
    mapping: Mapping
    options: RetargetOptions
    bone_modes: dict[str, str]
    object_mode: str
    object_location: np.ndarray
    object_rotation: np.ndarray
    shapes: list[tuple[int, FaceMap]]

    @classmethod
    def of(cls, character: Any) -> "Setup":
        """Read a character. :raises UnderstudyError: ``rig_unknown``."""
        mapping = cast.mapping_of(character)
        jaw, eyes = faces.bones_wanted(character, mapping)
        # what shapes show, bones must not show a second time
        options = RetargetOptions(root=character.understudy.root, jaw=jaw, eyes=eyes)
        return cls(
            rig_reader.read_rig(character), mapping, options, {b.name: b.rotation_mode for b in character.pose.bones},
            character.rotation_mode, np.array(character.location), np.array(character.matrix_basis.to_quaternion()),
            [(compat.session_uid(key), face) for key, face in faces.driven_keys(character)])

    def perform(self, motion: Motion) -> Performed:
        """Retarget a motion. :raises UnderstudyError: what the retargeting finds."""
        result = retarget(with_face_joints(motion), self.rig, self.mapping, self.options)
        found = [(uid, channels) for uid, shapes in self.shapes if (channels := faces.face_channels(shapes, motion))]
        return Performed(result, self._body(result), found)

    def _body(self, result: RetargetResult) -> list[Channel]:
        found: list[Channel] = []
        for k, bone in enumerate(result.bones):
            found += rotation_channels(f'pose.bones["{escaped(bone)}"].', bone, self.bone_modes[bone], result.rotations[:, k])
        for bone, values in result.locations.items():
            path = f'pose.bones["{escaped(bone)}"].location'
            found += [Channel(path, n, bone, values[:, n]) for n in range(3)]
        # what makes a control rig obey these controls (FK instead of IK) holds for the whole take
        found += [Channel(path, 0, "Rig Settings", np.full(len(result), value)) for path, value in result.properties.items()]
        if result.object_location is not None:
            places = self.object_location + result.object_location
            found += [Channel("location", n, "Object Transforms", places[:, n]) for n in range(3)]
        if result.object_rotation is not None:
            turns = rot.mul(self.object_rotation, result.object_rotation)
            found += rotation_channels("", "Object Transforms", self.object_mode, turns)
        return found


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
    setup = Setup.of(character)
    performed = setup.perform(motion)
    limit = limits(settings, setup.mapping, performed.result.scale)

    frames = start + np.arange(len(motion))
    action = compat.new_action(f"{character.name} take {len(settings.takes) + 1}")
    written = [action]
    try:
        body = compat.action_targets(action, character, "OBJECT")
        _write(settings, body, frames, performed.body, limit)
        rows = {action: [(body.slot.identifier if body.slot else "", performed.body)]}
        targets = []
        for uid, channels in performed.faces:
            key = faces.key_of(uid)
            target = compat.action_targets(action, key, "KEY")
            if target.action not in written:
                written.append(target.action)
            _write(settings, target, frames, channels, lambda _: settings.face_error)
            rows.setdefault(target.action, []).append((target.slot.identifier if target.slot else "", channels))
            targets.append((key, target))
        for one in written:
            one.use_frame_range = True
            one.frame_start, one.frame_end = float(frames[0]), float(frames[-1])
            if settings.key_mode == "SIMPLIFIED":
                mark_generated(one)
            else:
                compat.store_bytes(one, MARKS_KEY, dense_marks(frames, rows[one]))
        takes.remember_own(character, [key for key, _ in targets])
        takes.add_take(character, body, targets, motion, {**facts, **generator_facts(motion.metadata)})
    except BaseException:
        for one in written:
            bpy.data.actions.remove(one)
        raise
    takes.show(character, len(settings.takes) - 1)
    if "seed" in facts and not settings.seed_locked:
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


def limits(settings: Any, mapping: Mapping, scale: float) -> Callable[[Channel], float]:
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
