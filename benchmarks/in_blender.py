# SPDX-License-Identifier: Apache-2.0
"""What the add-on takes inside Blender, measured in Blender's Python by ``blender_side.py``."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from shared.errors import UnderstudyError

from .results import Result, best

__all__ = ["measure"]

ROOT: Final = Path(__file__).resolve().parent.parent
MARK: Final = "@result "


def _python() -> str:
    return os.environ.get("UNDERSTUDY_BLENDER_PYTHON") or str(ROOT / ".venv-blender/bin/python")


def _run(what: str, bytecode: Path) -> float:
    """One measurement in a fresh process that keeps its compiled modules in ``bytecode``."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPYCACHEPREFIX": str(bytecode)}
    done = subprocess.run([_python(), "-X", "utf8", str(ROOT / "benchmarks/blender_side.py"), what], capture_output=True,
                          text=True, cwd=ROOT, timeout=600, env=environment)
    line = next((x for x in done.stdout.splitlines() if x.startswith(MARK)), None)
    if line is None:
        raise UnderstudyError("internal", f"The measurement {what} in Blender ended with exit code {done.returncode}: "
                              f"{(done.stderr or done.stdout).strip().splitlines()[-1:]}", "Run python tools/dev.py test first.")
    return float(json.loads(line[len(MARK):]))


def measure() -> list[Result]:
    """Results of the add-on, each the best of several processes.

    ``register_ms`` is a start with the modules compiled, as every one after the first; ``register_first_ms`` is that first
    one after an installation, in which Python compiles them. ``retarget_vs_nla_bake_bare_ratio`` is without the character's mesh, which
    only baking has to evaluate.
    """
    with tempfile.TemporaryDirectory() as folder:
        bytecode = Path(folder)
        first = _run("register", bytecode)
        register = best(lambda: _run("register", bytecode), 5)
        keys = best(lambda: _run("keys", bytecode), 3)
        # one run each: both sides of a ratio are measured in the same process
        bake, bare, insert = (_run(what, bytecode) for what in ("nla_bake", "nla_bake_bare", "keyframe_insert"))
    return [Result.of("retarget_vs_nla_bake_ratio", bake, "times (at least)", 50.0),
            Result.of("retarget_vs_nla_bake_bare_ratio", bare, "times (at least)", 50.0),
            Result.of("keys_vs_keyframe_insert_ratio", insert, "times (at least)", 100.0),
            Result.of("retarget_keys_1800x55_seconds", keys, "s", 0.5), Result.of("register_ms", register * 1e3, "ms", 50.0),
            Result.of("register_first_ms", first * 1e3, "ms", 50.0)]
