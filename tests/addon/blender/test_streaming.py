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
    from blender_addon import streaming

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
    from blender_addon import compat, streaming

    bridge.hold.clear()
    job = begin()
    action = character.animation_data.action
    assert action.name.endswith("performing") and streaming.MARK in action
    unfinished = [a for a in bpy.data.actions if streaming.MARK in a]
    shown = {c.data_path: len(c.keyframe_points) for a in unfinished for c in compat.action_curves(a)}
    assert set(shown.values()) == {60} and any("jawOpen" in path for path in shown)
    early = {(c.data_path, c.array_index): c.keyframe_points[20].co[1] for c in compat.action_curves(action) if "Arm" in c.data_path}
    bridge.hold.set()
    pump(lambda: job.owner.ended)
    take = character.animation_data.action
    assert take == job.owner.action() and len(character.understudy.takes) == 1
    assert not [a for a in bpy.data.actions if streaming.MARK in a]
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
    from blender_addon import streaming

    perform()
    before = sorted(a.name for a in bpy.data.actions)
    bridge.hold.clear()
    job = begin()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "middle.blend"), copy=True)
    with bpy.data.libraries.load(str(tmp_path / "middle.blend")) as (there, _):
        assert sorted(there.actions) == before and not [n for n in before if "performing" in n]
    # the frames come back
    pump(lambda: job.owner.stream.shown_frames > 0)
    assert streaming.MARK in character.animation_data.action
    bridge.hold.set()
    pump(lambda: job.owner.ended)
    assert len(character.understudy.takes) == 2


def test_undo_in_the_middle(character: Any, bridge: Any) -> None:
    from blender_addon import streaming

    bpy.ops.ed.undo_push(message="before")
    bridge.hold.clear()
    job = begin()
    bpy.ops.ed.undo_push(message="something of the artist's")
    bridge.hold.set()
    pump(lambda: job.owner.ended)
    assert job.error is None
    bpy.ops.ed.undo()
    character = next(o for o in bpy.data.objects if o.type == "ARMATURE")
    assert not [a for a in bpy.data.actions if streaming.MARK in a]
    assert character.animation_data is None or character.animation_data.action is None
