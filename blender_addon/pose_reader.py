# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses that an artist has keyed, read from the curves alone: nothing is evaluated and no frame is set."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import compat
from .core.channels import escaped
from .core.handwork import to_rotation
from .core.retarget.channels_in import channels_to_motion
from .shared import rotations as rot
from .shared.motion import Motion
from .staging import Setup

__all__ = ["key_frames", "read_poses"]

_SIZES = {"QUATERNION": ("rotation_quaternion", 4), "AXIS_ANGLE": ("rotation_axis_angle", 4)}


def key_frames(action: Any, slot: str) -> list[int]:
    """Frames on which any bone has a key, ascending."""
    found: set[int] = set()
    for owner, curve in compat.curves_with_slots(action):
        if (not slot or owner == slot) and curve.data_path.startswith("pose.bones"):
            points = np.empty(2 * len(curve.keyframe_points), np.float32)
            curve.keyframe_points.foreach_get("co", points)
            found.update(int(f) for f in np.round(points[::2]))
    return sorted(found)


def read_poses(character: Any, action: Any, slot: str, frames: Sequence[float], like: Motion) -> Motion:
    """The poses of some frames as a motion of the source skeleton, one frame for each.

    :param like: T frames that give what the rig has no bones for.
    :raises UnderstudyError: ``rig_unknown``.
    """
    setup = Setup.of(character)
    curves = {(c.data_path, c.array_index): c for owner, c in compat.curves_with_slots(action) if not slot or owner == slot}

    def values(path: str, present: Sequence[float]) -> np.ndarray:
        """(T, D): of the curves, and where there is none what is set."""
        return np.array([[c.evaluate(f) if (c := curves.get((path, n))) is not None else v for n, v in enumerate(present)] for f in frames])

    rotations, locations = {}, {}
    wanted = {bone for chain in setup.mapping.slots.values() for bone in chain}
    for bone in character.pose.bones:
        if bone.name not in wanted:
            continue
        path = f'pose.bones["{escaped(bone.name)}"].'
        kind, _ = _SIZES.get(bone.rotation_mode, ("rotation_euler", 3))
        rotations[bone.name] = to_rotation(kind, bone.rotation_mode, values(path + kind, getattr(bone, kind)))
        locations[bone.name] = values(path + "location", bone.location)
    place = turn = None
    if any(path == "location" for path, _ in curves) and setup.options.root == "object":
        place = values("location", character.location) - setup.object_location
        kind, _ = _SIZES.get(character.rotation_mode, ("rotation_euler", 3))
        own = to_rotation(kind, character.rotation_mode, values(kind, getattr(character, kind)))
        turn = rot.mul(np.broadcast_to(rot.conjugate(setup.object_rotation), own.shape), own)
    return channels_to_motion(setup.rig, setup.mapping, setup.options, rotations, locations, like, place, turn)
