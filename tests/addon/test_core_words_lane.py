# SPDX-License-Identifier: Apache-2.0
"""The lane of words without Blender; where a target is for the performer; shape maps."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest

from blender_addon.core.gaze_points import in_performers_space
from blender_addon.core.retarget.align import Anatomy
from blender_addon.core.rigs import shape_presets
from blender_addon.core.rigs.face_shapes import recognise
from blender_addon.core.words_lane import (
    Lane,
    LaneWord,
    drag,
    from_speech,
    merge,
    pack,
    phones_of,
    split,
    to_speech,
    unpack,
)
from blender_addon.shared.errors import UnderstudyError
from shared.speech import Phone, Word

WORDS = [LaneWord("a", 10, 20, "my", ((0.0, 0.4, "M"), (0.4, 1.0, "AY"))), LaneWord("b", 20, 32, "fellow"), LaneWord("c", 40, 50, "men")]


def places(words):
    return [(w.start, w.end) for w in words]


def test_speech_there_and_back():
    speech = [Word(0.5, 1.0, "my", (Phone(0.5, 0.7, "M"), Phone(0.7, 1.0, "AY"))), Word(1.0, 1.5, "own")]
    numbers = count()
    lane = from_speech(speech, 11, 30, lambda: str(next(numbers)))
    assert places(lane) == [(26, 41), (41, 56)] and phones_of(lane[0])[1] == (pytest.approx(32), pytest.approx(41), "AY")
    back = to_speech(lane, 11, 30)
    assert [(w.text, w.start, w.end) for w in back] == [("my", 0.5, 1.0), ("own", 1.0, 1.5)]
    assert [p.start for p in back[0].phones] == pytest.approx([0.5, 0.7])
    assert to_speech([LaneWord("x", 1, 5)], 11, 30) == []
    assert unpack(pack(WORDS[0].phones)) == WORDS[0].phones and unpack("0 x P;;0.5 1 M") == ((0.5, 1.0, "M"),)


def test_what_is_under_the_mouse():
    lane = Lane(WORDS, lambda f: 10 * f, lambda x: x / 10, 50, 30)
    assert lane.at(150, 60).zone == "body" and lane.at(102, 60).zone == "start" and lane.at(197, 60).uuid == "a"
    assert lane.at(350, 60) is None and lane.at(150, 90) is None and lane.at(150, 49) is None


@pytest.mark.parametrize("zone, held, delta, expected", [
    ("body", "c", 5, [(10, 20), (20, 32), (45, 55)]),
    ("body", "c", -30, [(10, 20), (20, 32), (32, 42)]),     # stops at its neighbour
    ("body", "b", 30, [(10, 20), (28, 40), (40, 50)]),
    ("body", "a", -30, [(0, 10), (20, 32), (40, 50)]),      # and where the speech begins
    ("end", "a", 4, [(10, 24), (24, 32), (40, 50)]),        # touching words share their edge
    ("start", "b", -50, [(10, 11.2), (11.2, 32), (40, 50)]),
    ("end", "b", 50, [(10, 20), (20, 40), (40, 50)]),
    ("end", "c", -50, [(10, 20), (20, 32), (40, 41.2)]),
])
def test_drags(zone, held, delta, expected):
    assert [(pytest.approx(a), pytest.approx(b)) for a, b in places(drag(WORDS, zone, held, delta, first=0.0))] == expected


def test_an_edge_alone_leaves_its_neighbour():
    assert places(drag(WORDS, "end", "a", -4, alone=True))[:2] == [(10, 16), (20, 32)]
    assert places(drag(WORDS, "end", "a", 4, alone=True))[:2] == [(10, 20), (20, 32)]


def test_split_and_merge_keep_the_sounds_where_they_are():
    word = LaneWord("a", 10, 20, "my own", ((0.0, 0.3, "M"), (0.3, 0.6, "AY"), (0.6, 1.0, "OW")))
    left, right = split(word, 16)
    assert (left.text, right.text, right.uuid) == ("my", "own", "")
    sounds = phones_of(left) + phones_of(right)
    assert [s[0] for s in sounds] == pytest.approx([10, 13, 16]) and split(word, 10.5) is None
    whole = merge([right, left])
    assert (whole.start, whole.end, whole.text) == (10, 20, "my own")
    assert [s[0] for s in phones_of(whole)] == pytest.approx([10, 13, 16])


def test_a_target_keeps_its_direction_for_a_rig_of_another_size():
    """A rig in centimetres, turned by a quarter, with a low head: what is at its eye level ahead is so for the body too."""
    heads = np.array([[0.0, 0.0, 120.0]])
    body = Anatomy(np.array([1.0, 0, 0, 0]), heads, heads, np.array([[1.0, 0, 0, 0]]), 80.0, 100.0, 0.0, ())
    matrix = np.eye(4)
    matrix[:3, :3] = 0.01 * np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    matrix[:3, 3] = (5.0, 0.0, 0.0)
    # the rig looks along its own -Y, which is the world's +X
    found = in_performers_space(np.array([[7.0, 0.0, 1.2], [7.0, 2.0, 1.2]]), matrix, body, 0)
    from shared.skeleton import JOINT_INDEX, rest_positions

    head = rest_positions()[JOINT_INDEX["head"]]
    assert found[0] - head == pytest.approx([0, 0, 2.0], abs=1e-9)
    assert found[1] - head == pytest.approx([2.0, 0, 2.0], abs=1e-9)  # the world's +Y is its left


def test_shape_maps(tmp_path: Path):
    names = ["jawOpen", "mouthSmile", "MyPucker", "eyeBlinkLeft"]
    face = recognise(names)
    own = {"MyPucker": "mouthPucker*0.5 + mouthFunnel", "jawOpen": "", "notThere": "jawOpen"}
    mapped = shape_presets.applied(face, own, names)
    assert mapped.drivers["MyPucker"] == {"mouthPucker": 0.5, "mouthFunnel": 1.0} and "jawOpen" not in mapped.drivers
    assert "opening the mouth" in mapped.missing and "rounding the lips" not in mapped.missing
    assert "rounding the lips" in face.missing and "opening the mouth" not in face.missing
    assert shape_presets.applied(face, {"notThere": "jawOpen"}, names) is face
    shown = shape_presets.applied(face, {"MyPucker": "viseme:ou"}, names)
    assert shown.visemes["MyPucker"] == "ou" and shape_presets.describe(shown, "MyPucker") == "viseme:ou"
    path = shape_presets.save(own, {"MyPucker": 0.5}, "Mine", tmp_path / "a.shapes.json")
    assert shape_presets.load(path) == (own, {"MyPucker": 0.5})
    for text in ("{}", "[]", "x", '{"understudy_shapes": 1, "shapes": {"a": "noCurve"}}',
                 '{"understudy_shapes": 1, "shapes": {}, "strengths": {"a": 9}}'):
        path.write_text(text)
        with pytest.raises(UnderstudyError) as refused:
            shape_presets.load(path)
        assert refused.value.code == "file_invalid"
    with pytest.raises(UnderstudyError, match="no viseme"):
        shape_presets.parse("viseme:XX")


def test_a_face_with_three_shapes_says_what_it_misses():
    face = recognise(["jawOpen", "eyeBlinkLeft", "eyeBlinkRight"])
    assert set(face.drivers) == {"jawOpen", "eyeBlinkLeft", "eyeBlinkRight"}
    assert "opening the mouth" not in face.missing and "blinking" not in face.missing
    assert {"rounding the lips", "closing the lips", "smiling", "raising the brows"} <= set(face.missing)
    assert all(sentence.startswith("The face has no shape for") for sentence in face.missing.values())
