# SPDX-License-Identifier: Apache-2.0
"""Twenty shots with two broken ones through the real command, bridge and Blender: killed in the middle, and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import psutil
import pytest

from shared.motion import Motion
from tests.conftest import blender_python

ROOT = Path(__file__).resolve().parents[2]
SHOTS, BROKEN, EXPORTED = 20, {"s05", "s09"}, 6
SECONDS = 240.0
SCENE = """
import os, sys, bpy
sys.path.insert(0, sys.argv[1])
bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
import blender_addon
blender_addon.register()
bpy.ops.understudy.add_character()
character = bpy.context.scene.understudy.character
bpy.context.scene.render.fps = 30
# the skeleton alone: it saves and loads in a moment
for thing in [o for o in bpy.data.objects if o != character]:
    bpy.data.objects.remove(thing)
bpy.ops.outliner.orphans_purge(do_recursive=True)
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[2])
blender_addon.unregister()
sys.stdout.flush()
os._exit(0)
"""
LOOK = """
import os, sys, bpy
sys.path.insert(0, sys.argv[1])
import blender_addon
blender_addon.register()
bpy.ops.wm.open_mainfile(filepath=sys.argv[2])
character = bpy.context.scene.understudy.character
print("@look", character.understudy.takes[0].seed, character.animation_data.action.frame_range[1])
sys.stdout.flush()
os._exit(0)
"""
pytestmark = pytest.mark.timeout(600)


def in_blender(code: str, *arguments: str) -> str:
    done = subprocess.run([str(blender_python()), "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def make_table(folder: Path) -> Path:
    """Row 5 names no file that there is, the direction of row 9 ends before it begins."""
    in_blender(SCENE, str(ROOT), str(folder / "shot.blend"))
    (folder / "good.json").write_text('[{"start": 0, "end": 1, "text": "waves"}]')
    (folder / "bad.json").write_text('[{"start": 2, "end": 1, "text": "waves"}]')
    with wave.open(str(folder / "speech.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((8000 * np.sin(np.arange(16000) * 0.1)).astype("<i2").tobytes())
    lines = ["file,character,audio,directions,seed,output,exports"]
    for n in range(SHOTS):
        source = "missing.blend" if n == 5 else "shot.blend"
        words, speech = "bad.json" if n == 9 else "good.json", "speech.wav" if n % 4 == 0 else ""
        exports = f"out/s{n:02d}.npz" if n < EXPORTED else ""
        lines.append(f"{source},,{speech},{words},{n},out/s{n:02d}.blend,{exports}")
    path = folder / "shots.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def start(table: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bridge_server", "batch", str(table), "--python", str(blender_python()), "--jobs", "3",
         "--state-dir", str(table.parent / "state"), "--generator", "tests.addon.tiny_generator:TinyGenerator", "--device", "cpu",
         *arguments],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"})


def states(table: Path) -> dict[str, str]:
    path = table.with_suffix(".report.json")
    return {e["name"]: e["state"] for e in json.loads(path.read_text())["shots"]} if path.is_file() else {}


def of(state: str, found: dict[str, str]) -> set[str]:
    return {name for name, s in found.items() if s == state}


def test_twenty_shots_killed_once_and_resumed(tmp_path: Path) -> None:
    if blender_python() is None:
        pytest.skip("there is no .venv-blender; tools/dev.py test makes it")
    table = make_table(tmp_path)
    first = start(table)
    deadline = time.monotonic() + SECONDS
    while len(states(table)) < 7 and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert first.poll() is None, first.communicate()[0][-3000:]
    children = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = states(table)
    assert 7 <= len(before) < SHOTS
    # what a killed batch has started ends by itself: the bridge, and the Blenders under way
    _, alive = psutil.wait_procs(children, 60)
    assert not alive

    second = start(table)
    output, _ = second.communicate(timeout=SECONDS)
    assert second.returncode == 1, output[-3000:]
    after = states(table)
    assert of("failed", after) == BROKEN and len(of("done", after)) == SHOTS - len(BROKEN)
    skipped = len(of("done", before))
    assert f"{SHOTS - len(BROKEN) - skipped} done, {skipped} skipped, {len(BROKEN)} failed" in output
    assert "missing.blend" in output and "not after its start" in output
    assert {p.name for p in (tmp_path / "out").glob("*.blend")} == {f"{name}.blend" for name in of("done", after)}
    assert len(list((tmp_path / "out").glob("*.npz"))) == len([n for n in range(EXPORTED) if f"s{n:02d}" not in BROKEN])
    assert len(Motion.load(tmp_path / "out/s03.npz")) == 30
    assert "@look 3 30.0" in in_blender(LOOK, str(ROOT), str(tmp_path / "out/s03.blend"))

    # a row that has changed, and one whose file has, are performed again; mended ones as well; Ctrl-C leaves what is finished
    lines = table.read_text().replace("missing.blend", "shot.blend").splitlines()
    lines[1] = lines[1].replace(",0,out", ",77,out")
    table.write_text("\n".join(lines[:12]) + "\n")
    third = start(table)
    output, _ = third.communicate(timeout=SECONDS)
    assert third.returncode == 1 and "2 done, 8 skipped, 1 failed" in output, output[-3000:]
    assert "@look 77" in in_blender(LOOK, str(ROOT), str(tmp_path / "out/s00.blend"))
