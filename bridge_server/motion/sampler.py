# SPDX-License-Identifier: Apache-2.0
"""Parallel masked decoding by confidence with two guidance scales (METHOD.md point 4; MaskGIT, Chang et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from .audio_branch import AudioBranch
from .conditions import Conditions
from .residual import ResidualBranch
from .text_branch import TextBranch
from .tokenizer import PartCoder, Tokenizer

__all__ = ["HELD", "SampleOptions", "Size", "Speech", "WINDOW", "sample"]

WINDOW: Final = 72
"""Tokens of a window, as trained."""
HELD: Final = 20
"""Tokens of a window that are already final and held fixed."""


@dataclass
class Speech:
    """What is heard over the tokens.

    :ivar rows: (1, 8 N, width) audio features. :ivar given: (N,) bool, where somebody speaks.
    :ivar conditions: (1, N, G), what the tokens would be asked if nothing but speech drove them.
    :ivar alone: (N,) bool, where nothing else does.
    """

    rows: Tensor
    given: Tensor
    conditions: Conditions
    alone: Tensor

    def slice(self, start: int, stop: int) -> Speech:
        """Tokens ``start`` to ``stop``."""
        return Speech(self.rows[:, 8 * start:8 * stop], self.given[start:stop], self.conditions.slice(start, stop), self.alone[start:stop])

    def to(self, device: torch.device) -> Speech:
        """On another device."""
        return Speech(self.rows.to(device), self.given.to(device), self.conditions.to(device), self.alone.to(device))


@dataclass(frozen=True)
class Size:
    """How much is worked on at once, for devices with little memory.

    :ivar window: tokens of a window. :ivar held: of them already final. :ivar together: whether the passes that guidance takes run
        as one batch; apart they need a third of the memory and give the same.
    """

    window: int = WINDOW
    held: int = HELD
    together: bool = True


@dataclass
class SampleOptions:
    """How tokens are drawn.

    :ivar steps: decoding steps of a window. :ivar temperature: of the token choice, 0 takes the likeliest.
    :ivar top: only this many of the likeliest codes are drawn from.
    :ivar order_noise: how much chance there is in which tokens are kept first. With little of it the surest ones, which
        are those of standing still, come first and talk the others into it.
    """

    text_guidance: float = 3.0
    audio_guidance: float = 1.5
    temperature: float = 1.0
    steps: int = 12
    top: int = 128
    order_noise: float = 8.0
    residual_temperature: float = 0.4
    seed: int = 0
    size: Size = Size()


def _gumbel(seed: int, *shape: int) -> Tensor:
    g = torch.Generator().manual_seed(seed & 0x7FFF_FFFF_FFFF_FFFF)
    u = torch.rand(*shape, generator=g).clamp_(1e-9, 1 - 1e-7)
    return -torch.log(-torch.log(u))


def _noise(options: SampleOptions, seeds: np.ndarray, first: int, stop: int, groups: int, codes: int) -> Tensor:
    """Gumbel noise (steps, N, G, codes); every token's own, so that one strip can be drawn anew alone."""
    out = torch.empty(options.steps, stop - first, groups, codes)
    for n in range(first, stop):
        for g in range(groups):
            seed = options.seed if seeds[n, g] < 0 else int(seeds[n, g]) ^ 0x5EED
            out[:, n - first, g] = _gumbel(hash((seed, n, g)), options.steps, codes)
    return out


class _Guided:
    """Logits of a window under guidance; the text branch's part that does not change is computed once."""

    def __init__(self, text: TextBranch, audio: AudioBranch | None, conditions: Conditions, heard: Speech | None, strength: Tensor,
                 options: SampleOptions) -> None:
        self.text, self.audio, self.options = text, audio, options
        self.strength = strength[None, :, :, None]
        self.both = Conditions.stack([conditions.without_text(), conditions])
        if audio is None or heard is None or not bool(heard.given.any()):
            self.audio = None
            return
        n, groups = conditions.given.shape[1:]
        masked = torch.full((2, n, groups), text.config.codes, dtype=torch.long)
        _, layers = text(masked, self.both)
        # where speech alone drives, the text branch speaks as it would if nothing were directed before or after
        _, alone = text(masked[:1], heard.conditions)
        gap = heard.alone[:, None]
        # rows: nothing, text, text and audio
        self.layers = [torch.stack((x[0], y, y)) for x, a in zip(layers, alone, strict=True) for y in [torch.where(gap, a[0], x[1])]]
        self.rows = heard.rows.expand(3, -1, -1)
        self.given = torch.stack((torch.zeros_like(heard.given), torch.zeros_like(heard.given), heard.given))

    def __call__(self, tokens: Tensor) -> Tensor:
        """(1, N, G, codes) of tokens (1, N, G)."""
        o = self.options
        if self.audio is None:
            if o.size.together:
                logits, _ = self.text(tokens.expand(2, -1, -1), self.both)
            else:
                logits = torch.cat([self.text(tokens, self.both.row(n))[0] for n in range(2)])
            nothing, text = logits[:1], logits[1:]
            return nothing + o.text_guidance * self.strength * (text - nothing)
        if o.size.together:
            logits = self.audio(tokens.expand(3, -1, -1), self.rows, self.given, self.layers)
        else:
            logits = torch.cat([self.audio(tokens, self.rows[n:n + 1], self.given[n:n + 1], [x[n:n + 1] for x in self.layers])
                                for n in range(3)])
        nothing, text, full = logits[:1], logits[1:2], logits[2:]
        return nothing + o.text_guidance * self.strength * (text - nothing) + o.audio_guidance * (full - text)


def _decode_window(logits_of: _Guided, known: Tensor, noise: Tensor, options: SampleOptions, tick: Callable[[float], None]) -> Tensor:
    """Fill the tokens (1, N, G) that are -1 in ``known``."""
    codes = noise.shape[-1]
    hidden = known < 0
    tokens = torch.where(hidden, torch.full_like(known, codes), known)
    count = int(hidden.sum())
    for step in range(options.steps):
        if count == 0:
            break
        logits = logits_of(tokens)
        cut = logits.topk(min(options.top, codes), -1).values[..., -1:]
        logits = torch.where(logits < cut, torch.full_like(logits, -math.inf), logits)
        drawn = (logits / max(options.temperature, 1e-4) + (noise[step] if options.temperature > 0 else 0)).argmax(-1)
        left = int(count * math.cos(math.pi / 2 * (step + 1) / options.steps))
        confidence = torch.log_softmax(logits, -1).gather(-1, drawn[..., None])[..., 0]
        confidence = confidence + options.temperature * options.order_noise * (1 - (step + 1) / options.steps) * noise[step, ..., 0]
        still = tokens == codes
        order = torch.where(still, confidence, torch.full_like(confidence, math.inf)).flatten()
        tokens = torch.where(still, drawn, tokens)
        if left > 0:
            again = order.argsort()[:left]
            flat = tokens.flatten()
            flat[again] = codes
            tokens = flat.view_as(tokens)
        tick((step + 1) / options.steps)
    return tokens


def _add_levels(tokens: Tensor, residual: ResidualBranch | None, tokenizer: Tokenizer, conditions: Conditions,
                known: Tensor, noise: Tensor, options: SampleOptions) -> Tensor:
    """Level-0 tokens (1, N, G) to all levels (1, N, G, L)."""
    if residual is None:
        return tokens[..., None]
    levels = [tokens]
    sums = torch.zeros(*tokens.shape, tokenizer.config.code_width, device=tokens.device)
    for level in range(1, tokenizer.config.levels):
        for g, coder in enumerate(tokenizer.coders.values()):
            assert isinstance(coder, PartCoder)
            book = coder.quantizer.books[level - 1]
            sums[:, :, g] += book.codes[levels[-1][:, :, g]]  # type: ignore[index, operator]
        logits = residual(sums, level, conditions)
        if options.residual_temperature > 0:
            logits = logits + options.residual_temperature * noise[level % len(noise)]
        drawn = logits.argmax(-1)
        drawn = torch.where(known[..., level] >= 0, known[..., level], drawn)
        levels.append(drawn)
    return torch.stack(levels, -1)


@torch.inference_mode()
def sample(
    text: TextBranch, audio: AudioBranch | None, residual: ResidualBranch | None, tokenizer: Tokenizer,
    conditions: Conditions, strength: np.ndarray, seeds: np.ndarray, options: SampleOptions, *,
    speech: Speech | None = None, known: Tensor | None = None,
    tick: Callable[[float], None] = lambda _: None,
    window_done: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Tokens (N, G, L) for conditions (1, N, G): window after window, each holding the end of the one before.

    :param speech: what is heard, or None.
    :param known: (N, G, L) tokens that are held, -1 where to draw; None draws all.
    :param tick: receives the fraction done and may raise to cancel.
    :param window_done: receives the tokens so far (n, G, L) after each window; all of them are final.
    """
    total, groups = conditions.given.shape[1:]
    levels = tokenizer.config.levels if residual is not None else 1
    # the noise is drawn on the CPU, so that a seed gives the same on every device up to rounding
    device = next(text.parameters()).device
    conditions, speech = conditions.to(device), None if speech is None else speech.to(device)
    result = torch.full((1, total, groups, levels), -1, dtype=torch.long) if known is None else known[None, :, :, :levels].clone()
    result = result.to(device)
    first = reached = 0
    while True:
        stop = min(first + options.size.window, total)
        part = conditions.slice(first, stop)
        heard = None if speech is None else speech.slice(first, stop)
        force = torch.from_numpy(strength[first:stop]).to(device)
        guided = _Guided(text, audio, part, heard, force, options)
        noise = _noise(options, seeds, first, stop, groups, text.config.codes).to(device)
        known = result[:, first:stop]
        done = max(first, reached)

        def window_tick(fraction: float, done: int = done, stop: int = stop) -> None:
            tick((done + fraction * (stop - done)) / total)

        tokens = _decode_window(guided, known[..., 0], noise, options, window_tick)
        result[:, first:stop] = _add_levels(tokens, residual, tokenizer, part, known, noise, options)
        if window_done is not None:
            window_done(result[0, :stop])
        if stop == total:
            return result[0]
        reached = stop
        first = max(stop - options.size.held, 0)
        # a last window that would be short reaches further back, so that it too sees a full one
        if total - first < options.size.window:
            first = max(0, total - options.size.window)
