# SPDX-License-Identifier: Apache-2.0
"""Recognising rigs by name and by structure, editing and keeping bone maps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from blender_addon.core.retarget import RigRest, rig_rest
from blender_addon.core.rigs import user_presets
from blender_addon.core.rigs.detect import THRESHOLD, apply_preset, detect, detect_rest, scores
from blender_addon.core.rigs.edit import mirror_name, set_slot
from blender_addon.core.rigs.mapping import Mapping
from blender_addon.core.rigs.preset import Preset
from blender_addon.core.rigs.slots import LABELS, PARENT_SLOT, SLOTS
from blender_addon.core.rigs.structure import by_structure
from blender_addon.core.rigs.tables import PRESETS, by_key
from blender_addon.shared.errors import UnderstudyError
from blender_addon.shared.skeleton import JOINT_INDEX

from .motions import own_rig


def _bones(preset: Preset) -> tuple[list[str], list[int], dict[str, tuple[str, ...]]]:
    """A rig with the first name of every bone of a preset, chained as a body is."""
    names: list[str] = []
    parents: list[int] = []
    slots: dict[str, tuple[str, ...]] = {}
    last: dict[str, str] = {}

    def add(slot: str) -> None:
        if slot in slots or slot not in preset.slots():
            return
        above = PARENT_SLOT.get(slot)
        while above is not None and above not in preset.slots():
            above = PARENT_SLOT.get(above)
        if above is not None:
            add(above)
        parent = names.index(last[above]) if above is not None else -1
        chain = []
        for alternatives in preset.slots()[slot]:
            name = next(n for n in alternatives if n not in names)
            names.append(name)
            parents.append(parent)
            parent = len(names) - 1
            chain.append(name)
        slots[slot], last[slot] = tuple(chain), chain[-1]

    for slot in SLOTS:
        add(slot)
    return names, parents, slots


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: p.key)
def test_every_preset_recognises_its_own_rig(preset: Preset) -> None:
    names, parents, slots = _bones(preset)
    marks = [mark for mark in preset.marks if mark not in names]
    names, parents = [*names, *marks], [*parents, *(0 for _ in marks)]
    found = detect(names, parents)
    assert found.preset == preset.key, list(scores(names, parents).items())[:3]
    assert found.score >= 0.9
    assert {s: c for s, c in found.slots.items()} == slots


@pytest.mark.parametrize("key", ["mixamo", "unreal", "rigify_metarig", "makehuman", "unity", "smplx"])
@pytest.mark.parametrize("form", ["ns:{}", "mixamorig3:{}", "Armature|{}", "hero_{}", "{}.001", "upper", "spaces"])
def test_namespaces_prefixes_numbers_and_case(key: str, form: str) -> None:
    preset = by_key(key)
    assert preset is not None
    names, parents, slots = _bones(preset)
    change = {"upper": str.upper, "spaces": lambda n: n.replace("_", " ")}.get(form, form.format)
    changed = [change(n) for n in names]
    found = detect(changed, parents)
    assert found.preset == key
    assert {s: tuple(change(b) for b in c) for s, c in slots.items()} == dict(found.slots)


def test_a_bone_that_hangs_in_the_wrong_place_is_left_out_with_a_reason() -> None:
    preset = by_key("mixamo")
    assert preset is not None
    names, parents, _ = _bones(preset)
    parents[names.index("LeftHandIndex1")] = names.index("Spine")
    found = detect(names, parents)
    assert "left_index1" not in found.slots
    assert "does not hang below" in found.missing["left_index1"] and "LeftHandIndex1" in found.missing["left_index1"]
    assert found.warnings


def test_everything_left_out_has_a_sentence() -> None:
    preset = by_key("mixamo")
    assert preset is not None
    names, parents, _ = _bones(preset)
    gone = names.index("LeftToeBase")
    names[gone] = "strange_thing"
    names += ["hair_01", "LeftArmTwist"]
    parents += [names.index("Head"), names.index("LeftArm")]
    found = detect(names, parents)
    assert set(found.unmapped) == {"strange_thing", "hair_01", "LeftArmTwist"}
    assert all(s.endswith(".") and name in s for name, s in found.unmapped.items())
    assert "left toes" in found.missing["left_foot"] and "LeftToeBase" in found.missing["left_foot"]
    assert found.summary.startswith("Mixamo · ")


def _nameless(rig: RigRest) -> RigRest:
    return RigRest(tuple(f"b{i:03d}" for i in range(len(rig.names))), rig.parents, rig.matrices, rig.tails, rig.object_matrix)


def test_structure_finds_a_body_without_names() -> None:
    rig = own_rig()
    found = detect_rest(_nameless(rig))
    assert found.preset == "structure"
    for slot, chain in found.slots.items():
        if slot != "spine":
            assert chain == (f"b{JOINT_INDEX[slot]:03d}",), slot
    assert found.slots["spine"] == tuple(f"b{JOINT_INDEX[f'spine{i}']:03d}" for i in (1, 2, 3))
    fingers = [s for s in found.slots if s.rstrip("123") != s]
    assert len(fingers) == 30


def test_structure_knows_left_from_right_when_the_rig_looks_the_other_way() -> None:
    rig = own_rig(turn=np.array([0.0, 0, 0, 1]))
    found = by_structure(_nameless(rig))
    assert found is not None and found["left_wrist"] == (f"b{JOINT_INDEX['left_wrist']:03d}",)


@pytest.mark.parametrize("kind", ["chain", "quadruped", "one"])
def test_what_is_no_person_is_refused(kind: str) -> None:
    if kind == "one":
        names, parents, heads = ["bone"], [-1], np.zeros((1, 3))
    elif kind == "chain":
        names, parents = [f"x{i}" for i in range(9)], list(range(-1, 8))
        heads = np.stack((np.zeros(9), np.zeros(9), np.arange(9.0)), 1)
    else:
        names, parents = [f"x{i}" for i in range(9)], [-1, 0, 0, 0, 0, 1, 2, 3, 4]
        heads = np.array([[0, 0, 1], [1, 1, 1], [-1, 1, 1], [1, -1, 1], [-1, -1, 1], [1, 1, 0], [-1, 1, 0], [1, -1, 0], [-1, -1, 0.0]])
    rig = rig_rest(names, parents, heads, heads + np.array([0, 0, 0.4]))
    with pytest.raises(UnderstudyError) as caught:
        detect_rest(rig)
    assert caught.value.code == "rig_unknown" and caught.value.fix


def test_no_bones_is_refused() -> None:
    with pytest.raises(UnderstudyError):
        detect([], [])


@pytest.mark.parametrize(("name", "other"), [
    ("hand.L", "hand.R"), ("LeftHand", "RightHand"), ("mixamorig:LeftArm", "mixamorig:RightArm"), ("hand_l", "hand_r"),
    ("J_Bip_L_Hand", "J_Bip_R_Hand"), ("lHand", "rHand"), ("leftUpperArm", "rightUpperArm"), ("upperleg01.L", "upperleg01.R"),
    ("CC_Base_R_Hand", "CC_Base_L_Hand"), ("Bip001 L Calf", "Bip001 R Calf"), ("handLeft", "handRight"),
])
def test_mirrored_names(name: str, other: str) -> None:
    assert mirror_name(name, [name, other, "Hips", "calf", "elbow"]) == other
    assert mirror_name("Hips", [name, other, "Hips"]) is None


def test_editing_a_slot_takes_the_other_side_along() -> None:
    preset = by_key("rigify_metarig")
    assert preset is not None
    names, parents, _ = _bones(preset)
    names += ["glove.L", "glove.R"]
    parents += [names.index("forearm.L"), names.index("forearm.R")]
    found = detect(names, parents)
    edited = set_slot(found, "left_wrist", ["glove.L"], names, parents)
    assert edited.bones("left_wrist") == ("glove.L",) and edited.bones("right_wrist") == ("glove.R",)
    assert edited.preset == "user" and "hand.L" in edited.unmapped and "glove.L" not in edited.unmapped
    alone = set_slot(found, "left_wrist", ["glove.L"], names, parents, mirror=False)
    assert alone.bones("right_wrist") == ("hand.R",)
    cleared = set_slot(found, "left_foot", [], names, parents)
    assert not cleared.bones("left_foot") and "left toes" in cleared.missing["left_foot"]
    with pytest.raises(UnderstudyError):
        set_slot(found, "left_wrist", ["no such bone"], names, parents)
    assert found.bones("left_wrist") == ("hand.L",)


def test_user_presets_survive_a_round_trip_and_win(tmp_path: Path) -> None:
    names = ["Root bone", "belly", "noddle", "a1 L", "a2 L", "h L", "a1 R", "a2 R", "h R", "l1 L", "l2 L", "f L", "l1 R", "l2 R", "f R"]
    parents = [-1, 0, 1, 1, 3, 4, 1, 6, 7, 0, 9, 10, 0, 12, 13]
    slots = {"pelvis": ("Root bone",), "spine": ("belly",), "head": ("noddle",)}
    for side, letter in (("left", "L"), ("right", "R")):
        slots |= {f"{side}_{s}": (f"{b} {letter}",) for s, b in (("shoulder", "a1"), ("elbow", "a2"), ("wrist", "h"), ("hip", "l1"),
                                                               ("knee", "l2"), ("ankle", "f"))}
    with pytest.raises(UnderstudyError):
        detect(names, parents)
    path = user_presets.save(Mapping("user", "Mine", slots), "Mine, best", tmp_path)
    assert path.name == "Mine_best.rig.json"
    (tmp_path / "broken.rig.json").write_text("{", encoding="utf-8")
    presets, faults = user_presets.load_all(tmp_path)
    assert len(presets) == 1 and len(faults) == 1 and "broken.rig.json" in faults[0]
    found = detect(names, parents, presets=(*presets, *PRESETS))
    assert found.label == "Mine, best" and dict(found.slots) == slots and found.score > THRESHOLD


@pytest.mark.parametrize("content", ["[]", '{"understudy_rig": 2, "slots": {}}', '{"understudy_rig": 1, "slots": {"tail": ["x"]}}',
                                     '{"understudy_rig": 1, "slots": {"head": "x"}}', '{"understudy_rig": 1, "slots": {"head": []}}'])
def test_foreign_preset_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.rig.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UnderstudyError) as caught:
        user_presets.load(path)
    assert caught.value.code == "file_invalid" and caught.value.fix
    assert json.loads(content) is not None


def test_the_slots_are_named_for_animators() -> None:
    assert LABELS["left_shoulder"] == "left upper arm" and LABELS["right_thumb2"] == "right thumb 2"
    assert LABELS["left_elbow_twist"] == "left forearm twist"
    assert apply_preset(PRESETS[0], ["nothing"], [-1]).score < 0.1
