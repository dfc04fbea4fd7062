# SPDX-License-Identifier: Apache-2.0
"""How long the add-on holds up Blender's interface while it performs: in a real window, where there can be one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from .results import Result

__all__ = ["measure"]

ROOT: Final = Path(__file__).resolve().parent.parent
STAGE: Final = "understudy-stall"
SECONDS: Final = 1200.0
WINDOW: Final = ("800", "500")
"""Small: it is drawn without a GPU, and drawing is not what is measured."""
GENERATOR: Final = "tests.addon.tiny_generator:TinyGenerator"


def _run(suite: str) -> dict[str, dict[str, Any]]:
    """The figures of ``tools/ui_stall_drive.py``. :raises CannotRun: where there is no window."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tools")]
    from bridge_server.cli.launch import launch
    from trixie import CannotRun, blender, chroot, display
    from ui import build

    root = chroot(suite)
    stage = root / STAGE
    shutil.rmtree(stage, ignore_errors=True)
    (stage / "home").mkdir(parents=True)
    build(stage)
    shutil.copy(ROOT / "tools/ui_stall_drive.py", stage)
    _, bridge = launch(stage / "state", extra=["--generator", GENERATOR, "--device", "cpu"], parent_pid=os.getpid(), seconds=180)
    try:
        with display(73) as environment, open(stage / "blender.log", "w") as log:
            environment |= {"HOME": f"/{STAGE}/home", "UNDERSTUDY_STATE_DIR": f"/{STAGE}/state"}
            subprocess.run(blender(root, environment, "--factory-startup", "--command", "extension", "install-file", "-r",
                                   "user_default", "-e", f"/{STAGE}/understudy.zip"), stdout=log, stderr=log)
            done = subprocess.run(blender(root, environment, "--window-geometry", "0", "0", *WINDOW, "--python-exit-code", "3",
                                          "--python", f"/{STAGE}/ui_stall_drive.py", seconds=SECONDS), stdout=log, stderr=log)
    finally:
        bridge.terminate()
        bridge.wait(20)
    result = stage / "stall.json"
    if not result.is_file():
        lines = (stage / "blender.log").read_text(errors="replace").strip().splitlines()[-3:]
        raise CannotRun(f"Blender ended with exit code {done.returncode} and without figures: {' / '.join(lines)}")
    return dict(json.loads(result.read_text()))


def measure() -> list[Result]:
    """``ui_stall_ms``: of a take of 60 s that is performed, and of one of which a part is; none where there can be no window.

    ``ui_stall_own_ms`` is the longest of both without the undo step at the end, which is Blender's own work; ``ui_undo_push_ms`` is that
    step alone, for the same keys in the same file without the add-on.
    """
    sys.path[:0] = [str(ROOT), str(ROOT / "tools")]
    from trixie import CannotRun

    try:
        found = _run(os.environ.get("BLENDER_SUITE") or "trixie")
    except CannotRun as reason:
        print(f"not measured: {reason}", flush=True)
        return []
    for name, figures in found.items():
        print(f"{name}: " + ", ".join(f"{k} {v:.1f}" for k, v in figures.items()), flush=True)
    return [Result.of("ui_stall_ms", found["perform"]["stall_ms"], "ms", 30.0),
            Result.of("ui_stall_edit_ms", found["edit"]["stall_ms"], "ms", 30.0),
            Result.of("ui_stall_own_ms", max(found["perform"]["own_ms"], found["edit"]["own_ms"]), "ms", 30.0),
            Result.of("ui_undo_push_ms", found["blender"]["push_ms"], "ms", 30.0)]
