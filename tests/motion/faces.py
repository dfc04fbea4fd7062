# SPDX-License-Identifier: Apache-2.0
"""A small BEAT2 in its published layout, and a recipe over it, for tests of hands and faces."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np

from tests.formats import files

SENTENCE_SECONDS = 2.5
SPLITS = {"1_a_0_1_1": "train", "1_a_0_2_2": "train", "2_b_0_1_1": "val"}

RECIPE = """
name = "tiny"
version = "0"
licence = "none"
non_commercial = true
data = {data}
speech = {speech}
tempi = [1.0]
seed = 0
[tokenizer]
{configuration}
codes = 32
levels = 2
width = 16
code_width = 8
steps = 6
rate = 1e-3
[decoder]
steps = 2
rate = 1e-3
[branches]
width = 32
layers = 2
heads = 2
dropout = 0.1
[text]
sequences = 12
steps = 3
rate = 1e-3
[audio]
steps = 3
rate = 1e-3
"""


def write_recipe(path: Path, data: list[str], speech: str | list[str], configuration: str = "") -> Path:
    path.write_text(RECIPE.format(data=json.dumps(data), speech=json.dumps(speech), configuration=configuration))
    return path


def speech_like(seconds: float, seed: int = 0, rate: int = 16_000) -> np.ndarray:
    """Samples of a voice-like buzz in syllables, with a pause after every sentence."""
    t = np.arange(int(seconds * rate)) / rate
    pitch = np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * t + seed)) / rate
    buzz = sum(np.sin(2 * np.pi * k * pitch) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 4.2 * t), 0, 1) * (t % (SENTENCE_SECONDS + 0.8) < SENTENCE_SECONDS)
    return (0.12 * buzz * syllables).astype(np.float32)


def write_beat(root: Path, frames: int = 320) -> Path:
    """npz and wav of three recordings; motion, fingers, jaw and expression all move smoothly."""
    home = root / "beat_english_v2.0.0"
    (home / "smplxflame_30").mkdir(parents=True)
    (home / "wave16k").mkdir()
    t = np.arange(frames) / 30
    for k, name in enumerate(SPLITS):
        files.beat2(home / f"smplxflame_30/{name}.npz", frames=frames, seed=k)
        g = np.random.default_rng(k)
        with np.load(home / f"smplxflame_30/{name}.npz") as z:
            arrays = {key: z[key] for key in z.files}
        rates = g.uniform(0.2, 1.5, 100)
        arrays["expressions"] = np.sin(2 * np.pi * rates * t[:, None] + g.uniform(0, 6, 100)) * np.linspace(1.5, 0.2, 100)
        arrays["poses"][:, 66] = 0.15 + 0.15 * np.sin(2 * np.pi * 4.2 * t)
        np.savez(home / f"smplxflame_30/{name}.npz", **arrays)
        with wave.open(str(home / f"wave16k/{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes((speech_like(frames / 30, k) * 32767).astype("<i2").tobytes())
    (home / "train_test_split.csv").write_text("id,type\n" + "".join(f"{n},{s}\n" for n, s in SPLITS.items()))
    return root
