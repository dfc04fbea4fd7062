# SPDX-License-Identifier: Apache-2.0
"""Parallel masked decoding by confidence with two guidance scales (METHOD.md point 4; MaskGIT, Chang et al. 2022).

A take is drawn window after window, each holding the end of the one before. Several takes go side by side, a window of each
at a time, and each comes out as it would alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from .audio_branch import AudioBranch
from .conditions import Conditions
from .decoding import COUNTS, LENGTHS, Networks, Player, Window, fill, padded_to
from .draws import HELD, WINDOW, Draw, SampleOptions, Size, Speech, View
from .noise import gumbel, token_seeds
from .residual import ResidualBranch
from .text_branch import TextBranch
from .tokenizer import Tokenizer

__all__ = ["HELD", "Draw", "SampleOptions", "Size", "Speech", "View", "WINDOW", "draw_together", "sample"]


@torch.inference_mode()
def draw_together(nets: Networks, draws: Sequence[Draw], options: SampleOptions, player: Player | None = None) -> list[Tensor]:
    """Tokens (N, G, L) on the device of every draw.

    :param options: for all of them; the seed is each draw's own.
    :param player: records steps and plays them again; windows are padded to few shapes then.
    """
    device = nets.device
    results = []
    for d in draws:
        nothing = torch.full((d.total, d.groups, nets.levels), -1, dtype=torch.long)
        results.append(nothing if d.known is None else d.known[..., :nets.levels].clone())
    # what is to be drawn is remembered here, so that the device need not be asked
    hidden = [(x[..., 0] < 0).cpu().numpy() for x in results]
    results = [x.to(device) for x in results]
    going = list(range(len(draws)))
    while going:
        windows = {n: _window(nets, draws[n], results[n], hidden[n], options) for n in going}
        for batch in _batches(windows, player is not None):
            def tick(fraction: float, batch: list[int] = batch) -> None:
                for n in batch:
                    d = draws[n]
                    first, stop = d.window(options.size)
                    done = max(first, d.reached)
                    d.tick((done + fraction * (stop - done)) / d.total)

            def noise(seeds: np.ndarray, wanted: np.ndarray) -> Tensor:
                return gumbel(seeds, wanted, options.steps, nets.text.config.codes, device)

            longest = max(len(windows[n]) for n in batch)
            tokens = fill(nets, [windows[n] for n in batch], noise, options, tick,
                          length=padded_to(longest, LENGTHS) if player is not None else longest,
                          count=padded_to(len(batch), COUNTS) if player is not None else len(batch), player=player)
            for row, n in enumerate(batch):
                first, stop = draws[n].window(options.size)
                results[n][first:stop] = tokens[row, :stop - first]
                hidden[n][first:stop] = False
        for n in going:
            if (done_with := draws[n].window_done) is not None:
                done_with(results[n][:draws[n].window(options.size)[1]])
        going = [n for n in going if draws[n].go_on(options.size)]
    return results


def _window(nets: Networks, draw: Draw, tokens: Tensor, hidden: np.ndarray, options: SampleOptions) -> Window:
    first, stop = draw.window(options.size)
    view = draw.look(first, stop)
    if nets.audio is None or view.speech is None or not bool(view.speech.given.any()):
        view.speech = None
    return Window(view, tokens[first:stop], hidden[first:stop], token_seeds(draw.seed, view.seeds, first))


def _batches(windows: dict[int, Window], padded: bool) -> list[list[int]]:
    """The draws that go together: all with speech or all without, and of one length, or of lengths that are padded to one."""
    found: dict[tuple[bool, int], list[int]] = {}
    for n, w in windows.items():
        found.setdefault((w.view.speech is None, padded_to(len(w), LENGTHS) if padded else len(w)), []).append(n)
    most = COUNTS[-1]
    return [together[k:k + most] for together in found.values() for k in range(0, len(together), most)]


def sample(
    text: TextBranch, audio: AudioBranch | None, residual: ResidualBranch | None, tokenizer: Tokenizer,
    conditions: Conditions, strength: np.ndarray, seeds: np.ndarray, options: SampleOptions, *,
    speech: Speech | None = None, known: Tensor | None = None,
    tick: Callable[[float], None] = lambda _: None,
    window_done: Callable[[Tensor], None] | None = None, player: Player | None = None,
) -> Tensor:
    """Tokens (N, G, L) for conditions (1, N, G) that are all there already; the rest as :class:`Draw` takes it.

    :param speech: what is heard, or None.
    """
    total, groups = conditions.given.shape[1:]

    def look(first: int, stop: int) -> View:
        return View(conditions.slice(first, stop), strength[first:stop], seeds[first:stop],
                    None if speech is None else speech.slice(first, stop))

    return draw_together(Networks(text, audio, residual, tokenizer), [Draw(total, groups, look, options.seed, known, tick, window_done)],
                         options, player)[0]
