# SPDX-License-Identifier: GPL-3.0-or-later
"""One line of text being typed: a cursor, whole words, everything selected at first."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LineEdit"]


@dataclass
class LineEdit:
    """The text and its cursor, a place between two letters.

    :ivar all_selected: what is typed next takes the place of everything.
    """

    text: str
    cursor: int = 0
    all_selected: bool = False

    @classmethod
    def begin(cls, text: str) -> LineEdit:
        """Everything selected, the cursor at the end."""
        return cls(text, len(text), bool(text))

    def insert(self, letters: str) -> None:
        """Put letters in at the cursor; line breaks and tabs become blanks."""
        letters = " ".join(letters.splitlines()).replace("\t", " ")
        letters = "".join(c for c in letters if c.isprintable())
        if not letters:
            return
        if self.all_selected:
            self.text, self.cursor = "", 0
        self.text = self.text[:self.cursor] + letters + self.text[self.cursor:]
        self.cursor += len(letters)
        self.all_selected = False

    def erase(self, *, forward: bool = False, word: bool = False) -> None:
        """Take away what is before (or after) the cursor: a letter or a word."""
        if self.all_selected:
            self.text, self.cursor, self.all_selected = "", 0, False
            return
        other = self._next(forward, word)
        low, high = min(self.cursor, other), max(self.cursor, other)
        self.text, self.cursor = self.text[:low] + self.text[high:], low

    def move(self, *, forward: bool, word: bool = False) -> None:
        """The cursor by a letter or a word."""
        self.cursor = (len(self.text) if forward else 0) if self.all_selected else self._next(forward, word)
        self.all_selected = False

    def go(self, place: int) -> None:
        """The cursor to a place; beyond the end is the end."""
        self.cursor, self.all_selected = min(max(place, 0), len(self.text)), False

    def select_all(self) -> None:
        """Select everything."""
        self.cursor, self.all_selected = len(self.text), bool(self.text)

    def _next(self, forward: bool, word: bool) -> int:
        step, place = (1 if forward else -1), self.cursor
        if not word:
            return min(max(place + step, 0), len(self.text))

        def letter(at: int) -> str:
            return self.text[at if forward else at - 1]

        def inside(at: int) -> bool:
            return at < len(self.text) if forward else at > 0

        while inside(place) and letter(place).isspace():
            place += step
        while inside(place) and not letter(place).isspace():
            place += step
        return place
