# SPDX-License-Identifier: Apache-2.0
"""``make ui``: a real Blender with a window, the built add-on in it, a performance through a real bridge, pictures of it.

Blender 4.3 comes from Debian trixie (5.2 LTS from sid) in a folder of its own and runs under a virtual display. Where that cannot be, the
reason is said and nothing fails. The pictures go to ``docs/pictures``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
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


def drive(root: Path, pictures: Path, generator: str) -> list[Path]:
    """Run the whole thing; returns the pictures taken.

    :raises CannotRun: when Blender or the bridge does not play along.
    """
    stage = root / STAGE
    shutil.rmtree(stage, ignore_errors=True)
    (stage / "home").mkdir(parents=True)
    (stage / "shots").mkdir()
    build(stage)
    for name in ("examples/speech.wav", "examples/directions.json", "tools/ui_drive.py", "tools/ui_film.py"):
        shutil.copy(ROOT / name, stage)
    portrait(stage)
    extra = ["--generator", generator] if generator else []
    _, bridge = launch(stage / "state", extra=extra, parent_pid=os.getpid(), seconds=180)
    taken: list[Path] = []
    try:
        with display() as environment:
            environment |= {"HOME": f"/{STAGE}/home", "UNDERSTUDY_STATE_DIR": f"/{STAGE}/state"}
            install = blender(root, environment, "--factory-startup", "--command", "extension", "install-file",
                               "-r", "user_default", "-e", f"/{STAGE}/understudy.zip")
            done = subprocess.run(install, capture_output=True, text=True)
            if done.returncode:
                raise CannotRun(f"Blender did not install the extension: {(done.stdout + done.stderr).strip()[-400:]}")
            width, height = DISPLAY_SIZE
            with open(stage / "blender.log", "w") as log:
                process = subprocess.Popen(
                    blender(root, environment, "--window-geometry", "0", "0", str(width), str(height),
                             "--python-exit-code", "3", "--python", f"/{STAGE}/ui_drive.py"), stdout=log, stderr=log)
                while process.poll() is None:
                    # the script in Blender leaves a file where it wants a picture, and goes on when the file is gone
                    for wish in sorted((stage / "shots").glob("*.wanted")):
                        if wish.stem == "escape":
                            subprocess.run(["xdotool", "mousemove", "300", "400", "key", "Escape"], env={**os.environ, **environment})
                            time.sleep(0.5)
                            wish.unlink()
                            continue
                        picture = pictures / f"{wish.stem}.png"
                        screenshot(environment, picture)
                        taken.append(picture)
                        wish.unlink()
                    time.sleep(0.1)
            if process.returncode:
                lines = (stage / "blender.log").read_text(errors="replace").strip().splitlines()[-5:]
                raise CannotRun(f"Blender ended with {process.returncode}: {' / '.join(lines)}")
    finally:
        bridge.terminate()
        bridge.wait(20)
    return taken


def main() -> int:
    """:returns: the exit code; 0 with a reason where there can be no pictures."""
    parser = argparse.ArgumentParser(prog="tools/dev.py ui", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/pictures", help="folder for the pictures")
    parser.add_argument("--suite", default=os.environ.get("BLENDER_SUITE") or "trixie", choices=sorted(SUITES),
                        help="Debian's suite whose Blender it is: trixie has 4.3, sid 5.2 LTS")
    parser.add_argument("--generator", default=os.environ.get("GENERATOR", ""), help="another motion generator")
    parser.add_argument("--strict", action="store_true", help="fail where pictures cannot be taken")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        for picture in drive(chroot(options.suite), options.out, options.generator):
            print(picture)
    except (CannotRun, UnderstudyError) as reason:
        print(f"Skipped: {reason}")
        return int(options.strict)
    return 0


if __name__ == "__main__":
    sys.exit(main())
