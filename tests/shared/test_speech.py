# SPDX-License-Identifier: Apache-2.0
"""Words with times, face settings and the requests that carry them: there and back, and bad ones refused."""

from __future__ import annotations

import numpy as np
import pytest

from shared.errors import UnderstudyError
from shared.face_requests import FaceRequest, Heard, SpeechRequest, Suggestion
from shared.face_settings import FaceSettings, Sampled
from shared.motion import Motion
from shared.protocol import Message
from shared.requests import MotionRequest, motion_to_buffers
from shared.speech import MIN_WORD, Phone, Word, changed_range, clip, from_json, retimed, to_json
from shared.timeline import Direction

WORDS = [Word(0.0, 0.4, "hi", (Phone(0.0, 0.1, "HH"), Phone(0.1, 0.4, "AY"))), Word(0.5, 1.0, "you", (Phone(0.5, 1.0, "UW"),))]


def test_words_there_and_back():
    assert from_json(to_json(WORDS)) == WORDS
    assert from_json(list(reversed(to_json(WORDS)))) == WORDS  # in time order whatever came


@pytest.mark.parametrize("data", [
    "words", [{"start": 0.0}], [{"start": 1.0, "end": 0.5}], [{"start": 0.0, "end": 1.0, "phones": [[0, 1]]}],
    [{"start": 0.0, "end": 1.0, "phones": [["a", 1, "P"]]}], [{"start": -1.0, "end": 1.0}],
    [{"start": 0.0, "end": 1.0, "phones": [[0.5, 0.2, "P"]]}], [{"start": 0, "end": 1, "text": "x" * 300}],
])
def test_bad_words_are_refused(data):
    with pytest.raises(UnderstudyError, match="words cannot be read"):
        from_json(data)


def test_a_word_is_stretched_with_its_sounds():
    word = retimed(WORDS[0], 1.0, 1.8)
    assert (word.start, word.end) == (1.0, 1.8) and word.phones[1] == Phone(pytest.approx(1.2), pytest.approx(1.8), "AY")
    assert retimed(WORDS[0], 1.0, 0.5).end == pytest.approx(1.0 + MIN_WORD)


def test_overlaps_are_cut_and_covered_words_dropped():
    found = clip([Word(0.0, 0.7, "a"), Word(0.5, 1.0, "b"), Word(0.51, 2.0, "c")])
    assert [(w.text, w.end) for w in found] == [("a", 0.5), ("c", 2.0)]


def test_the_changed_range_spans_old_and_new_places():
    assert changed_range(WORDS, list(WORDS)) is None
    moved = [WORDS[0], retimed(WORDS[1], 0.6, 1.3)]
    assert changed_range(WORDS, moved) == (0.5, 1.3)
    assert changed_range(WORDS, WORDS[:1], 0.2) == (pytest.approx(0.3), pytest.approx(1.2))
    assert changed_range(WORDS, [WORDS[0], Word(0.5, 1.0, "me")]) == (0.5, 1.0)


def test_face_settings_there_and_back_and_only_what_differs():
    assert FaceSettings().to_json() == {}
    settings = FaceSettings({"happy": 0.5, "sad": Sampled(10.0, np.array([0.0, 2.0]))}, Sampled(5.0, np.arange(6.0).reshape(2, 3)),
                            mouth=0.5, lead=-0.1, words=WORDS, language="en", route="audio2face")
    back = FaceSettings.from_json(settings.to_json())
    assert back.mouth == 0.5 and back.words == WORDS and back.route == "audio2face" and back.emotions["happy"] == 0.5
    assert back.emotions["sad"].values.tolist() == [0.0, 1.0]  # intensities are held to 1
    assert np.allclose(back.gaze.at(np.array([-1.0, 0.1, 9.0])), [[0, 1, 2], [1.5, 2.5, 3.5], [3, 4, 5]])
    request = MotionRequest(duration=1.0, face_settings=settings)
    assert MotionRequest.from_message(request.to_message()).face_settings.words == WORDS


@pytest.mark.parametrize("data", [
    {"mouth": 3}, {"emotions": {"bored": 1}}, {"emotions": {"happy": {"rate": 0, "values": [1]}}}, {"lead": 2},
    {"gaze": {"rate": 10, "values": [1, 2]}}, {"emotions": {"happy": {"rate": 10, "values": []}}}, {"words": 3}, [],
])
def test_bad_face_settings_are_refused(data):
    with pytest.raises(UnderstudyError) as refused:
        FaceSettings.from_json(data)
    assert refused.value.code == "request_invalid"


def test_requests_of_words_and_faces():
    audio = np.arange(10, dtype=np.uint8)
    asked = SpeechRequest.from_message(SpeechRequest(audio, "a.wav", "hi you", suggest=True).to_message("j1"))
    assert asked.transcript == "hi you" and asked.suggest and np.array_equal(asked.audio, audio)
    with pytest.raises(UnderstudyError, match="no speech"):
        SpeechRequest.from_message(SpeechRequest().to_message())
    with pytest.raises(UnderstudyError, match="transcript"):
        SpeechRequest.from_message(SpeechRequest(audio, suggest=True).to_message())
    heard = Heard(WORDS, "transcript", [Suggestion(Direction(0.0, 2.0, "waves", "upper"), "because", "hi", 0.7)], ["note"])
    assert Heard.from_json(heard.to_json()) == heard
    with pytest.raises(UnderstudyError, match="no words"):
        SpeechRequest.read(Message("result", "j", {}))
    base = Motion.rest(30)
    base.face = {"jawOpen": np.zeros(30, np.float32)}
    face = FaceRequest(base, [(0.2, 0.5)], audio, "a.wav", "hi", 3, [Direction(0.0, 1.0, "waves")], FaceSettings(mouth=2.0))
    back = FaceRequest.from_message(face.to_message("j2"))
    assert back.ranges == [(0.2, 0.5)] and back.seed == 3 and back.face_settings.mouth == 2.0 and len(back.base) == 30
    assert back.directions[0].text == "waves"
    body, buffers = motion_to_buffers(back.base)
    assert len(FaceRequest.read(Message("result", "j2", body, buffers))) == 30
    with pytest.raises(UnderstudyError, match="starts after"):
        FaceRequest(base, [(2.0, 3.0)]).to_message()
