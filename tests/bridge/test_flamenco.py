# SPDX-License-Identifier: Apache-2.0
"""The Flamenco job type: its syntax, and the commands that it emits."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "flamenco" / "understudy_perform.js"
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed; it stands in for Flamenco's interpreter")
STAND_IN = """
const fs = require("fs"), vm = require("vm");
const author = {
    Task: (name, type) => ({name, type, commands: [], after: [], addCommand(c) { this.commands.push(c); },
                            addDependency(t) { this.after.push(t.name); }}),
    Command: (name, parameters) => ({name, parameters}),
};
const tasks = [], context = vm.createContext({author});
const source = fs.readFileSync(process.argv[1], "utf8");
vm.runInContext(source + "\\n;this.JOB_TYPE = JOB_TYPE; this.compileJob = compileJob;", context);
let error = null;
try {
    context.compileJob({settings: JSON.parse(process.argv[2]), addTask: t => tasks.push(t)});
} catch (e) { error = e.message; }
console.log(JSON.stringify({type: context.JOB_TYPE, tasks, error}));
"""


def compiled(**settings: Any) -> dict[str, Any]:
    assert NODE is not None
    done = subprocess.run(
        [NODE, "-e", STAND_IN, str(SCRIPT), json.dumps(settings)], capture_output=True, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_syntax() -> None:
    assert NODE is not None
    assert subprocess.run([NODE, "--check", str(SCRIPT)], check=False).returncode == 0


def test_settings_are_of_flamencos_types() -> None:
    for setting in compiled(shots="a.blend")["type"]["settings"]:
        assert setting["type"] in ("string", "int32", "float", "bool") and setting["description"], setting
        assert setting["visible"] in ("visible", "hidden", "submission", "web")


def test_one_task_a_shot_with_its_command() -> None:
    made = compiled(
        root="/farm/show/",
        shots=(
            "file,character,audio,directions,seed,output,exports\n"
            'sh010.blend,Ava,"sound/a, b.wav",sh010.json,7,out/sh010.blend,out/a.fbx;out/a.npz\n\n'
            "/other/sh020.blend,,,sh020.json,,,\r\n"
        ),
    )
    assert made["error"] is None
    first, second = made["tasks"]
    assert (first["name"], first["type"]) == ("perform-1-sh010.blend", "blender")
    command = first["commands"][0]
    assert command["name"] == "blender-render"
    assert command["parameters"] == {
        "exe": "{blender}",
        "exeArgs": "{blenderArgs}",
        "argsBefore": ["--background", "--python-exit-code", "1"],
        "blendfile": "/farm/show/sh010.blend",
        "args": [
            "--command",
            "understudy",
            "generate",
            "--character",
            "Ava",
            "--audio",
            "/farm/show/sound/a, b.wav",
            "--directions",
            "/farm/show/sh010.json",
            "--seed",
            "7",
            "--output",
            "/farm/show/out/sh010.blend",
            "--export",
            "/farm/show/out/a.fbx",
            "--export",
            "/farm/show/out/a.npz",
        ],
    }
    assert second["commands"][0]["parameters"]["blendfile"] == "/other/sh020.blend"
    assert second["commands"][0]["parameters"]["args"][3:] == ["--directions", "/farm/show/sh020.json"]
    assert second["after"] == []


def test_one_after_the_other() -> None:
    tasks = compiled(shots="a.blend\nb.blend\nc.blend", after=True)["tasks"]
    assert [t["after"] for t in tasks] == [[], ["perform-1-a.blend"], ["perform-2-b.blend"]]


@pytest.mark.parametrize(
    ("shots", "words"),
    [("", "no shots"), (",Ava", "names no .blend"), ("a.blend,,,,x", "seed"), ('a.blend,"x', "quote")],
)
def test_mistakes_are_said(shots: str, words: str) -> None:
    assert words in compiled(shots=shots)["error"]


def test_options_are_those_of_the_add_on() -> None:
    source = (ROOT / "blender_addon" / "commands.py").read_text(encoding="utf-8")
    emitted = re.findall(r'put\("(--[a-z]+)"', SCRIPT.read_text(encoding="utf-8"))
    assert len(emitted) == 6
    for option in emitted:
        assert f'"{option}"' in source, option
