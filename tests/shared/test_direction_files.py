# SPDX-License-Identifier: Apache-2.0
"""Directions in CSV, SRT, WebVTT and JSON."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shared.direction_files import SUFFIXES, dumps, load, loads, save
from shared.errors import UnderstudyError
from shared.timeline import Direction

DIRECTIONS = [
    Direction(0.0, 2.5, "walks forward", "full", 1.25, 7), Direction(61.25, 3723.5, 'waves, "hello"', "right_arm"),
]


def plain(directions: list[Direction]) -> list[Direction]:
    return [replace(d, uuid="") for d in directions]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"d{suffix}"
    save(DIRECTIONS, path)
    expected = DIRECTIONS if suffix in (".json", ".csv") else [replace(d, strength=1.0, seed=None) for d in DIRECTIONS]
    assert plain(load(path)) == plain(expected)
    assert not list(tmp_path.glob("*.part"))


def test_subtitles_as_others_write_them() -> None:
    srt = ("\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>sits</i>\r\ndown\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000\r\n"
           "[Left arm] points\r\n")
    assert plain(loads(srt, ".srt")) == plain([Direction(1, 2.5, "sits down"), Direction(3, 4, "points", "left_arm")])
    vtt = ("WEBVTT - title\n\nNOTE a remark\n\nintro\n00:01.000 --> 00:02.000 align:start\njumps\n\n"
           "01:00:03.000 --> 01:00:04.000\nbows")
    assert plain(loads(vtt, ".vtt")) == plain([Direction(1, 2, "jumps"), Direction(3603, 3604, "bows")])


def test_tables_as_others_write_them() -> None:
    table = "Start;End;Text;Enabled\n0,5;2;waves;yes\n0:03.5;1:02;sits;no\n;;;\n"
    assert plain(loads(table, ".csv")) == plain([Direction(0.5, 2, "waves"), Direction(3.5, 62, "sits", enabled=False)])


@pytest.mark.parametrize(("text", "suffix", "code", "words"), [
    ("start,end\n1,2\n", ".csv", "direction_invalid", "Line 2"),
    ("start,end,text\nx,2,sits\n", ".csv", "direction_invalid", "Line 2"),
    ("nothing here", ".srt", "direction_invalid", "no directions"), ("{", ".json", "direction_invalid", "JSON"),
    ("", ".doc", "unsupported", ".json"), ("start,end,text\n3,2,sits\n", ".csv", "direction_invalid", "after its start"),
])
def test_what_cannot_be_read_is_said(text: str, suffix: str, code: str, words: str) -> None:
    with pytest.raises(UnderstudyError) as caught:
        loads(text, suffix)
    assert caught.value.code == code and words in str(caught.value)


def test_muted_strips_are_no_subtitles() -> None:
    assert "bows" not in dumps([Direction(0, 1, "bows", enabled=False), Direction(1, 2, "sits")], ".srt")
