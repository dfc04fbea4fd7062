# SPDX-License-Identifier: Apache-2.0
"""The type checker over the add-on, with fake-bpy-module's stubs in the place of bpy, and over the service."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def check(folder: Path, source: str | None = None) -> subprocess.CompletedProcess[str]:
    """mypy over the add-on as it is built: with a copy of ``shared`` inside, where the repository has a path redirect."""
    package = folder / "blender_addon"
    ignore = shutil.ignore_patterns("__pycache__", "wheels")
    shutil.copytree(ROOT / "blender_addon", package, ignore=ignore)
    shutil.rmtree(package / "shared", ignore_errors=True)
    shutil.copytree(ROOT / "shared", package / "shared", ignore=ignore)
    if source is not None:
        (package / "core" / "wrong.py").write_text(source)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir",
               str(ROOT / ".mypy_cache" / "addon"), "-p", "blender_addon"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


SERVICE = ("bridge_server.service", "bridge_server.executors", "shared")
MODULES = ("metrics", "memory", "cli.client", "cli.keys", "cli.launch", "cli.options", "cli.serve", "cli.status", "cli.stop")


def test_the_service_type_checks() -> None:
    """What stays up for weeks: the service, its executors and commands, and all that both sides share."""
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir",
               str(ROOT / ".mypy_cache" / "service")]
    command += [part for name in SERVICE for part in ("-p", name)]
    command += [part for name in MODULES for part in ("-m", f"bridge_server.{name}")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_addon_type_checks(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    done = check(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_checker_sees_shared_and_bpy(tmp_path: Path) -> None:
    source = ("import bpy\nfrom ..shared.motion import Motion\n"
              "def f(scene: bpy.types.Scene, m: Motion) -> None:\n    scene.no_such_thing\n    m.no_such_thing\n")
    done = check(tmp_path, source)
    assert '"Scene" has no attribute "no_such_thing"' in done.stdout
    assert '"Motion" has no attribute "no_such_thing"' in done.stdout
