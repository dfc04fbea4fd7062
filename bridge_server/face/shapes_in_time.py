# SPDX-License-Identifier: Apache-2.0
"""Phonemes with times as mouth shapes with times, one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["split_shapes"]

_SHORT_PAUSE: Final = 0.06
"""Seconds; a silence this short inside speech is a closure or a release and counts to the sound before it."""


def split_shapes(phones: Iterable[tuple[float, float, str, tuple[str, ...]]]) -> list[tuple[float, float, str, str]]:
    """Phonemes (start, end, name, visemes) as (start, end, viseme, name), one viseme each.

    Diphthongs are cut at 55 %, sounds without a shape are given to the next, very short silences to the one before.
    """
    out: list[tuple[float, float, str, str]] = []
    waiting: float | None = None
    for start, end, name, shapes in phones:
        if shapes == ("sil",) and out and end - start < _SHORT_PAUSE and out[-1][2] != "sil":
            out[-1] = (out[-1][0], end, *out[-1][2:])
            continue
        if not shapes:
            waiting = start if waiting is None else waiting
            continue
        if waiting is not None:
            start, waiting = waiting, None
        cuts = [start, end] if len(shapes) == 1 else [start, start + 0.55 * (end - start), end]
        for k, shape in enumerate(shapes[:2]):
            if cuts[k + 1] > cuts[k]:
                out.append((cuts[k], cuts[k + 1], shape, name))
    return out
