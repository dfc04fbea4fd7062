# SPDX-License-Identifier: Apache-2.0
"""Stands in for Blender: what it does with a shot is written in the shot's character."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

EVENT = "@understudy "


def tell(**event: object) -> None:
    print(f"\n{EVENT}{json.dumps(event)}", flush=True)


def main() -> int:
    shot = json.loads(Path(sys.argv[2]).read_text())["shot"]
    what = shot["character"]
    diary = Path(shot["output"]).parent / "diary.txt"
    with diary.open("a") as file:
        file.write(f"begin {Path(shot['output']).stem} {os.getpid()}\n")
    print("Blender says something")
    tell(stage="body", fraction=0.5, eta=1.0)
    if what == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "leave":
        print("Error: not enough memory", flush=True)
        return 7
    if what == "hang":
        time.sleep(600)
    error = None
    if what == "refuse":
        error = {"code": "rig_unknown", "message": "No.", "fix": "Yes."}
    if what == "lost" and diary.read_text().count(f"begin {Path(shot['output']).stem} ") == 1:
        error = {"code": "bridge_lost", "message": "It went.", "fix": ""}
    if what.startswith("slow"):
        time.sleep(0.3)
    if error is None:
        Path(shot["output"]).write_text("made from " + "".join(Path(p).read_text() for p in (shot["file"],) if p))
    tell(ended=True, frames=30, error=error, warnings=["Music was heard."] if what == "music" else [])
    with diary.open("a") as file:
        file.write(f"end {Path(shot['output']).stem}\n")
    return int(error is not None)


sys.exit(main())
