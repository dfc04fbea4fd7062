# SPDX-License-Identifier: Apache-2.0
"""Everything that can go wrong: one sentence where the artist looks, and nothing touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import pytest

from .conftest import open_character
from .shot import direct, perform, snapshot


@pytest.mark.parametrize(("wrong", "code", "words"), [
    ({"text": "   "}, "direction_invalid", "no text"), ({"text": "x" * 600}, "direction_invalid", "600 characters"),
    ({"text": "歩く"}, "direction_invalid", "English"), ({"start": 60, "end": 20}, "direction_invalid", "after its start"),
    ({"start": -30, "end": 20}, "direction_invalid", "before the performance"),
])
def test_wrong_directions(addon: Any, bridge: Any, wrong: dict[str, Any], code: str, words: str) -> None:
    character = open_character("mixamo_arkit")
    direct(character, **wrong)
    refused(character, code, words)
    assert not bridge.requests


def refused(character: Any, code: str, words: str) -> None:
    """Performing fails with a sentence in report and panel, and changes nothing."""
    from blender_addon import compat, session
    from blender_addon.shared.errors import UnderstudyError

    before = snapshot(character)
    with pytest.raises(RuntimeError) as caught:
        bpy.ops.understudy.perform()
    assert words in str(caught.value)
    notice = session.notices[compat.session_uid(character)]
    assert notice.code == code and notice.fix
    with pytest.raises(UnderstudyError) as raised:
        perform()
    assert raised.value.code == code
    assert snapshot(character) == before


def test_nothing_to_perform_is_greyed(addon: Any, bridge: Any) -> None:
    from blender_addon.performance import reason_not_to_perform

    open_character("mixamo_arkit")
    assert not bpy.ops.understudy.perform.poll()
    assert "speech" in reason_not_to_perform(bpy.context)
    bpy.context.scene.understudy.character = None
    bpy.context.view_layer.objects.active = None
    assert "No character" in reason_not_to_perform(bpy.context)


@pytest.mark.parametrize(("content", "code", "words"), [
    (None, "audio_missing", "no sound file"), (b"", "audio_empty", "empty"),
    (b"not a sound at all" * 50, "audio_unreadable", "sound"),
])
def test_wrong_sound_files(addon: Any, bridge: Any, tmp_path: Path, content: bytes | None, code: str, words: str) -> None:
    pytest.importorskip("aud")
    character = open_character("mixamo_arkit")
    path = tmp_path / "speech.wav"
    if content is not None:
        path.write_bytes(content)
    before = snapshot(character)
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.understudy.set_audio(filepath=str(path))
    assert snapshot(character) == before and not character.understudy.sound_path
    character.understudy.sound_source, character.understudy.sound_path = "FILE", str(path)
    refused(character, code, words)


def test_no_sound_in_the_sequencer(addon: Any, bridge: Any) -> None:
    pytest.importorskip("aud")
    character = open_character("mixamo_arkit")
    character.understudy.sound_source = "SEQUENCER"
    refused(character, "audio_missing", "no sound in the sequencer")


def test_an_unknown_rig(addon: Any, bridge: Any) -> None:
    data = bpy.data.armatures.new("Chair")
    character = bpy.data.objects.new("Chair", data)
    bpy.context.scene.collection.objects.link(character)
    bpy.context.view_layer.objects.active = character
    bpy.ops.object.mode_set(mode="EDIT")
    for n in range(3):
        bone = data.edit_bones.new(f"plank{n}")
        bone.head, bone.tail = (n, 0, 0), (n, 0, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.context.scene.understudy.character = character
    direct(character)
    refused(character, "rig_unknown", "")
    assert not bridge.requests


def test_no_bridge(addon: Any) -> None:
    character = open_character("mixamo_arkit")
    direct(character)
    refused(character, "file_missing", "no Python")


@pytest.mark.parametrize(("behaviour", "code", "words"), [
    ("refuse", "audio_unreadable", "Try WAV"), ("newer", "version_mismatch", "Update the Blender add-on"),
    ("stranger", "unauthorised", "token"),
])
def test_what_the_bridge_refuses(addon: Any, bridge: Any, behaviour: str, code: str, words: str) -> None:
    character = open_character("mixamo_arkit")
    bridge.behaviour = behaviour
    direct(character)
    refused(character, code, words)


def test_a_bridge_that_dies_in_the_middle(addon: Any, bridge: Any) -> None:
    from blender_addon.shared.errors import UnderstudyError

    character = open_character("mixamo_arkit")
    bridge.behaviour = "vanish"
    direct(character)
    before = snapshot(character)
    with pytest.raises(UnderstudyError) as caught:
        perform()
    assert caught.value.code in ("bridge_lost", "bridge_not_running") and snapshot(character) == before


def test_cancel_leaves_everything(addon: Any, bridge: Any) -> None:
    from blender_addon import jobs, session

    character = open_character("mixamo_arkit")
    bridge.behaviour = "silent"
    direct(character)
    before = snapshot(character)
    job = jobs.begin(bpy.context)
    while job.stage != "queued":
        session.pump(0.05)
    assert bpy.ops.understudy.cancel.poll() and not bpy.ops.understudy.perform.poll()
    bpy.ops.understudy.cancel()
    session.pump(0.05)
    assert job.state == "cancelled" and snapshot(character) == before and not session.notices
    bridge.behaviour = "perform"
    perform()


def test_a_character_deleted_meanwhile(addon: Any, bridge: Any) -> None:
    from blender_addon import jobs, session

    character = open_character("mixamo_arkit")
    bridge.pause = 0.5
    direct(character)
    job = jobs.begin(bpy.context)
    bpy.data.objects.remove(character)
    while job.open or not job.owner.ended:
        session.pump(0.05)
    assert job.error is not None and job.error.code == "character_missing"
