# SPDX-License-Identifier: Apache-2.0
"""What becomes of a batch when its Blenders crash, hang, refuse, lose the bridge or are interrupted; with a stand-in for Blender."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from bridge_server.batch.blender import BlenderCommand, event_of, find_blender
from bridge_server.batch.display import Display
from bridge_server.batch.runner import Runner
from bridge_server.cli.main import main
from shared.errors import UnderstudyError
from shared.shots import Report, read_shots

STAND_IN = BlenderCommand((sys.executable, str(Path(__file__).with_name("stand_in.py"))))


class NoBridge:
    """The stand-in needs none."""

    def __init__(self, folder: Path) -> None:
        self.state_dir = folder
        self.asked = 0

    def __enter__(self) -> NoBridge:
        return self

    def __exit__(self, *details: object) -> None:
        pass

    def ensure(self) -> None:
        self.asked += 1


def make(folder: Path, rows: list[str], **options: Any) -> Runner:
    """A runner of rows ``file,character,output``."""
    (folder / "t.csv").write_text("file,character,output\n" + "".join(f"{row}\n" for row in rows))
    display = Display(io.StringIO(), len(rows))
    values = {"jobs": 2, "logs": folder / "logs", "limit": 60.0, **options}
    bridge: Any = NoBridge(folder)
    return Runner(read_shots(folder / "t.csv"), lambda: STAND_IN, bridge, Report.load(folder / "r.json"), display, **values)


def states(runner: Runner) -> dict[str, str]:
    return {o.shot.name: o.state for o in runner.outcomes}


def test_one_broken_shot_does_not_stop_the_rest(tmp_path: Path) -> None:
    runner = make(tmp_path, [",fine,a.blend", ",crash,b.blend", ",leave,c.blend", ",refuse,d.blend", "none.blend,fine,e.blend",
                             ",fine,f.blend"])
    assert runner.run()
    assert states(runner) == {"a": "done", "b": "failed", "c": "failed", "d": "failed", "e": "failed", "f": "done"}
    told = {o.shot.name: o.remark for o in runner.outcomes}
    assert "signal 9" in told["b"] and "exit code 7" in told["c"] and told["d"] == "No. Yes." and "none.blend" in told["e"]
    log = next((tmp_path / "logs").glob("*-c.log"))
    assert str(log) in told["c"] and "not enough memory" in log.read_text() and "@understudy" not in log.read_text()
    entries = {e["name"]: e for e in Report.load(tmp_path / "r.json").entries.values()}
    assert entries["a"]["frames"] == 30 and entries["d"]["error"]["code"] == "rig_unknown"
    again = make(tmp_path, [",fine,a.blend", ",fine,b.blend", ",refuse,d.blend"])
    assert again.run() and states(again) == {"a": "skipped", "b": "done", "d": "failed"}
    everything = make(tmp_path, [",fine,a.blend"], again=True)
    assert everything.run() and states(everything) == {"a": "done"}


def test_what_was_remarked_about_a_shot_is_told_and_reported(tmp_path: Path) -> None:
    runner = make(tmp_path, [",music,a.blend", ",fine,b.blend"])
    assert runner.run() and states(runner) == {"a": "done", "b": "done"}
    assert {o.shot.name: o.remark for o in runner.outcomes} == {"a": "Music was heard.", "b": ""}
    entries = {e["name"]: e for e in Report.load(tmp_path / "r.json").entries.values()}
    assert entries["a"]["warnings"] == ["Music was heard."] and entries["b"]["warnings"] == []


def test_a_shot_that_hangs_is_ended(tmp_path: Path) -> None:
    runner = make(tmp_path, [",hang,a.blend", ",fine,b.blend"], limit=1.0, jobs=1)
    assert runner.run() and states(runner) == {"a": "failed", "b": "done"}
    assert "not done after" in runner.outcomes[0].remark


def test_a_shot_whose_bridge_died_is_tried_again(tmp_path: Path) -> None:
    runner = make(tmp_path, [",lost,a.blend"])
    assert runner.run() and states(runner) == {"a": "done"}
    entry, = Report.load(tmp_path / "r.json").entries.values()
    assert entry["attempts"] == 2 and runner._bridge.asked == 2  # type: ignore[attr-defined]


def test_a_row_waits_for_the_row_that_writes_its_file(tmp_path: Path) -> None:
    rows = ["b.blend,fine,c.blend", ",slow,a.blend", "a.blend,slow,b.blend"]
    assert make(tmp_path, rows, jobs=3).run()
    assert (tmp_path / "c.blend").read_text() == "made from made from made from "
    again = make(tmp_path, rows, jobs=3)
    assert again.run() and set(states(again).values()) == {"skipped"}
    (tmp_path / "a.blend").write_text("other")
    changed = make(tmp_path, rows, jobs=3)
    assert changed.run() and states(changed) == {"a": "skipped", "b": "done", "c": "done"}
    assert (tmp_path / "c.blend").read_text() == "made from made from other"


@pytest.mark.parametrize("jobs", [1, 3])
def test_at_most_so_many_at_a_time(tmp_path: Path, jobs: int) -> None:
    assert make(tmp_path, [f",slow,s{n}.blend" for n in range(6)], jobs=jobs).run()
    running = most = 0
    for line in (tmp_path / "diary.txt").read_text().splitlines():
        running += 1 if line.startswith("begin") else -1
        most = max(most, running)
    assert most == jobs


def test_an_interrupt_ends_what_was_begun(tmp_path: Path) -> None:
    runner = make(tmp_path, [",fine,a.blend", ",hang,b.blend", ",hang,c.blend", ",fine,d.blend"])

    def interrupt() -> None:
        import _thread

        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and len(Report.load(tmp_path / "r.json").entries) < 1:
            time.sleep(0.02)
        while time.monotonic() < deadline and (tmp_path / "diary.txt").read_text().count("begin") < 3:
            time.sleep(0.02)
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert not runner.run()
    thread.join()
    assert states(runner) == {"a": "done", "b": "stopped", "c": "stopped", "d": "stopped"}
    pids = [int(line.split()[2]) for line in (tmp_path / "diary.txt").read_text().splitlines() if line.startswith("begin")]
    assert not [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).ppid() == os.getpid()]


def test_the_line_of_progress(tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    class Shot:
        name, stage, fraction = "sh010", "body", 0.5

    stream = Terminal()
    display = Display(stream, 4)
    display.running([Shot()], 2, 0)
    assert "25%" in stream.getvalue() and "sh010 body 50%" in stream.getvalue()
    display.close()
    assert stream.getvalue().endswith("\r\033[K")


def test_events_among_blenders_own_talk() -> None:
    assert event_of('@understudy {"a": 1}') == {"a": 1}
    for line in ("Read blend", "@understudy {", "@understudy 3", ' @understudy {"a": 1}'):
        assert event_of(line) is None


def test_no_blender_or_one_without_understudy() -> None:
    with pytest.raises(UnderstudyError, match="cannot be run"):
        find_blender("/no/such/blender")
    with pytest.raises(UnderstudyError, match="knows no Understudy") as raised:
        find_blender(sys.executable)
    assert "zip" in raised.value.fix


def test_check_looks_and_touches_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.csv"
    table.write_text("file,output,exports\na.blend,b.blend,\nb.blend,c.blend,c.mov\n")
    assert main(["batch", str(table), "--check"]) == 1
    said = capsys.readouterr().out
    assert "line 2, b: There is no file" in said and "c.mov cannot be exported" in said and "2 shots, 2 with mistakes" in said
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]
    assert main(["batch", str(tmp_path / "none.csv")]) == 1 and "There is no table" in capsys.readouterr().err
    done = subprocess.run([sys.executable, "-m", "bridge_server", "batch", str(table), "--jobs", "0"], capture_output=True, text=True)
    assert done.returncode == 2
