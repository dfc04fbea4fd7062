# SPDX-License-Identifier: Apache-2.0
"""Where takes lie (as the action, or on NLA tracks), what of the artist's stays, loops, several characters at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from .conftest import open_character
from .shot import actions_per_take, direct, perform, write_wav


@pytest.fixture
def character(addon: Any, bridge: Any) -> Any:
    character = open_character("mixamo_arkit")
    direct(character)
    return character


def face_of(character: Any) -> Any:
    return next(o for o in bpy.data.objects if o.type == "MESH").data.shape_keys


def tracks(block: Any) -> list[tuple[str, bool, list[tuple[str, float, float, bool]]]]:
    found = block.animation_data.nla_tracks if block.animation_data else []
    return [(t.name, t.mute, [(s.action.name, s.frame_start, s.frame_end, s.mute) for s in t.strips]) for t in found]


def elbow(character: Any, frame: int) -> np.ndarray:
    bpy.context.scene.frame_set(frame)
    bones = character.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
    return np.array(bones["mixamorig:RightForeArm"].matrix)


def jaw(character: Any, frame: int) -> float:
    bpy.context.scene.frame_set(frame)
    mesh = next(o for o in bpy.data.objects if o.type == "MESH")
    return float(mesh.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.shape_keys.key_blocks["jawOpen"].value)


def test_takes_on_tracks_of_their_own(character: Any, tmp_path: Path) -> None:
    from blender_addon import compat, exports, takes

    settings = character.understudy
    character.pose.bones["mixamorig:Hips"].keyframe_insert("location", frame=5)
    own = character.animation_data.action
    own_name = own.name
    mine = character.animation_data.nla_tracks.new()
    mine.name = "layers"
    mine.strips.new("walk", 1, own)
    before = tracks(character)
    perform()
    posed, mouth = elbow(character, 30), jaw(character, 16)
    settings.take_place = "NLA"
    first = settings.takes[0].action
    assert character.animation_data.action is None
    assert tracks(character) == [*before, (first.name, False, [(first.name, 1.0, 60.0, False)])]
    strip = character.animation_data.nla_tracks[-1].strips[0]
    if compat.has_slots():
        assert strip.action_slot.identifier == f"OB{character.name}"
        spoken = face_of(character).animation_data.nla_tracks[-1].strips[0]
        assert spoken.action == first and spoken.action_slot.identifier == f"KE{face_of(character).name}"
    np.testing.assert_allclose(elbow(character, 30), posed, atol=1e-5)
    assert jaw(character, 16) == pytest.approx(mouth, abs=1e-5)
    second = perform()
    assert [(name, mute) for name, mute, _ in tracks(character)] == [("layers", False), (first.name, True), (second.name, False)]
    assert [mute for _, mute, _ in tracks(face_of(character))] == [True, False]
    # the artist works in the strip, and steps on all the same
    character.animation_data.nla_tracks[-1].strips[0].select = True
    bpy.ops.understudy.take_step(step=-1)
    assert [mute for _, mute, _ in tracks(character)] == [False, False, True]
    bpy.ops.understudy.take_step(step=-1)
    assert character.animation_data.action == own and [mute for _, mute, _ in tracks(character)] == [False, True, True]
    bpy.ops.understudy.take_step(step=2)
    exports.write_rig(bpy.context, character, tmp_path / "rig.glb")
    assert (tmp_path / "rig.glb").stat().st_size > 10_000
    with takes.assigned(character):
        assert character.animation_data.action == second
    assert character.animation_data.action is None and [mute for _, mute, _ in tracks(character)] == [False, True, False]
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "nla.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "nla.blend"))
    character = bpy.context.scene.understudy.character
    assert [len(s) for _, _, s in tracks(character)] == [1, 1, 1]
    bpy.ops.understudy.take_discard()
    assert [name for name, _, _ in tracks(character)] == ["layers", character.understudy.takes[0].name]
    character.understudy.take_place = "ACTION"
    assert tracks(character) == [(before[0][0], False, before[0][2])] and not tracks(face_of(character))
    assert character.animation_data.action == character.understudy.takes[0].action
    bpy.ops.understudy.take_discard()
    assert character.animation_data.action.name == own_name and len(bpy.data.actions) == 1


def test_a_strip_that_is_being_tweaked_does_not_stand_in_the_way(character: Any) -> None:
    settings = character.understudy
    settings.take_place = "NLA"
    perform()
    track = character.animation_data.nla_tracks[-1]
    character.animation_data.nla_tracks.active = track
    track.strips[0].select = True
    try:
        character.animation_data.use_tweak_mode = True
    except (AttributeError, RuntimeError):
        pytest.skip("tweak mode cannot be entered here")
    assert character.animation_data.use_tweak_mode
    bpy.ops.understudy.take_step(step=-1)
    assert not character.animation_data.use_tweak_mode and track.mute and character.animation_data.action is None


def test_a_performance_that_begins_between_two_frames(character: Any) -> None:
    from blender_addon import staging, takes

    settings = character.understudy
    motion = takes.motion_of(perform())
    settings.take_place = "NLA"
    staging.apply_motion(character, motion, 10.5, {})
    strip = character.animation_data.nla_tracks[-1].strips[0]
    assert (strip.frame_start, strip.frame_end) == (10.5, 69.5) and strip.scale == pytest.approx(1.0)


def test_what_the_artist_assigns_between_takes_is_not_lost(character: Any, tmp_path: Path) -> None:
    first = perform()
    character.animation_data.action = None
    character.pose.bones[0].keyframe_insert("location", frame=3)
    mine = character.animation_data.action
    assert mine != first
    perform()
    bpy.ops.understudy.take_step(step=-2)
    assert character.animation_data.action == mine
    other = bpy.data.actions.new("other")
    character.animation_data.action = other
    bpy.ops.understudy.take_step(step=1)
    assert mine.use_fake_user and character.understudy.own.action == other
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert len(bpy.data.actions) == 2 + 2 * actions_per_take()


def test_a_loop_goes_on_and_on(character: Any, bridge: Any) -> None:
    from blender_addon import compat, takes

    perform()
    bpy.ops.understudy.loop_take()
    take = takes.current(character)
    action, slot = take.action, take.slot
    assert action.use_cyclic and tuple(action.frame_range) == (1.0, 61.0)
    curves = [c for s, c in compat.curves_with_slots(action) if s == slot]
    assert all(len(c.keyframe_points) == 61 and c.modifiers[0].type == "CYCLES" for c in curves)
    for frame in (7, 44):
        np.testing.assert_allclose(elbow(character, frame + 120)[:3, :3], elbow(character, frame)[:3, :3], atol=1e-4)
    # the way through the room goes on: half a metre a second
    way = elbow(character, 67)[:3, 3] - elbow(character, 7)[:3, 3]
    scale = character.matrix_world.to_scale()[0]
    assert np.linalg.norm(way) * scale == pytest.approx(1.0, abs=0.1)
    np.testing.assert_allclose(elbow(character, 127)[:3, 3] - elbow(character, 67)[:3, 3], way, atol=1e-3 / scale)
    # keys of the loop are the generator's, not the artist's
    from blender_addon.splice import locked_frames

    assert not locked_frames(action, slot)
    # performed again inside, it still loops; lengthened, it is one no more
    bpy.ops.understudy.perform_range(start=21, end=41)
    assert takes.current(character).action.use_cyclic
    assert all(len(c.modifiers) == 1 and len(c.keyframe_points) == 61
               for c in compat.action_curves(takes.current(character).action, slot))
    character.understudy.directions[0].end = 91
    bpy.ops.understudy.extend_take()
    longer = takes.current(character).action
    assert not longer.use_cyclic and tuple(longer.frame_range) == (1.0, 90.0)
    assert all(not len(c.modifiers) and len(c.keyframe_points) == 90 for c in compat.action_curves(longer, slot))


def test_characters_perform_at_once_each_with_its_own_speech(character: Any, bridge: Any, tmp_path: Path) -> None:
    from blender_addon import batch, jobs

    bpy.ops.object.select_all(action="DESELECT")
    bpy.ops.understudy.add_character()
    second = bpy.context.scene.understudy.character
    assert second != character
    character.understudy.directions.clear()
    paths = [write_wav(tmp_path / f"{n}.wav", seconds) for n, seconds in (("one", 1.0), ("two", 2.0))]
    for each, path in zip((character, second), paths, strict=True):
        each.understudy.sound_source, each.understudy.sound_path = "FILE", str(path)
    bridge.hold.clear()
    begun = [jobs.begin(bpy.context, each) for each in (character, second)]
    with pytest.raises(Exception, match="performing already"):
        jobs.begin(bpy.context, second)
    bridge.hold.set()
    for job in begun:
        if not job.owner.ended:
            batch.wait_for(job)
    assert sorted(r.audio_name for r in bridge.requests) == ["one.wav", "two.wav"]
    for each, path in zip((character, second), paths, strict=True):
        assert len(each.understudy.takes) == 1
        request = next(r for r in bridge.requests if r.audio_name == path.name)
        assert bytes(request.audio) == path.read_bytes()
    assert character.animation_data.action != second.animation_data.action


def test_a_file_saved_in_the_middle_opens_clean_elsewhere(character: Any, bridge: Any, tmp_path: Path) -> None:
    from blender_addon import jobs, session

    perform()
    bridge.hold.clear()
    job = jobs.begin(bpy.context, character)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "middle.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bridge.hold.set()
    for _ in range(2000):
        session.pump(0.01)
        if job.owner.ended:
            break
    # the character is in another file: nothing is put anywhere, and a sentence says so
    assert job.error is not None and job.error.code == "character_missing" and not bpy.data.actions
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "middle.blend"))
    character = bpy.context.scene.understudy.character
    assert len(character.understudy.takes) == 1 and session.job_of(character) is None
    perform()
    assert len(character.understudy.takes) == 2


def test_takes_that_move_the_object_begin_where_it_stands(character: Any) -> None:
    settings = character.understudy
    settings.root = "object"
    character.location = (2.0, 1.0, 0.0)
    places = []
    for frame in (50, 20, 60):
        action = perform()
        bpy.context.scene.frame_set(1)
        places.append(tuple(round(v, 3) for v in character.location))
        bpy.context.scene.frame_set(frame)
    assert places[0] == places[1] == places[2] and action.users
    bpy.ops.understudy.perform_range(start=21, end=41)
    bpy.context.scene.frame_set(1)
    assert tuple(round(v, 3) for v in character.location) == places[0]


@pytest.mark.parametrize(("mode", "kind", "parts"), [("QUATERNION", "rotation_quaternion", 4), ("ZYX", "rotation_euler", 3),
                                                     ("AXIS_ANGLE", "rotation_axis_angle", 4)])
def test_rotation_modes_are_kept_and_channels_have_no_jumps(character: Any, mode: str, kind: str, parts: int) -> None:
    from blender_addon import compat

    for bone in character.pose.bones:
        bone.rotation_mode = mode
    action = perform()
    assert {b.rotation_mode for b in character.pose.bones} == {mode}
    arm: dict[int, Any] = {}
    for slot, curve in compat.curves_with_slots(action):
        if not curve.data_path.startswith("pose.bones"):
            continue
        bone = curve.data_path.split('"')[1]
        assert curve.group.name == bone and curve.data_path.endswith((kind, "location"))
        assert {k.type for k in curve.keyframe_points} == {"GENERATED"}
        values = np.array([k.co[1] for k in curve.keyframe_points])
        # where the angle comes near zero the axis may swing, as nothing defines it there
        assert mode == "AXIS_ANGLE" or np.abs(np.diff(values)).max() < 1.0, curve.data_path
        if bone == "mixamorig:RightForeArm" and curve.data_path.endswith(kind):
            arm[curve.array_index] = values
    assert sorted(arm) == list(range(parts)) and max(np.ptp(v) for v in arm.values()) > 0.2
    if mode == "QUATERNION":
        q = np.stack([arm[n] for n in range(4)], axis=1)
        assert np.all(np.sum(q[1:] * q[:-1], axis=1) > 0)
