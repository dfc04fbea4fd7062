# SPDX-License-Identifier: Apache-2.0
"""Words of a speech: found, shown, edited, and the face of only the changed stretch made anew; suggestions; face settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from .conftest import open_character
from .shot import curves_of, direct, perform, write_wav


@pytest.fixture
def character(addon: Any, bridge: Any, tmp_path: Path) -> Any:
    character = open_character("mixamo_arkit")
    character.understudy.sound_source = "FILE"
    character.understudy.sound_path = str(write_wav(tmp_path / "speech.wav", 3.0))
    character.understudy.transcript = "Hello world, mama"
    return character


def again(name: str = "") -> Any:
    """The character after an undo, which makes new objects of all."""
    return next(o for o in bpy.data.objects if o.type == "ARMATURE")


def table(character: Any) -> list[tuple[str, float, float]]:
    return [(w.text, round(w.start, 2), round(w.end, 2)) for w in character.understudy_face.words]


def keys_of(character: Any) -> dict[tuple[str, int], list[tuple[float, float]]]:
    return {(c.data_path, c.array_index): [(k.co[0], k.co[1]) for k in c.keyframe_points] for c in curves_of(character)}


def test_words_are_found_without_performing(character: Any, bridge: Any) -> None:
    assert bpy.ops.understudy.find_words() == {"FINISHED"}
    assert table(character) == [("hello", 4, 16), ("world", 16, 31), ("mama", 40, 55)]
    assert bridge.requests[-1].transcript == "Hello world, mama" and not bridge.requests[-1].suggest
    assert not character.understudy.takes
    from blender_addon.core.words_lane import unpack

    assert [n for _, _, n in unpack(character.understudy_face.words[1].phones)] == ["W", "ER", "D"]


def test_words_are_saved_with_the_file(character: Any, tmp_path: Path) -> None:
    bpy.ops.understudy.find_words()
    before = [(w.text, w.start, w.end, w.phones) for w in character.understudy_face.words]
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    assert [(w.text, w.start, w.end, w.phones) for w in again().understudy_face.words] == before


def test_only_the_face_of_the_changed_stretch_is_new(character: Any, bridge: Any) -> None:
    from blender_addon.face import words

    perform()
    assert table(character)[1] == ("world", 16, 31) and words.stale_range(bpy.context, character) is None
    with pytest.raises(RuntimeError, match="follows the words already"):
        bpy.ops.understudy.perform_words()
    before = keys_of(character)
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.understudy.word_edit(identity=character.understudy_face.words[2].uuid, text="papa", end=58.0)
    assert words.stale_range(bpy.context, character) is not None
    assert bpy.ops.understudy.perform_words() == {"FINISHED"}
    request = bridge.requests[-1]
    assert [w.text for w in request.face_settings.words] == ["hello", "world", "papa"]
    assert request.face_settings.words[2].phones == () and request.face_settings.words[1].phones
    (start, end), = request.ranges
    # from a margin before the word to the end of the take
    assert start == pytest.approx(1.3 - words.MARGIN, abs=0.01) and end == 2.0
    after = keys_of(character)
    assert after.keys() == before.keys() and len(character.understudy.takes) == 2
    first, last = 1 + round(start * 30), 1 + round(end * 30)
    for name, keys in after.items():
        if "key_blocks" in name[0]:
            outside = [k for k in keys if not first <= k[0] < last]
            assert outside == [k for k in before[name] if not first <= k[0] < last], name
        else:
            assert keys == before[name], name
    jaw = next(k for n, k in after.items() if "jawOpen" in n[0])
    assert [v for f, v in jaw if first + 15 <= f < last] == pytest.approx([0.5] * (last - first - 15))
    # the face follows now, and the sounds of the new word are there
    assert words.stale_range(bpy.context, character) is None
    assert character.understudy_face.words[2].phones.endswith("AA")
    bpy.ops.ed.undo()
    assert len(again().understudy.takes) == 1 and again().understudy_face.words[2].text in ("mama", "papa")


def test_words_of_another_speech_are_not_used(character: Any, bridge: Any, tmp_path: Path) -> None:
    perform()
    perform()
    assert bridge.requests[-1].face_settings.words is not None
    character.understudy.sound_path = str(write_wav(tmp_path / "other.wav", 2.0))
    perform()
    assert bridge.requests[-1].face_settings.words is None


def test_edit_split_join_delete_add_reset(character: Any) -> None:
    perform()
    data = character.understudy_face
    world = data.words[1].uuid
    assert bpy.ops.understudy.word_edit(identity=world, start=2.0) == {"FINISHED"}
    # it stops where the word before ends
    assert table(character)[1] == ("world", 16, 31)
    bpy.ops.understudy.word_edit(identity=world, start=20.0, end=35.0)
    assert table(character)[1] == ("world", 20, 35)
    for w in data.words:
        w.selected = w.uuid == world
    assert bpy.ops.understudy.words(action="SPLIT", frame=27) == {"FINISHED"}
    assert [t[1:] for t in table(character)[1:3]] == [(20, 27), (27, 35)]
    for w in data.words:
        w.selected = w.start >= 20 and w.end <= 35
    assert bpy.ops.understudy.words(action="MERGE") == {"FINISHED"}
    assert table(character)[1] == ("world", 20, 35)
    for w in data.words:
        w.selected = w.uuid == world
    bpy.ops.understudy.words(action="DELETE")
    assert [t[0] for t in table(character)] == ["hello", "mama"]
    assert bpy.ops.understudy.words(action="ADD", frame=22, text="moon") == {"FINISHED"}
    assert table(character)[1] == ("moon", 22, 31)
    assert bpy.ops.understudy.words(action="ADD", frame=25) == {"CANCELLED"}
    bpy.ops.understudy.words(action="RESET")
    assert [t[0] for t in table(character)] == ["hello", "world", "mama"]
    bpy.ops.understudy.words(action="CLEAR")
    assert not len(data.words)


def test_suggestions_are_strips_to_keep_or_drop(character: Any, bridge: Any) -> None:
    direct(character, "sits", 61, 91)
    assert bpy.ops.understudy.suggest_directions() == {"FINISHED"}
    assert bridge.requests[-1].suggest and not character.understudy.takes
    strips = character.understudy.directions
    assert [(d.text, d.start, d.end, bool(d.reason)) for d in strips] == [("sits", 61, 91, False), ("a person waves", 16, 61, True)]
    assert "hello" in strips[1].reason and len(character.understudy_face.words) == 3
    # asking again replaces what was not kept
    bpy.ops.understudy.suggest_directions()
    assert len(strips) == 2
    bpy.ops.understudy.suggestion(action="KEEP", identity=strips[1].uuid)
    bpy.ops.understudy.suggest_directions()
    assert [bool(d.reason) for d in strips] == [False, False, True]
    bpy.ops.understudy.suggestion(action="DROP", identity=strips[2].uuid)
    assert len(strips) == 2
    with pytest.raises(RuntimeError, match="no suggestion"):
        bpy.ops.understudy.suggestion(action="DROP_ALL")


def test_suggestions_need_a_transcript_which_may_be_a_text(character: Any, bridge: Any) -> None:
    character.understudy.transcript = ""
    with pytest.raises(RuntimeError, match="transcript"):
        bpy.ops.understudy.suggest_directions()
    text = bpy.data.texts.new("Script")
    text.write("Hello world,\nmama")
    character.data.understudy_face.text = text
    assert bpy.ops.understudy.suggest_directions() == {"FINISHED"}
    assert bridge.requests[-1].transcript == "Hello world,\nmama"


def test_keyed_emotion_and_moving_target_reach_the_bridge(character: Any, bridge: Any) -> None:
    face = character.data.understudy_face
    perform()
    assert bridge.requests[-1].face_settings.emotions == {} and bridge.requests[-1].face_settings.gaze is None
    face.emotion = "happy"
    for frame, value in ((1, 0.0), (46, 1.0)):
        face.intensity = value
        character.data.keyframe_insert("understudy_face.intensity", frame=frame)
    for frame, value in ((1, "happy"), (61, "sad")):
        face.emotion = value
        character.data.keyframe_insert("understudy_face.emotion", frame=frame)
    target = bpy.data.objects.new("Look", None)
    bpy.context.scene.collection.objects.link(target)
    for frame, x in ((1, 0.0), (91, 2.0)):
        target.location = (x, -2.0, 1.6)
        target.keyframe_insert("location", frame=frame)
    face.gaze, face.target, face.blinks = "TARGET", target, 0.5
    bpy.context.scene.frame_set(17)
    perform()
    asked = bridge.requests[-1].face_settings
    assert bpy.context.scene.frame_current == 17 and asked.blinks == 0.5
    t = np.array([0.0, 0.75, 1.4, 2.6])
    happy, sad = asked.emotions["happy"].at(t), asked.emotions["sad"].at(t)
    assert happy[0] < 0.1 and 0.3 < happy[1] < 0.6 and happy[2] > 0.85 and happy[3] == 0
    assert sad[1] == 0 and sad[3] > 0.9
    points = asked.gaze.at(np.array([0.0, 3.0]))
    # in the performer's space: ahead, level with the head, moving to its left
    assert abs(points[0, 0]) < 0.1 and points[1, 0] > 1.5 and np.all(points[:, 2] > 1.5) and np.all(np.abs(points[:, 1] - 1.6) < 0.35)
    # stepping through takes does not lose the keys
    bpy.ops.understudy.take_step(step=-1)
    assert character.data.animation_data.action is not None
    face.gaze = "CAMERA"
    perform()
    assert bridge.requests[-1].face_settings.gaze is None or bpy.context.scene.camera is not None


def test_the_face_alone_with_other_settings(character: Any, bridge: Any) -> None:
    perform()
    before = keys_of(character)
    character.data.understudy_face.mouth = 1.5
    assert bpy.ops.understudy.perform_face() == {"FINISHED"}
    request = bridge.requests[-1]
    assert request.face_settings.mouth == 1.5 and request.ranges == [(0.0, pytest.approx(request.base.duration))]
    after = keys_of(character)
    changed = {n[0] for n, k in after.items() if k != before[n]}
    assert changed and all("jawOpen" in c for c in changed)
    assert bpy.ops.understudy.perform_face(start=31, end=46) == {"FINISHED"}
    assert bridge.requests[-1].ranges == [(1.0, 1.5)]
    with pytest.raises(RuntimeError, match="not in the take"):
        bpy.ops.understudy.perform_face(start=-40, end=-20)


def test_shapes_are_mapped_by_hand_and_kept_as_a_file(character: Any, bridge: Any, tmp_path: Path) -> None:
    assert bpy.ops.understudy.shape_add(shape="jawOpen") == {"FINISHED"}
    item = character.understudy_face.shapes["jawOpen"]
    assert item.drivers == "jawOpen"
    item.strength = 0.5
    name = "mouthSmile"
    bpy.ops.understudy.shape_add(shape=name)
    assert character.understudy_face.shapes[name].drivers == "mouthSmileLeft*0.5+mouthSmileRight*0.5"
    character.understudy_face.shapes[name].drivers = "mouthSmileRight"
    perform()
    jaw = [k[1] for n, keys in keys_of(character).items() if "jawOpen" in n[0] for k in keys]
    smile = [k[1] for n, keys in keys_of(character).items() if f'"{name}"' in n[0] for k in keys]
    assert max(jaw) == pytest.approx(0.5, abs=0.02) and np.allclose(smile, 0.6, atol=1e-5)
    path = tmp_path / "mine.shapes.json"
    bpy.ops.understudy.shapes_save(filepath=str(path))
    assert json.loads(path.read_text())["shapes"][name] == "mouthSmileRight"
    bpy.ops.understudy.shape_remove()
    bpy.ops.understudy.shapes_load(filepath=str(path))
    assert {s.name: s.strength for s in character.understudy_face.shapes}["jawOpen"] == 0.5
    path.write_text('{"understudy_shapes": 1, "shapes": {"jawOpen": "noSuchCurve"}}')
    with pytest.raises(RuntimeError, match="names no face curve"):
        bpy.ops.understudy.shapes_load(filepath=str(path))
    assert len(character.understudy_face.shapes) == 2
    character.understudy_face.shapes["jawOpen"].drivers = ""
    perform()
    assert not any("jawOpen" in n[0] for n in keys_of(character))
