# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from bridge_server.motion.sampler import HELD, WINDOW, SampleOptions, Size, Speech, sample
from shared.errors import UnderstudyError

from . import nets


def draw(
    tokens: int, seed: int = 0, seeds: np.ndarray | None = None, audio: bool = False, size: Size = Size(), **rest: object
) -> torch.Tensor:
    return sample(
        nets.text_branch(), nets.audio_branch() if audio else None, nets.residual_branch(), nets.tokenizer(), nets.conditions(tokens),
        np.ones((tokens, 2), np.float32), np.full((tokens, 2), -1) if seeds is None else seeds,
        SampleOptions(seed=seed, steps=4, top=16, size=size),
        speech=Speech(torch.randn(1, 8 * tokens, 42, generator=torch.Generator().manual_seed(5)), torch.ones(tokens, dtype=torch.bool),
                      nets.conditions(tokens, 1), torch.arange(tokens) % 2 == 0) if audio else None, **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize("audio", [False, True])
@pytest.mark.parametrize("tokens", [1, 30, WINDOW, WINDOW + 5, 3 * WINDOW])
def test_every_token_of_every_level_is_drawn(tokens: int, audio: bool) -> None:
    drawn = draw(tokens, audio=audio)
    assert drawn.shape == (tokens, 2, 3)
    assert int(drawn.min()) >= 0 and int(drawn.max()) < 32


def test_same_seed_same_tokens_other_seed_others() -> None:
    assert torch.equal(draw(40, seed=3), draw(40, seed=3))
    assert not torch.equal(draw(40, seed=3), draw(40, seed=4))


def test_a_strips_own_seed_changes_the_strip() -> None:
    seeds = np.full((40, 2), -1)
    seeds[10:20] = 77
    a, b = draw(40), draw(40, seeds=seeds)
    assert not torch.equal(a[10:20], b[10:20])


def test_finished_windows_are_held() -> None:
    seen: list[torch.Tensor] = []
    drawn = draw(2 * WINDOW, window_done=lambda t: seen.append(t.clone()))
    assert len(seen) > 1
    for part in seen:
        assert torch.equal(part, drawn[:len(part)])
    assert [len(t) for t in seen] == [WINDOW, 2 * WINDOW - HELD, 2 * WINDOW]


def test_progress_rises_to_one_and_a_cancel_gets_out() -> None:
    fractions: list[float] = []
    draw(2 * WINDOW, tick=fractions.append)
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1.0)

    def stop(fraction: float) -> None:
        raise UnderstudyError("cancelled", "The job was cancelled.")

    with pytest.raises(UnderstudyError, match="cancelled"):
        draw(10, tick=stop)


def test_passes_one_by_one_give_the_same_and_small_windows_are_whole() -> None:
    for audio in (True, False):
        together, apart = draw(60, audio=audio), draw(60, audio=audio, size=Size(together=False))
        assert (together == apart).float().mean() > 0.98
    small = draw(100, audio=True, size=Size(24, 8, False))
    assert small.shape == draw(100, audio=True).shape and (small >= 0).all()
