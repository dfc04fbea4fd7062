# SPDX-License-Identifier: Apache-2.0
"""Several performances drawn side by side, padded, and by recorded steps: each as it comes out alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from bridge_server.motion import graphs, noise
from bridge_server.motion.decoding import LENGTHS, Networks, padded_to
from bridge_server.motion.sampler import WINDOW, Draw, SampleOptions, Speech, View, draw_together

from . import nets

OPTIONS = SampleOptions(steps=4, top=16)


def networks() -> Networks:
    return Networks(nets.text_branch(), nets.audio_branch(), nets.residual_branch(), nets.tokenizer())


def a_draw(tokens: int, seed: int, talks: bool, known: torch.Tensor | None = None) -> Draw:
    conditions, alone = nets.conditions(tokens, seed), nets.conditions(tokens, seed + 1)
    speech = Speech(torch.randn(1, 8 * tokens, 42, generator=torch.Generator().manual_seed(seed)),
                    torch.arange(tokens) % 7 > 0, alone, torch.arange(tokens) % 2 == 0) if talks else None
    strength, seeds = np.ones((tokens, 2), np.float32), np.full((tokens, 2), -1)

    def look(first: int, stop: int) -> View:
        return View(conditions.slice(first, stop), strength[first:stop], seeds[first:stop], speech.slice(first, stop) if speech else None)

    return Draw(tokens, 2, look, seed, known)


SHAPES = [(1, 3, True), (30, 4, False), (31, 5, True), (WINDOW, 6, True), (WINDOW + 5, 7, False), (2 * WINDOW + 9, 8, True), (90, 9, True)]


def alone() -> list[torch.Tensor]:
    return [draw_together(networks(), [a_draw(*shape)], OPTIONS)[0] for shape in SHAPES]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> None:
    """A tie within float rounding may fall the other way and take its neighbours along; anything wrong changes most tokens."""
    assert [x.shape for x in a] == [x.shape for x in b]
    for x, y in zip(a, b, strict=True):
        assert (x == y).float().mean() > 0.98


def test_side_by_side_each_is_as_alone() -> None:
    together = draw_together(networks(), [a_draw(*shape) for shape in SHAPES], OPTIONS)
    same(together, alone())
    assert not torch.equal(together[3], draw_together(networks(), [a_draw(WINDOW, 60, True)], OPTIONS)[0])


def test_variations_of_one_request_are_what_their_seeds_give() -> None:
    def variation(seed: int) -> Draw:
        draw = a_draw(40, 2, True)
        draw.seed = seed
        return draw

    together = draw_together(networks(), [variation(s) for s in range(5)], OPTIONS)
    same(together, [draw_together(networks(), [variation(s)], OPTIONS)[0] for s in range(5)])
    assert (together[0] == together[1]).float().mean() < 0.9


class Recording:
    """Records as a graph does: later calls run on the tensors of the first, and its result is overwritten."""

    def __init__(self) -> None:
        self.count = self.played = 0

    def __call__(self, run: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        self.count += 1
        output = run().clone()

        def play() -> None:
            self.played += 1
            output.copy_(run())

        return play, output


def test_padded_windows_and_recorded_steps_give_the_same() -> None:
    recording = Recording()
    player = graphs.Graphs(recording)
    nets_ = networks()
    one_by_one = [draw_together(nets_, [a_draw(*shape)], OPTIONS, player)[0] for shape in SHAPES]
    same(one_by_one, alone())
    shapes = {(padded_to(min(n, WINDOW), LENGTHS), talks) for n, _, talks in SHAPES}
    assert recording.count <= len(shapes) + 2 < recording.played
    before = recording.count
    same(draw_together(nets_, [a_draw(*shape) for shape in SHAPES], OPTIONS, player), alone())
    assert before < recording.count
    draw_together(nets_, [a_draw(*shape) for shape in SHAPES], OPTIONS, player)
    shapes_of_batches = recording.count
    draw_together(nets_, [a_draw(n, seed + 20, talks) for n, seed, talks in SHAPES], OPTIONS, player)
    assert recording.count == shapes_of_batches


def test_padding_must_be_masked_for_that() -> None:
    # the test above would not notice if padding were never looked at anyway
    branch = nets.text_branch()
    tokens = torch.zeros(1, 20, 2, dtype=torch.long)
    asked = branch.conditions(nets.conditions(20))
    with torch.inference_mode():
        whole = branch.under(tokens[:, :12], asked[:, :12])[0]
        mask = (torch.arange(20) < 12)[None, None, None]
        assert torch.allclose(branch.under(tokens, asked, mask)[0][:, :12], whole, atol=1e-5)
        assert not torch.allclose(branch.under(tokens, asked)[0][:, :12], whole, atol=1e-3)
        sound = torch.randn(1, 160, 42, generator=torch.Generator().manual_seed(1))
        given, valid = torch.ones(1, 20, dtype=torch.bool), (torch.arange(20) < 12)[None]
        hears = nets.audio_branch().audio
        heard = hears(sound[:, :96], given[:, :12])
        assert torch.allclose(hears(sound, given, valid)[:, :12], heard, atol=1e-5)
        assert not torch.allclose(hears(sound, given)[:, :12], heard, atol=1e-3)


def test_what_cannot_be_recorded_runs_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(run: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        raise RuntimeError("operation not permitted when stream is capturing")

    player = graphs.Graphs(refuse)
    with caplog.at_level(logging.WARNING, "understudy.graphs"):
        same([draw_together(networks(), [a_draw(*shape)], OPTIONS, player)[0] for shape in SHAPES], alone())
    assert [r.name for r in caplog.records] == ["understudy.graphs"] and not player.works


def test_only_cuda_plays() -> None:
    assert graphs.player_for("cpu") is None


def test_known_tokens_stay_in_a_batch() -> None:
    known = torch.full((WINDOW + 20, 2, 3), -1)
    known[10:40] = torch.randint(0, 32, (30, 2, 3), generator=torch.Generator().manual_seed(4))
    drawn = draw_together(networks(), [a_draw(50, 1, True), a_draw(WINDOW + 20, 2, True, known)], OPTIONS)
    assert torch.equal(drawn[1][10:40], known[10:40]) and int(drawn[1].min()) >= 0


def test_steps_ask_the_device_for_nothing() -> None:
    """Reading a number off a GPU waits for all that is queued; on the CPU every such read is counted instead."""
    from torch.utils._python_dispatch import TorchDispatchMode

    read: list[str] = []

    class Reads(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if func.overloadpacket.__name__ in ("_local_scalar_dense", "nonzero", "equal", "is_nonzero"):
                read.append(str(func))
            return func(*args, **(kwargs or {}))

    inside: list[int] = []
    draw = a_draw(40, 1, True)
    draw.tick = lambda _: inside.append(len(read))
    with Reads():
        draw_together(networks(), [draw], OPTIONS)
    # the view's own question whether anybody speaks comes before the first step, and is about tensors on the CPU
    assert len(inside) == OPTIONS.steps and len(set(inside)) == 1
    with Reads():
        bool(torch.ones(1).any())
    assert len(read) == inside[0] + 1


def test_noise_of_other_devices_is_the_cpus() -> None:
    seeds = noise.token_seeds(77, np.array([[-1, 5], [2 ** 40, -1]]), 3).reshape(-1)
    ours = noise.uniform_side_by_side(seeds, 1500, torch.device("cpu"))
    for row, seed in zip(ours, seeds, strict=True):
        assert torch.equal(row, torch.rand(1500, generator=torch.Generator().manual_seed(int(seed))))


def test_noise_is_each_tokens_own_wherever_its_window_lies() -> None:
    def made(first: int, count: int, seeds: Sequence[int] = ()) -> torch.Tensor:
        own = np.full((count, 2), -1)
        for k, s in enumerate(seeds):
            own[k] = s
        at = noise.token_seeds(9, own, first)[None]
        return noise.gumbel(at, np.ones(at.shape, bool), 3, 8, torch.device("cpu"))

    long, short = made(0, 12), made(5, 7)
    assert torch.equal(long[:, :, 5:], short)
    other = made(0, 12, [4])
    assert torch.equal(other[:, :, 1:], long[:, :, 1:]) and not torch.equal(other[:, :, 0], long[:, :, 0])
