# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bridge remarked about a result that came all the same: a transcript that does not fit, music, two voices.

Such sentences stand where their result stands: those about a performance under its take, those about words under the transcript.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import bpy

from . import sidebar, takes, translations

__all__ = ["draw_take", "note", "of_take", "report", "sentences"]

_log = logging.getLogger("understudy.remarks")


def sentences(metadata: dict[str, Any]) -> list[str]:
    """The remarks in what a result says of itself; whatever is no sentence is left out, whoever made the bridge."""
    found = metadata.get("warnings")
    told = [w.strip() for w in found if isinstance(w, str) and w.strip()] if isinstance(found, list | tuple) else []
    return list(dict.fromkeys(told))


def of_take(action: Any) -> list[str]:
    """The remarks about the performance that a take came from."""
    made = takes.facts_of(action).get("generator")
    return sentences(made) if isinstance(made, dict) else []


def note(about: str, told: Iterable[str]) -> None:
    """Write remarks into the log. :param about: the character's name."""
    for sentence in told:
        _log.warning("%s: %s", about, sentence)


def report(operator: Any, told: Sequence[str]) -> None:
    """Let an operator report remarks; it has succeeded nevertheless."""
    for sentence in told:
        operator.report({"WARNING"}, translations.sentence(sentence))


def draw_take(layout: Any, context: bpy.types.Context, action: Any) -> None:
    """The remarks about the shown take."""
    for sentence in of_take(action):
        sidebar.paragraph(layout, context, translations.sentence(sentence), "INFO")
