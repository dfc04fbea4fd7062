# SPDX-License-Identifier: Apache-2.0
"""Logits of a window under guidance by text and by speech, for any number of performances side by side.

Only tokens change from step to step. Embedded conditions, the convolutions over the sound and the layers of the text branch
that the audio branch takes in are made once a window, and given to the steps as plain tensors, so that a step can be recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .audio_branch import AudioBranch
from .conditions import Conditions
from .draws import SampleOptions, Speech
from .scheduling import NEVER
from .text_branch import TextBranch

__all__ = ["Asked", "ask", "guided"]


@dataclass
class Asked:
    """What a window's steps take in, B performances of N tokens.

    :ivar strength: (B, N, G, 1), the guidance by text. :ivar temperature: (B, N, G, 1), of the choice of each token.
    :ivar mask: (B, 1, 1, N) bool, False at padding; None: there is none.
    :ivar text: (2 B, N, width) conditions, nothing and then what is asked; None where speech is followed.
    :ivar heard: (3 B, N, width) sound for nothing, text alone, text and sound; None without speech.
    :ivar layers: the text branch's layers (3 B, N, width) likewise.
    """

    strength: Tensor
    temperature: Tensor
    mask: Tensor | None
    text: Tensor | None = None
    heard: Tensor | None = None
    layers: tuple[Tensor, ...] = ()

    def tensors(self) -> list[Tensor]:
        """All that there are, always in the same order."""
        return [x for x in (self.strength, self.temperature, self.mask, self.text, self.heard, *self.layers) if x is not None]

    def like(self, tensors: Sequence[Tensor]) -> Asked:
        """The same made of other tensors, in the order of :meth:`tensors`."""
        rest = iter(tensors)
        one = [None if x is None else next(rest) for x in (self.strength, self.temperature, self.mask, self.text, self.heard)]
        assert one[0] is not None and one[1] is not None
        return Asked(one[0], one[1], one[2], one[3], one[4], tuple(rest))


def ask(text: TextBranch, audio: AudioBranch | None, conditions: Conditions, heard: Speech | None, strength: Tensor,
        valid: Tensor | None, options: SampleOptions) -> Asked:
    """Make ready what does not change in a window.

    :param conditions: (B, N, G). :param strength: (B, N, G). :param valid: (B, N) bool, False at padding.
    :param heard: of all performances, stacked along the batch (``given`` and ``alone`` (B, N)); None follows no speech.
    """
    mask = None if valid is None else valid[:, None, None]
    twice = None if mask is None else mask.repeat(2, 1, 1, 1)
    asked = text.conditions(Conditions.stack([conditions.without_text(), conditions]))
    undirected = (conditions.since == NEVER) & (conditions.until == NEVER)
    strength = (strength * torch.where(undirected, options.undirected_guidance, options.text_guidance))[..., None]
    temperature = torch.where(undirected, options.undirected_temperature, options.temperature)[..., None]
    if audio is None or heard is None:
        return Asked(strength, temperature, mask, asked)
    b, n, groups = conditions.given.shape
    masked = torch.full((2 * b, n, groups), text.config.codes, dtype=torch.long, device=asked.device)
    _, layers = text.under(masked, asked, twice)
    # where speech alone drives, the text branch speaks as it would if nothing were directed before or after
    _, alone = text.under(masked[:b], text.conditions(heard.conditions), mask)
    gap = heard.alone[..., None]
    # rows: nothing, text, text and audio
    three = tuple(torch.cat((x[:b], y, y)) for x, a in zip(layers, alone, strict=True) for y in [torch.where(gap, a, x[b:])])
    sound = audio.audio(heard.rows, heard.given, valid)
    nothing = audio.audio.none.expand_as(sound)
    return Asked(strength, temperature, mask, None, torch.cat((nothing, nothing, sound)), three)


def guided(text: TextBranch, audio: AudioBranch | None, tokens: Tensor, asked: Asked, options: SampleOptions) -> Tensor:
    """Logits (B, N, G, codes) of tokens (B, N, G)."""
    b = len(tokens)
    # the passes at once or one by one
    together = options.size.together

    def mask(passes: int) -> Tensor | None:
        return None if asked.mask is None else asked.mask.repeat(passes, 1, 1, 1)

    if asked.text is not None:
        if together:
            logits, _ = text.under(tokens.repeat(2, 1, 1), asked.text, mask(2))
        else:
            logits = torch.cat([text.under(tokens, asked.text[k * b:k * b + b], mask(1))[0] for k in range(2)])
        nothing, told = logits[:b], logits[b:]
        return nothing + asked.strength * (told - nothing)
    assert audio is not None and asked.heard is not None
    if together:
        logits = audio.hearing(tokens.repeat(3, 1, 1), asked.heard, list(asked.layers), mask(3))
    else:
        logits = torch.cat([audio.hearing(tokens, asked.heard[k * b:k * b + b], [x[k * b:k * b + b] for x in asked.layers], mask(1))
                            for k in range(3)])
    nothing, told, full = logits[:b], logits[b:2 * b], logits[2 * b:]
    return nothing + asked.strength * (told - nothing) + options.audio_guidance * (full - told)
