# SPDX-License-Identifier: Apache-2.0
"""Tables, coarticulation, decoding, maps."""

from __future__ import annotations

import numpy as np
import pytest

from bridge_server.face import maps
from bridge_server.face.acoustics import HOP
from bridge_server.face.align import ipa_to_arpabet, words_of
from bridge_server.face.emotion import (
    EMOTIONS,
    emotion_curves,
    emotion_in_words,
    emotions_from_directions,
)
from bridge_server.face.mouth import Segment, close_lips, coarticulate
from bridge_server.face.phonemes import decode
from bridge_server.face.shapes_in_time import split_shapes
from bridge_server.face.transcript import agreement
from bridge_server.face.visemes import (
    ARPABET,
    CLOSED_OPENING,
    SHAPES,
    VISEME_INDEX,
    VISEMES,
    arpabet_visemes,
    ipa_visemes,
    opening,
    shape_matrix,
)
from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.face_curves import ARKIT, ARKIT_INDEX
from shared.timeline import Direction


def test_every_viseme_has_a_shape_of_known_curves():
    assert set(SHAPES) == set(VISEMES) and len(VISEMES) == 15
    matrix = shape_matrix()
    assert matrix.shape == (15, 52) and matrix.min() >= 0 and matrix.max() <= 1
    curves = {n: matrix[:, i] for n, i in ARKIT_INDEX.items()}
    wide = opening(curves)
    assert wide[VISEME_INDEX["PP"]] <= 0.05 and wide[VISEME_INDEX["sil"]] <= 0.05
    assert wide[VISEME_INDEX["aa"]] == wide.max()
    assert all(v in VISEMES for shapes in ARPABET.values() for v in shapes)


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("p", ("PP",)),
        ("aɪ", ("aa", "ih")),
        ("tʃ", ("CH",)),
        ("ts", ("SS",)),
        ("iː", ("ih",)),
        ("h", ()),
        ("ɜː", ("RR",)),
        ("ɑ̃", ("aa",)),
        ("dʲ", ("DD",)),
        ("", ("sil",)),
        ("_:", ("sil",)),
        ("(en)", ()),
        ("oʊ", ("oh", "ou")),
        ("ʔ", ()),
        ("əl", ("aa", "nn")),
    ],
)
def test_ipa(symbol, expected):
    assert ipa_visemes(symbol) == expected


def test_arpabet_takes_stress_and_silences():
    assert (
        arpabet_visemes("AY1") == ("aa", "ih")
        and arpabet_visemes("<sil>") == ("sil",)
        and arpabet_visemes("m") == ("PP",)
    )


def test_ipa_to_arpabet():
    assert ipa_to_arpabet("ˌʌ_n_d_ɚ_s_t_ˈʌ_d_i") == "AH N D ER S T AH D IY".split()
    assert ipa_to_arpabet("tʃˈeɪndʒ") == "CH EY N JH".split()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("It’s 42.", ["it's", "forty", "two"]),
        ("in 1961", ["in", "nineteen", "sixty", "one"]),
        ("Café & 3,000", ["cafe", "and", "three", "thousand"]),
        ("…", []),
        ("2026", ["twenty", "twenty", "six"]),
    ],
)
def test_transcript_words(text, words):
    assert words_of(text) == words


def test_shapes_are_split_without_gaps():
    phones = [
        (0.0, 0.1, "SIL", ("sil",)),
        (0.1, 0.15, "HH", ()),
        (0.15, 0.35, "AY", ("aa", "ih")),
        (0.35, 0.38, "SIL", ("sil",)),
        (0.38, 0.5, "M", ("PP",)),
    ]
    out = split_shapes(phones)
    assert [v for _, _, v, _ in out] == ["sil", "aa", "ih", "PP"]
    assert out[1][0] == pytest.approx(0.1)
    assert all(a[1] == pytest.approx(b[0]) for a, b in zip(out[:-1], out[1:], strict=True))


def test_coarticulation_reaches_a_long_vowel_and_softens_a_short_one():
    def jaw(duration: float) -> float:
        c = 0.5
        curves = coarticulate(
            [
                Segment(0, c - duration / 2, "SS"),
                Segment(c - duration / 2, c + duration / 2, "aa"),
                Segment(c + duration / 2, 1, "SS"),
            ],
            101,
        )
        return float(curves[50, ARKIT_INDEX["jawOpen"]])

    full = SHAPES["aa"].curves["jawOpen"]
    assert jaw(0.4) > 0.9 * full > jaw(0.05) > SHAPES["SS"].curves["jawOpen"]


def test_a_velar_takes_the_lips_of_its_neighbours():
    rounded = coarticulate([Segment(0, 0.3, "ou"), Segment(0.3, 0.38, "kk"), Segment(0.38, 0.7, "ou")], 70)
    spread = coarticulate([Segment(0, 0.3, "ih"), Segment(0.3, 0.38, "kk"), Segment(0.38, 0.7, "ih")], 70)
    pucker = ARKIT_INDEX["mouthPucker"]
    assert rounded[34, pucker] > 0.3 and spread[34, pucker] < 0.05


def test_lips_close_even_for_ten_milliseconds():
    segments = [Segment(0, 0.5, "aa"), Segment(0.5, 0.51, "PP"), Segment(0.51, 1, "aa")]
    curves = close_lips(coarticulate(segments, 101), segments)
    wide = opening({n: curves[:, i] for n, i in ARKIT_INDEX.items()})
    assert (wide <= CLOSED_OPENING).sum() * HOP >= 0.045


def test_decoding_finds_the_segments_and_drops_single_rows():
    p = np.full((40, 15), 0.01)
    for first, last, v in ((0, 10, 0), (10, 20, 10), (20, 25, 1), (25, 40, 10)):
        p[first:last, v] = 0.86
    p[30] = 0.01
    p[30, 5] = 0.86
    found = decode(p)
    assert [s.viseme for s in found] == ["sil", "aa", "PP", "aa"]
    assert found[2].start == pytest.approx(0.39) and found[2].end == pytest.approx(0.49)
    assert all(0 <= s.confidence <= 1 for s in found)
    assert decode(np.zeros((0, 15))) == []
    assert [s.viseme for s in decode(np.eye(15)[[3]])] == ["TH"]


def test_agreement_tells_right_from_wrong():
    p = np.full((50, 15), 0.01)
    p[:25, 10] = p[25:, 7] = 0.86
    assert agreement([Segment(0, 0.5, "aa"), Segment(0.5, 1, "SS")], p) > 0.8
    assert agreement([Segment(0, 0.5, "SS"), Segment(0.5, 1, "aa")], p) < 0.2


def test_every_shape_maps_to_its_own_oculus_viseme():
    matrix = shape_matrix()
    out = maps.to_visemes({n: matrix[:, i] for n, i in ARKIT_INDEX.items()})
    stacked = np.stack([out[v] for v in VISEMES], axis=1)
    assert (stacked.argmax(axis=1) == np.arange(15)).all()
    assert stacked.min() >= 0 and stacked.max() <= 1
    seen = [VISEME_INDEX[v] for v in ("PP", "FF", "CH", "SS", "oh", "ou", "ih")]
    assert np.diag(stacked)[seen].min() > 0.7


def test_smplx_jaw_opens_downwards_and_eyes_turn_outwards():
    c = {n: np.zeros(1) for n in ARKIT}
    c["jawOpen"][0] = 1
    c["eyeLookOutLeft"][0] = c["eyeLookInRight"][0] = 1
    joints = maps.to_smplx_joints(c)
    chin = rot.rotate(joints[0, 0], np.array([0.0, 0.0, 1.0]))
    assert chin[1] == pytest.approx(-np.sin(maps.JAW_OPEN))
    for k in (1, 2):  # both to the character's left, +X
        assert rot.rotate(joints[0, k], np.array([0.0, 0.0, 1.0]))[0] == pytest.approx(0.5)


def test_fit_matrix_layouts(tmp_path):
    rng = np.random.default_rng(0)
    full = rng.normal(size=(52, 100))
    for name, array in (("a", full), ("b", full[:51]), ("c", full.T)):
        np.save(tmp_path / f"{name}.npy", array)
    assert np.allclose(maps.load_fit(tmp_path / "a.npy"), full) and np.allclose(maps.load_fit(tmp_path / "c.npy"), full)
    assert np.allclose(maps.load_fit(tmp_path / "b.npy")[:51], full[:51])
    curves = {"jawOpen": np.array([0.0, 1.0])}
    assert np.allclose(maps.expression(curves, full)[1], full[ARKIT_INDEX["jawOpen"]], atol=1e-6)
    assert maps.expression(curves, None).shape == (2, 0)
    np.save(tmp_path / "wrong.npy", np.zeros((10, 3)))
    (tmp_path / "text.npy").write_text("no")
    for name in ("wrong.npy", "text.npy", "absent.npy"):
        with pytest.raises(UnderstudyError):
            maps.load_fit(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a person jumps for joy", "happy"),
        ("walks angrily", "angry"),
        ("a person walks", "neutral"),
        ("not happy at all", "neutral"),
        ("is very scared", "afraid"),
        ("a person apologises", "sad"),
        ("someone reacts with surprise", "surprised"),
    ],
)
def test_emotion_in_words(text, name):
    assert emotion_in_words(text)[0] == name


def test_emotions_fade_with_their_strips():
    t = np.arange(300) / 30
    curves = emotions_from_directions(
        [Direction(2, 6, "jumps very happily"), Direction(0, 9, "is sad", enabled=False)], t
    )
    assert set(curves) == {"happy"}
    assert curves["happy"][45] == 0 and curves["happy"][120] == pytest.approx(1) and curves["happy"][-1] == 0
    face = emotion_curves({**curves, "angry": 0.5}, t)
    assert face[120, ARKIT_INDEX["mouthSmileLeft"]] > 0.5 and face.max() <= 1
    with pytest.raises(ValueError, match="unknown emotion"):
        emotion_curves({"bored": 1.0}, t)
    assert len(EMOTIONS) == 8
