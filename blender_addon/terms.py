# SPDX-License-Identifier: GPL-3.0-or-later
"""Which weights perform, and under what terms: chosen in the panel, said there and on every take."""

from collections.abc import Iterable, Sequence
from typing import Any

import bpy

from . import session, takes

__all__ = ["DEFAULT", "draw", "draw_take", "known", "makers", "names", "non_commercial", "sentence"]

DEFAULT = "starter"


def known() -> Sequence[dict[str, Any]]:
    """The weights sets that the bridge said it has; none before it is connected."""
    found: Sequence[dict[str, Any]] = session.desk().link.welcome.get("weights") or ()
    return found


def names(_settings: Any, _context: bpy.types.Context, typed: str) -> Iterable[str]:
    """Names to offer for what has been typed."""
    return [str(s["name"]) for s in known() if typed.lower() in str(s["name"]).lower()] or [DEFAULT]


def non_commercial(generator: dict[str, Any]) -> bool:
    """Whether a description of weights (from the welcome, or from a take's facts) forbids commercial use."""
    return bool(generator.get("non_commercial", False))


def sentence(generator: dict[str, Any]) -> str:
    """One line about such weights, or nothing where anything is allowed."""
    if not non_commercial(generator):
        return ""
    licence = generator.get("licence")
    return f"For non-commercial use only ({licence})" if licence else "For non-commercial use only"


def draw(layout: Any, settings: Any) -> None:
    """The choice, and what it means."""
    layout.prop(settings, "weights")
    chosen = next((s for s in known() if s.get("name") == settings.weights), None)
    if chosen is not None and (text := sentence(chosen)):
        layout.label(text=text, icon="INFO")


def makers(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """All weights that have a part in a take, by its facts: those that made it, and those of the takes that it was made from."""
    made = facts.get("generator") or {}
    found: list[dict[str, Any]] = []
    for each in (made.get("generator"), *(made.get("bases") or ())):
        if isinstance(each, dict) and each and each not in found:
            found.append(each)
    return found


def draw_take(layout: Any, action: Any) -> None:
    """What the shown take may be used for: the terms of all weights that have a part in it."""
    for text in dict.fromkeys(map(sentence, makers(takes.facts_of(action)))):
        if text:
            layout.label(text=text, icon="INFO")
