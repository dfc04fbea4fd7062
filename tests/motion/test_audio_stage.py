# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import torch

from bridge_server.training.audio_stage import _splice, train_audio_branch
from bridge_server.training.loop import RunOptions
from bridge_server.training.sequences import TextTable, TokenSet

from . import nets


def tokens_set(count: int, value: int, audio: bool) -> TokenSet:
    table = TextTable()
    table.add("a person walks")
    table.embeddings = [torch.randn(1, 16)]
    return TokenSet(torch.full((count, 20, 2, 1), value, dtype=torch.int16), torch.zeros(count, 20, 2, 1, dtype=torch.int16),
                    torch.ones(count, 20, 2), torch.ones(count, 20, 2), table,
                    torch.rand(count, 160, 42).half() if audio else None)


def test_a_splice_takes_tokens_and_directions_together_and_marks_its_seam() -> None:
    g = torch.Generator().manual_seed(0)
    tokens = torch.cat((torch.zeros(6, 20, 2), torch.ones(4, 20, 2))).long()
    layers = [tokens.float(), 2 * tokens.float()]
    seam = _splice(tokens, layers, 6, 4, g)
    for row in range(4):
        changes = (tokens[row, 1:, 0] != tokens[row, :-1, 0]).nonzero().flatten() + 1
        assert len(changes) == 1 and seam[row, changes[0] - 2:changes[0] + 3].all() and int(seam[row].sum()) == 5
    assert torch.equal(layers[0], tokens.float()) and torch.equal(layers[1], 2 * tokens.float())
    assert int(tokens[4:6].sum()) == 0 and not seam[4:].any()


def test_the_audio_branch_trains_over_a_text_branch_that_stays_as_it_was(tmp_path: Path) -> None:
    text = nets.text_branch()
    before = {k: v.clone() for k, v in text.state_dict().items()}
    model = train_audio_branch(tokens_set(6, 3, True), tokens_set(6, 5, False), tokens_set(2, 3, True), text, nets.CONFIG,
                               RunOptions(tmp_path, steps=12, rate=3e-3, warmup=1, validate_every=6), batch=8)
    assert all(torch.equal(v, before[k]) for k, v in text.state_dict().items())
    assert not torch.equal(model.heads.heads[0].weight, text.heads.heads[0].weight)
