# SPDX-License-Identifier: Apache-2.0
"""Parts of a take made anew: what is outside keeps its keys, what the artist has set stays exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from .conftest import open_character
from .shot import direct, perform

Keys = dict[tuple[str, str, int], list[tuple[float, float, str]]]


def keys_of(action: Any) -> Keys:
    from blender_addon import compat

    return {(slot, c.data_path, c.array_index): [(k.co[0], k.co[1], k.type) for k in c.keyframe_points]
            for slot, c in compat.curves_with_slots(action)}


def values_of(action: Any, part: str, frame: float) -> np.ndarray:
    from blender_addon import compat

    return np.array([c.evaluate(frame) for _, c in compat.curves_with_slots(action) if part in c.data_path])


@pytest.fixture
def character(addon: Any, bridge: Any) -> Any:
    character = open_character("mixamo_arkit")
    direct(character, end=121)
    perform()
    return character


def shown(character: Any) -> Any:
    from blender_addon import takes

    return takes.current(character).action


def test_a_range_is_a_new_take_and_the_rest_keeps_its_keys(character: Any, bridge: Any) -> None:
    first = shown(character)
    before = keys_of(first)
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.understudy.perform_range(start=31, end=76) == {"FINISHED"}
    second = shown(character)
    request = bridge.requests[-1]
    assert [(r.start, r.end, r.part) for r in request.edit.ranges] == [(1.0, 2.5, "full")] and request.seed == 1
    assert second != first and keys_of(first) == before
    after = keys_of(second)
    assert after.keys() == before.keys()
    for name, keys in after.items():
        assert [k for k in keys if not 31 <= k[0] < 76] == [k for k in before[name] if not 31 <= k[0] < 76], name
        assert [k[0] for k in keys] == list(range(1, 121))
    elbow = [values_of(second, "LeftForeArm", f) for f in range(25, 85)]
    assert np.abs(values_of(first, "LeftForeArm", 50) - values_of(second, "LeftForeArm", 50)).max() > 0.3
    # it flows at the edges: no step larger than the way of half a second needs
    assert np.abs(np.diff(elbow, axis=0)).max() < 0.2
    assert len(character.understudy.takes) == 2
    bpy.ops.ed.undo()
    assert len(next(o for o in bpy.data.objects if o.type == "ARMATURE").understudy.takes) == 1


def test_only_the_part_changes(character: Any, bridge: Any) -> None:
    before = keys_of(shown(character))
    bpy.ops.understudy.perform_range(start=31, end=76, part="left_arm")
    after = keys_of(shown(character))
    changed = {path for (slot, path, n), keys in after.items() if keys != before[slot, path, n]}
    assert changed and all("Left" in path and ("Arm" in path or "Hand" in path or "Shoulder" in path) for path in changed)


@pytest.mark.parametrize("mode", ["DENSE", "SIMPLIFIED"])
def test_hand_set_keys_survive_exactly(addon: Any, bridge: Any, mode: str) -> None:
    character = open_character("mixamo_arkit")
    direct(character, end=121)
    character.understudy.key_mode = mode
    perform()
    bone = character.pose.bones["mixamorig:LeftForeArm"]
    # the artist poses the arm over a generated key; Blender leaves the key's type as it is
    bpy.context.scene.frame_set(50)
    bone.rotation_euler = (0.1, 0.2, 1.4)
    bone.keyframe_insert("rotation_euler", frame=50)
    first = shown(character)
    posed = values_of(first, "LeftForeArm", 50)
    np.testing.assert_allclose(posed, (0.1, 0.2, 1.4), atol=1e-6)
    outside = [values_of(first, "pose.bones", f) for f in (*range(1, 31), *range(76, 121))]
    bpy.ops.understudy.perform_range(start=31, end=76)
    request = bridge.requests[-1]
    assert [(round(lock.time * 30), lock.part) for lock in request.edit.locks] == [(49, "left_arm")]
    second = shown(character)
    assert np.array_equal(values_of(second, "LeftForeArm", 50), posed)
    np.testing.assert_allclose([values_of(second, "pose.bones", f) for f in (*range(1, 31), *range(76, 121))], outside, atol=2e-5)
    # approached smoothly, not jumped to
    arm = np.array([values_of(second, "LeftForeArm", f) for f in range(44, 57)])
    assert np.abs(np.diff(arm, axis=0)).max() < 0.35
    kinds = {k[2] for (_, path, _), keys in keys_of(second).items() if "LeftForeArm" in path for k in keys if k[0] == 50}
    assert kinds == {"KEYFRAME"}
    # once more: it is still locked; with the lock off it goes
    bpy.ops.understudy.perform_range(start=31, end=76)
    assert np.array_equal(values_of(shown(character), "LeftForeArm", 50), posed)
    character.understudy.keep_hand_set = False
    bpy.ops.understudy.perform_range(start=31, end=76)
    assert not bridge.requests[-1].edit.locks
    assert np.abs(values_of(shown(character), "LeftForeArm", 50) - posed).max() > 0.1


def test_lock_and_unlock(character: Any, bridge: Any) -> None:
    first = shown(character)
    bpy.context.scene.frame_set(60)
    assert bpy.ops.understudy.lock_keys() == {"FINISHED"}
    pose = values_of(first, "pose.bones", 60)
    bpy.ops.understudy.perform_range(start=31, end=76)
    assert [(round(k.time * 30), k.part) for k in bridge.requests[-1].edit.locks] == [(59, "full")]
    assert np.array_equal(values_of(shown(character), "pose.bones", 60), pose)
    bpy.ops.understudy.lock_keys(unlock=True)
    bpy.ops.understudy.perform_range(start=31, end=76)
    assert not bridge.requests[-1].edit.locks


def test_a_direction_a_loop_and_more_at_the_end(character: Any, bridge: Any) -> None:
    direct(character, "waves", 61, 91, part="left_arm")
    bpy.ops.understudy.perform_strip(identity=character.understudy.directions[1].uuid)
    assert [(r.start, r.end, r.part) for r in bridge.requests[-1].edit.ranges] == [(2.0, 3.0, "left_arm")]
    bpy.ops.understudy.loop_take()
    assert bridge.requests[-1].edit.loop and shown(character).use_cyclic
    character.understudy.directions[1].end = 151
    before = keys_of(shown(character))
    bpy.ops.understudy.extend_take()
    after = keys_of(shown(character))
    assert shown(character).frame_range[1] == 150 and bridge.requests[-1].duration == 5.0
    for name, keys in after.items():
        assert [k[0] for k in keys] == list(range(1, 151)), name
        assert keys[:111] == before[name][:111]
    with pytest.raises(RuntimeError, match="go on after"):
        bpy.ops.understudy.extend_take()


def test_refusals_change_nothing(character: Any, bridge: Any) -> None:
    actions, count = [a.name for a in bpy.data.actions], len(bridge.requests)
    with pytest.raises(RuntimeError, match="not in the take"):
        bpy.ops.understudy.perform_range(start=500, end=600)
    with pytest.raises(RuntimeError, match="No range is chosen"):
        bpy.ops.understudy.perform_range()
    scene = bpy.context.scene
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 31, 60
    bpy.ops.understudy.perform_range()
    assert (bridge.requests[-1].edit.ranges[0].start, bridge.requests[-1].edit.ranges[0].end) == (1.0, 2.0)
    bpy.ops.understudy.take_discard()
    bpy.ops.understudy.take_step(step=-1)
    assert not bpy.ops.understudy.perform_range.poll()
    assert [a.name for a in bpy.data.actions] == actions and len(bridge.requests) == count + 1


def test_variations(character: Any, bridge: Any) -> None:
    character.understudy.variations, character.understudy.seed_locked, character.understudy.seed = 3, True, 7
    character.understudy.transcript = "hello there"
    bpy.ops.understudy.perform()
    assert [r.seed for r in bridge.requests[1:]] == [7, 8, 9] and bridge.requests[1].transcript == "hello there"
    assert [t.seed for t in character.understudy.takes] == [0, 7, 8, 9] and character.understudy.seed == 7


def test_variations_of_a_range_all_come_from_the_same_take(character: Any, bridge: Any) -> None:
    settings = character.understudy
    settings.variations, settings.seed = 3, 7
    first = shown(character)
    before = keys_of(first)
    assert bpy.ops.understudy.perform_range(start=31, end=76, part="left_arm") == {"FINISHED"}
    asked = bridge.requests[1:]
    assert [r.seed for r in asked] == [7, 8, 9] and [t.seed for t in settings.takes] == [0, 7, 8, 9] and settings.seed == 10
    for request in asked:
        assert [(r.start, r.end, r.part) for r in request.edit.ranges] == [(1.0, 2.5, "left_arm")]
        # not from the variation before
        assert np.array_equal(request.edit.base.rotations, asked[0].edit.base.rotations)
    found = []
    for _ in range(3):
        after = keys_of(shown(character))
        for (slot, path, n), keys in after.items():
            inside = "Left" in path and ("Arm" in path or "Hand" in path or "Shoulder" in path)
            outside = [k for k in keys if not 31 <= k[0] < 76 or not inside]
            assert outside == [k for k in before[slot, path, n] if not 31 <= k[0] < 76 or not inside], path
        found.append(values_of(shown(character), "LeftForeArm", 50))
        bpy.ops.understudy.take_step(step=-1)
    assert shown(character) == first
    assert min(np.abs(a - b).max() for n, a in enumerate(found) for b in found[n + 1:]) > 0.01, "each seed is another performance"


def test_variations_of_a_direction_of_a_part_and_of_more(character: Any, bridge: Any) -> None:
    settings = character.understudy
    settings.variations, settings.seed = 2, 4
    direct(character, "waves", 61, 91, part="left_arm")
    bpy.ops.understudy.perform_strip(identity=settings.directions[1].uuid)
    assert [(r.seed, r.edit.ranges[0].part) for r in bridge.requests[1:]] == [(4, "left_arm"), (5, "left_arm")]
    bpy.ops.understudy.perform_between(first=20, last=40)
    assert [(r.seed, r.edit.kind) for r in bridge.requests[3:]] == [(6, "between"), (7, "between")]
    settings.directions[1].end = 151
    bpy.ops.understudy.extend_take()
    assert [(r.seed, r.duration, len(r.edit.base)) for r in bridge.requests[5:]] == [(8, 5.0, 120), (9, 5.0, 120)]
    count = len(bridge.requests)
    settings.directions[1].use_seed = True
    with pytest.raises(RuntimeError, match="seed of its own"):
        bpy.ops.understudy.perform_strip(identity=settings.directions[1].uuid)
    assert len(bridge.requests) == count


def test_variations_between_the_artists_own_poses(character: Any, bridge: Any) -> None:
    settings = character.understudy
    bpy.ops.understudy.take_discard()
    bone = character.pose.bones["mixamorig:LeftForeArm"]
    for frame, bend in ((1, 0.0), (31, 1.2)):
        bone.rotation_euler = (bend, 0.0, 0.0)
        bone.keyframe_insert("rotation_euler", frame=frame)
    own = character.animation_data.action
    settings.variations, settings.seed = 2, 3
    assert bpy.ops.understudy.perform_between(first=1, last=31) == {"FINISHED"}
    one, two = bridge.requests[-2:]
    assert (one.seed, two.seed) == (3, 4) and np.array_equal(one.edit.base.rotations, two.edit.base.rotations)
    assert len(settings.takes) == 2
    bpy.ops.understudy.take_step(step=-1)
    bpy.ops.understudy.take_step(step=-1)
    assert character.animation_data.action == own


def test_a_take_that_is_discarded_between_two_variations_is_said(character: Any, bridge: Any) -> None:
    from blender_addon import editing, takes
    from blender_addon.shared.edits import Range
    from blender_addon.shared.errors import UnderstudyError

    job = editing.begin_edit(bpy.context, character, [Range(1.0, 2.0)], seeds=(1, 2))
    from blender_addon import batch

    batch.wait_for(job)
    takes.discard(character, 0)
    with pytest.raises(UnderstudyError, match="is gone"):
        job.owner.next(bpy.context, character)


def test_the_panel_says_that_a_part_appears_at_once(character: Any, bridge: Any) -> None:
    from blender_addon import batch, jobs, performance, session

    from .paper import Paper

    def labels(job: Any) -> list[str]:
        bridge.hold.clear()
        while not job.parts:
            session.pump(0.05)
        paper = Paper()
        performance.draw(paper, bpy.context, character)
        bridge.hold.set()
        batch.wait_for(job)
        return [text for text in paper.texts if "appears when" in text]

    from blender_addon import editing
    from blender_addon.shared.edits import Range

    bridge.hold.clear()
    assert labels(jobs.begin(bpy.context, character)) == []
    bridge.hold.clear()
    assert len(labels(editing.begin_edit(bpy.context, character, [Range(1.0, 2.0)]))) == 1


def test_edits_survive_saving(character: Any, bridge: Any, tmp_path: Path) -> None:
    bone = character.pose.bones["mixamorig:LeftForeArm"]
    bone.rotation_euler = (0.1, 0.2, 1.4)
    bone.keyframe_insert("rotation_euler", frame=50)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.understudy.perform_range(start=31, end=76)
    assert [round(lock.time * 30) for lock in bridge.requests[-1].edit.locks] == [49]
