# SPDX-License-Identifier: Apache-2.0
"""A line being typed."""

from __future__ import annotations

from blender_addon.core.line_edit import LineEdit


def test_typing_replaces_everything_then_goes_on() -> None:
    line = LineEdit.begin("walks forward")
    assert line.all_selected and line.cursor == 13
    line.insert("j")
    line.insert("umps\tüber\nStühle\x07")
    assert (line.text, line.cursor, line.all_selected) == ("jumps über Stühle", 17, False)
    line.insert("")
    line.select_all()
    line.erase()
    assert (line.text, line.cursor) == ("", 0)
    line.erase(forward=True)
    line.move(forward=True, word=True)
    assert line.text == ""


def test_the_cursor_moves_by_letters_and_words() -> None:
    line = LineEdit.begin("a person waves")
    line.move(forward=False)
    assert line.cursor == 0
    line.move(forward=True, word=True)
    assert line.cursor == 1
    line.move(forward=True, word=True)
    assert line.cursor == 8
    line.erase(word=True)
    assert (line.text, line.cursor) == ("a  waves", 2)
    line.erase(forward=True)
    line.erase(forward=True, word=True)
    assert (line.text, line.cursor) == ("a ", 2)
    line.go(99)
    line.insert("man")
    line.go(0)
    line.move(forward=False)
    line.insert("see ")
    assert (line.text, line.cursor) == ("see a man", 4)
