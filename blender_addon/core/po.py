# SPDX-License-Identifier: GPL-3.0-or-later
"""Translations as gettext's ``.po`` files have them, and sentences with values in them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Sentences", "read_po"]

_QUOTED: Final = r'(?:"(?:[^"\\\n]|\\.)*"\s*)+'
_ENTRY: Final = re.compile(rf"^msgid\s+({_QUOTED})msgstr\s+({_QUOTED})", re.MULTILINE)
_PIECE: Final = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_ESCAPES: Final = {"\\n": "\n", '\\"': '"', "\\\\": "\\", "\\t": "\t"}


def _unquoted(block: str) -> str:
    text = "".join(_PIECE.findall(block))
    return re.sub(r"\\.", lambda m: _ESCAPES.get(m[0], m[0]), text) if "\\" in text else text


def read_po(text: str) -> dict[str, str]:
    """Text -> translation, of those that are translated. Plural forms and contexts are not used here."""
    entries = ((_unquoted(source), _unquoted(target)) for source, target in _ENTRY.findall(text))
    return {source: target for source, target in entries if source and target}


class Sentences:
    """Translates sentences that values have been put into, by the patterns they were made from."""

    def __init__(self, table: dict[str, str]) -> None:
        self.table = table
        self._patterns: list[tuple[re.Pattern[str], str]] | None = None

    def __call__(self, text: str) -> str:
        """The translation, or the text itself."""
        if text in self.table:
            return self.table[text]
        if self._patterns is None:
            # those with the most words of their own first
            templates = sorted((t for t in self.table if "{}" in t), key=lambda t: -len(t.replace("{}", "")))
            self._patterns = [(re.compile("(.*?)".join(map(re.escape, t.split("{}"))), re.DOTALL), self.table[t]) for t in templates]
        for pattern, translation in self._patterns:
            match = pattern.fullmatch(text)
            if match is not None:
                # what was put in may be a clause that is translated by itself
                return translation.format(*(self.table.get(value, value) for value in match.groups()))
        return text
