#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw the curves of a training run: python tools/curves.py RUN OUT.png

``RUN`` is the folder given to ``understudy train --folder``; every stage in it that has a ``log.jsonl`` gets a panel.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)
import numpy as np  # noqa: E402

STAGES = ("tokenizer", "decoder", "text", "residual", "audio")


def curves(log: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of the training loss and of every validation figure."""
    out: dict[str, tuple[list[int], list[float]]] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for key, value in row.items():
            if key == "loss" or key.startswith("val/"):
                steps, values = out.setdefault(key, ([], []))
                steps.append(row["step"])
                values.append(value)
    return out


def draw(run: Path, target: Path) -> list[str]:
    """Write the picture; returns the stages drawn."""
    stages = [s for s in STAGES if (run / s / "log.jsonl").is_file()]
    if not stages:
        raise SystemExit(f"{run} has no training logs. Name the folder that was given to `understudy train --folder`.")
    figure, axes = plt.subplots(1, len(stages), figsize=(5 * len(stages), 3.6), squeeze=False)
    for axis, stage in zip(axes[0], stages, strict=True):
        colours = iter(("tab:orange", "tab:green", "tab:red"))
        for key, (steps, values) in curves(run / stage / "log.jsonl").items():
            if key == "loss":
                axis.plot(steps, values, color="0.8", linewidth=0.8)
                smooth = np.convolve(np.pad(values, 5, mode="edge"), np.ones(11) / 11, "valid")
                axis.plot(steps, smooth, color="tab:blue", label="training loss")
            elif key in ("val/loss", "val/loss_without_audio", "val/mpjpe_mm"):
                axis.plot(steps, values, "o-", markersize=3, color=next(colours), label="validation " + key[4:].replace("_", " "))
        axis.set(title=stage, xlabel="step")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(target, dpi=90)
    return stages


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    print(", ".join(draw(Path(sys.argv[1]), Path(sys.argv[2]))))
