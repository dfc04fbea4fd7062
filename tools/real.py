# SPDX-License-Identifier: Apache-2.0
"""``make test-real``: the add-on in a Blender that is a program, not a Python module. Needs root on Linux, for a Debian in a folder.

The built extension is installed as a user does it and performs through a real bridge by each of its commands; then the add-on's tests
run inside this Blender. ``BLENDER_SUITE=sid`` takes 5.2 LTS, ``trixie`` 4.3.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from bridge_server.cli.launch import launch  # noqa: E402
from shared.errors import UnderstudyError  # noqa: E402
from trixie import SUITES, CannotRun, blender, chroot, install  # noqa: E402
from ui import build  # noqa: E402

STAGE: Final = "understudy-real"
TEST_PACKAGES: Final = ("python3-pytest", "python3-pytest-timeout", "python3-hypothesis")
ENVIRONMENT: Final = {"HOME": f"/{STAGE}/home", "UNDERSTUDY_STATE_DIR": f"/{STAGE}/state", "LANG": "C.UTF-8", "XDG_RUNTIME_DIR": "/tmp",
                      "LIBGL_ALWAYS_SOFTWARE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
GENERATOR: Final = "tests.addon.tiny_generator:TinyGenerator"
SCENE: Final = """
import bpy
bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
bpy.ops.understudy.add_character()
bpy.context.scene.render.fps = 30
bpy.ops.wm.save_as_mainfile(filepath="shot.blend")
"""
TESTS: Final = """
import os, sys
sys.path.insert(0, ".")
import pytest
code = pytest.main(["-q", "-p", "no:cacheprovider", "--timeout", "600", *sys.argv[sys.argv.index("--") + 1:]])
sys.stdout.flush()
os._exit(int(code))
"""


class Failed(Exception):
    """A step that did not do what it should."""


def _stage(root: Path) -> Path:
    """The working tree's files, without what git ignores, and the test characters beside it where there are any."""
    stage = root / STAGE
    shutil.rmtree(stage, ignore_errors=True)
    (stage / "home").mkdir(parents=True)
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        source = ROOT / name
        if source.is_file() and source.suffix not in (".safetensors", ".npz", ".png", ".mp4"):
            target = stage / "repo" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    characters = ROOT.parent / "shared/data/characters"
    if characters.is_dir():
        shutil.copytree(characters, stage / "shared/data/characters")
    build(stage)
    return stage


class Steps:
    """Runs one command after the other in the folder ``work`` of the stage, and says how each went."""

    def __init__(self, root: Path, stage: Path) -> None:
        self.root = root
        self.work = stage / "files"
        self.work.mkdir()
        self._folder = f"/{STAGE}/files"

    def run(self, what: str, *arguments: str, code: int = 0, words: str = "", files: tuple[str, ...] = ()) -> None:
        """:raises Failed: for another exit code, missing words or missing files."""
        command = blender(self.root, ENVIRONMENT, *arguments, seconds=600)
        # chroot begins in "/", so that the folder is entered there
        at = command.index("timeout")
        command[at:at] = ["sh", "-c", f'cd {self._folder} && exec "$@"', "sh"]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        said = done.stdout + done.stderr
        missing = [f for f in files if not (self.work / f).is_file()]
        if done.returncode != code or words not in said or missing:
            raise Failed(f"{what}: exit code {done.returncode}, missing {missing or 'nothing'}:\n{said.strip()[-3000:]}")
        print(f"passed: {what}", flush=True)


def _commands(steps: Steps) -> None:
    """The extension as its users have it, through a real bridge."""
    steps.run("install the zip", "--factory-startup", "--command", "extension", "install-file", "-r", "user_default", "-e",
              f"/{STAGE}/understudy.zip")
    steps.run("add and save a character", "-b", "--python-exit-code", "3", "--python-expr", SCENE, files=("shot.blend",))
    (steps.work / "d.json").write_text(json.dumps([{"start": 0, "end": 1, "text": "waves"}]))
    (steps.work / "speech.wav").write_bytes((ROOT / "examples/speech.wav").read_bytes())
    # word for word as the Flamenco job type has it
    steps.run("--command understudy generate", "--background", "--python-exit-code", "1", "shot.blend", "--command", "understudy",
              "generate", "--audio", "speech.wav", "--directions", "d.json", "--seed", "7", "--output", "a.blend", "--export", "a.fbx",
              "--export", "a.glb", "--export", "a.bvh", "--export", "a.npz", files=("a.blend", "a.fbx", "a.glb", "a.bvh", "a.npz"))
    steps.run("a failure has exit code 1", "-b", "shot.blend", "--command", "understudy", "generate", "--character", "Nobody", code=1,
              words="There is no armature 'Nobody'")
    (steps.work / "shots.csv").write_text("file,directions,seed,output\nshot.blend,d.json,1,b1.blend\nnone.blend,d.json,2,b2.blend\n")
    steps.run("--command understudy batch", "-b", "--command", "understudy", "batch", "shots.csv", code=1,
              words="1 done, 0 skipped, 1 failed", files=("b1.blend",))
    script = f"/{STAGE}/repo/blender_addon/headless.py"
    steps.run("-P headless.py, resumed", "-b", "-P", script, "--", "batch", "shots.csv", code=1, words="0 done, 1 skipped, 1 failed")
    steps.run("-P headless.py without the extension", "-b", "--factory-startup", "-P", script, "--", "generate", code=1,
              words="and none is chosen")
    (steps.work / "task.json").write_text(json.dumps({"parent": os.getpid(), "shot": {
        "row": 2, "file": f"/{STAGE}/files/shot.blend", "character": "", "audio": "", "directions": f"/{STAGE}/files/d.json", "seed": 3,
        "output": f"/{STAGE}/files/c.blend", "exports": []}}))
    steps.run("a shot of understudy batch", "--background", "--python-exit-code", "1", "--python", script, "--", "shot", "task.json",
              words='@understudy {"ended": true', files=("c.blend",))


def test(suite: str, arguments: list[str]) -> int:
    """Everything in one suite's Blender; the exit code. :raises CannotRun: where there is none."""
    root = chroot(suite)
    install(root, *TEST_PACKAGES)
    stage = _stage(root)
    _, bridge = launch(stage / "state", extra=["--generator", GENERATOR, "--device", "cpu"], parent_pid=os.getpid(), seconds=180)
    try:
        version = subprocess.run(blender(root, ENVIRONMENT, "--version"), capture_output=True, text=True).stdout.splitlines()[0]
        print(f"== {version}", flush=True)
        _commands(Steps(root, stage))
    finally:
        bridge.terminate()
        bridge.wait(20)
    (stage / "tests.py").write_text(TESTS)
    command = blender(root, ENVIRONMENT, "-b", "--factory-startup", "--python-exit-code", "3", "--python", f"/{STAGE}/tests.py", "--",
                      *(arguments or ["tests/addon/blender", "tests/rig"]), seconds=1800)
    at = command.index("timeout")
    command[at:at] = ["sh", "-c", f'cd /{STAGE}/repo && exec "$@"', "sh"]
    return subprocess.run(command).returncode


def main() -> int:
    """:returns: the exit code; 0 with a reason where there is no such Blender."""
    parser = argparse.ArgumentParser(prog="tools/dev.py test-real", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--suite", default=os.environ.get("BLENDER_SUITE") or "sid", choices=sorted(SUITES),
                        help="Debian's suite whose Blender it is: trixie has 4.3, sid 5.2 LTS")
    options, rest = parser.parse_known_args()
    try:
        return test(options.suite, rest)
    except CannotRun as reason:
        print(f"Skipped: {reason}")
        return 0
    except (Failed, UnderstudyError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
