# SPDX-License-Identifier: Apache-2.0
"""Windows of tokens, several performances side by side, by parallel masked decoding (MaskGIT, Chang et al. 2022).

Nothing here asks a device for a number: how many tokens are left after each step follows from what was known before, so the
host only queues work. On a GPU the step is recorded once for each shape and played again (:mod:`.graphs`); so that there are few
shapes, windows are padded to fixed lengths, and batches to fixed counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

from .audio_branch import AudioBranch
from .conditions import Conditions
from .draws import SampleOptions, Size, Speech, View
from .guidance import Asked, ask, guided
from .residual import ResidualBranch
from .text_branch import TextBranch
from .tokenizer import PartCoder, Tokenizer

__all__ = ["COUNTS", "LENGTHS", "Networks", "Player", "Window", "batch_room", "fill", "padded_to"]

LENGTHS: Final = (18, 36, 54, 72)
"""Tokens to which windows are padded on a GPU."""
COUNTS: Final = (1, 2, 4, 8, 16, 32, 64)
"""Performances to which batches are padded on a GPU."""
_ROOM_CPU: Final = 8
"""Performances side by side on a CPU, which more would not make faster."""
_PASSES: Final = 3
"""Passes that guidance takes."""


@dataclass
class Networks:
    """What draws, on one device."""

    text: TextBranch
    audio: AudioBranch | None
    residual: ResidualBranch | None
    tokenizer: Tokenizer

    @property
    def device(self) -> torch.device:
        """Where all of them are."""
        return next(self.text.parameters()).device

    @property
    def levels(self) -> int:
        """Levels of the tokens that they draw."""
        return self.tokenizer.config.levels if self.residual is not None else 1


class Player(Protocol):
    """Runs a function of tensors, perhaps by playing what it recorded of an earlier call with the same key."""

    def __call__(self, key: tuple[object, ...], function: Callable[[Sequence[Tensor]], Tensor], inputs: Sequence[Tensor]) -> Tensor: ...


@dataclass
class Window:
    """One performance's part of a batch.

    :ivar view: its conditions, N tokens. :ivar known: (N, G, L) on the device, -1 where to draw.
    :ivar hidden: (N, G) bool on the host, where level 0 is to be drawn. :ivar noise_seeds: (N, G) int64.
    """

    view: View
    known: Tensor
    hidden: np.ndarray
    noise_seeds: np.ndarray

    def __len__(self) -> int:
        return len(self.hidden)


def padded_to(value: int, sizes: Sequence[int]) -> int:
    """The least of the sizes that holds ``value``; itself where none does."""
    return next((s for s in sizes if s >= value), value)


def batch_room(nets: Networks, size: Size) -> int:
    """How many performances fit side by side on the networks' device: on a GPU by the memory that is free."""
    c = nets.text.config
    layer = size.window * c.width * 16 + c.heads * size.window ** 2
    logits = size.window * c.groups * c.codes * (5 * _PASSES + SampleOptions.steps)
    each = 4 * (_PASSES * layer + logits + _PASSES * c.layers * size.window * c.width)
    if nets.device.type != "cuda":
        return _ROOM_CPU
    # half for what is freed late, and twice over for inputs that a recorded step keeps
    return max(1, min(COUNTS[-1], int(torch.cuda.mem_get_info(nets.device)[0] // (4 * each))))


def _pad(x: Tensor, dim: int, length: int) -> Tensor:
    if x.shape[dim] == length:
        return x
    shape = list(x.shape)
    shape[dim] = length - shape[dim]
    return torch.cat((x, x.new_zeros(shape)), dim)


def _conditions(items: Sequence[Conditions], length: int, device: torch.device) -> Conditions:
    return Conditions(*(torch.cat([_pad(getattr(c, name), 1, length) for c in items]).to(device, non_blocking=True)
                        for name in ("text", "since", "until", "given")))


def _speech(items: Sequence[Speech], length: int, device: torch.device) -> Speech:
    """All of a batch: ``given`` and ``alone`` become (B, N)."""
    return Speech(torch.cat([_pad(s.rows, 1, 8 * length) for s in items]).to(device, non_blocking=True),
                  torch.stack([_pad(s.given, 0, length) for s in items]).to(device, non_blocking=True),
                  _conditions([s.conditions for s in items], length, device),
                  torch.stack([_pad(s.alone, 0, length) for s in items]).to(device, non_blocking=True))


def _step(nets: Networks, tokens: Tensor, noise: Tensor, share: Tensor, left: Tensor, asked: Asked, options: SampleOptions) -> Tensor:
    """Tokens (B, N, G) after one step: all that are masked are drawn, and the least sure masked again.

    :param noise: (B, N, G, codes). :param share: (), how much of it joins the order. :param left: (B, 1), how many stay masked.
    """
    codes = noise.shape[-1]
    logits = guided(nets.text, nets.audio, tokens, asked, options)
    cut = logits.topk(min(options.top, codes), -1).values[..., -1:]
    logits = torch.where(logits < cut, -math.inf, logits)
    drawn = (logits / asked.temperature.clamp_min(1e-4) + noise * (asked.temperature > 0)).argmax(-1)
    confidence = torch.log_softmax(logits, -1).gather(-1, drawn[..., None])[..., 0]
    confidence = confidence + share * asked.temperature[..., 0] * noise[..., 0]
    still = tokens == codes
    order = torch.where(still, confidence, math.inf).flatten(1).argsort(1)
    again = torch.zeros_like(order, dtype=torch.bool).scatter(1, order, torch.arange(order.shape[1], device=order.device) < left)
    return torch.where(again.view_as(tokens), codes, torch.where(still, drawn, tokens))


def _add_levels(nets: Networks, tokens: Tensor, conditions: Conditions, known: Tensor, noise: Tensor, valid: Tensor | None,
                options: SampleOptions) -> Tensor:
    """Level-0 tokens (B, N, G) to all levels (B, N, G, L)."""
    if nets.residual is None:
        return tokens[..., None]
    levels = [tokens]
    sums = torch.zeros(*tokens.shape, nets.tokenizer.config.code_width, device=tokens.device)
    asked = nets.residual.conditions(conditions)
    mask = None if valid is None else valid[:, None, None]
    for level in range(1, nets.levels):
        for g, coder in enumerate(nets.tokenizer.coders.values()):
            assert isinstance(coder, PartCoder)
            book = coder.quantizer.books[level - 1]
            sums[:, :, g] += book.codes[levels[-1][:, :, g]]  # type: ignore[index, operator]
        logits = nets.residual.under(sums, level, asked, mask)
        if options.residual_temperature > 0:
            logits = logits + options.residual_temperature * noise[level % len(noise)]
        drawn = logits.argmax(-1)
        levels.append(torch.where(known[..., level] >= 0, known[..., level], drawn))
    return torch.stack(levels, -1)


def fill(nets: Networks, windows: Sequence[Window], make_noise: Callable[[np.ndarray, np.ndarray], Tensor], options: SampleOptions,
         tick: Callable[[float], None], *, length: int, count: int, player: Player | None = None) -> Tensor:
    """Tokens (B, length, G, L) of windows that all follow speech, or none of which does.

    :param make_noise: gives (steps, B, length, G, codes) for seeds and places (B, length, G). :param tick: receives the fraction done.
    :param length: tokens to which each is padded. :param count: performances to which the batch is; both at least what there is.
    """
    device, codes, steps = nets.device, nets.text.config.codes, options.steps
    rows = [*windows, *[windows[0]] * (count - len(windows))]
    even = player is None and all(len(w) == length for w in rows)
    hidden = np.stack([np.pad(w.hidden, ((0, length - len(w)), (0, 0))) for w in rows])
    hidden[len(windows):] = False
    wanted = hidden.sum((1, 2))
    valid = None if even else torch.from_numpy(np.arange(length) < np.array([[len(w)] for w in rows])).to(device, non_blocking=True)
    known = torch.stack([_pad(w.known, 0, length) for w in rows])
    conditions = _conditions([w.view.conditions for w in rows], length, device)
    strength = torch.stack([_pad(torch.from_numpy(w.view.strength), 0, length) for w in rows]).to(device, non_blocking=True)
    said = [w.view.speech for w in rows if w.view.speech is not None]
    asked = ask(nets.text, nets.audio, conditions, _speech(said, length, device) if said else None, strength, valid, options)
    seeds = np.stack([np.pad(w.noise_seeds, ((0, length - len(w)), (0, 0))) for w in rows])
    noise = make_noise(seeds, hidden)
    part = [math.cos(math.pi / 2 * (k + 1) / steps) for k in range(steps)]
    left = torch.from_numpy(np.array([[[int(c * p)] for c in wanted] for p in part])).to(device, non_blocking=True)
    shares = torch.tensor([options.order_noise * (1 - (k + 1) / steps) for k in range(steps)]).to(device, non_blocking=True)
    # rows that only fill a batch up are drawn nothing, whatever is known of them
    tokens = torch.where(torch.from_numpy(hidden).to(device, non_blocking=True), codes, known[..., 0].clamp_min(0))
    key = (len(rows), length, asked.text is None, options.audio_guidance, options.top, options.size.together)

    def step(inputs: Sequence[Tensor]) -> Tensor:
        return _step(nets, inputs[0], inputs[1], inputs[2], inputs[3], asked.like(inputs[4:]), options)

    for k in range(steps if wanted.any() else 0):
        inputs = [tokens, noise[k], shares[k], left[k], *asked.tensors()]
        tokens = step(inputs) if player is None else player(key, step, inputs)
        tick((k + 1) / steps)
    return _add_levels(nets, tokens, conditions, known, noise, valid, options)
