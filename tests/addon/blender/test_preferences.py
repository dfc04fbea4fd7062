# SPDX-License-Identifier: Apache-2.0
"""Preferences: the check of the bridge's Python, defaults for new characters, and where exports are suggested."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import pytest

from .shot import direct, perform


def prefer(monkeypatch: pytest.MonkeyPatch, **values: Any) -> None:
    from blender_addon import preferences

    stand_in = {n: getattr(preferences._Defaults, n) for n in vars(preferences._Defaults) if not n.startswith("_")}
    monkeypatch.setattr(preferences, "get", lambda: SimpleNamespace(**{**stand_in, **values}))


def test_the_check_says_what_is_missing_and_how_to_install_it(addon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from blender_addon import preferences

    if bpy.app.binary_path:
        pytest.skip("the interpreter of a Blender program is not known")
    # Blender's own Python has no torch
    prefer(monkeypatch, bridge_python=sys.executable)
    with pytest.raises(RuntimeError, match="lacks .*torch"):
        bpy.ops.understudy.check_bridge()
    assert "torch" in preferences.checked[0][0] and "dev.py" in preferences.checked[-1][0]
    prefer(monkeypatch, bridge_python="/no/such/python")
    with pytest.raises(RuntimeError, match="There is no Python"):
        bpy.ops.understudy.check_bridge()
    assert preferences.checked[0][1] == "ERROR"


def test_new_characters_begin_with_the_defaults(addon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prefer(monkeypatch, default_keys="SIMPLIFIED", default_root="object")
    bpy.ops.understudy.add_character()
    scene = bpy.context.scene
    settings = scene.understudy.character.understudy
    assert (settings.key_mode, settings.root) == ("SIMPLIFIED", "object")
    settings.root = "hips"
    scene.understudy.character = scene.understudy.character
    assert settings.root == "hips", "what was chosen for a character stays"


def test_exports_are_suggested_in_the_chosen_folder(addon: Any, bridge: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from blender_addon.exports import suggestion

    bpy.ops.understudy.add_character()
    character = bpy.context.scene.understudy.character
    direct(character)
    perform()
    prefer(monkeypatch, export_folder=str(tmp_path))
    path = suggestion(character, ".fbx")
    assert path.parent == tmp_path and path.suffix == ".fbx" and path.stem
    prefer(monkeypatch, export_folder="//")
    assert suggestion(character, ".fbx").parent == Path.home(), "the file was never saved"


def test_another_computer_needs_online_access(addon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from blender_addon import preferences
    from blender_addon.shared.errors import UnderstudyError

    if bpy.app.online_access:
        pytest.skip("online access is on here")
    for address in ("tcp://127.0.0.1:40123", "tcp://localhost:40123", "tcp://[::1]:40123"):
        prefer(monkeypatch, address=address)
        assert preferences.bridge_address() == address
    for address in ("tcp://192.168.1.2:40123", "tcp://render.example:40123"):
        prefer(monkeypatch, address=address)
        with pytest.raises(UnderstudyError, match="online access is off"):
            preferences.bridge_address()
