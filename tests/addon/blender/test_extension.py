# SPDX-License-Identifier: Apache-2.0
"""The built zip in Blender: installed and enabled under its extension name; and enabling ten times leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import bpy
import pytest

from .conftest import ROOT

INSTALL = """
import bpy, os, sys
assert bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo='user_default', enable_on_install=True) == {'FINISHED'}
name = 'bl_ext.user_default.understudy'
addon = bpy.context.preferences.addons[name]
assert addon.preferences.auto_start
assert bpy.types.UNDERSTUDY_PT_main.bl_category == 'Understudy'
module = sys.modules[name]
assert 'shared' not in sys.modules and 'blender_addon' not in sys.modules
bpy.ops.understudy.add_character()
character = bpy.context.scene.understudy.character
assert character.type == 'ARMATURE'
bpy.ops.understudy.direction_add(text='walks forward')
try:
    bpy.ops.understudy.perform()
except RuntimeError as error:
    assert 'not set up' in str(error), error
else:
    raise AssertionError('there is no bridge to perform')
import importlib
session = importlib.import_module(name + '.session')
assert session.source_root() is None
bpy.ops.preferences.addon_disable(module=name)
assert not hasattr(bpy.types, 'UNDERSTUDY_PT_main')
print('installed')
sys.stdout.flush()
os._exit(0)
"""


def run(script: str, tmp_path: Path, *arguments: str) -> str:
    import os

    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "blender"),
                   "UNDERSTUDY_STATE_DIR": str(tmp_path / "state")}
    for name in ("PYTHONPATH", "UNDERSTUDY_BRIDGE_PYTHON"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=tmp_path, env=environment, text=True,
                          capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_zip_installs_and_runs_under_its_own_name(tmp_path: Path) -> None:
    if bpy.app.binary_path:
        pytest.skip("a Blender program is tried by tools/real.py")
    sys.path.insert(0, str(ROOT))
    import build_addon

    path = build_addon.build(tmp_path / "dist")
    assert "installed" in run(INSTALL, tmp_path, str(path))


def state_of_blender() -> Any:
    """Everything that an add-on can leave lying about."""
    handlers = {n: len(getattr(bpy.app.handlers, n)) for n in dir(bpy.app.handlers)
                if isinstance(getattr(bpy.app.handlers, n), list)}
    classes = sorted(n for n in dir(bpy.types) if "understudy" in n.lower())
    pointers = [hasattr(t, "understudy") for t in (bpy.types.Object, bpy.types.Scene, bpy.types.Action)]
    keymaps = {k.name: len(k.keymap_items) for k in bpy.context.window_manager.keyconfigs.addon.keymaps} \
        if bpy.context.window_manager.keyconfigs.addon else {}
    return handlers, classes, pointers, keymaps, len(bpy.types.VIEW3D_MT_armature_add._dyn_ui_initialize())


def test_ten_times_on_and_off_leaves_nothing(state: Path) -> None:
    import logging
    import threading

    import blender_addon

    before = state_of_blender()
    assert not before[1]
    for _ in range(10):
        blender_addon.register()
        assert bpy.types.UNDERSTUDY_PT_main and hasattr(bpy.types.Object, "understudy")
        blender_addon.unregister()
    assert state_of_blender() == before
    assert not [t for t in threading.enumerate() if t.name == "understudy-client"]
    assert not logging.getLogger("understudy").handlers
    assert not state.exists() or not any(state.rglob("*.log"))


def test_every_property_and_operator_has_a_name_and_a_tooltip(addon: Any) -> None:
    """A PropertyGroup whose annotations Blender could not evaluate loses all its properties in silence."""
    from blender_addon import registration

    for cls in registration.CLASSES:
        declared = [n for n in cls.__dict__.get("__annotations__", {}) if not n.startswith("_")]
        known = cls.bl_rna
        if issubclass(cls, bpy.types.Operator):
            known = getattr(bpy.ops.understudy, cls.bl_idname.removeprefix("understudy.")).get_rna_type()
            assert known.description, cls
        assert not [n for n in declared if n not in known.properties], cls
