# SPDX-License-Identifier: GPL-3.0-or-later
"""Pose channels by bone name, as an artist has keyed them, as a motion of the source skeleton."""

from __future__ import annotations

from collections.abc import Mapping as MappingType

import numpy as np

from ...shared import rotations as rot
from ...shared.motion import Motion
from ..rigs.mapping import Mapping
from .options import RetargetOptions
from .plan import make_plan
from .pose import Pose
from .reading import read_motion
from .rig import RigRest

__all__ = ["channels_to_motion"]


def channels_to_motion(
    rig: RigRest, mapping: Mapping, options: RetargetOptions, rotations: MappingType[str, np.ndarray],
    locations: MappingType[str, np.ndarray], like: Motion, object_location: np.ndarray | None = None,
    object_rotation: np.ndarray | None = None,
) -> Motion:
    """The motion that the channels show; see :func:`.reading.read_motion`.

    :param rotations: bone -> (T, 4); bones that are not named are at rest. :param locations: bone -> (T, 3), armature units.
    :param like: T frames, for what the rig has no bones for; with the way in place, for the way too.
    :param object_location: (T, 3) offset of the armature object; :param object_rotation: (T, 4); both as in
        :class:`.options.RetargetResult`.
    """
    plan = make_plan(rig, mapping, options)
    frames = len(like)
    none = rot.identity(frames)
    basis = np.stack([rotations.get(rig.names[bone], none) for bone in plan.driven], axis=1)
    still = Pose(plan, np.zeros((frames, len(plan.driven), 4)))
    carrier, _ = still.location_carrier()
    offset = np.zeros((frames, 3))
    if carrier is not None and rig.names[carrier] in locations:
        axes = plan.body.rest[carrier] if rig.local_location[carrier] else plan.body.frame
        offset = rot.rotate(np.broadcast_to(axes, (frames, 4)), locations[rig.names[carrier]])
    carried = None
    if object_location is not None:
        frame = plan.body.frame
        along = object_location @ np.linalg.inv(rig.object_matrix[:3, :3].T)
        turn = none if object_rotation is None else rot.mul(rot.mul(frame, object_rotation), rot.conjugate(frame))
        carried = (turn, rot.rotate(np.broadcast_to(frame, (frames, 4)), along))
    root = mapping.first("root")
    if root is not None and (root in rotations or root in locations):
        own = rig.index[root]
        rest, pivot = plan.body.rest[own], plan.body.heads[own]
        turn = rot.mul(rot.mul(rest, rotations.get(root, none)), rot.conjugate(rest))
        move = rot.rotate(np.broadcast_to(rest, (frames, 4)), locations.get(root, np.zeros((frames, 3))))
        way = move - rot.rotate(turn, np.broadcast_to(pivot, (frames, 3))) + pivot
        carried = (turn, way) if carried is None else (rot.mul(carried[0], turn), rot.rotate(carried[0], way) + carried[1])
    motion = read_motion(plan, basis, offset, like, carried)
    if options.root == "in_place":
        motion.translation[:, [0, 2]] = like.translation[:, [0, 2]]
    return motion
