# SPDX-License-Identifier: Apache-2.0
"""``make ui``: a real Blender with a window, the built add-on in it; strips under a real mouse, a performance, pictures of it.

Blender 4.3 comes from Debian trixie (5.2 LTS from sid) in a folder of its own and runs under a virtual display. Where that cannot be, the
reason is said and nothing fails. First a mouse and a keyboard work on strips and words (``ui_hand.py``), and what failed is a failure.
Then a take is performed through a real bridge, and the pictures of it go to ``docs/pictures``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from bridge_server.cli.launch import launch  # noqa: E402
from film import portrait  # noqa: E402
from shared.errors import UnderstudyError  # noqa: E402
from trixie import DISPLAY_SIZE, SUITES, CannotRun, blender, chroot, display, screenshot  # noqa: E402

STAGE: Final = "understudy-ui"
SECONDS: Final = 900.0


def build(target: Path) -> Path:
    """The extension zip. :raises CannotRun: when it cannot be built."""
    done = subprocess.run([sys.executable, str(ROOT / "build_addon.py")], cwd=ROOT, capture_output=True, text=True)
    zips = sorted((ROOT / "dist").glob("understudy-*.zip"), key=lambda p: p.stat().st_mtime)
    if done.returncode or not zips:
        raise CannotRun(f"the extension was not built: {(done.stderr or done.stdout).strip()[-300:]}")
    return Path(shutil.copy(zips[-1], target / "understudy.zip"))


def prepare(root: Path) -> Path:
    """A stage inside the chroot with the add-on's zip, the scripts and what they play with."""
    stage = root / STAGE
    shutil.rmtree(stage, ignore_errors=True)
    (stage / "home").mkdir(parents=True)
    (stage / "shots").mkdir()
    build(stage)
    for path in (ROOT / "examples/speech.wav", ROOT / "examples/directions.json", *(ROOT / "tools").glob("ui_*.py")):
        shutil.copy(path, stage)
    return stage


@contextmanager
def installed(root: Path) -> Iterator[dict[str, str]]:
    """A display, and a Blender's home with the extension in it; gives the environment. :raises CannotRun: where it refuses."""
    with display() as environment:
        environment |= {"HOME": f"/{STAGE}/home", "UNDERSTUDY_STATE_DIR": f"/{STAGE}/state"}
        install = blender(root, environment, "--factory-startup", "--command", "extension", "install-file",
                          "-r", "user_default", "-e", f"/{STAGE}/understudy.zip")
        done = subprocess.run(install, capture_output=True, text=True)
        if done.returncode:
            raise CannotRun(f"Blender did not install the extension: {(done.stdout + done.stderr).strip()[-400:]}")
        yield environment


def play(root: Path, environment: dict[str, str], script: str, pictures: Path) -> list[Path]:
    """Run a script in Blender's window and do what it wishes; returns the pictures taken. :raises CannotRun: when Blender fails."""
    stage, taken = root / STAGE, []
    width, height = DISPLAY_SIZE
    with open(stage / "blender.log", "w") as log:
        process = subprocess.Popen(
            blender(root, environment, "--window-geometry", "0", "0", str(width), str(height),
                    "--python-exit-code", "3", "--python", f"/{STAGE}/{script}", seconds=SECONDS), stdout=log, stderr=log)
        while process.poll() is None:
            # the script in Blender leaves a file where it wants a picture or a hand, and goes on when the file is gone
            for wish in sorted((stage / "shots").glob("*.wanted")):
                if wish.stem == "hand":
                    subprocess.run(["xdotool", *json.loads(wish.read_text())], env={**os.environ, **environment})
                else:
                    taken.append(pictures / f"{wish.stem}.png")
                    screenshot(environment, taken[-1])
                wish.unlink()
            time.sleep(0.05)
    if process.returncode:
        lines = (stage / "blender.log").read_text(errors="replace").strip().splitlines()[-5:]
        raise CannotRun(f"Blender ended with {process.returncode}: {' / '.join(lines)}")
    return taken


def by_hand(root: Path, pictures: Path) -> bool:
    """Mouse and keyboard on strips and words; prints each check, and returns whether all passed."""
    stage = prepare(root)
    with installed(root) as environment:
        play(root, environment, "ui_hand.py", pictures)
    outcome = json.loads((stage / "hand.json").read_text())
    for name in outcome["passed"]:
        print(f"passed: {name}")
    for name in outcome["failed"]:
        print(f"FAILED: {name}")
    print(f"{len(outcome['passed'])} of {len(outcome['passed']) + len(outcome['failed'])} checks by mouse and keyboard passed", flush=True)
    return not outcome["failed"]


def take_pictures(root: Path, pictures: Path, generator: str) -> list[Path]:
    """Perform through a real bridge; returns the pictures taken. :raises CannotRun: when Blender or the bridge does not play along."""
    stage = prepare(root)
    portrait(stage)
    extra = ["--generator", generator] if generator else []
    _, bridge = launch(stage / "state", extra=extra, parent_pid=os.getpid(), seconds=180)
    try:
        with installed(root) as environment:
            return play(root, environment, "ui_drive.py", pictures)
    finally:
        bridge.terminate()
        bridge.wait(20)


def main() -> int:
    """:returns: the exit code; 0 with a reason where there can be no pictures."""
    parser = argparse.ArgumentParser(prog="tools/dev.py ui", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/pictures", help="folder for the pictures")
    parser.add_argument("--suite", default=os.environ.get("BLENDER_SUITE") or "trixie", choices=sorted(SUITES),
                        help="Debian's suite whose Blender it is: trixie has 4.3, sid 5.2 LTS")
    parser.add_argument("--generator", default=os.environ.get("GENERATOR", ""), help="another motion generator")
    parser.add_argument("--only", choices=("hand", "pictures"), help="mouse and keyboard alone, or the pictures alone")
    parser.add_argument("--strict", action="store_true", help="fail where it cannot run")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    good = True
    try:
        root = chroot(options.suite)
        if options.only != "pictures":
            good = by_hand(root, options.out)
        if options.only != "hand":
            for picture in take_pictures(root, options.out, options.generator):
                print(picture)
    except (CannotRun, UnderstudyError) as reason:
        print(f"Skipped: {reason}")
        return int(options.strict or not good)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
