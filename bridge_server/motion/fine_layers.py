# SPDX-License-Identifier: Apache-2.0
"""Strips for an arm or the head, performed by themselves to be laid over the body."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch

from bridge_server.text.encoder import TextEncoder
from shared.timeline import Direction

from . import features
from .assembly import FineLayer
from .decoding import Networks, Player
from .draws import Draw, SampleOptions, View
from .layering import ease_window
from .sampler import draw_together
from .scheduling import FINE_PARTS, TOKEN_SECONDS, Plan, plan

__all__ = ["perform_fine"]

_FPS: Final = 30.0


def perform_fine(directions: Sequence[Direction], nets: Networks, encoder: TextEncoder, options: SampleOptions, frames: int, room: int,
                 tick: Callable[[float], None], player: Player | None = None) -> list[FineLayer]:
    """Those of ``directions`` that are for :data:`.scheduling.FINE_PARTS`, in their order; each has the seed after the former's.

    :param frames: of the performance. :param room: tokens that are drawn side by side. :param tick: receives the fraction done.
    """
    fine = [d for d in directions if d.part in FINE_PARTS]
    layers, draws = [], []
    groups = tuple(nets.tokenizer.group_names)
    done = np.zeros(len(fine))
    for n, d in enumerate(fine):
        def drawn_so_far(fraction: float, n: int = n) -> None:
            done[n] = fraction
            tick(float(done.mean()))

        count = math.ceil((d.end - d.start) / TOKEN_SECONDS) + 1
        alone = Direction(0.0, count * TOKEN_SECONDS, d.text, "full", d.strength, d.seed)
        made = plan([alone], count, encoder, speech=None, groups=groups)

        def look(first: int, stop: int, made: Plan = made) -> View:
            return View(made.conditions.slice(first, stop), made.strength[first:stop], made.seeds[first:stop], None)

        draws.append(Draw(count, len(groups), look, options.seed + 1 + n, tick=drawn_so_far))
    # side by side: hundreds of short strips, one pass each, would take longer than a long take
    drawn: dict[int, torch.Tensor] = {}
    for few in _side_by_side(draws, room):
        drawn.update(zip(few, draw_together(nets, [draws[n] for n in few], options, player), strict=True))
    for n, d in enumerate(fine):
        parts = nets.tokenizer.decode_features(drawn[n])
        over = features.decode(parts)[0]
        hands = features.decode_hands(parts.parts["hands"]) if "hands" in parts.parts else None
        first = round(d.start * _FPS)
        length = min(len(over), frames - first, round((d.end - d.start) * _FPS))
        if length > 0:
            layers.append(FineLayer(d.part, first, over[:length], ease_window(length, 0, length - 1) * min(d.strength, 1.0),
                                    None if hands is None else hands[:length]))
    return layers


def _side_by_side(draws: list[Draw], tokens: int) -> list[list[int]]:
    """Which draws go together: those of like length, up to so many tokens in all, or one."""
    found: list[list[int]] = []
    room = 0
    for n in sorted(range(len(draws)), key=lambda k: draws[k].total):
        room -= draws[n].total
        if room < 0 or not found:
            found.append([])
            room = tokens - draws[n].total
        found[-1].append(n)
    return found
