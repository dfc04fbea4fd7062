# SPDX-License-Identifier: Apache-2.0
"""Work on the strips by operators, and the list beside it; the mouse needs a window: ``tools/ui_hand.py``, a part of ``make ui``."""

from __future__ import annotations

from typing import Any

import bpy
import pytest


@pytest.fixture
def settings(addon: Any) -> Any:
    """A character with three directions."""
    data = bpy.data.armatures.new("Rig")
    character = bpy.data.objects.new("Rig", data)
    bpy.context.scene.collection.objects.link(character)
    bpy.context.scene.understudy.character = character
    bpy.context.scene.render.fps = 30
    for n, (text, part) in enumerate((("walks", "full"), ("waves", "right_arm"), ("sits", "full"))):
        bpy.ops.understudy.direction_add(text=text, part=part, start=1 + 60 * n, end=41 + 60 * n)
    return character.understudy


def choose(settings: Any, *texts: str) -> None:
    for item in settings.directions:
        item.selected = item.text in texts


def table(settings: Any) -> list[tuple[str, float, float]]:
    return sorted((d.text, d.start, d.end) for d in settings.directions)


def test_split(settings: Any) -> None:
    choose(settings, "waves", "sits")
    assert bpy.ops.understudy.strips(action="SPLIT", frame=80) == {"FINISHED"}
    assert table(settings) == [("sits", 121, 161), ("walks", 1, 41), ("waves", 61, 80), ("waves", 80, 101)]
    assert len({d.uuid for d in settings.directions}) == 4
    assert {d.part for d in settings.directions if d.text == "waves"} == {"right_arm"}
    assert bpy.ops.understudy.strips(action="SPLIT", frame=80) == {"CANCELLED"}
    bpy.context.scene.frame_set(141)
    assert bpy.ops.understudy.strips(action="SPLIT") == {"FINISHED"}


def test_duplicate_goes_after_and_is_selected(settings: Any) -> None:
    choose(settings, "walks", "waves")
    bpy.ops.understudy.strips(action="DUPLICATE")
    assert table(settings)[1:] == [("walks", 1, 41), ("walks", 101, 141), ("waves", 61, 101), ("waves", 161, 201)]
    assert [d.start for d in settings.directions if d.selected] == [101, 161]


def test_mute_seed_delete(settings: Any) -> None:
    choose(settings, "walks", "sits")
    bpy.ops.understudy.strips(action="MUTE")
    assert [d.enabled for d in settings.directions] == [False, True, False]
    bpy.ops.understudy.strips(action="MUTE")
    assert all(d.enabled for d in settings.directions)
    bpy.ops.understudy.strips(action="SEED")
    assert [(d.use_seed, d.seed) for d in settings.directions] == [(True, 1), (False, 0), (True, 1)]
    bpy.ops.understudy.strips(action="DELETE")
    assert [d.text for d in settings.directions] == ["waves"]
    bpy.ops.understudy.strips(action="SELECT_ALL")
    bpy.ops.understudy.strips(action="DELETE")
    assert not settings.directions and not bpy.ops.understudy.strips.poll()


def test_the_list_chooses_and_moves(settings: Any) -> None:
    choose(settings, "walks", "sits")
    bpy.ops.understudy.strips(action="LATER")
    bpy.ops.understudy.strips(action="EARLIER", far=True)
    assert table(settings) == [("sits", 112, 152), ("walks", -8, 32), ("waves", 61, 101)]
    # a row of the list that is clicked is the selected one; one that is selected together with others keeps them
    settings.direction_index = next(n for n, d in enumerate(settings.directions) if d.text == "sits")
    assert [d.text for d in settings.directions if d.selected] == ["walks", "sits"]
    settings.direction_index = next(n for n, d in enumerate(settings.directions) if d.text == "waves")
    assert [d.text for d in settings.directions if d.selected] == ["waves"]


def test_the_background_knows_how_loud_the_speech_is(settings: Any, tmp_path: Any) -> None:
    from blender_addon import compat, sound_energy

    from .shot import write_wav

    character = bpy.context.scene.understudy.character
    path = write_wav(tmp_path / "speech.wav", 2.0)
    settings.sound_source, settings.sound_path = "FILE", str(path)
    bpy.context.scene.frame_start = 11
    heard, = sound_energy.heard_by(bpy.context, character)
    assert (heard.origin, heard.first, heard.last) == (11, 11, 71) and len(heard.energy) == 100
    assert heard.energy.max() == 1.0 and heard.energy.min() > 0.8
    (tmp_path / "words.txt").write_text("no sound")
    assert sound_energy.of_file(tmp_path / "words.txt") is None
    settings.sound_path = str(tmp_path / "gone.wav")
    assert sound_energy.heard_by(bpy.context, character) == []
    if compat.has_sound():
        strip = compat.strips(bpy.context.scene, create=True).new_sound("s", str(path), 1, 31)
        strip.frame_final_start, settings.sound_source = 41, "SEQUENCER"
        heard, = sound_energy.heard_by(bpy.context, character)
        assert (heard.origin, heard.first) == (31, 41)


def test_edit(settings: Any) -> None:
    identity = settings.directions[1].uuid
    assert bpy.ops.understudy.strip_edit(identity=identity, text="points", part="left_arm", strength=1.5) == {"FINISHED"}
    item = settings.directions[1]
    assert (item.text, item.part, item.strength, item.uuid) == ("points", "left_arm", 1.5, identity)


def test_each_is_one_undo_step(settings: Any) -> None:
    bpy.ops.ed.undo_push(message="before")
    before = table(settings)
    choose(settings, "walks")
    bpy.ops.understudy.strips(action="DUPLICATE")
    bpy.ops.ed.undo_push(message="Duplicate")  # in the background operators called from Python push nothing themselves
    assert len(bpy.context.scene.understudy.character.understudy.directions) == 4
    bpy.ops.ed.undo()
    assert table(bpy.context.scene.understudy.character.understudy) == before


def test_the_board_finds_the_strips(settings: Any) -> None:
    from blender_addon import overlay
    from blender_addon.core.board import Board

    strips = overlay.strips_of(bpy.context.scene.understudy.character)
    board = Board(strips, lambda f: f, lambda x: x, 0, 10)
    hit = board.at(80, board.lane_bottom("right_arm") + 5)
    assert hit is not None and hit.uuid == settings.directions[1].uuid
    from blender_addon import overlay_mouse
    from blender_addon.core.board import drag

    overlay_mouse._lay(bpy.context.scene.understudy.character, drag(strips, "body", hit.uuid, 10, lane="head"))
    assert (settings.directions[1].start, settings.directions[1].part) == (71, "head")


def test_markers_and_text_strips_become_directions(settings: Any) -> None:
    from blender_addon import compat

    scene = bpy.context.scene
    bpy.ops.understudy.direction_clear()
    scene.frame_end = 200
    for name, frame in (("bows", 100), ("waves", 10), ("F_40", 40)):
        scene.timeline_markers.new(name, frame=frame)
    bpy.ops.understudy.directions_from_scene(source="MARKERS")
    assert table(settings) == [("bows", 100, 190), ("waves", 10, 40)]
    bpy.ops.understudy.direction_clear()
    strip = compat.new_text_strip(scene, "t", 1, 20, 30)
    strip.text = "sits\ndown"
    bpy.ops.understudy.directions_from_scene(source="TEXT_STRIPS")
    assert table(settings) == [("sits down", 20, 50)]
    scene.timeline_markers.clear()
    bpy.ops.understudy.directions_to_markers()
    assert [(m.name, m.frame) for m in scene.timeline_markers] == [("sits down", 20)]


def test_text_strips_hold_directions_and_give_them_back(settings: Any) -> None:
    from blender_addon import compat

    scene = bpy.context.scene
    taken = compat.new_text_strip(scene, "own", 1, 1, 30)
    taken.text, taken.mute = "a title", True
    bpy.ops.understudy.direction_add(text="nods, twice", part="head", start=20.4, end=50)
    settings.directions[2].enabled = False
    assert bpy.ops.understudy.directions_to_text_strips() == {"FINISHED"}
    strips = [s for s in compat.strips(scene) if s != taken]
    assert sorted((s.text, *compat.strip_range(s), s.mute) for s in strips) == [
        ("[head] nods, twice", 20, 50, True), ("[right arm] waves", 61, 101, True), ("walks", 1, 41, True)]
    assert len({s.channel for s in compat.strips(scene) if compat.strip_range(s)[0] < 30}) == 3
    # again, they take the place of those before; the artist's own strip stays
    bpy.ops.understudy.directions_to_text_strips(shown=True)
    assert len(compat.strips(scene)) == 4 and [s.mute for s in compat.strips(scene) if s.text != "a title"] == [False] * 3
    bpy.ops.understudy.directions_to_text_strips()
    bpy.ops.understudy.direction_clear()
    assert bpy.ops.understudy.directions_from_scene(source="TEXT_STRIPS") == {"FINISHED"}
    assert sorted((d.text, d.part, d.start, d.end) for d in settings.directions) == [
        ("nods, twice", "head", 20, 50), ("walks", "full", 1, 41), ("waves", "right_arm", 61, 101)]


def test_presets_are_kept_placed_and_deleted(settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from blender_addon import direction_presets
    from blender_addon.core import direction_presets as files

    monkeypatch.setattr(direction_presets, "folder", lambda: tmp_path)
    choose(settings, "waves", "sits")
    settings.directions[1].strength = 1.5
    assert bpy.ops.understudy.direction_preset_save(title="Wave / Sit") == {"FINISHED"}
    assert direction_presets.names() == ["Wave / Sit"] and [p.name for p in tmp_path.iterdir()] == ["wave_sit.directions.json"]
    bpy.context.scene.frame_set(301)
    bpy.context.scene.render.fps = 60
    assert bpy.ops.understudy.direction_preset_place(title="Wave / Sit") == {"FINISHED"}
    # seconds count, so that they last as long at another rate
    assert [(d.text, d.part, d.start, d.end) for d in settings.directions if d.selected] == [
        ("waves", "right_arm", 301, 381), ("sits", "full", 421, 501)]
    assert settings.directions[3].strength == 1.5 and len({d.uuid for d in settings.directions}) == 5
    # it is found in the library, and may be placed as often as one likes
    assert bpy.ops.understudy.direction_library(choice="preset: Wave / Sit") == {"FINISHED"}
    assert len({d.uuid for d in settings.directions}) == 7
    with pytest.raises(RuntimeError, match="needs a name"):
        bpy.ops.understudy.direction_preset_save(title=" / ")
    (tmp_path / "broken.directions.json").write_text("{")
    assert direction_presets.names() == ["Wave / Sit"]
    with pytest.raises(RuntimeError, match="no preset of directions"):
        bpy.ops.understudy.direction_preset_place(title="broken")
    assert bpy.ops.understudy.direction_preset_remove(title="Wave / Sit") == {"FINISHED"}
    assert files.labels(tmp_path) == []
    with pytest.raises(RuntimeError, match="There is no preset"):
        bpy.ops.understudy.direction_preset_remove(title="Wave / Sit")


def test_the_library_holds_directions_that_can_be_performed(settings: Any) -> None:
    from blender_addon.core.library import LIBRARY
    from blender_addon.shared.timeline import Direction, check

    bpy.context.scene.frame_set(11)
    assert bpy.ops.understudy.direction_library(choice="a person waves hello") == {"FINISHED"}
    item = settings.directions[settings.direction_index]
    assert (item.text, item.part, item.start, item.end) == ("a person waves hello", "upper", 11, 86)
    entries = [e for group in LIBRARY.values() for e in group]
    assert len({text for text, _, _ in entries}) == len(entries)
    check([Direction(0.0, seconds, text, part) for text, part, seconds in entries])


def test_subtitles_are_imported_beside_what_is_there(settings: Any, tmp_path: Any) -> None:
    path = tmp_path / "d.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\n[head] nods\n")
    bpy.ops.understudy.import_directions(filepath=str(path), add=True)
    assert len(settings.directions) == 4 and ("nods", 31, 61) in table(settings)
    bpy.ops.understudy.export_directions(filepath=str(tmp_path / "d.csv"))
    assert "nods,head" in (tmp_path / "d.csv").read_text()


def test_without_a_character_the_reason_is_said(addon: Any) -> None:
    from blender_addon.cast import NO_CHARACTER

    for operator in (bpy.ops.understudy.strip_edit, bpy.ops.understudy.strips, bpy.ops.understudy.strip_drag):
        with pytest.raises(RuntimeError, match=NO_CHARACTER):
            operator()
