# SPDX-License-Identifier: Apache-2.0
"""Shots in one Blender without a window: broken ones, killed in the middle, resumed; and the script.

Twenty shots by several Blenders are in ``tests/batch``.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bpy

from .conftest import ROOT, open_character


def make_table(folder: Path, shots: int = 8) -> Path:
    """Rows with the project's own character saved once; row 2 has no file, row 5 a direction that ends before it begins."""
    bpy.ops.understudy.add_character()
    bpy.context.scene.render.fps = 30
    # the skeleton alone: it saves and loads in a moment
    for thing in [o for o in bpy.data.objects if o.type != "ARMATURE"]:
        bpy.data.objects.remove(thing)
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    (folder / "good.json").write_text('[{"start": 0, "end": 1, "text": "waves"}]')
    (folder / "bad.json").write_text('[{"start": 2, "end": 1, "text": "waves"}]')
    path = folder / "shots.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "character", "audio", "directions", "seed", "output", "exports"))
        for n in range(shots):
            source = "missing.blend" if n == 2 else "shot.blend"
            words = "bad.json" if n == 5 else "good.json"
            writer.writerow((source, "", "", words, n, f"out/s{n:02d}.blend", f"out/s{n:02d}.npz"))
    return path


def start(table: Path, state: Path) -> subprocess.Popen[str]:
    script = str(ROOT / "blender_addon/headless.py")
    program = bpy.app.binary_path  # empty in the wheel
    start = [program, "-b", "--factory-startup", "-P", script, "--"] if program else [sys.executable, script]
    return subprocess.Popen([*start, "batch", str(table)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env={**os.environ, "UNDERSTUDY_STATE_DIR": str(state)})


def states(table: Path) -> dict[str, str]:
    path = table.with_suffix(".report.json")
    return {e["name"]: e["state"] for e in json.loads(path.read_text())["shots"]} if path.is_file() else {}


def test_shots_killed_once_and_resumed(addon: Any, bridge: Any, state: Path, tmp_path: Path) -> None:
    table = make_table(tmp_path)
    first = start(table, state)
    deadline = time.monotonic() + 120
    while len(states(table)) < 3 and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    before = states(table)
    assert 3 <= len(before) < 8
    second = start(table, state)
    output, _ = second.communicate(timeout=200)
    assert second.returncode == 1, output[-3000:]
    after = states(table)
    assert len(after) == 8 and sorted(n for n, s in after.items() if s == "failed") == ["s02", "s05"]
    finished = sum(1 for s in before.values() if s == "done")
    assert f"{6 - finished} done, {finished} skipped, 2 failed" in output
    assert "missing.blend" in output and "after its start" in output
    seeds = [r.seed for r in bridge.requests]
    # at most the shot that was under way when the first run was killed is asked for twice
    assert set(seeds) == set(range(8)) - {2, 5} and len(seeds) <= 7
    assert not list((tmp_path / "out").glob("*.part*"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "out/s03.blend"))
    character = bpy.context.scene.understudy.character
    assert character.understudy.takes[0].seed == 3 and character.animation_data.action is not None


def test_generate_in_the_opened_file(addon: Any, bridge: Any, tmp_path: Path) -> None:
    from blender_addon.commands import main

    character = open_character("mixamo_arkit")
    (tmp_path / "d.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nbows\n")
    bpy.context.scene.understudy.character = None
    assert main(["generate", "--directions", str(tmp_path / "d.srt"), "--seed", "4", "--output", str(tmp_path / "o.blend"),
                 "--export", str(tmp_path / "m.bvh")]) == 0
    assert (tmp_path / "o.blend").is_file() and (tmp_path / "m.bvh").is_file() and bridge.requests[0].seed == 4
    assert main(["generate", "--character", "Nobody"]) == 1
    assert main(["nonsense"]) == 2
    assert character.name
