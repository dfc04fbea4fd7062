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


@pytest.mark.parametrize("online", [False, True])
def test_the_bridge_keeps_to_online_access(addon: Any, monkeypatch: pytest.MonkeyPatch, online: bool) -> None:
    from blender_addon import preferences, session

    from .paper import Paper

    monkeypatch.setattr(preferences, "online", lambda: online)
    monkeypatch.delenv("UNDERSTUDY_BRIDGE_PYTHON")
    prefer(monkeypatch, bridge_python=sys.executable)
    assert dict(session._command().environment) == ({} if online else {"HF_HUB_OFFLINE": "1"})
    page = Paper()
    said = [text for text in drawn(page) if "fetches no models" in text]
    assert bool(said) is not online


def drawn(page: Any) -> list[str]:
    """The labels of the add-on's page in the Preferences, which no test can open."""
    from types import SimpleNamespace

    from blender_addon.preferences import UnderstudyPreferences

    known = UnderstudyPreferences.__annotations__
    owner = SimpleNamespace(layout=page, address="", key_file="", server_key="",
                            bl_rna=SimpleNamespace(properties=known))
    UnderstudyPreferences.draw(owner, bpy.context)
    return list(page.texts)


def test_generator_and_models_of_faces_go_to_the_bridge(addon: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from blender_addon import preferences, session

    from .paper import Paper

    monkeypatch.setattr(preferences, "online", lambda: True)
    prefer(monkeypatch, bridge_python=sys.executable)
    command = session._command()
    assert "--generator" not in command.arguments and command.environment == ()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    prefer(monkeypatch, bridge_python=sys.executable, generator=" clip_player ", audio2face="//a2f", face_fit=str(tmp_path / "fit.npy"))
    command = session._command()
    assert command.arguments[command.arguments.index("--generator") + 1] == "clip_player"
    found = dict(command.environment)
    assert Path(found["UNDERSTUDY_AUDIO2FACE"]) == tmp_path / "a2f" and found["UNDERSTUDY_FACE_FIT"] == str(tmp_path / "fit.npy")
    prefer(monkeypatch, bridge_python=sys.executable, generator="process://mine.toml")
    given = session._command().arguments
    assert given[given.index("--generator") + 1] == f"process:{tmp_path / 'mine.toml'}"
    page = Paper()
    drawn(page)
    assert {"generator", "audio2face", "face_fit"} <= set(page.props)


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
