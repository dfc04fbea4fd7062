# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the rest data of armature objects and recognises their rigs; never changes them."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np

from .core.retarget.rig import IkLimb, RigRest
from .core.rigs.detect import detect_rest
from .core.rigs.mapping import Mapping
from .core.rigs.preset import Preset
from .core.rigs.tables import PRESETS
from .shared.errors import UnderstudyError

__all__ = ["describe", "detect_rig", "read_rig"]


def _ordered(bones: "bpy.types.ArmatureBones") -> list["bpy.types.Bone"]:
    """Parents before children, in the armature's own order otherwise."""
    result: list[bpy.types.Bone] = []
    stack = [bone for bone in reversed(bones) if bone.parent is None]
    while stack:
        bone = stack.pop()
        result.append(bone)
        stack.extend(reversed(bone.children))
    return result


def read_rig(armature: "bpy.types.Object") -> RigRest:
    """The rest data of an armature object, whatever pose, mode or visibility it is in.

    :raises UnderstudyError: ``character_missing`` when the object is no armature, ``rig_unknown`` when it has no bones.
    """
    if armature is None or armature.type != "ARMATURE":
        raise UnderstudyError("character_missing", "The chosen character is not an armature.",
                              "Choose the armature that moves the character.")
    bones = _ordered(armature.data.bones)
    if not bones:
        raise UnderstudyError("rig_unknown", f"The armature {armature.name} has no bones.",
                              "Choose an armature with bones, or leave its edit mode once.")
    index = {bone.name: i for i, bone in enumerate(bones)}
    pose = armature.pose.bones
    return RigRest(
        names=tuple(bone.name for bone in bones),
        parents=np.array([-1 if bone.parent is None else index[bone.parent.name] for bone in bones]),
        matrices=np.array([bone.matrix_local for bone in bones], dtype=np.float64).reshape(-1, 4, 4),
        tails=np.array([bone.tail_local for bone in bones], dtype=np.float64).reshape(-1, 3),
        object_matrix=np.array(armature.matrix_world, dtype=np.float64),
        inherit_rotation=np.array([bone.use_inherit_rotation for bone in bones]),
        local_location=np.array([bone.use_local_location for bone in bones]),
        connected=np.array([bone.use_connect for bone in bones]),
        deform=np.array([bone.use_deform for bone in bones]),
        rotation_modes=tuple(pose[bone.name].rotation_mode for bone in bones),
        ik=tuple(_ik_limbs(armature)),
        constrained=np.array([any(not c.mute and c.influence > 0 for c in pose[bone.name].constraints) for bone in bones]),
    )


def _ik_limbs(armature: "bpy.types.Object") -> list[IkLimb]:
    """IK constraints that move two bones or more and whose target is a bone of the same armature."""
    found = []
    for bone in armature.pose.bones:
        for constraint in bone.constraints:
            if constraint.type != "IK" or constraint.mute or constraint.influence <= 0 or constraint.chain_count == 1:
                continue
            if constraint.target == armature and constraint.subtarget:
                pole = constraint.pole_subtarget if constraint.pole_target == armature else ""
                found.append(IkLimb(bone.name, constraint.subtarget, pole, constraint.pole_angle))
    return found


def detect_rig(armature: "bpy.types.Object", presets: Sequence[Preset] = ()) -> Mapping:
    """Which bone is which, by names and structure.

    :param presets: the artist's own bone maps, tried before the built-in ones.

    :raises UnderstudyError: ``character_missing`` or ``rig_unknown``, with a sentence that says what is lacking.
    """
    return detect_rest(read_rig(armature), (*presets, *PRESETS))


def describe(mapping: Mapping) -> str:
    """One line for the panel, as in "Mixamo · 52/52 bones"."""
    return mapping.summary
