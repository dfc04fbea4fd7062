# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a motion as BVH: the neutral skeleton in a T-pose, Y up, centimetres, rotations in the order Z X Y."""

from __future__ import annotations

import io
from typing import Final

import numpy as np

from ..shared.motion import Motion
from ..shared.skeleton import END_POINTS, JOINT_NAMES, NEUTRAL_OFFSETS, PARENTS
from .channels import to_euler

__all__ = ["to_bvh"]

CENTIMETRES: Final = 100.0
_TIP_LENGTH: Final = 0.02


def _children(joint: int) -> list[int]:
    return [j for j, p in enumerate(PARENTS) if p == joint]


def _order(joint: int = 0) -> list[int]:
    """Joints depth first, the order of a BVH file's channels."""
    return [joint, *(j for child in _children(joint) for j in _order(child))]


def _tip(joint: int) -> np.ndarray:
    for name, (owner, offset) in END_POINTS.items():
        if owner == JOINT_NAMES[joint] and ("end" in name or "top" in name):
            return np.array(offset)
    step = NEUTRAL_OFFSETS[joint]
    return step / max(float(np.linalg.norm(step)), 1e-9) * _TIP_LENGTH


def _offset(values: np.ndarray) -> str:
    return "OFFSET " + " ".join(f"{v * CENTIMETRES:.4f}" for v in values)


def _hierarchy(out: io.StringIO, joint: int, depth: int) -> None:
    pad = "\t" * depth
    out.write(f"{pad}{'ROOT' if depth == 0 else 'JOINT'} {JOINT_NAMES[joint]}\n{pad}{{\n")
    # the root's place is in its position channels
    out.write(f"{pad}\t{_offset(np.zeros(3) if depth == 0 else NEUTRAL_OFFSETS[joint])}\n")
    turns = "Zrotation Xrotation Yrotation"
    out.write(f"{pad}\tCHANNELS {'6 Xposition Yposition Zposition' if depth == 0 else '3'} {turns}\n")
    children = _children(joint)
    for child in children:
        _hierarchy(out, child, depth + 1)
    if not children:
        out.write(f"{pad}\tEnd Site\n{pad}\t{{\n{pad}\t\t{_offset(_tip(joint))}\n{pad}\t}}\n")
    out.write(f"{pad}}}\n")


def to_bvh(motion: Motion) -> str:
    """The text of a BVH file."""
    out = io.StringIO()
    out.write("HIERARCHY\n")
    _hierarchy(out, 0, 0)
    # BVH multiplies the channels' turns from left to right: Z · X · Y turns about Y first, Blender's "YXZ"
    angles = np.degrees(to_euler(motion.rotations, "YXZ"))[:, _order()][..., [2, 0, 1]]
    table = np.concatenate((motion.translation * CENTIMETRES, angles.reshape(len(motion), -1)), axis=1)
    out.write(f"MOTION\nFrames: {len(motion)}\nFrame Time: {1 / motion.fps:.8f}\n")
    np.savetxt(out, table, fmt="%.5f")
    return out.getvalue()
