# SPDX-License-Identifier: Apache-2.0
"""What the bridge remarks about a speech or a performance reaches the artist, the log and the report of a batch."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import bpy
import pytest

from .conftest import open_character
from .paper import Paper
from .shot import direct, write_wav

SAID = ["The transcript does not fit the sound, so it is not used.", "From 0:01 to 0:02 there is music, so the lips rest."]


@pytest.fixture
def character(addon: Any, bridge: Any, tmp_path: Path) -> Any:
    character = open_character("mixamo_arkit")
    character.understudy.sound_source = "FILE"
    character.understudy.sound_path = str(write_wav(tmp_path / "speech.wav", 3.0))
    character.understudy.transcript = "Hello world, mama"
    bridge.warnings = list(SAID)
    return character


def panel(character: Any) -> str:
    from blender_addon import performance

    paper = Paper()
    performance.draw(paper, bpy.context, character)
    return " ".join(paper.texts)


def test_of_a_take_under_the_take(character: Any, bridge: Any, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING, "understudy.remarks"):
        assert bpy.ops.understudy.perform() == {"FINISHED"}
    assert [r.getMessage() for r in caplog.records if r.name == "understudy.remarks"] == [f"{character.name}: {s}" for s in SAID]
    assert all(sentence in panel(character) for sentence in SAID)
    bridge.warnings = []
    bpy.ops.understudy.perform()
    assert not any(sentence in panel(character) for sentence in SAID), "the take that is shown now has none"
    bpy.ops.understudy.take_step(step=-1)
    assert all(sentence in panel(character) for sentence in SAID)
    bpy.ops.understudy.take_step(step=-1)
    assert not any(sentence in panel(character) for sentence in SAID), "nothing is said of the artist's own animation"


def test_operators_report_them(character: Any, bridge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from blender_addon import remarks

    told: list[str] = []
    monkeypatch.setattr(remarks, "report", lambda _operator, sentences: told.extend(sentences))
    bpy.ops.understudy.perform()
    bpy.ops.understudy.find_words()
    bpy.ops.understudy.perform_face()
    bpy.ops.understudy.perform_range(start=10, end=40)
    assert told == SAID * 4


def test_a_report_is_a_warning(addon: Any) -> None:
    from blender_addon import remarks

    class Operator:
        told: list[Any] = []

        def report(self, kinds: set[str], text: str) -> None:
            self.told.append((kinds, text))

    remarks.report(Operator(), SAID)
    assert Operator.told == [({"WARNING"}, s) for s in SAID]


def test_of_words_under_the_transcript(character: Any, bridge: Any, tmp_path: Path) -> None:
    from blender_addon.face import hearing

    def drawn() -> str:
        paper = Paper()
        hearing.draw_transcript(paper, bpy.context, character)
        return " ".join(text for text, _ in paper.labels)

    bpy.ops.understudy.find_words()
    assert all(sentence in drawn() for sentence in SAID)
    # another speech: what was said about the former one goes with its words
    character.understudy.sound_path = str(write_wav(tmp_path / "other.wav", 2.0))
    bridge.warnings = []
    bpy.ops.understudy.perform()
    assert not any(sentence in drawn() for sentence in SAID)
    bridge.warnings = list(SAID)
    bpy.ops.understudy.find_words()
    bpy.ops.understudy.words(action="CLEAR")
    assert drawn() == ""


@pytest.mark.parametrize("found", [None, "a sentence", [1, None, " "], {"a": 1}])
def test_what_is_no_list_of_sentences_is_left_out(addon: Any, found: Any) -> None:
    from blender_addon import remarks

    assert remarks.sentences({"warnings": found}) == []


def test_in_a_batch(character: Any, bridge: Any, tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from blender_addon import commands
    from blender_addon.commands import main
    from shared.shots import Shot

    direct(character)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    (tmp_path / "shots.csv").write_text("file,output\nshot.blend,out.blend\n")
    assert main(["batch", str(tmp_path / "shots.csv")]) == 0
    report = json.loads((tmp_path / "shots.report.json").read_text())
    assert report["shots"][0]["warnings"] == SAID and SAID[0] in capfd.readouterr().out
    events: list[dict[str, Any]] = []
    monkeypatch.setattr(commands, "_tell", lambda **event: events.append(event))
    monkeypatch.setattr(commands, "_end_with", lambda _parent: None)
    task = tmp_path / "task.json"
    shot = Shot(2, str(tmp_path / "shot.blend"), "", "", "", None, str(tmp_path / "again.blend"))
    task.write_text(json.dumps({"shot": shot.to_json(), "parent": 1}))
    assert main(["shot", str(task)]) == 0
    assert events[-1]["ended"] and events[-1]["warnings"] == SAID
    assert main(["generate"]) == 0
    assert f"Note: {SAID[1]}" in capfd.readouterr().out


def test_with_a_window_the_operator_waits_for_the_take_and_then_reports(character: Any) -> None:
    from types import SimpleNamespace

    from blender_addon.performance import Performing

    class Waiting(Performing):
        def __init__(self) -> None:
            self.told: list[str] = []

        def report(self, kinds: set[str], text: str) -> None:
            self.told.append(f"{kinds} {text}")

    waiting, event = Waiting(), SimpleNamespace(type="TIMER", value="NOTHING")
    owner = SimpleNamespace(ended=False, remarks=())
    waiting._began(SimpleNamespace(id="gone from the desk", owner=owner))
    # the bridge is done, but the result is still being put onto the rig
    assert waiting.modal(bpy.context, event) == {"PASS_THROUGH"} and not waiting.told
    owner.ended, owner.remarks = True, (SAID[0],)
    assert waiting.modal(bpy.context, event) == {"FINISHED"}
    assert waiting.told == [f"{{'WARNING'}} {SAID[0]}"]
