# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of clips: stick figures from the front and the side over the waveform, with strokes and stresses."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np

from shared import rotations as rot
from shared.kinematics import end_point, forward
from shared.skeleton import NEUTRAL_OFFSETS, PARENTS

__all__ = ["contact_sheet"]


def contact_sheet(folder: Path, clip: dict[str, Any], path: Path, start: float = 0.0, end: float | None = None,
                  columns: int = 16) -> None:
    """Write a PNG. ``clip`` is a record of :func:`.measure.read`; needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    end = min(end or clip["seconds"], clip["seconds"])
    q, t = clip["q"], clip["t"]
    positions, world = forward(q, t, NEUTRAL_OFFSETS)
    hands = {s: end_point(f"{s}_hand_end", positions, world) for s in ("left", "right")}
    top = end_point("head_top", positions, world)
    nose = positions[:, 15] + rot.rotate(world[:, 15], np.broadcast_to((0.0, 0.03, 0.12), (len(q), 3)))
    palms = {s: rot.rotate(world[:, 20 + k], np.broadcast_to((0.0, -0.07, 0.0), (len(q), 3)))
             for k, s in enumerate(("left", "right"))}
    figure, axes = plt.subplots(3, 1, figsize=(columns * 1.45, 8.8), height_ratios=(3.2, 3.2, 1.5))
    figure.subplots_adjust(0.01, 0.03, 0.99, 0.96, 0, 0.02)
    times = np.linspace(start, end, columns + 1)[:-1] + (end - start) / columns / 2
    for row, (axis, horizontal) in enumerate(zip(axes[:2], (0, 2), strict=True)):
        for k, moment in enumerate(times):
            f = min(int(moment * 30), len(q) - 1)
            shift = k * 0.9
            # seen from the front, the person's left is on the right of the picture
            x = positions[f, :, horizontal] - t[f, horizontal] + shift
            for j in range(1, 22):
                colour = "tab:red" if j in (16, 18, 20) else "tab:blue" if j in (17, 19, 21) else "0.3"
                axis.plot(x[[PARENTS[j], j]], positions[f, [PARENTS[j], j], 1], color=colour, lw=1.8)
            for s, colour, j in (("left", "tab:red", 20), ("right", "tab:blue", 21)):
                h = hands[s][f, horizontal] - t[f, horizontal] + shift
                axis.plot([x[j], h], [positions[f, j, 1], hands[s][f, 1]], color=colour, lw=3.5, alpha=0.6)
                axis.plot(
                    [x[j], x[j] + palms[s][f, horizontal]],
                    [positions[f, j, 1], positions[f, j, 1] + palms[s][f, 1]],
                    color="k",
                    lw=0.8,
                )
            axis.plot(
                [x[15], top[f, horizontal] - t[f, horizontal] + shift],
                [positions[f, 15, 1], top[f, 1]],
                color="0.3",
                lw=5,
            )
            axis.plot(
                [x[15], nose[f, horizontal] - t[f, horizontal] + shift],
                [positions[f, 15, 1], nose[f, 1]],
                color="0.6",
                lw=1,
            )
            if row == 0:
                axis.text(shift, 1.86, f"{moment:.2f}", ha="center", fontsize=9)
        axis.set_aspect("equal")
        axis.set_ylim(0.0 if row else 0.1, 1.9)
        axis.set_xlim(-0.5, 0.9 * columns - 0.4)
        axis.axis("off")
    axis = axes[2]
    with wave.open(str(folder / clip["wav"])) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    axis.plot(np.arange(len(samples))[::40] / 16000, samples[::40], color="0.75", lw=0.5)
    for s, j, colour in (("left", 20, "tab:red"), ("right", 21, "tab:blue")):
        speed = np.linalg.norm(np.diff(positions[:, j], axis=0), axis=1) * 30
        axis.plot(np.arange(len(speed)) / 30, speed / 4, color=colour, lw=1, label=s)
    for g in clip["gestures"]:
        axis.axvline(g["stress"], color="g", lw=0.8)
        axis.text(g["stress"], 0.85, g.get("concept", g["kind"]), rotation=35, fontsize=8, clip_on=True)
        for p in g["phases"]:
            if p["phase"] == "stroke":
                axis.axvspan(p["start"], p["end"], color="orange", alpha=0.3)
    for w in clip["words"]:
        axis.text(w["start"], -0.75, w["text"], fontsize=8, rotation=30, clip_on=True)
    axis.set_xlim(start, end)
    axis.set_ylim(-0.8, 1.0)
    figure.suptitle(f"{clip['name']} {clip['voice']} {clip['body']}", fontsize=8)
    figure.savefig(path, dpi=80)
    plt.close(figure)
