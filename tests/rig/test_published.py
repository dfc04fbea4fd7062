# SPDX-License-Identifier: Apache-2.0
"""Rigs as their makers publish them are recognised, by name and by structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blender_addon.core.retarget import RigRest, rig_rest
from blender_addon.core.rigs.detect import detect_rest, scores
from blender_addon.core.rigs.tables import PRESETS
from blender_addon.shared.motion import Motion
from blender_addon.shared.skeleton import JOINT_NAMES, rest_positions

from .motions import degrees, directions
from .published import KEYS, Published, body, load

UNNAMED = ("jaw", "eye", "twist")
CONTROLS = ("auto_rig_pro",)


def _rest(rig: Published, pose: str, names: list[str] | None = None) -> RigRest:
    heads = rig.heads(pose)
    return rig_rest(names or rig.names, rig.parents, heads, rig.tails(heads))


def _as_sets(slots: dict[str, tuple[str, ...]]) -> dict[str, object]:
    """Twist bones lie beside each other: their order says nothing."""
    return {slot: frozenset(chain) if slot.endswith("twist") else tuple(chain) for slot, chain in slots.items()}


@pytest.mark.parametrize("key", KEYS)
def test_a_published_rig_is_recognised_bone_by_bone(key: str) -> None:
    rig = load(key)
    assert len(set(rig.names)) == len(rig.names)
    found = detect_rest(_rest(rig, rig.pose))
    assert found.preset == rig.preset, list(scores(rig.names, rig.parents).items())[:3]
    assert _as_sets(dict(found.slots)) == _as_sets(rig.slots)
    assert not found.warnings and found.score > 0.8
    left_out = set(rig.names) - set(found.mapped_bones)
    assert set(found.unmapped) == left_out
    assert all(name in sentence and sentence.endswith(".") for name, sentence in found.unmapped.items())


def test_every_table_is_compared_with_a_published_rig_or_with_rigify_itself() -> None:
    compared = {load(key).preset for key in KEYS}
    # Rigify's rigs are generated in test_rigify; the face of a MetaHuman hangs on the same body; a Biped is tested by its table alone
    assert {preset.key for preset in PRESETS} - compared == {"rigify_metarig", "rigify", "rigify_deform", "metahuman", "biped"}


@pytest.mark.parametrize("pose", "TA")
@pytest.mark.parametrize("key", [key for key in KEYS if key not in CONTROLS])
def test_structure_alone_tells_the_bones_of_a_published_rig(key: str, pose: str) -> None:
    rig = load(key)
    numbered = [f"b{i:03d}" for i in range(len(rig.names))]
    names = dict(zip(numbered, rig.names, strict=True))
    found = detect_rest(_rest(rig, pose, numbered))
    assert found.preset == "structure" and found.warnings
    slots = {slot: tuple(names[bone] for bone in chain) for slot, chain in found.slots.items()}
    wanted = {slot: chain for slot, chain in rig.slots.items() if not slot.endswith(UNNAMED)}
    lost = {slot for slot in wanted.keys() | slots.keys() if wanted.get(slot) != slots.get(slot)}
    # one bone for all fingers and one for the thumb are no hand; Daz has a bone between foot and toes
    allowed = {"cmu": ("thumb1", "index1"), "cmu_asf": ("thumb1", "index1"), "cmu_mpfb": ("thumb1", "index1"), "daz_genesis8": ("foot",)}
    assert {slot for slot in lost if not slot.endswith(allowed.get(key, ("nothing",)))} == set()


def test_the_body_of_the_published_rigs_is_not_that_of_the_motion() -> None:
    """Else limbs could point right without any correction of the rest pose, and feet stand without planting."""
    source = directions(Motion.rest(1), 0)
    joints = body("A")
    for part, end, least in (("shoulder", "elbow", 40.0), ("elbow", "wrist", 40.0), ("hip", "knee", 5.0), ("index1", "index2", 40.0)):
        way = joints[f"left_{end}"] - joints[f"left_{part}"]
        assert degrees(way, source[f"left_{part}", f"left_{end}"]) > least, part
    other = dict(zip(JOINT_NAMES, rest_positions(), strict=True))
    ours, theirs = (np.linalg.norm(p["left_collar"] - p["left_shoulder"]) / np.linalg.norm(p["left_hip"] - p["left_knee"])
                    for p in (joints, other))
    assert abs(ours / theirs - 1) > 0.1


def test_the_table_of_figures_has_every_rig_and_keeps_the_bounds() -> None:
    lines = (Path(__file__).resolve().parents[2] / "docs" / "rigs.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    table = {label: cells for label, *cells in rows}
    assert {load(key).label for key in KEYS} <= set(table) and sum("test character" in label for label in table) == 3
    for label, (bones, *angles, feet) in table.items():
        if label in ("Rig", "---"):
            continue
        # Blender's own constraints do not bear a stretched object
        told = [angle for n, angle in enumerate(angles) if angle != "–" and not (label.startswith("Rigify generated") and n == 4)]
        assert len(told) >= 3 and all(float(angle) <= 1.0 for angle in told), label
        assert float(feet) <= 2.0 and int(bones.split()[0]) >= 20, label
