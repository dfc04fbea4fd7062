# SPDX-License-Identifier: Apache-2.0
"""Perform in real Blender over a real socket: request, progress, take, keys, faces, speech, undo, files."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from .conftest import open_character
from .shot import actions_per_take, curves_of, direct, perform, write_wav


def test_a_take_on_a_mixamo_rig(addon: Any, bridge: Any) -> None:
    from blender_addon.compat import assigned_slot, has_slots

    character = open_character("mixamo_arkit")
    direct(character)
    bridge.pause = 0.6
    heard: list[tuple[str, float, float | None]] = []
    action = perform(lambda *report: heard.append(report))
    assert heard[-1] == ("done", 1.0, 0.0) and any(stage == "body" for stage, _, _ in heard)
    assert character.animation_data.action == action
    face = next(o for o in bpy.data.objects if o.type == "MESH").data.shape_keys
    if has_slots():
        assert assigned_slot(character) == f"OB{character.name}"
        assert face.animation_data.action == action and assigned_slot(face) == f"KE{face.name}"
    curves = curves_of(character)
    assert {c.keyframe_points[0].type for c in curves} == {"GENERATED"}
    assert all(len(c.keyframe_points) == 60 for c in curves)
    assert tuple(action.frame_range) == (1.0, 60.0) and action.use_frame_range
    rotation = [c for c in curves if "LeftArm" in c.data_path]
    # the rig's bones are in Euler mode, and stay so
    assert {c.data_path.rsplit(".", 1)[1] for c in rotation} == {"rotation_euler"}
    assert {b.rotation_mode for b in character.pose.bones} == {"XYZ"}
    assert rotation[0].group.name == "mixamorig:LeftArm"
    for curve in curves:
        steps = np.diff([k.co[1] for k in curve.keyframe_points])
        assert np.all(np.abs(steps) < 1.0), curve.data_path


def test_a_take_on_the_projects_own_character(addon: Any, bridge: Any) -> None:
    assert bpy.ops.understudy.add_character() == {"FINISHED"}
    bpy.context.scene.render.fps = 30
    character = bpy.context.scene.understudy.character
    assert bpy.ops.understudy.direction_add(text="walks forward", start=1, end=61) == {"FINISHED"}
    perform()
    paths = {c.data_path for c in curves_of(character)}
    assert 'pose.bones["left_shoulder"].rotation_quaternion' in paths
    assert 'key_blocks["jawOpen"].value' in paths and 'pose.bones["jaw"].rotation_quaternion' not in paths
    heads = []
    for frame in (1, 60):
        bpy.context.scene.frame_set(frame)
        heads.append(character.matrix_world @ character.pose.bones["pelvis"].head)
    # the motion walks along its +Z, which is Blender's -Y
    walked = heads[1] - heads[0]
    assert walked.y < -0.6 and abs(walked.x) < 0.1 and abs(walked.z) < 0.1


def test_the_face_follows_its_curves(addon: Any, bridge: Any) -> None:
    character = open_character("mixamo_arkit")
    direct(character)
    perform()
    curves = {c.data_path: c for c in curves_of(character)}
    smile = curves['key_blocks["mouthSmile"].value']
    assert smile.keyframe_points[10].co[1] == pytest.approx(0.4)  # both sides: the mean of 0.2 and 0.6
    assert not [p for p in curves if "$md" in p]
    mesh = next(o for o in bpy.data.objects if o.type == "MESH")
    bpy.context.scene.frame_set(16)
    assert mesh.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(0.5 + 0.5 * np.sin(6 * 15 / 30), abs=1e-4)


def test_the_hand_goes_where_the_motion_takes_it(addon: Any, bridge: Any) -> None:
    from blender_addon.takes import motion_of

    character = open_character("mixamo_arkit")
    direct(character)
    motion = motion_of(perform())
    positions = motion.positions()
    arm = positions[:, 18] - positions[:, 16]  # left shoulder to elbow
    for frame in (40, 7, 23):
        bpy.context.scene.frame_set(frame)
        bones = character.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
        seen = (bones["mixamorig:LeftForeArm"].head - bones["mixamorig:LeftArm"].head).normalized()
        source = arm[frame - 1] / np.linalg.norm(arm[frame - 1])
        expected = np.array((source[0], -source[2], source[1]))
        assert np.degrees(np.arccos(np.clip(np.dot(seen, expected), -1, 1))) < 1.0


def test_the_artists_action_is_kept_and_comes_back(addon: Any, bridge: Any) -> None:
    from blender_addon import takes
    from blender_addon.compat import action_curves, assigned_slot, has_slots

    character = open_character("mixamo_arkit")
    character.pose.bones[0].keyframe_insert("location", frame=5)
    own = character.animation_data.action
    before = [(c.data_path, c.array_index, [tuple(k.co) for k in c.keyframe_points]) for c in action_curves(own)]
    direct(character)
    first, second = perform(), perform()
    assert len({own, first, second}) == 3
    settings = character.understudy
    assert [t.seed for t in settings.takes] == [0, 1] and settings.seed == 2
    assert takes.motion_of(first).metadata["seed"] == 0
    bpy.ops.understudy.take_step(step=-1)
    assert character.animation_data.action == first
    bpy.ops.understudy.take_step(step=-1)
    assert character.animation_data.action == own and settings.take_index == -1
    assert not has_slots() or assigned_slot(character)
    assert before == [(c.data_path, c.array_index, [tuple(k.co) for k in c.keyframe_points]) for c in action_curves(own)]
    bpy.ops.understudy.take_step(step=2)
    bpy.ops.understudy.take_discard()
    assert len(settings.takes) == 1 and character.animation_data.action == first
    bpy.ops.understudy.take_discard()
    assert character.animation_data.action == own and len(bpy.data.actions) == 1


def test_keep_discards_the_others(addon: Any, bridge: Any) -> None:
    character = open_character("mixamo_arkit")
    direct(character)
    actions = [perform() for _ in range(3)]
    bpy.ops.understudy.take_step(step=-1)
    bpy.ops.understudy.take_keep()
    assert [t.action for t in character.understudy.takes] == [actions[1]]
    assert character.animation_data.action == actions[1] and len(bpy.data.actions) == actions_per_take()


def test_one_undo_step(addon: Any, bridge: Any) -> None:
    character = open_character("mixamo_arkit")
    direct(character)
    bpy.ops.ed.undo_push(message="before")
    perform()
    bpy.ops.ed.undo()
    character = next(o for o in bpy.data.objects if o.type == "ARMATURE")
    assert not character.understudy.takes and not bpy.data.actions
    assert len(character.understudy.directions) == 1
    bpy.ops.ed.redo()
    character = next(o for o in bpy.data.objects if o.type == "ARMATURE")
    assert len(character.understudy.takes) == 1 and len(bpy.data.actions) == actions_per_take()


def test_takes_survive_saving(addon: Any, bridge: Any, tmp_path: Path) -> None:
    from blender_addon import takes

    character = open_character("mixamo_arkit")
    direct(character)
    perform()
    path = tmp_path / "saved.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.open_mainfile(filepath=str(path))
    character = bpy.context.scene.understudy.character
    take = takes.current(character)
    assert len(takes.motion_of(take.action)) == 60
    assert takes.facts_of(take.action)["directions"]["directions"][0]["text"] == "walks forward"
    assert character.understudy.directions[0].text == "walks forward"


def test_speech_from_a_file_lies_in_the_sequencer(addon: Any, bridge: Any, tmp_path: Path) -> None:
    pytest.importorskip("aud")
    from blender_addon import compat

    character = open_character("mixamo_arkit")
    bpy.context.scene.frame_end = 20
    path = write_wav(tmp_path / "speech.wav")
    assert bpy.ops.understudy.set_audio(filepath=str(path)) == {"FINISHED"}
    strip, = compat.strips(bpy.context.scene)
    assert strip.type == "SOUND" and compat.strip_range(strip)[0] == 1 and bpy.context.scene.frame_end == 60
    perform()
    assert bytes(bridge.requests[0].audio) == path.read_bytes() and bridge.requests[0].audio_name == "speech.wav"
    assert bridge.requests[0].duration is None
    # a second choice takes the first one's place
    bpy.ops.understudy.set_audio(filepath=str(write_wav(tmp_path / "other.wav", 1.0)))
    strip, = compat.strips(bpy.context.scene)
    assert strip.name.startswith("other")
    # moved on the timeline, the performance moves with it
    strip.frame_start = 25
    direct(character, start=25, end=85)
    perform()
    assert bridge.requests[1].directions[0].start == 0.0 and bridge.requests[1].duration == 2.0
    assert character.animation_data.action.frame_range[0] == 25


def test_speech_from_the_sequencer_is_what_is_heard(addon: Any, bridge: Any, tmp_path: Path) -> None:
    pytest.importorskip("aud")
    from blender_addon import compat

    character = open_character("mixamo_arkit")
    scene = bpy.context.scene
    strips = compat.strips(scene, create=True)
    strips.new_sound("a", str(write_wav(tmp_path / "a.wav", 1.0)), 1, 16)
    muted = strips.new_sound("b", str(write_wav(tmp_path / "b.wav", 4.0)), 2, 1)
    muted.mute = True
    scene.frame_start, scene.frame_end = 1, 12
    character.understudy.sound_source = "SEQUENCER"
    perform()
    (tmp_path / "got.wav").write_bytes(bytes(bridge.requests[0].audio))
    with wave.open(str(tmp_path / "got.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())[:, 0]
        seconds, rate = file.getnframes() / file.getframerate(), file.getframerate()
    assert seconds == pytest.approx(1.5, abs=0.05)
    assert np.abs(samples[: int(0.45 * rate)]).max() < 50 < 2000 < np.abs(samples[int(0.6 * rate):int(1.4 * rate)]).max()
    assert (scene.frame_start, scene.frame_end, muted.mute) == (1, 12, True)


def _swelling(path: Path, seconds: float, rate: int = 16000) -> Path:
    """A tone that grows louder all the time, so that loudness tells the time in the file."""
    t = np.arange(int(seconds * rate)) / rate
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((12000 * np.sin(t * 2000) * t / seconds).astype("<i2").tobytes())
    return path


def _twice_as_fast(scene: Any, strip: Any) -> None:
    """As an artist does it; scripts cannot set the speed otherwise."""
    window = bpy.context.window
    if window is None:
        pytest.skip("this Blender has no window, which the sequencer's operators ask for")
    if hasattr(bpy.context.workspace, "sequencer_scene"):
        bpy.context.workspace.sequencer_scene = scene
    scene.sequence_editor.active_strip = strip
    strip.select = True
    area = window.screen.areas[0]
    before, area.type = area.type, "SEQUENCE_EDITOR"
    with bpy.context.temp_override(window=window, area=area, region=next(r for r in area.regions if r.type == "WINDOW")):
        bpy.ops.sequencer.retiming_segment_speed_set(speed=200.0)
    area.type = before


@pytest.mark.parametrize("change", ["trim", "speed", "volume", "offset", "cut"])
def test_the_mixdown_and_the_drawn_energy_follow_the_strip(addon: Any, bridge: Any, tmp_path: Path, change: str) -> None:
    pytest.importorskip("aud")
    from blender_addon import compat, sound_energy

    character = open_character("mixamo_arkit")
    scene = bpy.context.scene
    strips = compat.strips(scene, create=True)
    strip = strips.new_sound("a", str(_swelling(tmp_path / "a.wav", 4.0)), 1, 16)
    silent = strips.new_sound("b", str(write_wav(tmp_path / "b.wav", 6.0)), 3, 16)
    scene.sequence_editor.channels[silent.channel].mute = True
    strip.frame_offset_start = 30
    if change == "speed":
        _twice_as_fast(scene, strip)
        assert strip.frame_final_duration < 60
    elif change == "volume":
        scene.audio_volume = 0.8
        for frame, value in ((46, 0.1), (136, 0.9)):
            strip.volume = value
            strip.keyframe_insert("volume", frame=frame)
    elif change == "offset":
        if not hasattr(strip, "sound_offset"):
            pytest.skip("this Blender's sounds have no offset")
        strip.sound_offset = -0.4
    elif change == "cut":
        strip.animation_offset_start = 20
    scene.frame_start, scene.frame_end = 1, 200
    character.understudy.sound_source = "SEQUENCER"
    perform()
    (tmp_path / "got.wav").write_bytes(bytes(bridge.requests[0].audio))
    with wave.open(str(tmp_path / "got.wav")) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())[:, 0].astype(float)
    first, last = (int(frame) for frame in compat.strip_range(strip))
    # the muted channel is neither heard nor waited for
    assert len(samples) / rate == pytest.approx((last - 1) / 30, abs=0.1)
    block = rate // 30
    mixed = np.sqrt(np.mean(samples[: len(samples) // block * block].reshape(-1, block) ** 2, axis=1))
    heard, = sound_energy.heard_by(bpy.context, character)
    drawn = np.array([heard.at(1 + n + 0.5, 30.0) for n in range(len(mixed))])
    assert mixed[:first - 2].max() < 30 and not drawn[:first - 2].any() and drawn.max() > 0.2
    # Blender lays a mono sound into two channels with half of its power in each
    away = np.abs(mixed / (12000 / 2) - drawn)
    assert away[first + 1:last - 4].max() < 0.05, np.round(away, 3)


def test_export_and_import(addon: Any, bridge: Any, tmp_path: Path) -> None:
    from blender_addon.shared.motion import Motion
    from blender_addon.shared.skeleton import JOINT_INDEX, JOINT_NAMES

    character = open_character("mixamo_arkit")
    direct(character)
    assert not bpy.ops.understudy.export_motion.poll()
    perform()
    for name in ("motion.npz", "motion.bvh"):
        assert bpy.ops.understudy.export_motion(filepath=str(tmp_path / name)) == {"FINISHED"}
    motion = Motion.load(tmp_path / "motion.npz")
    assert len(motion) == 60
    with pytest.raises(RuntimeError, match="npz"):
        bpy.ops.understudy.export_motion(filepath=str(tmp_path / "motion.xyz"))
    bpy.ops.import_anim.bvh(filepath=str(tmp_path / "motion.bvh"), axis_forward="Y", axis_up="Z")
    rig = bpy.context.object
    positions = motion.positions() * 100
    for frame in (30, 3):
        bpy.context.scene.frame_set(frame)
        for joint in ("left_wrist", "right_elbow", "head", "left_ankle"):
            seen = rig.pose.bones[joint].head
            np.testing.assert_allclose(seen, positions[frame - 1, JOINT_INDEX[joint]], atol=0.05)
    assert {b.name for b in rig.data.bones} == set(JOINT_NAMES)


def test_directions_as_files(addon: Any, bridge: Any, tmp_path: Path) -> None:
    character = open_character("mixamo_arkit")
    path = tmp_path / "d.json"
    path.write_text('[{"start": 0.5, "end": 2, "text": "waves", "part": "right_arm", "seed": 5},'
                    ' {"start": 3, "end": 4, "text": "sits"}]')
    bpy.ops.understudy.import_directions(filepath=str(path))
    items = character.understudy.directions
    found = [(i.start, i.end, i.part, i.use_seed, i.seed) for i in items]
    assert found == [(16, 61, "right_arm", True, 5), (91, 121, "full", False, 0)]
    bpy.ops.understudy.export_directions(filepath=str(tmp_path / "out.json"))
    first = [(i.uuid, i.start) for i in items]
    bpy.ops.understudy.import_directions(filepath=str(tmp_path / "out.json"))
    assert first == [(i.uuid, i.start) for i in items]
    path.write_text('[{"start": 3, "end": 1, "text": "waves"}]')
    with pytest.raises(RuntimeError, match="after its start"):
        bpy.ops.understudy.import_directions(filepath=str(path))
    assert first == [(i.uuid, i.start) for i in items]
    bpy.ops.understudy.direction_duplicate()
    bpy.ops.understudy.direction_add(text="jumps")
    assert [i.text for i in items] == ["waves", "sits", "waves", "jumps"] and len({i.uuid for i in items}) == 4
    bpy.ops.understudy.direction_remove()
    assert len(items) == 3


def test_simplified_keys_stay_within_the_error(addon: Any, bridge: Any) -> None:
    character = open_character("mixamo_arkit")
    direct(character, end=301)
    perform()
    dense = {(c.data_path, c.array_index): np.array([c.evaluate(f) for f in range(1, 301)]) for c in curves_of(character)}
    keys = sum(len(c.keyframe_points) for c in curves_of(character))
    character.understudy.seed = 0
    character.understudy.key_mode = "SIMPLIFIED"
    perform()
    sparse = {(c.data_path, c.array_index): c for c in curves_of(character)}
    assert sparse.keys() == dense.keys()
    limits = {"rotation_euler": np.radians(0.5), "location": 0.002, "value": 0.01}
    for key, values in dense.items():
        found = np.array([sparse[key].evaluate(f) for f in range(1, 301)])
        assert np.abs(found - values).max() <= limits[key[0].rpartition(".")[2]] * 1.01, key
    assert keys / sum(len(c.keyframe_points) for c in sparse.values()) > 6
    assert {k.type for c in sparse.values() for k in c.keyframe_points} == {"GENERATED"}
    # editing a pose: every component of a rotation has its keys at the same frames
    arm = [[k.co[0] for k in c.keyframe_points] for (path, _), c in sparse.items() if "LeftArm" in path]
    assert arm[0] == arm[1] == arm[2]
