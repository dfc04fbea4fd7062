# SPDX-License-Identifier: Apache-2.0
"""The table of shots and the report, as both sides read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.errors import UnderstudyError
from shared.shots import Outcome, Report, Shot, read_shots, summary

HEADING = "file,character,audio,directions,seed,output,exports\n"


def table(folder: Path, text: str, heading: str = HEADING, encoding: str = "utf-8") -> Path:
    path = folder / "shots.csv"
    path.write_bytes((heading + text).encode(encoding))
    return path


def test_rows_become_shots(tmp_path: Path) -> None:
    shots = read_shots(table(tmp_path, 'a.blend,Ava,"s, 1.wav",d.json,7,out/a.blend,out/a b.fbx; out/a.npz\n\n,,,d.json,,,\n'))
    root = tmp_path.resolve()
    assert shots[0] == Shot(2, str(root / "a.blend"), "Ava", str(root / "s, 1.wav"), str(root / "d.json"), 7,
                            str(root / "out/a.blend"), (str(root / "out/a b.fbx"), str(root / "out/a.npz")))
    assert shots[1].seed is None and shots[1].output == str(root / "row4.blend") and shots[1].row == 4
    assert Shot.from_json(json.loads(json.dumps(shots[0].to_json()))) == shots[0]


def test_without_an_output_the_shot_lies_beside_its_file(tmp_path: Path) -> None:
    assert read_shots(table(tmp_path, "in/a.blend\n", "file\n"))[0].output == str(tmp_path.resolve() / "in/a_take.blend")


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-8"), (",", "utf-8-sig")])
def test_tables_of_other_programs(tmp_path: Path, separator: str, encoding: str) -> None:
    path = table(tmp_path, f"a.blend{separator}Zoë\r\n", f"File {separator}CHARACTER\r\n", encoding)
    assert [s.character for s in read_shots(path)] == ["Zoë"]


@pytest.mark.parametrize(("text", "words"), [
    ("a.blend,,,,x,,\n", "Line 2 of shots.csv has the seed 'x'"), ("a.blend,,,,-1,,\n", "seed '-1'"),
    ("a.blend,,,,4294967296,,\n", "seed"), ("a,,,,,,,\n", "Line 2 of shots.csv has more cells"),
    ("a.blend,,,,,o.blend,\nb.blend,,,,,o.blend,\n", "Lines 2 and 3"), ("a.blend,,,,,a.blend,\n", "its own a.blend"),
    ("a.blend,,,,,b.blend,x.npz\nc.blend,,,,,d.blend,x.npz\n", "write the same file x.npz"), ('a.blend,"x\n', "cannot be read"),
])
def test_mistakes_are_said_with_their_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UnderstudyError) as raised:
        read_shots(table(tmp_path, text))
    assert words in raised.value.message and raised.value.fix and raised.value.code == "file_invalid"


def test_what_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(UnderstudyError, match="unknown column colour"):
        read_shots(table(tmp_path, "", "file,colour\n"))
    with pytest.raises(UnderstudyError, match="unknown column names: none"):
        read_shots(table(tmp_path, "", ""))
    (tmp_path / "shots.csv").write_bytes(b"file\n\xff\xfe")
    with pytest.raises(UnderstudyError, match="cannot be read"):
        read_shots(tmp_path / "shots.csv")
    with pytest.raises(UnderstudyError, match="There is no table"):
        read_shots(tmp_path / "none.csv")


def test_a_shot_is_done_until_something_about_it_changes(tmp_path: Path) -> None:
    (tmp_path / "a.blend").write_bytes(b"1")
    path = table(tmp_path, "a.blend,,,,1,o.blend,o.npz\n")
    shot, = read_shots(path)
    report = Report(tmp_path / "r.json")
    report.put(shot, shot.fingerprint(), "done", 1.0)
    for name in ("o.blend", "o.npz"):
        assert not Report.load(report.path).is_done(shot, shot.fingerprint()), "its files must be there"
        (tmp_path / name).touch()
    assert Report.load(report.path).is_done(shot, shot.fingerprint())
    (tmp_path / "a.blend").write_bytes(b"2")
    assert not report.is_done(shot, shot.fingerprint())
    table(tmp_path, "a.blend,,,,2,o.blend,o.npz\n")
    other, = read_shots(path)
    report.put(other, other.fingerprint(), "failed", 1.0, UnderstudyError("internal", "x."))
    data = json.loads(report.path.read_text())
    assert [e["state"] for e in data["shots"]] == ["failed"] and data["counts"] == {"done": 0, "failed": 1}
    report.path.write_text("{")
    assert Report.load(report.path).entries == {}


def test_summary_is_in_the_order_of_the_table(tmp_path: Path) -> None:
    shots = read_shots(table(tmp_path, "b.blend,,,,,b.blend2,\na.blend,,,,,a.blend2,\n"))
    text = summary([Outcome(shots[1], "failed", 2.0, "why"), Outcome(shots[0], "done", 1.0)])
    lines = text.splitlines()
    assert lines[1].split() == ["b", "done", "1.0"] and lines[2].split() == ["a", "failed", "2.0", "why"]
    assert lines[3] == "1 done, 0 skipped, 1 failed"
