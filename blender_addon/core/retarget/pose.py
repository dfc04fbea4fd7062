# SPDX-License-Identifier: GPL-3.0-or-later
"""The posed rig while it is being worked on: world rotations of the driven bones, heads on demand, channels at the end."""

from __future__ import annotations

import numpy as np

from ...shared import rotations as rot
from .plan import Plan

__all__ = ["Pose"]


class Pose:
    """Rotations (T, K, 4) in character axes, plus one offset (T, 3) of the whole body.

    Heads are computed from the chain of driven bones when asked for and kept until something above changes.
    """

    def __init__(self, plan: Plan, rotations: np.ndarray, offset: np.ndarray | None = None) -> None:
        self.plan = plan
        self.rotations = rotations
        self.offset = np.zeros((len(rotations), 3)) if offset is None else offset
        self._heads: dict[int, np.ndarray] = {}

    def head(self, bone: int) -> np.ndarray:
        """Heads (T, 3) of a driven bone (index into ``plan.driven``), character axes."""
        return self._head(bone) + self.offset

    def _head(self, bone: int) -> np.ndarray:
        if bone not in self._heads:
            above = int(self.plan.anchor[bone])
            arm = np.broadcast_to(self.plan.arm[bone], (len(self.rotations), 3))
            self._heads[bone] = arm if above < 0 else self._head(above) + rot.rotate(self.rotations[:, above], arm)
        return self._heads[bone]

    def point(self, bone: int, rest_point: np.ndarray) -> np.ndarray:
        """(T, 3) where a point (3,) given at rest goes with a driven bone."""
        plan = self.plan
        own = plan.driven[bone]
        arm = rot.rotate(rot.conjugate(plan.body.rest[own]), rest_point - plan.body.heads[own])
        return self.head(bone) + rot.rotate(self.rotations[:, bone], np.broadcast_to(arm, (len(self.rotations), 3)))

    def shift(self, by: np.ndarray) -> None:
        """Move the whole body by (T, 3)."""
        self.offset = self.offset + by

    def turn(self, bones: list[int], by: np.ndarray) -> None:
        """Apply world turns (T, 4) left of some bones' rotations; what hangs below keeps its own world rotation."""
        self.rotations[:, bones] = rot.mul(by[:, None], self.rotations[:, bones])
        self._heads.clear()

    def moved(self, turn: np.ndarray, shift: np.ndarray) -> Pose:
        """The whole body turned by (T, 4) about the origin, then moved by (T, 3)."""
        rotations = rot.mul(turn[:, None], self.rotations)
        result = Pose(self.plan, rotations)
        pelvis = self._top()
        result.offset = rot.rotate(turn, self.head(pelvis)) + shift - result._head(pelvis)
        return result

    def _top(self) -> int:
        return self.plan.of_slot("pelvis")[0]

    def apply_twists(self) -> None:
        """Give twist bones and split limbs their share."""
        plan = self.plan
        for twist in plan.twists:
            limb = self.rotations[:, twist.limb]
            rigid = rot.mul(limb, rot.conjugate(plan.factor[twist.limb]))
            if twist.source == "above":
                # the limb's own twist against what it hangs on, undone by the share
                above = int(plan.anchor[twist.limb])
                base = (rot.mul(self.rotations[:, above], rot.conjugate(plan.body.rest[plan.driven[above]]))
                        if above >= 0 else rot.identity(len(limb)))
                moved = rot.mul(limb, rot.conjugate(plan.body.rest[plan.driven[twist.limb]]))
                local, sign = rot.mul(rot.conjugate(base), moved), -1.0
            else:
                below = rot.mul(self.rotations[:, twist.below], rot.conjugate(plan.factor[twist.below]))
                local, sign = rot.mul(rot.conjugate(rigid), below), 1.0
            limb_rest = plan.body.rest[plan.driven[twist.limb]]
            reference = plan.factor[twist.limb] if twist.source == "below" else limb_rest
            axis = rot.rotate(reference, twist.axis)
            angle = 2 * np.arctan2(local[:, 1:] @ axis, local[:, 0])
            angle = (angle + np.pi) % (2 * np.pi) - np.pi
            own_axis = rot.rotate(self.rotations[:, twist.bone],
                                  np.broadcast_to(self._axis_in(twist.bone, twist.limb, twist.axis), (len(limb), 3)))
            by = rot.axis_angle_to_quat(own_axis * (sign * twist.share * np.unwrap(angle))[:, None])
            self.turn([twist.bone], by)

    def _axis_in(self, bone: int, limb: int, axis: np.ndarray) -> np.ndarray:
        """A direction of the limb's rest axes in another bone's rest axes."""
        rest = self.plan.body.rest[self.plan.driven]
        return rot.rotate(rot.mul(rot.conjugate(rest[bone]), rest[limb]), axis)

    def basis(self) -> np.ndarray:
        """Pose channels (T, K, 4) of the driven bones; see :mod:`.plan`."""
        plan = self.plan
        # components and bones first: what is multiplied lies side by side then
        own = np.ascontiguousarray(self.rotations.transpose(2, 1, 0))
        back = own[:, np.maximum(plan.anchor, 0)]
        np.negative(back[1:], out=back[1:])
        back[:, plan.anchor < 0] = rot.identity(1).T[:, :, None]
        parts = rot.mul_parts(plan.to_basis.T[:, :, None], rot.mul_parts(back, own))
        return np.ascontiguousarray(np.stack(parts).transpose(2, 1, 0))

    def location_carrier(self) -> tuple[int | None, np.ndarray]:
        """The bone that carries the body's offset (the hips, or the first bone above them that is not connected to its
        parent), as an index into the rig's bones, and its location channel (T, 3); None when there is none.

        Nothing above the hips is turned, so the offset in the carrier's rest axes is its location. Where the bone does
        not use local location, Blender takes it in armature axes.
        """
        plan, rig = self.plan, self.plan.rig
        bone = int(plan.driven[self._top()])
        while bone >= 0 and rig.connected[bone]:
            bone = int(rig.parents[bone])
        if bone < 0:
            return None, self.offset
        axes = plan.body.rest[bone] if rig.local_location[bone] else plan.body.frame
        return bone, rot.rotate(np.broadcast_to(rot.conjugate(axes), (len(self.offset), 4)), self.offset)
