# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from bridge_server.motion.audio_branch import AudioBranch
from bridge_server.motion.text_branch import BranchConfig

from . import nets


def test_text_branch_gives_logits_and_every_layers_output() -> None:
    logits, layers = nets.text_branch()(torch.full((1, 20, 2), 32), nets.conditions(20))
    assert logits.shape == (1, 20, 2, 32) and len(layers) == 3 and layers[0].shape == (1, 20, 32)


def test_directions_reach_only_their_own_group_at_the_input() -> None:
    branch = nets.text_branch()
    a, b = nets.conditions(8), nets.conditions(8)
    b.text[:, :, 1] = 0
    b.given[:, :, 1] = False
    lower_only = branch.conditions(b) - branch.conditions(a)
    c = nets.conditions(8)
    c.text[:, :, 1] = 0
    c.given[:, :, 1] = False
    c.text[:, :, 0] += 1
    assert not torch.allclose(lower_only, torch.zeros_like(lower_only))
    # the difference that the upper group makes does not depend on the lower group's text
    d = nets.conditions(8)
    d.text[:, :, 0] += 1
    assert torch.allclose(branch.conditions(c) - branch.conditions(d), lower_only, atol=1e-5)


@pytest.mark.parametrize(("fusion", "listens"), [("layer", [True, True, True]), ("last", [False, False, True]), ("none", [False] * 3)])
def test_fusion_takes_in_the_layers_it_says(fusion: str, listens: list[bool]) -> None:
    branch = nets.audio_branch(fusion)
    tokens, audio, given = torch.full((1, 6, 2), 32), torch.randn(1, 48, 42), torch.ones(1, 6, dtype=torch.bool)
    layers = [torch.randn(1, 6, 32) for _ in range(3)]
    base = branch(tokens, audio, given, layers)
    for index, expected in enumerate(listens):
        changed = [x + 1.0 * (i == index) * torch.randn(1, 6, 32) for i, x in enumerate(layers)]
        assert torch.allclose(branch(tokens, audio, given, changed), base) != expected


def test_where_no_speech_is_given_the_audio_is_not_heard() -> None:
    branch = nets.audio_branch()
    tokens, given = torch.full((1, 6, 2), 32), torch.zeros(1, 6, dtype=torch.bool)
    layers = [torch.zeros(1, 6, 32)] * 3
    a = branch(tokens, torch.randn(1, 48, 42), given, layers)
    assert torch.allclose(a, branch(tokens, torch.randn(1, 48, 42), given, layers))


def test_unknown_fusion_is_refused() -> None:
    with pytest.raises(ValueError, match="fusion"):
        AudioBranch(BranchConfig(fusion="first"))
