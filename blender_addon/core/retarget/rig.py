# SPDX-License-Identifier: GPL-3.0-or-later
"""The rest data of an armature, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...shared import rotations as rot
from ...shared.errors import UnderstudyError

__all__ = ["IkLimb", "RigRest", "rig_rest"]


@dataclass(frozen=True)
class IkLimb:
    """An IK constraint that is on: the bone that has it, its target and its pole, bones of the same armature ("" for none).

    :ivar pole_angle: radians about the first bone's own axis from its X axis to the side that is turned to the pole.
    """

    bone: str
    target: str
    pole: str = ""
    pole_angle: float = 0.0


@dataclass(frozen=True)
class RigRest:
    """An armature at rest; B bones, every parent before its children.

    :ivar names: B bone names.
    :ivar parents: (B,) int, index of the parent or -1.
    :ivar matrices: (B, 4, 4) rest matrices in armature space (``Bone.matrix_local``): columns are the bone's axes,
        the bone lies along +Y of them; armature units.
    :ivar tails: (B, 3) rest position of the bones' ends, armature space.
    :ivar object_matrix: (4, 4) world matrix of the armature object.
    :ivar inherit_rotation: (B,) bool, ``Bone.use_inherit_rotation``.
    :ivar local_location: (B,) bool, ``Bone.use_local_location``.
    :ivar connected: (B,) bool, ``Bone.use_connect``: such a bone has no location of its own.
    :ivar deform: (B,) bool, ``Bone.use_deform``.
    :ivar rotation_modes: B strings, ``PoseBone.rotation_mode``.
    :ivar constrained: (B,) bool: the pose bone has constraints that are on.
    :ivar ik: the limbs that IK moves.
    """

    names: tuple[str, ...]
    parents: np.ndarray
    matrices: np.ndarray
    tails: np.ndarray
    object_matrix: np.ndarray = field(default_factory=lambda: np.eye(4))
    inherit_rotation: np.ndarray = None  # type: ignore[assignment]
    local_location: np.ndarray = None  # type: ignore[assignment]
    connected: np.ndarray = None  # type: ignore[assignment]
    deform: np.ndarray = None  # type: ignore[assignment]
    rotation_modes: tuple[str, ...] = ()
    constrained: np.ndarray = None  # type: ignore[assignment]
    ik: tuple[IkLimb, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.names)
        defaults = {"inherit_rotation": True, "local_location": True, "connected": False, "deform": True,
                    "constrained": False}
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.full(count, value))
        if not self.rotation_modes:
            object.__setattr__(self, "rotation_modes", ("QUATERNION",) * count)
        if count == 0:
            raise UnderstudyError("rig_unknown", "The armature has no bones.", "Choose an armature with bones.")
        shapes = {"parents": (count,), "matrices": (count, 4, 4), "tails": (count, 3)}
        for name, shape in shapes.items():
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(f"{name} has shape {np.shape(getattr(self, name))}, expected {shape}")
        if np.any(np.asarray(self.parents) >= np.arange(count)):
            raise ValueError("bones must be ordered with every parent before its children")

    @property
    def heads(self) -> np.ndarray:
        """(B, 3) rest position of the bones' heads, armature space."""
        return self.matrices[:, :3, 3]

    @property
    def rotations(self) -> np.ndarray:
        """(B, 4) rest rotations in armature space, unit quaternions wxyz."""
        return rot.matrix_to_quat(self.matrices[:, :3, :3])

    @property
    def index(self) -> dict[str, int]:
        """Bone index by name."""
        return {name: i for i, name in enumerate(self.names)}

    def is_ancestor(self, ancestor: int, bone: int) -> bool:
        """Whether ``ancestor`` lies on the way from ``bone`` (not counted) to the root."""
        bone = int(self.parents[bone])
        while bone >= 0:
            if bone == ancestor:
                return True
            bone = int(self.parents[bone])
        return False


def rig_rest(
    names: tuple[str, ...] | list[str], parents: np.ndarray | list[int], heads: np.ndarray, tails: np.ndarray,
    rolls: np.ndarray | None = None, object_matrix: np.ndarray | None = None,
) -> RigRest:
    """A :class:`RigRest` from heads and tails (B, 3), for rigs that do not come from Blender (tests, BVH).

    The bone's +Y runs from head to tail; its roll is ``rolls`` (B,) radians about it, starting from the shortest
    turn of +Y to the bone. Blender's own roll convention is another one.
    """
    heads, tails = np.asarray(heads, dtype=float), np.asarray(tails, dtype=float)
    q = rot.from_two_vectors(np.broadcast_to([0.0, 1.0, 0.0], heads.shape), tails - heads)
    if rolls is not None:
        q = rot.mul(q, rot.axis_angle_to_quat(np.asarray(rolls, dtype=float)[:, None] * np.array([0.0, 1.0, 0.0])))
    matrices = np.tile(np.eye(4), (len(names), 1, 1))
    matrices[:, :3, :3] = rot.quat_to_matrix(q)
    matrices[:, :3, 3] = heads
    return RigRest(tuple(names), np.asarray(parents, dtype=int), matrices, tails,
                   np.eye(4) if object_matrix is None else np.asarray(object_matrix, dtype=float))
