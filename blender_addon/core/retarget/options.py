# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be chosen about a retarget, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

__all__ = ["ROOT_MODES", "RetargetOptions", "RetargetResult"]

ROOT_MODES: Final = ("hips", "bone", "object", "in_place")


@dataclass(frozen=True)
class RetargetOptions:
    """Choices of the artist.

    :ivar root: where the way through the room goes: ``hips`` (all on the hips), ``bone`` (path and heading on the rig's
        root bone, if it has one), ``object`` (path and heading on the armature object), ``in_place`` (dropped).
    :ivar plant_feet: hold feet that stand on the floor still, by two-bone IK on the target's own legs.
    :ivar estimate_contacts: where the motion says nothing about contacts, find them from the motion of the feet.
    :ivar keep_hands_apart: a hand does not cross the body's midline plane where the source's does not.
    :ivar twist: share the forearm's and upper arm's twist over twist bones and split limbs.
    :ivar fingers: drive the fingers.
    :ivar jaw: drive the jaw bone; :ivar eyes: drive the eye bones. Off where shape keys do it.
    :ivar blend_seconds: how long a foot takes into and out of its hold.
    """

    root: str = "hips"
    plant_feet: bool = True
    estimate_contacts: bool = True
    keep_hands_apart: bool = True
    twist: bool = True
    fingers: bool = True
    jaw: bool = True
    eyes: bool = True
    blend_seconds: float = 0.2

    def __post_init__(self) -> None:
        if self.root not in ROOT_MODES:
            raise ValueError(f"root must be one of {ROOT_MODES}, not {self.root!r}")


@dataclass(frozen=True)
class RetargetResult:
    """Pose channels over T frames at the motion's rate; frame ``f`` belongs to time ``f / fps``.

    :ivar fps: frames per second.
    :ivar bones: K bone names, parents before children.
    :ivar rotations: (T, K, 4) unit quaternions wxyz, ``PoseBone.rotation_quaternion``, sign-continuous in time.
    :ivar locations: bone -> (T, 3), ``PoseBone.location``, armature units; only bones that move.
    :ivar object_location: (T, 3) offset to the armature object's rest location in the axes of its parent (world
        without one), or None; only with ``root="object"``.
    :ivar object_rotation: (T, 4) rotation to be applied before the object's own (``own @ this``), or None.
    :ivar contacts: (T, 4) bool, what was taken as standing and, with planting, is held; columns as
        :data:`shared.skeleton.CONTACT_NAMES`.
    :ivar scale: armature units per metre of the source.
    :ivar floor: height of the floor in the rig's own up axis, armature units.
    :ivar notes: sentences for the artist.
    :ivar properties: data path under the object (``pose.bones["…"]["IK_FK"]``) -> value that must hold for the take.
    """

    fps: float
    bones: tuple[str, ...]
    rotations: np.ndarray
    locations: dict[str, np.ndarray]
    object_location: np.ndarray | None = None
    object_rotation: np.ndarray | None = None
    contacts: np.ndarray | None = None
    scale: float = 1.0
    floor: float = 0.0
    notes: tuple[str, ...] = field(default_factory=tuple)
    properties: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rotations)

    def rotation(self, bone: str) -> np.ndarray:
        """(T, 4) of one bone. :raises KeyError: when the bone is not driven."""
        try:
            return self.rotations[:, self.bones.index(bone)]
        except ValueError:
            raise KeyError(bone) from None
