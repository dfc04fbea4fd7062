# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from bridge_server.motion.features import PART_WIDTHS
from bridge_server.motion.quantizer import Codebook, ResidualQuantizer
from bridge_server.motion.tokenizer import Tokenizer, TokenizerConfig


def test_nearest_code_is_the_nearest() -> None:
    torch.manual_seed(0)
    book = Codebook(32, 8)
    x = torch.randn(100, 8)
    expected = torch.cdist(x, book.codes).argmin(1)
    assert torch.equal(book.nearest(x), expected)


def test_codes_move_to_the_means_of_their_inputs_and_dead_ones_are_reset() -> None:
    torch.manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    book = Codebook(8, 2, decay=0.5)
    for _ in range(60):
        x = centres[torch.randint(4, (200,))] + 0.1 * torch.randn(200, 2)
        book.learn(x, book.nearest(x))
    assert torch.cdist(centres, book.codes).min(1).values.max() < 0.2


def test_more_levels_leave_less_over() -> None:
    torch.manual_seed(0)
    quantizer = ResidualQuantizer(4, 64, 8).train()
    x = torch.randn(4, 256, 8)
    for _ in range(40):
        quantizer(x)
    quantizer.eval()
    _, index, _ = quantizer(x)
    errors = [float((quantizer.lookup(index[..., :n]) - x).pow(2).mean()) for n in range(1, 5)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.4 * errors[0]


def test_gradient_passes_straight_through() -> None:
    quantizer = ResidualQuantizer(2, 16, 8)
    z = torch.randn(1, 5, 8, requires_grad=True)
    quantizer(z)[0].sum().backward()
    assert z.grad is not None and torch.allclose(z.grad, torch.ones_like(z))


def test_both_configurations_encode_and_decode() -> None:
    parts = {p: torch.randn(2, 32, PART_WIDTHS[p]) for p in ("lower", "upper")}
    for config, groups in ((TokenizerConfig(width=32, levels=3), 2), (TokenizerConfig.single(width=32), 1)):
        model = Tokenizer(config).eval()
        tokens = model.encode(parts)
        assert tokens.shape == (2, 8, groups, config.levels)
        decoded = model.decode(tokens)
        assert {p: x.shape for p, x in decoded.items()} == {p: x.shape for p, x in parts.items()}
        features, again, _ = model(parts)
        assert torch.equal(again, tokens)
        assert all(torch.allclose(features[p], decoded[p], atol=1e-4) for p in parts)
