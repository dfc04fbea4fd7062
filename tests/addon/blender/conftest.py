# SPDX-License-Identifier: Apache-2.0
"""For tests in Blender's Python: the add-on registered, an empty file, a bridge double, and all of it taken back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
CHARACTERS = ROOT.parent / "shared" / "data" / "characters"
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("UNDERSTUDY_STATE_DIR", str(tmp_path / "state"))
    # no test may start the real bridge by accident
    monkeypatch.setenv("UNDERSTUDY_BRIDGE_PYTHON", str(tmp_path / "no-python"))
    return tmp_path / "state"


@pytest.fixture
def addon(state: Path) -> Iterator[Any]:
    """The add-on, registered in an empty file. Classes still registered at exit would crash 4.2 and hang 4.5."""
    import blender_addon
    import bpy

    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    blender_addon.register()
    try:
        yield blender_addon
    finally:
        blender_addon.unregister()


@pytest.fixture
def bridge(state: Path) -> Iterator[Any]:
    """A double of the bridge behind a lock file."""
    from shared.state import lock_file, write_record
    from tests.addon.bridge_double import BridgeDouble

    with BridgeDouble() as double:
        write_record(double.record)
        yield double
    lock_file().unlink(missing_ok=True)


def open_character(name: str) -> Any:
    """Open a test character's file; returns its armature, chosen in the scene. Skips where the files are absent."""
    import bpy

    path = CHARACTERS / f"{name}.blend"
    if not path.is_file():
        pytest.skip(f"the test character {name}.blend is not on this machine")
    bpy.ops.wm.open_mainfile(filepath=str(path))
    armature = next(o for o in bpy.data.objects if o.type == "ARMATURE")
    bpy.context.scene.understudy.character = armature
    bpy.context.scene.render.fps = 30
    return armature
