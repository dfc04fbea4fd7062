# SPDX-License-Identifier: Apache-2.0
"""Frames that are there before the rest, and how they go away again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest

from .conftest import open_character
from .shot import direct, perform, snapshot

SECONDS = 60.0


@pytest.fixture
def character(addon: Any, bridge: Any) -> Iterator[Any]:
    from blender_addon import streaming, unfinished

    streaming.in_background = True
    character = open_character("mixamo_arkit")
    direct(character, end=121)
    yield character
    bridge.hold.set()
    streaming.in_background = False


def pump(until: Callable[[], bool]) -> None:
    from blender_addon import session

    deadline = time.monotonic() + SECONDS
    while not until() and time.monotonic() < deadline:
        session.pump(0.01)
    assert until()


def begin() -> Any:
    from blender_addon import jobs

    job = jobs.begin(bpy.context)
    pump(lambda: job.owner.stream is not None and job.owner.stream.shown_frames > 0)
    return job


def test_frames_appear_and_give_way_to_the_take(character: Any, bridge: Any) -> None:
    from blender_addon import compat, unfinished

    bridge.hold.clear()
    job = begin()
    action = character.animation_data.action
    assert action.name.endswith("performing") and unfinished.MARK in action
    written = [a for a in bpy.data.actions if unfinished.MARK in a]
    shown = {c.data_path: len(c.keyframe_points) for a in written for c in compat.action_curves(a)}
    assert set(shown.values()) == {60} and any("jawOpen" in path for path in shown)
    early = {(c.data_path, c.array_index): c.keyframe_points[20].co[1] for c in compat.action_curves(action) if "Arm" in c.data_path}
    bridge.hold.set()
    pump(lambda: job.owner.ended)
    take = character.animation_data.action
    assert take == job.owner.action() and len(character.understudy.takes) == 1
    assert not [a for a in bpy.data.actions if unfinished.MARK in a]
    # a key that is changed in it is known as the artist's, as in any take
    from blender_addon.splice import locked_frames

    assert not locked_frames(take, character.understudy.takes[0].slot)
    character.pose.bones["mixamorig:Head"].rotation_euler = (0.3, 0.2, 0.1)
    character.pose.bones["mixamorig:Head"].keyframe_insert("rotation_euler", frame=9)
    assert list(locked_frames(take, character.understudy.takes[0].slot).values()) == [{9}]
    final = {(c.data_path, c.array_index): c.keyframe_points[20].co[1] for c in compat.action_curves(take)}
    assert all(final[key] == pytest.approx(value, abs=1e-4) for key, value in early.items())


def test_cancel_puts_back_what_was_shown(character: Any, bridge: Any) -> None:
    character.pose.bones[0].keyframe_insert("location", frame=5)
    before = snapshot(character)
    bridge.hold.clear()
    begin()
    assert bpy.ops.understudy.cancel() == {"FINISHED"}
    assert snapshot(character) == before and not character.understudy.own_stored
    bridge.hold.set()
    perform()
    assert len(character.understudy.takes) == 1


def test_saving_in_the_middle_saves_nothing_unfinished(character: Any, bridge: Any, tmp_path: Path) -> None:
    from blender_addon import streaming, unfinished

    perform()
    before = sorted(a.name for a in bpy.data.actions)
    bridge.hold.clear()
    job = begin()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "middle.blend"), copy=True)
    with bpy.data.libraries.load(str(tmp_path / "middle.blend")) as (there, _):
        assert sorted(there.actions) == before and not [n for n in before if "performing" in n]
    # the frames come back
    pump(lambda: job.owner.stream.shown_frames > 0)
    assert unfinished.MARK in character.animation_data.action
    bridge.hold.set()
    pump(lambda: job.owner.ended)
    assert len(character.understudy.takes) == 2


def test_undo_in_the_middle(character: Any, bridge: Any) -> None:
    from blender_addon import streaming, unfinished

    bpy.ops.ed.undo_push(message="before")
    bridge.hold.clear()
    job = begin()
    bpy.ops.ed.undo_push(message="something of the artist's")
    bridge.hold.set()
    pump(lambda: job.owner.ended)
    assert job.error is None
    bpy.ops.ed.undo()
    character = next(o for o in bpy.data.objects if o.type == "ARMATURE")
    assert not [a for a in bpy.data.actions if unfinished.MARK in a]
    assert character.animation_data is None or character.animation_data.action is None


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """One small piece of work with every turn."""
    from blender_addon import gradual

    monkeypatch.setattr(gradual, "BUDGET_SECONDS", 0.0)


def turns(job: Any) -> int:
    from blender_addon import session

    count, deadline = 0, time.monotonic() + SECONDS
    while not job.owner.ended and time.monotonic() < deadline:
        session.pump()
        count += session.finishing != {}
    assert job.owner.ended and job.error is None
    return count


def values(action: Any) -> dict[tuple[str, int], list[tuple[float, float]]]:
    from blender_addon import compat

    return {(c.data_path, c.array_index): [tuple(k.co) for k in c.keyframe_points] for c in compat.action_curves(action)}


def edit_range(character: Any) -> Any:
    from blender_addon import editing
    from blender_addon.shared.edits import Range

    return editing.begin_edit(bpy.context, character, [Range(1.0, 2.0)])


@pytest.mark.parametrize("mode", ["DENSE", "SIMPLIFIED"])
def test_an_edit_a_little_at_a_time_is_the_edit_at_once(character: Any, bridge: Any, slowly: None, mode: str) -> None:
    from blender_addon import streaming, unfinished

    settings = character.understudy
    settings.key_mode, settings.seed_locked = mode, True
    streaming.in_background = False
    first = perform()
    bpy.ops.understudy.perform_range(start=31, end=61)
    at_once = values(settings.takes[-1].action)
    bpy.ops.understudy.take_discard()
    streaming.in_background = True
    job = edit_range(character)
    pump(lambda: job.motion is not None)
    assert turns(job) > 30
    assert values(settings.takes[-1].action) == at_once and values(first) != at_once
    assert not [a for a in bpy.data.actions if unfinished.MARK in a]
    # a simplified take itself, the same way
    before = values(first)
    settings.take_index = -1
    from blender_addon import jobs

    job = jobs.begin(bpy.context)
    pump(lambda: job.owner.ended)
    assert values(settings.takes[-1].action) == before


def test_saving_and_undoing_in_the_middle_of_an_edit(character: Any, bridge: Any, slowly: None, tmp_path: Path) -> None:
    from blender_addon import unfinished

    perform()
    bpy.ops.ed.undo_push(message="performed")
    before = sorted(a.name for a in bpy.data.actions)

    def unready() -> list[Any]:
        return [a for a in bpy.data.actions if unfinished.MARK in a]

    job = edit_range(character)
    pump(lambda: bool(unready()))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "middle.blend"), copy=True)
    with bpy.data.libraries.load(str(tmp_path / "middle.blend")) as (there, _):
        assert sorted(there.actions) == before
    pump(lambda: bool(unready()))
    bpy.context.scene.frame_end = 777
    bpy.ops.ed.undo_push(message="something of the artist's")
    bpy.ops.ed.undo()
    assert not unready()
    turns(job)
    character = next(o for o in bpy.data.objects if o.type == "ARMATURE")
    assert len(character.understudy.takes) == 2 and not unready()


def test_deleting_the_take_in_the_middle_of_its_edit(character: Any, bridge: Any, slowly: None) -> None:
    from blender_addon import session, unfinished

    perform()
    job = edit_range(character)
    pump(lambda: any(unfinished.MARK in a for a in bpy.data.actions))
    bpy.ops.understudy.take_discard()
    pump(lambda: job.owner.ended)
    assert job.error is not None and job.error.code == "not_found" and not bpy.data.actions and not session.finishing
