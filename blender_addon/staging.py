# SPDX-License-Identifier: GPL-3.0-or-later
"""From a motion to a take on the character's rig."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from . import cast, compat, faces, keys, rig_reader, takes, unfinished
from .core.channels import Channel, escaped, rotation_channels
from .core.face_joints import with_face_joints
from .core.retarget.options import RetargetOptions, RetargetResult
from .core.retarget.rig import RigRest
from .core.retarget.transfer import retarget
from .core.rigs.face_shapes import FaceMap
from .core.rigs.mapping import Mapping
from .gradual import Run, Steps, at_once, drain, result_of
from .keyframes import MARKS_KEY, marks_for
from .shared import rotations as rot
from .shared.motion import Motion

__all__ = ["Performed", "Setup", "Tolerance", "apply_motion", "apply_steps", "generator_facts"]

_log = logging.getLogger("understudy.staging")

SHARES = {
    **dict.fromkeys(("root", "pelvis"), 0.2), **dict.fromkeys(("spine", "neck"), 0.15), "head": 0.6,
    **{f"{side}_{part}": share for side in ("left", "right") for part, share in (
        ("hip", 0.2), ("knee", 0.2), ("ankle", 0.2), ("collar", 0.15), ("shoulder", 0.3), ("elbow", 0.3), ("wrist", 0.6))},
}
"""Of the allowed error, by slot: errors add up along a chain, and what is meant to hold is where hands, feet and head are in the scene."""


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
        place, turn = _rest_place(character)
        return cls(
            rig_reader.read_rig(character), mapping, options, {b.name: b.rotation_mode for b in character.pose.bones},
            character.rotation_mode, place, turn,
            [(compat.session_uid(key), face) for key, face in faces.driven_keys(character)])

    def facts(self) -> dict[str, Any]:
        """Where the object stands without the take, for a take that moves it."""
        if self.options.root != "object":
            return {}
        return {"place": [float(v) for v in (*self.object_location, *self.object_rotation)]}

    def mode_of(self, channel: Channel) -> str:
        """The rotation mode of what a channel animates."""
        return self.bone_modes.get(channel.group, "") if channel.data_path.startswith("pose.bones") else self.object_mode

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


def _rest_place(character: Any) -> tuple[np.ndarray, np.ndarray]:
    """Location (3,) and rotation (4,) of the object as they are without the shown take, which may move it."""
    take = takes.current(character)
    known = takes.facts_of(take.action).get("place") if take is not None and take.action is not None else None
    if known is not None and len(known) == 7:
        return np.array(known[:3]), np.array(known[3:])
    return np.array(character.location), np.array(character.matrix_basis.to_quaternion())


@dataclass(frozen=True)
class Tolerance:
    """What simplified keys may stray by, as the artist has set it: radians, metres of the character, shape key values."""

    angle: float
    distance: float
    face: float

    @classmethod
    def of(cls, settings: Any) -> "Tolerance":
        """Read the settings of a character."""
        return cls(float(settings.key_angle), float(settings.key_distance), float(settings.face_error))

    def limit(self, mapping: Mapping, scale: float) -> Callable[[Channel], float]:
        """The error allowed on each property, in its own units."""
        shares = {bone: share for slot, share in SHARES.items() for bone in mapping.bones(slot)}

        def of_channel(channel: Channel) -> float:
            if channel.data_path.startswith("key_blocks"):
                return self.face
            share = shares.get(channel.group, 1.0)
            kind = channel.data_path.rpartition(".")[2]
            if kind == "location":
                return self.distance * scale * share
            # |dq| is half the angle; three Euler angles can add up; for axis and angle no simple relation holds
            units = {"rotation_quaternion": 0.5, "rotation_euler": 3**-0.5, "rotation_axis_angle": 0.25}
            return self.angle * share * units.get(kind, 1.0)

        return of_channel


@dataclass(frozen=True)
class _Prepared:
    """All keys of a take, and the bytes of its motion."""

    performed: Performed
    curves: list[tuple[int, list[keys.CurveKeys]]]
    content: bytes


def _prepare(setup: Setup, motion: Motion, character: int, start: float, tolerance: Tolerance | None) -> _Prepared:
    """On any thread."""
    performed = setup.perform(motion)
    frames = (start + np.arange(len(motion))).astype(np.float32)
    limit = tolerance.limit(setup.mapping, performed.result.scale) if tolerance else None
    rows = [(uid, keys.dense_keys(frames, channels) if limit is None else keys.sparse_keys(frames, channels, limit))
            for uid, channels in [(character, performed.body), *performed.faces]]
    return _Prepared(performed, rows, motion.to_bytes(compressed=False))


def apply_motion(character: Any, motion: Motion, start: float, facts: dict[str, Any]) -> Any:
    """Retarget a motion and write it as a new take, which is then shown. Returns the take's action.

    The artist's action is kept and can be stepped back to. Rotation modes stay as they are.

    :param start: frame of the motion's first frame; frame ``start + n`` shows sample ``n`` at the scene's rate.
    :raises UnderstudyError: ``rig_unknown`` or what else the retargeting finds; nothing has been changed then.
    """
    return drain(apply_steps(character, motion, start, facts))


def apply_steps(character: Any, motion: Motion, start: float, facts: dict[str, Any], run: Run[Any] = at_once) -> Steps[Any]:
    """:func:`apply_motion` as work that can be done a little at a time; see :mod:`.gradual`."""
    uid, settings = compat.session_uid(character), character.understudy
    rate = float(facts.get("fps", motion.fps))
    if motion.fps != rate:
        motion = motion.resample(rate)
    setup = Setup.of(character)
    tolerance = Tolerance.of(settings) if settings.key_mode == "SIMPLIFIED" else None
    facts = {**facts, **setup.facts()}
    made: _Prepared = yield from result_of(run(lambda: _prepare(setup, motion, uid, start, tolerance)))
    written: dict[int, tuple[int, str]] = {}
    try:
        action = compat.new_action(takes.name_of_next(cast.by_uid(uid)))
        unfinished.start(action)
        main = compat.session_uid(action)
        written[0] = (main, "")  # known to the cleaning up from the first moment
        for block_uid, rows in made.curves:
            kind = "OBJECT" if block_uid == uid else "KEY"
            block = cast.by_uid(uid) if kind == "OBJECT" else faces.key_of(block_uid)
            if block is None:
                continue  # the mesh was deleted meanwhile
            target = compat.action_targets(compat.action_of(main), block, kind)
            unfinished.start(target.action)
            place = (compat.session_uid(target.action), target.slot.identifier if target.slot else "")
            written[block_uid] = place
            for row in rows:
                keys.write_keys(target, row)
                if (yield False):
                    target = compat.existing_target(compat.action_of(place[0]), place[1])
        del written[0]
        noted = yield from result_of(run(lambda: _marks(made.curves, written)))
        return _complete(cast.by_uid(uid), made, written, noted, motion, start, facts)
    except BaseException:
        unfinished.remove({action_uid for action_uid, _ in written.values()})
        raise


def _marks(curves: list[tuple[int, list[keys.CurveKeys]]], written: dict[int, tuple[int, str]]) -> dict[int, bytes]:
    rows: dict[int, list[tuple[str, list[keys.CurveKeys]]]] = {}
    for uid, found in curves:
        if uid in written:
            rows.setdefault(written[uid][0], []).append((written[uid][1], found))
    return {uid: marks_for(found) for uid, found in rows.items()}


def _complete(character: Any, made: _Prepared, written: dict[int, tuple[int, str]], noted: dict[int, bytes], motion: Motion,
              start: float, facts: dict[str, Any]) -> Any:
    """Make finished actions a take."""
    settings = character.understudy
    uid = compat.session_uid(character)
    for action_uid in {action_uid for action_uid, _ in written.values()}:
        action = compat.action_of(action_uid)
        action.use_frame_range = True
        action.frame_start, action.frame_end = float(start), float(start + len(motion) - 1)
        compat.store_bytes(action, MARKS_KEY, noted[action_uid])
    targets = [(key, compat.slot_of(compat.action_of(written[b][0]), written[b][1]))
               for b in written if b != uid and (key := faces.key_of(b)) is not None]
    own = compat.slot_of(compat.action_of(written[uid][0]), written[uid][1])
    takes.remember_own(character, [key for key, _ in targets])
    takes.add_take(character, own, targets, motion, {**facts, **generator_facts(motion.metadata)}, made.content)
    for action_uid in {action_uid for action_uid, _ in written.values()}:
        unfinished.finish(compat.action_of(action_uid))
    takes.show(character, len(settings.takes) - 1)
    if "seed" in facts and not settings.seed_locked:
        settings.seed = (settings.seed + 1) % 2**31
    for note in made.performed.result.notes:
        _log.info("%s: %s", character.name, note)
    return own.action


def generator_facts(metadata: dict[str, Any]) -> dict[str, Any]:
    """What the generator says about itself, without what the request says already."""
    known = {k: v for k, v in metadata.items() if k not in ("directions", "seed", "fps")}
    try:
        json.dumps(known)
    except (TypeError, ValueError):
        return {}
    return {"generator": known}
