# SPDX-License-Identifier: Apache-2.0
"""Skeleton plots: a motion as a row of stick figures, to be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from shared.kinematics import end_point, forward
from shared.motion import Motion
from shared.skeleton import BODY_JOINT_COUNT, END_POINTS, JOINT_INDEX, PARENTS

__all__ = ["contact_sheet"]

_LEFT: Final = "#1f77b4"
_RIGHT: Final = "#d62728"
_MIDDLE: Final = "#333333"


def _side(name: str) -> str:
    return _LEFT if name.startswith("left") else _RIGHT if name.startswith("right") else _MIDDLE


def contact_sheet(
    motion: Motion, path: str | Path, count: int = 24, columns: int = 12, azimuth: float = 25.0, title: str = ""
) -> None:
    """Write a PNG of ``count`` frames; left blue, right red, the floor as a line, the active direction above each.

    :param azimuth: camera angle from the front, degrees; the camera follows the pelvis.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from shared.skeleton import JOINT_NAMES

    positions, world = forward(motion.rotations[:, :BODY_JOINT_COUNT], motion.translation)
    ends = {name: end_point(name, positions, world) for name in END_POINTS}
    frames = np.linspace(0, len(motion) - 1, count).round().astype(int)
    rows = -(-count // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.55 * columns, 2.5 * rows), squeeze=False)
    a = np.radians(azimuth)
    directions: list[dict[str, Any]] = motion.metadata.get("directions", [])

    def flat(p: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        q = p - centre
        return np.cos(a) * q[..., 0] - np.sin(a) * q[..., 2], q[..., 1]

    for axis in axes.flat:
        axis.axis("off")
    for axis, f in zip(axes.flat, frames, strict=False):
        centre = np.array([positions[f, 0, 0], 0.0, positions[f, 0, 2]])
        for j in range(1, BODY_JOINT_COUNT):
            x, y = flat(positions[f, [PARENTS[j], j]], centre)
            axis.plot(x, y, color=_side(JOINT_NAMES[j]), lw=2)
        for name, (joint, _) in END_POINTS.items():
            x, y = flat(np.stack((positions[f, JOINT_INDEX[joint]], ends[name][f])), centre)
            axis.plot(x, y, color=_side(name), lw=1.5)
        axis.axhline(0, color="#999999", lw=0.8)
        axis.set_xlim(-0.85, 0.85)
        axis.set_ylim(-0.15, 2.15)
        axis.set_aspect("equal")
        t = f / motion.fps
        active = "; ".join(d["text"] for d in directions if d["start"] <= t < d["end"])
        x, z = motion.translation[f, [0, 2]]
        axis.set_title(f"{t:.1f} s ({x:.1f},{z:.1f})\n{active[:26]}", fontsize=6)
    figure.suptitle(title, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=75)
    plt.close(figure)
