# SPDX-License-Identifier: Apache-2.0
"""Work on the strips by operators, and the list beside it; the mouse needs a window and is tried in ``make ui``."""

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
    assert board.lanes == ("full", "right_arm")
    hit = board.at(80, 5)
    assert hit is not None and hit.uuid == settings.directions[1].uuid
    from blender_addon import overlay_mouse
    from blender_addon.core.board import drag

    overlay_mouse._lay(bpy.context.scene.understudy.character, drag(strips, "body", hit.uuid, 10, lane="head"))
    assert (settings.directions[1].start, settings.directions[1].part) == (71, "head")
