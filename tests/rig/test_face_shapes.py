# SPDX-License-Identifier: Apache-2.0
"""Recognising face shapes by name tables, and what drives them."""

from __future__ import annotations

import numpy as np
import pytest

from blender_addon.core.rigs.face_shapes import REGIONS, bones_needed, recognise, viseme_inverse
from blender_addon.core.rigs.mapping import Mapping
from blender_addon.core.rigs.tables.faces import FACE_SETS, VISEME_SHAPES
from blender_addon.shared.face_curves import ARKIT

MIKA = ["jawOpen", "mouthFunnel", "mouthPucker", "mouthClose", "eyeBlinkLeft", "eyeBlinkRight", "eyeWideLeft", "eyeWideRight",
        "eyeSquintLeft", "eyeSquintRight", "browDownLeft", "browDownRight", "browOuterUpLeft", "browOuterUpRight", "browInnerUp",
        "mouthSmile", "mouthStretch", "mouthFrown", "noseSneerLeft", "noseSneerRight"]


def test_all_of_arkit() -> None:
    face = recognise(ARKIT)
    assert face.key == "arkit" and face.score == 1.0 and not face.missing and not face.visemes
    assert {s: list(c) for s, c in face.drivers.items()} == {name: [name] for name in ARKIT}
    assert face.summary == "ARKit · 52 shapes"


def test_shapes_for_both_sides_take_the_mean() -> None:
    face = recognise(["$md-proportion", *MIKA])
    assert face.key == "arkit" and set(face.drivers) == set(MIKA)
    values = face.values({"mouthSmileLeft": np.array([1.0, 0.0]), "mouthSmileRight": np.array([0.0, 0.5])})
    np.testing.assert_allclose(values["mouthSmile"], [0.5, 0.25])
    np.testing.assert_allclose(face.values({"mouthSmileLeft": np.array([0.8])})["mouthSmile"], [0.8])
    assert face.missing == {"looking about": "The face has no shape for looking about."}


@pytest.mark.parametrize("form", ["Head_Mesh.{}", "Face.M_F00_{}", "bs_{}", "upper", "under"])
def test_prefixes_and_case(form: str) -> None:
    change = {"upper": str.upper, "under": lambda n: "".join("_" + c.lower() if c.isupper() else c for c in n)}.get(form, form.format)
    face = recognise([change(n) for n in MIKA])
    assert face.key == "arkit" and len(face.drivers) == len(MIKA)


@pytest.mark.parametrize("face_set", FACE_SETS, ids=lambda s: s.key)
def test_every_set_recognises_its_own_names(face_set: object) -> None:
    names: list[str] = []
    for name in [*face_set.shapes, *face_set.visemes]:  # type: ignore[attr-defined]
        sides = face_set.sides if "*" in name else ("",)  # type: ignore[attr-defined]
        names += [face_set.prefixes[0] + name.replace("*", side) for side in sides]  # type: ignore[attr-defined]
    face = recognise(names)
    assert face.key == face_set.key and face.score > 0.3  # type: ignore[attr-defined]
    values = face.values({name: np.full(3, 0.5) for name in ARKIT})
    assert values and all(v.shape == (3,) and v.min() >= 0 and v.max() <= 1 for v in values.values())


def test_visemes_answer_to_their_own_looks() -> None:
    names = [f"viseme_{v}" for v in VISEME_SHAPES] + ["blink_left", "blink_right"]
    face = recognise([*names, "mouthOpen", "mouthSmile"])
    assert "mouthOpen" not in face.drivers and "mouthSmile" in face.drivers
    face = recognise(names)
    assert face.key == "oculus" and len(face.visemes) == 14
    hits = 0
    for viseme, look in VISEME_SHAPES.items():
        curves = {c: np.array([w]) for name, w in look.items() for c in ([name] if name in ARKIT else [f"{name}Left", f"{name}Right"])}
        values = {shape: float(v[0]) for shape, v in face.values(curves).items() if shape in face.visemes}
        hits += max(values, key=values.__getitem__) == f"viseme_{viseme}"
    assert hits >= 12
    assert viseme_inverse().shape == (52, 14)
    still = face.values({name: np.zeros(2) for name in ARKIT})
    assert all(np.all(v == 0) for v in still.values())


def test_a_face_with_curves_and_visemes_is_not_moved_twice() -> None:
    face = recognise([*ARKIT, *(f"viseme_{v}" for v in VISEME_SHAPES), "mouthOpen"])
    assert face.key == "arkit" and not face.visemes and "mouthOpen" not in face.drivers


def test_eyes_of_one_set_and_mouth_of_another() -> None:
    eyes = ["eyeBlinkLeft", "eyeBlinkRight", "browInnerUp", "browDownLeft", "browDownRight"]
    face = recognise([*eyes, *(f"vrc.v_{v}" for v in VISEME_SHAPES)])
    assert {"eyeBlinkLeft", "browInnerUp"} <= set(face.drivers) and len(face.visemes) == 14
    assert face.drives_jaw


def test_three_shapes_only_says_what_is_missed() -> None:
    face = recognise(["Basis2", "jawOpen", "eyeBlinkLeft", "eyeBlinkRight"])
    assert set(face.drivers) == {"jawOpen", "eyeBlinkLeft", "eyeBlinkRight"}
    assert "rounding the lips" in face.missing and "smiling" in face.missing and "blinking" not in face.missing
    assert all(text.endswith(".") for text in face.missing.values())


def test_bones_take_over_where_shapes_are_missing() -> None:
    none = recognise(["Key 1", "Fat", "Muscle"])
    assert not none.drivers and none.score == 0 and none.summary == "no face shapes" and len(none.missing) == len(REGIONS)
    rig = Mapping("x", "X", {"jaw": ("jaw",), "left_eye": ("l",), "right_eye": ("r",)})
    assert bones_needed(none, rig)[:2] == (True, True)
    jaw, eyes, sentences = bones_needed(none, Mapping("x", "X", {}))
    assert not jaw and not eyes and "neither a shape nor a bone" in sentences[0]
    assert bones_needed(recognise(ARKIT), rig) == (False, False, ())


def test_strength_scales_and_stays_in_range() -> None:
    face = recognise(ARKIT)
    curves = {"jawOpen": np.array([0.4, 0.9]), "browInnerUp": np.array([0.5, 0.5])}
    np.testing.assert_allclose(face.values(curves, 1.5)["jawOpen"], [0.6, 1.0])
    values = face.values(curves, {"jawOpen": 0.5})
    np.testing.assert_allclose(values["jawOpen"], [0.2, 0.45])
    np.testing.assert_allclose(values["browInnerUp"], 0.5)
