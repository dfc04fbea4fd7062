# SPDX-License-Identifier: Apache-2.0
"""The whole way once: speech and directions, through the bridge, onto a character in Blender, to a film with a contact sheet.

Run by ``tools/dev.py demo`` in the bridge's Python. The bridge and Blender are processes of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from blender_side import BlenderSide, find_blender  # noqa: E402  (stand beside this file)
from demo_report import Progress, contact_sheet, cut_speech, ensure_sound, print_summary  # noqa: E402
from shared import timeline  # noqa: E402
from shared.errors import UnderstudyError  # noqa: E402
from shared.motion import Motion  # noqa: E402
from shared.state import BridgeRecord, read_record  # noqa: E402

BRIDGE_SECONDS: Final = 180.0
PREVIEW: Final = (960, 540)


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Options, with the variables of ``make demo`` as their defaults; an empty one counts as not given."""

    def variable(name: str, default: str = "") -> str:
        return os.environ.get(name) or default

    parser = argparse.ArgumentParser(prog="tools/dev.py demo", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--audio", default=variable("AUDIO", str(ROOT / "examples/speech.wav")), help="speech, any format")
    parser.add_argument("--directions", default=variable("DIRECTIONS"),
                        help="JSON as in examples/directions.json; none with speech of your own and without this")
    parser.add_argument("--character", default=variable("CHARACTER"), help=".blend with a rigged character")
    parser.add_argument("--blender", default=variable("BLENDER"), help="a Blender program; by default the bpy module")
    parser.add_argument("--out", default=variable("OUT", str(ROOT / "out/demo")), help="folder for the results")
    parser.add_argument("--seed", type=int, default=int(variable("SEED", "7")))
    parser.add_argument("--generator", default=variable("GENERATOR"), help="another motion generator, by name or module:attribute")
    parser.add_argument("--preview-size", default=f"{PREVIEW[0]}x{PREVIEW[1]}", help="width x height of demo.mp4")
    parser.add_argument("--seconds", type=float, default=None, help="perform only the beginning")
    options = parser.parse_args(given)
    if not options.directions and Path(options.audio) == ROOT / "examples/speech.wav":
        options.directions = str(ROOT / "examples/directions.json")
    return options


def check_inputs(options: argparse.Namespace) -> list[timeline.Direction]:
    """What can be known before anything is started. :raises UnderstudyError: naming the file."""
    for name, what in (("audio", "speech"), ("character", "character"), ("directions", "directions")):
        path = getattr(options, name)
        if path and not Path(path).is_file():
            raise UnderstudyError("file_missing", f"There is no file {path}.",
                                  f"Give the {what} with --{name}, or {name.upper()}= with make.")
    if options.character and Path(options.character).suffix != ".blend":
        raise UnderstudyError("file_invalid", f"{Path(options.character).name} is not a .blend file.",
                              "Open the character in Blender and save it as .blend.")
    try:
        width, height = (int(n) for n in options.preview_size.lower().split("x"))
    except ValueError:
        raise UnderstudyError("request_invalid", f"{options.preview_size!r} is not a picture size.",
                              "Write it as 640x360.") from None
    options.preview_size = (max(16, width // 2 * 2), max(16, height // 2 * 2))
    if options.seconds is not None and options.seconds <= 0:
        raise UnderstudyError("request_invalid", "Nothing lasts less than a moment.", "Give --seconds a number above 0.")
    directions = timeline.check(timeline.load(options.directions)) if options.directions else []
    return directions if options.seconds is None else [
        replace(d, end=min(d.end, options.seconds)) for d in directions if d.start < options.seconds - 0.2]


def prepare_inputs(options: argparse.Namespace, directions: list[timeline.Direction], work: Path) -> tuple[Path, Path | None]:
    """Speech and directions as files for Blender; shortened ones where only the beginning is wanted."""
    audio = Path(options.audio).resolve()
    if options.seconds is None:
        return audio, Path(options.directions).resolve() if options.directions else None
    short = work / f"{audio.stem}.wav"
    cut_speech(audio, short, options.seconds)
    if not directions:
        return short, None
    file = work / "directions.json"
    file.write_text(json.dumps(timeline.to_json(directions)), encoding="utf-8")
    return short, file


class Bridge:
    """The bridge as a child process with a state folder of its own."""

    def __init__(self, folder: Path, generator: str) -> None:
        self.folder = folder
        command = [sys.executable, "-X", "utf8", "-m", "bridge_server", "serve", "--state-dir", str(folder), "--port", "0",
                   "--parent-pid", str(os.getpid())]
        if generator:
            command += ["--generator", generator]
        self.output = folder / "bridge.out"
        with open(self.output, "wb") as file:
            self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def wait_ready(self) -> BridgeRecord:
        """:raises UnderstudyError: ``bridge_not_running`` with the bridge's last words."""
        deadline = time.monotonic() + BRIDGE_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                lines = self.output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                raise UnderstudyError("bridge_not_running", f"The bridge stopped with exit code {self.process.returncode}"
                                      + (f": {lines[-1].rstrip('.')}." if lines else "."), "Run the demo again.")
            if (record := read_record(self.folder)) is not None and record.pid == self.process.pid:
                return record
            time.sleep(0.05)
        raise UnderstudyError("timeout", f"The bridge was not ready after {BRIDGE_SECONDS:.0f} s.", "Run the demo again.")

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def perform(options: argparse.Namespace, directions: list[timeline.Direction], work: Path) -> None:
    """All steps, into ``work``; the finished files then replace those of an earlier run."""
    progress = Progress()
    out = work / "out"
    out.mkdir()
    state = work / "state"
    state.mkdir()
    audio, asked = prepare_inputs(options, directions, work)
    bridge = Bridge(state, options.generator)
    try:
        blender = find_blender(options.blender, ROOT)
        progress.stage("starting the bridge")
        job: dict[str, Any] = {
            "root": str(ROOT), "out": str(out), "audio": str(audio), "directions": str(asked) if asked else None,
            "character": str(Path(options.character).resolve()) if options.character else None,
            "seed": options.seed, "size": options.preview_size, "engine": blender.preview_engine(work),
        }
        bridge.wait_ready()
        progress.stage("starting Blender")
        side = BlenderSide(blender, ROOT / "tools/demo_scene.py", job, work, {"UNDERSTUDY_STATE_DIR": str(state)})
        facts = side.run(progress)
    finally:
        bridge.stop()
    progress.stage("writing the contact sheet")
    motion = Motion.load(out / "motion.npz")
    ensure_sound(out / "demo.mp4", audio)
    contact_sheet(out / "demo.mp4", directions, motion.duration, out / "contact_sheet.png")
    progress.done()
    target = Path(options.out).resolve()
    target.mkdir(parents=True, exist_ok=True)
    files = []
    for file in sorted(out.iterdir()):
        file.replace(target / file.name)
        files.append(target / file.name)
    print_summary(motion, directions, progress.times, files, {**facts, "blender": blender.name})


def main(given: Sequence[str] | None = None) -> int:
    """:returns: the exit code; a failure is one sentence on stderr, and earlier results stay as they were."""
    options = arguments(given)
    try:
        directions = check_inputs(options)
        # beside the results, so that moving them there is a rename
        parent = Path(options.out).resolve().parent
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".demo-", dir=parent, ignore_cleanup_errors=True) as folder:
            perform(options, directions, Path(folder))
    except UnderstudyError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; earlier results are as they were.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
