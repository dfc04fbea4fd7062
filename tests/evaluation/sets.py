# SPDX-License-Identifier: Apache-2.0
"""Small motion sets with speech, and a small weights set of the real classes with random numbers in it."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import torch

from bridge_server.motion.audio_branch import AudioBranch
from bridge_server.motion.residual import ResidualBranch
from bridge_server.motion.text_branch import BranchConfig, TextBranch
from bridge_server.motion.tokenizer import Tokenizer, TokenizerConfig
from bridge_server.motion.weights import save_network, write_card
from bridge_server.text.encoder import load_text_encoder
from shared import rotations as rot
from shared.skeleton import BODY_JOINT_COUNT, JOINT_INDEX

CAPTIONS = (
    ("a person waves", "someone waves"),
    ("a person swings the arms",),
    ("a person turns around", "someone turns"),
)


def move(kind: int, frames: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Standing bodies that differ by ``kind``: one arm, both arms, turning."""
    g = np.random.default_rng(seed)
    t = np.arange(frames) / 30 + g.uniform(0, 3)
    swing = (0.7 + 0.1 * g.standard_normal()) * np.sin(2 * np.pi * t / g.uniform(0.8, 1.4))
    q = rot.identity(frames, BODY_JOINT_COUNT)
    zero = np.zeros(frames)
    for side in (("right",), ("left", "right"), ())[kind]:
        q[:, JOINT_INDEX[f"{side}_shoulder"]] = rot.axis_angle_to_quat(np.stack((zero, zero, swing + kind), 1))
    if kind == 2:
        q[:, 0] = rot.yaw_quat(t)
    translation = np.zeros((frames, 3))
    translation[:, 1] = 0.96 + 0.002 * np.sin(t)
    return q, translation


def write_set(folder: Path, train: int = 12, test: int = 40, frames: int = 45) -> Path:
    """A set in the ``cmu_text`` layout."""
    folder.mkdir(parents=True)
    splits = ["train"] * train + ["val"] * 6 + ["test"] * test
    motions = [move(n % 3, frames, n) for n in range(len(splits))]
    np.savez(
        folder / "shard_00.npz",
        rot=np.concatenate([q for q, _ in motions]).astype(np.float16),
        trans=np.concatenate([t for _, t in motions]).astype(np.float32),
    )
    records = [
        {
            "name": f"c{n}",
            "split": split,
            "shard": 0,
            "first": n * frames,
            "frames": frames,
            "needs_objects": n == len(splits) - 1,
            "captions": [{"text": c, "start": 0, "end": frames / 30} for c in CAPTIONS[n % 3]],
        }
        for n, split in enumerate(splits)
    ]
    (folder / "clips.json").write_text(json.dumps({"fps": 30, "clips": records}))
    return folder


def write_sound(path: Path, seconds: float, seed: int = 0) -> Path:
    """Syllables of noise, 16 kHz."""
    g = np.random.default_rng(seed)
    t = np.arange(int(seconds * 16_000)) / 16_000
    loud = np.maximum(0, np.sin(2 * np.pi * 2.3 * t)) ** 2 * (np.sin(2 * np.pi * t / 3) > -0.6)
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(
            (0.3 * loud * g.standard_normal(len(t)) * 20_000).clip(-32_767, 32_767).astype("<i2").tobytes()
        )
    return path


def write_speech_set(folder: Path) -> Path:
    """Performances with their sounds."""
    write_set(folder, train=3, test=3, frames=120)
    index = json.loads((folder / "clips.json").read_text())
    for n, record in enumerate(index["clips"]):
        record["wav"] = f"wav/{n}.wav"
        write_sound(folder / record["wav"], 4.0, n)
    (folder / "clips.json").write_text(json.dumps(index))
    return folder


def write_weights(folder: Path, *, name: str = "tiny", audio: bool = True, single: bool = False) -> Path:
    """Random networks, saved as a set."""
    torch.manual_seed(5)
    shape = (
        TokenizerConfig.single(codes=16, width=16, code_width=8)
        if single
        else TokenizerConfig(codes=16, levels=2, width=16, code_width=8)
    )
    config = BranchConfig(groups=len(shape.groups), codes=16, width=16, heads=2, layers=2, dropout=0.0)
    save_network(folder, "tokenizer", Tokenizer(shape), shape.to_json())
    save_network(folder, "text", TextBranch(config), config.to_json())
    if not single:
        save_network(folder, "residual", ResidualBranch(config, 2, 8), config.to_json())
    if audio:
        save_network(folder, "audio", AudioBranch(config), config.to_json())
    write_card(
        folder,
        name=name,
        version="0",
        licence="none",
        data=["moves"],
        non_commercial=False,
        text_encoder={"name": "minilm", "sha256": load_text_encoder("minilm").digest},
    )
    return folder
