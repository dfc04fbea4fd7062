# SPDX-License-Identifier: Apache-2.0
"""BVH files (Biovision hierarchy): writing a Motion."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..motion import Motion
from ..rotations import quat_to_matrix
from ..skeleton import END_POINTS, JOINT_COUNT, JOINT_NAMES, NEUTRAL_OFFSETS, PARENTS

__all__ = ["write_bvh"]

_CENTIMETRES = 100.0


def _euler_zxy(q: np.ndarray) -> np.ndarray:
    """Angles (…, 3) in degrees, in the order Z, X, Y of ``R = Rz @ Rx @ Ry``, from quaternions (…, 4)."""
    m = quat_to_matrix(q)
    x = np.arcsin(np.clip(m[..., 2, 1], -1, 1))
    z = np.arctan2(-m[..., 0, 1], m[..., 1, 1])
    y = np.arctan2(-m[..., 2, 0], m[..., 2, 2])
    return np.degrees(np.stack((z, x, y), axis=-1))


def write_bvh(motion: Motion, path: str | Path, offsets: np.ndarray = NEUTRAL_OFFSETS) -> None:
    """Write all 55 joints, +Y up, centimetres, channel order ZXY; the file appears only when complete."""
    order: list[int] = []
    lines = ["HIERARCHY"]
    ends = {joint: offset for joint, offset in END_POINTS.values() if "ankle" not in joint}
    children: list[list[int]] = [[] for _ in range(JOINT_COUNT)]
    for j, p in enumerate(PARENTS):
        if p >= 0:
            children[p].append(j)

    def describe(j: int, depth: int) -> None:
        order.append(j)
        pad = "  " * depth
        root = PARENTS[j] < 0
        x, y, z = (0.0, 0.0, 0.0) if root else offsets[j] * _CENTIMETRES
        lines.append(f"{pad}{'ROOT' if root else 'JOINT'} {JOINT_NAMES[j]}")
        lines.append(f"{pad}{{")
        lines.append(f"{pad}  OFFSET {x:.6f} {y:.6f} {z:.6f}")
        position = "6 Xposition Yposition Zposition" if root else "3"
        lines.append(f"{pad}  CHANNELS {position} Zrotation Xrotation Yrotation")
        for child in children[j]:
            describe(child, depth + 1)
        if not children[j]:
            end = np.array(ends.get(JOINT_NAMES[j], offsets[j] * 0.7)) * _CENTIMETRES
            lines.extend((f"{pad}  End Site", f"{pad}  {{", f"{pad}    OFFSET {end[0]:.6f} {end[1]:.6f} {end[2]:.6f}",
                          f"{pad}  }}"))
        lines.append(f"{pad}}}")

    describe(0, 0)
    lines.extend(("MOTION", f"Frames: {len(motion)}", f"Frame Time: {1 / motion.fps:.8f}"))
    angles = _euler_zxy(motion.rotations[:, order]).reshape(len(motion), -1)
    rows = np.concatenate((motion.translation * _CENTIMETRES, angles), axis=1)
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
        np.savetxt(file, rows, fmt="%.5f")
    temporary.replace(path)
