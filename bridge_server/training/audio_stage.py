# SPDX-License-Identifier: Apache-2.0
"""Stage 3: the audio branch over the frozen text branch (METHOD.md point 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bridge_server.audio.activity import speech_activity
from bridge_server.motion.audio_branch import AudioBranch
from bridge_server.motion.conditions import Conditions
from bridge_server.motion.text_branch import BranchConfig, TextBranch

from .loop import RunOptions, train
from .masking import corrupt, draw_mask
from .sequences import TokenSet
from .text_stage import masked_loss

__all__ = ["spoken_tokens", "train_audio_branch"]


def spoken_tokens(audio: Tensor) -> Tensor:
    """(B, N) bool of audio features (B, 8 N, width)."""
    return torch.stack([torch.from_numpy(speech_activity(a.float().numpy())) for a in audio])


def _splice(tokens: Tensor, layers: list[Tensor], many: int, count: int, generator: torch.Generator) -> Tensor:
    """Put directed motion before or after the speech in the first ``count`` of the ``many`` speech sequences, in place.

    What the text branch says of each part is spliced too, from where it stood alone, as the sampler does.

    :returns: (B, N) bool, the tokens about each splice, where two motions meet that do not fit.
    """
    batch, length = tokens.shape[:2]
    donor = many + torch.randint(batch - many, (count,), generator=generator)
    cut = torch.randint(length // 5, length - length // 5, (count, 1), generator=generator)
    position = torch.arange(length)[None]
    taken = (position < cut) ^ (torch.rand(count, 1, generator=generator) < 0.5)
    for x in (tokens, *layers):
        x[:count] = torch.where(taken[..., None].to(x.device), x[donor.to(x.device)], x[:count])
    seam = torch.zeros(batch, length, dtype=torch.bool)
    seam[:count] = (position - cut).abs() < 3
    return seam


def train_audio_branch(
    speech: TokenSet, directed: TokenSet, speech_validation: TokenSet, text: TextBranch, config: BranchConfig, options: RunOptions,
    batch: int = 32, directed_share: float = 0.4, spliced_share: float = 0.25,
) -> AudioBranch:
    """Masked-token modelling of performances with their speech; the text branch is frozen.

    The paper trains with the fixed sentence alone. Here a share of every batch is directed motion that hears
    speech which has nothing to do with it: from it the branch learns that directions outlast speech. Another share is
    spliced: directed for a while, then speech alone, or the other way round, as takes on a timeline are.
    Layers and token tables start from the text branch's, since both speak the same tokens.
    """
    assert speech.audio is not None and speech_validation.audio is not None
    torch.manual_seed(options.seed)
    text = text.eval().requires_grad_(False).to(options.device)
    model = AudioBranch(config).to(options.device)
    for name in ("tokens", "layers", "heads"):
        getattr(model, name).load_state_dict(getattr(text, name).state_dict())
    generator = torch.Generator().manual_seed(options.seed)
    spoken = spoken_tokens(speech.audio)
    spoken_validation = spoken_tokens(speech_validation.audio)

    @torch.no_grad()
    def advice(conditions: Conditions) -> list[Tensor]:
        # the text branch sees no tokens, only directions: so it is computed once per window when performing
        masked = torch.full(conditions.given.shape, config.codes, dtype=torch.long, device=options.device)
        return text(masked, conditions.to(options.device))[1]

    def loss_of(m: AudioBranch, tokens: Tensor, layers: list[Tensor], rows: Tensor, given: Tensor, g: torch.Generator,
                wrong: float, seam: Tensor | None = None) -> Tensor:
        d = options.device
        mask = draw_mask((len(tokens), tokens.shape[1], tokens.shape[2]), g)
        hidden = corrupt(tokens, mask, config.codes, g, wrong)
        if seam is not None:
            # what lies across a splice is never shown and never asked for
            hidden = torch.where(seam[..., None], torch.full_like(hidden, config.codes), hidden)
            mask = mask & ~seam[..., None]
        return masked_loss(m(hidden.to(d), rows.to(d), given.to(d), layers), tokens.to(d), mask.to(d))

    def step() -> tuple[Tensor, dict[str, float]]:
        assert speech.audio is not None
        many = int(batch * (1 - directed_share))
        a = torch.randint(len(speech), (many,), generator=generator)
        b = torch.randint(len(directed), (batch - many,), generator=generator)
        other = torch.randint(len(speech), (batch - many,), generator=generator)
        tokens = torch.cat((speech.tokens[a, :, :, 0], directed.tokens[b, :, :, 0])).long()
        conditions = Conditions.stack([speech.conditions(a, generator, 0.1, 0.0), directed.conditions(b, generator, 0.1)])
        rows = torch.cat((speech.audio[a].float(), speech.audio[other].float()))
        # loudness is not always the same, and some of the time nothing is heard at all (for guidance)
        rows = rows + 0.1 * torch.randn(batch, 1, rows.shape[-1], generator=generator)
        heard = torch.rand(batch, 1, generator=generator) > torch.where(torch.arange(batch)[:, None] < many, 0.12, 0.3)
        given = torch.cat((spoken[a], spoken[other])) & heard
        layers = advice(conditions)
        seam = _splice(tokens, layers, many, int(batch * spliced_share), generator)
        return loss_of(model, tokens, layers, rows, given, generator, 0.08, seam), {}

    @torch.no_grad()
    def validate(m: nn.Module) -> dict[str, float]:
        assert isinstance(m, AudioBranch) and speech_validation.audio is not None
        result = {}
        for name, hear in (("loss", True), ("loss_without_audio", False)):
            g = torch.Generator().manual_seed(1)
            losses = []
            for start in range(0, len(speech_validation), 64):
                rows = torch.arange(start, min(start + 64, len(speech_validation)))
                given = spoken_validation[rows] if hear else torch.zeros_like(spoken_validation[rows])
                layers = advice(speech_validation.conditions(rows, g, 0.0, 0.0))
                losses.append(loss_of(m, speech_validation.tokens[rows, :, :, 0].long(), layers,
                                      speech_validation.audio[rows].float(), given, g, 0.0))
            result[name] = float(torch.stack(losses).mean())
        return result

    model.load_state_dict(train(model, step, options, validate, better="loss"))
    return model.eval()
