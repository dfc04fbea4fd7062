# SPDX-License-Identifier: Apache-2.0
"""Speech whose labels are exact, and sentences that stay in their split."""

from __future__ import annotations

import numpy as np
import pytest

from bridge_server.synthesis import corpus, espeak, festival, flite, persona
from bridge_server.synthesis.gestures import trigger
from bridge_server.synthesis.paths import minimum_jerk
from bridge_server.synthesis.speech import RATE, accents, join, loudness
from shared.errors import UnderstudyError

needs_espeak = pytest.mark.skipif(not espeak.available(), reason="eSpeak NG is not installed")
needs_flite = pytest.mark.skipif(not flite.available(), reason="Flite is not installed")
needs_festival = pytest.mark.skipif(not festival.available("ked_diphone"), reason="Festival's voice ked is not installed")
ENGINES = [pytest.param(espeak.speak, marks=needs_espeak), pytest.param(flite.speak, marks=needs_flite),
           pytest.param(festival.speak, marks=needs_festival)]


@pytest.mark.parametrize("speak", ENGINES)
def test_words_and_stresses_are_those_of_the_sentence(speak: object) -> None:
    speech = speak("The banana is under the computer, believe me.")  # type: ignore[operator]
    words = [w.text.lower() for w in speech.words]
    assert [w for w in words if w in ("banana", "computer", "believe")] == ["banana", "computer", "believe"]
    for word, stressed in (("banana", 1), ("computer", 1), ("believe", 1)):
        own = [s for s in speech.syllables if speech.words[s.word].text.lower() == word]
        assert int(np.argmax([s.stress for s in own])) == stressed, word
    starts = [p.start for p in speech.phonemes]
    assert starts == sorted(starts) and all(p.end > p.start for p in speech.phonemes)
    assert speech.words[-1].end <= speech.duration + 1e-6
    assert speech.samples.dtype == np.float32 and np.abs(speech.samples).max() <= 1.0


@pytest.mark.parametrize("speak", ENGINES)
def test_vowels_are_loud_and_the_comma_is_silent(speak: object) -> None:
    speech = speak("Mountains, rivers, lakes.")  # type: ignore[operator]
    vowels = np.mean([loudness(speech.samples, p.start, p.end) for p in speech.phonemes if p.vowel])
    a, b = speech.words[0].end, speech.words[1].start
    gap = (a + 0.25 * (b - a), b - 0.1 * (b - a))
    assert vowels > -35
    assert gap[1] - gap[0] > 0.03
    assert loudness(speech.samples, *gap) < vowels - 15


@needs_espeak
def test_an_emphasised_word_is_accented_and_marked() -> None:
    speech = espeak.speak("I think that he will do it.", emphasis=frozenset({3}))
    marked = [w.text for w in speech.words if w.emphasis]
    assert marked == ["he"]
    assert "he" in [speech.words[a.word].text for a in accents(speech)]


@needs_espeak
def test_the_same_words_give_the_same_samples_whatever_was_said_before() -> None:
    one = espeak.speak("Good morning to all of you.", voice="en-us+f3", pitch=60)
    espeak.speak("Something else in between.", voice="gmw/en+m2", rate=190)
    two = espeak.speak("Good morning to all of you.", voice="en-us+f3", pitch=60)
    assert np.array_equal(one.samples, two.samples)


@needs_espeak
def test_join_keeps_times_true() -> None:
    part = espeak.speak("One more word.")
    both = join([part, part], [0.5, 0.25, 1.0], [1.0, 0.5])
    shift = 0.5 + part.duration + 0.25
    assert both.words[len(part.words)].start == pytest.approx(part.words[0].start + shift, abs=2 / RATE)
    assert both.words[-1].sentence == 1 and both.syllables[-1].word == len(both.words) - 1
    assert both.duration == pytest.approx(2 * part.duration + 1.75, abs=2 / RATE)
    s = part.syllables[0].nucleus
    first, second = (loudness(both.samples, s[0] + t, s[1] + t) for t in (0.5, shift))
    assert first - second == pytest.approx(6.02, abs=0.3)


@needs_espeak
def test_unknown_voice_and_empty_text_are_refused() -> None:
    with pytest.raises(UnderstudyError) as caught:
        espeak.speak("Hello.", voice="no-such-voice")
    assert caught.value.code == "request_invalid"
    with pytest.raises(UnderstudyError) as caught:
        espeak.speak("   ")
    assert caught.value.code == "request_invalid"


def test_there_are_many_sentences_and_none_in_two_splits() -> None:
    rng = np.random.default_rng(0)
    said = {s: {corpus.sentence(rng, s).text for _ in range(400)} for s in ("train", "val", "test")}
    assert len(said["train"]) > 350
    assert not said["train"] & said["val"] and not said["train"] & said["test"] and not said["val"] & said["test"]
    assert not any(set(t) & set("{}*<>") or any(c.isdigit() for c in t) for t in said["train"])
    assert any(t.endswith("?") for t in said["train"]) and any(t.count(",") >= 2 for t in said["train"])


@pytest.mark.parametrize(("text", "spoken"), [
    ("Gate 25", "Gate twenty-five"), ("1,5", "one,five"), ("October 3rd", "October third"), ("7:30", "seven thirty"),
    ("100%", "one hundred percent"), ("in 1984", "in one thousand nine hundred eighty-four"),
])
def test_numbers_are_spelt(text: str, spoken: str) -> None:
    assert corpus.spell(text) == spoken


@pytest.mark.parametrize(("word", "kind"), [
    ("Never,", "negate"), ("don't", None), ("you", "point_you"), ("I", "point_me"), ("garden", None), ("huge!", "big"),
])
def test_words_that_call_for_a_form(word: str, kind: str | None) -> None:
    assert trigger(word) == kind


def test_minimum_jerk_starts_and_ends_at_rest() -> None:
    u = np.linspace(0, 1, 1001)
    s = minimum_jerk(u)
    speed = np.gradient(s, u)
    assert s[0] == 0 and s[-1] == 1 and np.all(np.diff(s) >= 0)
    assert speed[0] < 1e-4 and speed[-1] < 1e-4
    assert speed.max() == pytest.approx(1.875, abs=1e-3)
    assert np.array_equal(minimum_jerk(np.array([-1.0, 2.0])), [0.0, 1.0])


@needs_festival
def test_festival_voices_take_tempo_and_pitch_and_refuse_what_is_not_there() -> None:
    plain, slow = (festival.speak("Good morning, everybody.", stretch=x) for x in (1.0, 1.3))
    assert 1.15 < slow.words[-1].end / plain.words[-1].end < 1.4
    assert [w.text for w in plain.words] == ["Good", "morning", "everybody"] and plain.syllables[1].stress == 2
    high = festival.speak("Good morning, everybody.", pitch_shift=1.2)
    assert not np.array_equal(high.samples[:4000], plain.samples[:4000])
    with pytest.raises(UnderstudyError, match="not installed"):
        festival.speak("Hello.", voice="nobody")
    with pytest.raises(UnderstudyError, match="says nothing"):
        festival.speak("...")


def test_labels_of_festival_are_read_word_by_word() -> None:
    text = ("#\t0\t0.2\t0\t0\t0\t0\n" "m\t0.2\t0.3\t-\t1\t_4\tMy\n" "ay\t0.3\t0.4\t+\t1\t_4\tMy\n"
            "m\t0.4\t0.5\t-\t1\t_9\tmy\n" "ay\t0.5\t0.7\t+\t0\t_9\tmy\n" "#\t0.7\t0.9\t0\t0\t0\t0\n")
    words, phonemes = festival._label(text)
    assert [(w.text, w.start, w.end) for w in words] == [("My", 0.2, 0.4), ("my", 0.4, 0.7)]
    assert [(p.name, p.word, p.vowel, p.stress) for p in phonemes] == [
        ("m", 0, False, 0), ("ay", 0, True, 2), ("m", 1, False, 0), ("ay", 1, True, 0)]


def test_speakers_have_festival_voices_where_they_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(festival, "_voices", lambda: frozenset(festival.VOICES))
    monkeypatch.setattr(flite, "available", lambda: True)
    found = {split: persona.make_personas(1, split) for split in ("train", "val", "test")}
    engines = [p.voice.engine for p in found["train"]]
    assert engines.count("festival") == 11 and engines.count("flite") > 15 and engines.count("espeak-ng") > 50
    names = {split: {p.voice.label for p in row} for split, row in found.items()}
    assert not names["train"] & names["val"] and not names["train"] & names["test"]
    assert {p.voice.licence for p in found["train"]} >= {festival.LICENCE, flite.LICENCE, espeak.LICENCE}
    monkeypatch.setattr(festival, "_voices", frozenset)
    without = persona.make_personas(1, "train")
    assert not any(p.voice.engine == "festival" for p in without)
