# SPDX-License-Identifier: Apache-2.0
"""What must hold of every configuration of the generator, and of the sliders and parts of a timeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bridge_server.motion import versa
from bridge_server.motion.audio_branch import AudioBranch
from bridge_server.motion.text_branch import BranchConfig, TextBranch
from bridge_server.motion.tokenizer import Tokenizer, TokenizerConfig
from bridge_server.motion.weights import save_network, write_card
from shared import rotations as rot
from shared.edits import Edit, Range
from shared.requests import MotionRequest
from shared.skeleton import PART_JOINTS
from shared.timeline import Direction

from .test_versa import Words, generator, quiet, speech, weights  # noqa: F401 (fixtures)


@pytest.fixture
def single(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> versa.VersaGenerator:
    """The paper's configuration: one book over the whole body."""
    torch.manual_seed(0)
    folder = tmp_path / "single"
    config = TokenizerConfig.single(codes=32, width=32, code_width=16)
    branch = BranchConfig(groups=1, codes=32, width=32, heads=2, layers=2, dropout=0.0, text_width=16)
    save_network(folder, "tokenizer", Tokenizer(config), config.to_json())
    save_network(folder, "text", TextBranch(branch), branch.to_json())
    save_network(folder, "audio", AudioBranch(branch), branch.to_json())
    write_card(folder, name="single", version="0", licence="CC0-1.0", non_commercial=False, text_encoder={"name": "minilm", "sha256": ""})
    monkeypatch.setattr(versa, "load_text_encoder", lambda *_: Words())
    return versa.VersaGenerator(str(folder))


def test_one_book_performs_edits_and_leads_between_poses(single: versa.VersaGenerator) -> None:
    strips = [Direction(0, 2, "walks"), Direction(1, 2, "waves", "left_arm"), Direction(2, 3, "bows", "upper")]
    motion = single.perform(MotionRequest(duration=3.0, directions=strips, seed=1), speech(3.0), quiet)
    assert len(motion) == 90 and np.isfinite(motion.rotations).all()
    motion.rotations, motion.translation = motion.rotations.astype(np.float32), motion.translation.astype(np.float32)
    again = single.perform(MotionRequest(duration=3.0, seed=2, edit=Edit(motion, [Range(1, 2, "upper")]), face=False), None, quiet)
    legs = list(PART_JOINTS["lower"])
    assert np.array_equal(again.rotations[:, legs].astype(np.float32), motion.rotations[:, legs])
    edit = Edit.between(motion.slice(0, 1), motion.slice(60, 61), 1.0)
    way = single.perform(MotionRequest(edit=edit, face=False), None, quiet)
    assert np.array_equal(way.rotations[0].astype(np.float32), edit.base.rotations[0].astype(np.float32))


def test_a_faster_tempo_moves_faster_in_the_same_time(generator: versa.VersaGenerator) -> None:  # noqa: F811
    def speed(tempo: float) -> float:
        m = generator.perform(MotionRequest(duration=6.0, seed=2, tempo=tempo, directions=[Direction(0, 6, "walks")],
                face=False), None, quiet)
        assert len(m) == 180
        return float(rot.angle_between(m.rotations[1:, :22], m.rotations[:-1, :22]).mean())

    assert 1.25 * speed(0.6) < speed(1.0) < speed(1.7) / 1.25


@pytest.mark.parametrize("part", ["left_arm", "right_arm", "head"])
def test_each_fine_part_moves_alone(generator: versa.VersaGenerator, part: str) -> None:  # noqa: F811
    walk = Direction(0.0, 2.0, "walks")

    def perform(*strips: Direction) -> np.ndarray:
        return generator.perform(MotionRequest(directions=list(strips), seed=1, face=False), None, quiet).rotations

    moved = {j for j in range(22) if (rot.angle_between(perform(walk, Direction(0.5, 1.8, "points", part)),
            perform(walk)) > 1e-4).any(0)[j]}
    assert moved and moved <= set(PART_JOINTS[part])
