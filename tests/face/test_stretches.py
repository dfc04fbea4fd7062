# SPDX-License-Identifier: Apache-2.0
"""A face made little by little is the face made at once, and a long speech is heard alike in stretches."""

import wave
from pathlib import Path

import numpy as np
import pytest

from bridge_server.audio.sound import Audio
from bridge_server.face import FaceOptions, eyes, perform
from bridge_server.face import acoustics as ac
from bridge_server.face.performance import Performing
from bridge_server.face.routes import begin, load
from bridge_server.face.stretches import Speech
from shared.face_curves import ARKIT

SPEECH = Path(__file__).resolve().parents[2] / "examples/speech.wav"


@pytest.fixture(scope="module")
def talk() -> Audio:
    """Two minutes and a quarter of one voice, with a silence in the middle."""
    with wave.open(str(SPEECH)) as file:
        x = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        rate = file.getframerate()
    once = ac.mono16(Audio(x, rate))
    return Audio(np.concatenate((np.tile(once, 3), np.zeros(5 * ac.RATE, np.float32), np.tile(once, 4))))


def asked(times: np.ndarray) -> FaceOptions:
    return FaceOptions(emotions={"happy": np.clip(np.sin(times), 0, 1)}, gaze=np.stack((0.1 * np.sin(times), 0 * times), 1))


@pytest.mark.parametrize("spoken", [True, False])
def test_little_by_little_is_at_once(talk: Audio, spoken: bool) -> None:
    times = np.arange(70 * 30) / 30
    audio = Audio(talk.samples[: 65 * ac.RATE]) if spoken else None
    whole = perform(audio, times, 3, None, asked(times))
    parts = Performing(audio, times, 3, None, asked(times))
    seen = []
    for count in (1, 200, 201, 900, len(times)):
        face = parts.upto(count)
        seen.append({n: face.curves[n][:count].copy() for n in ARKIT} | {"head": face.head[:count].copy()})
    for count, early in zip((1, 200, 201, 900, len(times)), seen, strict=True):
        for name in ARKIT:
            assert np.array_equal(early[name], whole.curves[name][:count]), name
        assert np.array_equal(early["head"], whole.head[:count])
    made = parts.upto(len(times))
    assert made.segments == whole.segments and made.words == whole.words and made.warnings == whole.warnings
    for name in ("chest", "saccades", "blink"):
        assert np.array_equal(getattr(made, name), getattr(whole, name))
    assert (len(made.segments) > 100) == spoken


def test_stretches_hear_what_the_whole_hears(talk: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    times = np.arange(60 * 30) / 30
    audio = Audio(talk.samples[: 60 * ac.RATE])
    stretched = perform(audio, times, 1)
    monkeypatch.setattr("bridge_server.face.stretches._WHOLE", 10**9)
    whole = perform(audio, times, 1)
    for name in ("jawOpen", "mouthFunnel", "mouthClose", "browInnerUp"):
        assert np.abs(stretched.curves[name] - whole.curves[name]).mean() < 0.02, name
    agree = [a.viseme == b.viseme for a, b in zip(stretched.segments, whole.segments, strict=False)]
    assert abs(len(stretched.segments) - len(whole.segments)) < 0.05 * len(whole.segments) and len(agree) > 100
    ends = [s.end for s in stretched.segments]
    assert all(abs(b.start - a) < 1e-6 for a, b in zip(ends, stretched.segments[1:], strict=False)), "no gap where stretches meet"


def test_the_first_stretch_hears_no_further_than_it_must(talk: Audio) -> None:
    speech = Speech(talk, None, FaceOptions())
    speech.advance()
    assert 7.0 < speech.until < 12.5
    assert speech.mouth[: int(speech.until * 100)].any() and not speech.mouth[1500:].any()


def test_words_of_an_artist_and_a_transcript_go_with_stretches_too(talk: Audio) -> None:
    times = np.arange(50 * 30) / 30
    audio = Audio(talk.samples[: 48 * ac.RATE])
    known = perform(audio, times, 1)
    again = perform(audio, times, 1, None, FaceOptions(words=known.words))
    assert again.source == "artist" and again.words[-1].end > 40
    assert np.corrcoef(again.curves["jawOpen"], known.curves["jawOpen"])[0, 1] > 0.7


def test_rows_of_a_stretch_are_those_of_the_whole(talk: Audio) -> None:
    x = talk.samples[: 20 * ac.RATE]
    whole = ac.Measured.of(x)
    assert len(whole) == ac.row_count(x)
    for first, stop in ((0, 30), (500, 900), (len(whole) - 7, len(whole))):
        part, same = ac.Measured.of(x, first, stop), whole.slice(first, stop)
        assert np.allclose(part.mel, same.mel, atol=1e-4) and np.allclose(part.bands, same.bands, rtol=1e-4)
        assert np.array_equal(part.pitch, same.pitch) and np.allclose(part.voicing, same.voicing, atol=1e-5)


def test_eyes_go_on_where_they_were() -> None:
    times = np.arange(900) / 30
    whole = eyes.Saccades(30.0, 5).at(times)
    parts = eyes.Saccades(30.0, 5)
    assert np.array_equal(np.concatenate([parts.at(times[a : a + 100]) for a in range(0, 900, 100)]), whole)
    assert np.ptp(whole) > 0.02
    pauses = np.array([[4.0, 5.0], [11.0, 12.0], [20.0, 20.5]])
    blinks = eyes.Blinks(30.0, 5)
    early = [blinks.until(t, pauses[pauses[:, 0] < t + 0.9]) for t in (6.0, 15.0, 30.0)]
    assert np.array_equal(early[-1], eyes.Blinks(30.0, 5).until(30.0, pauses)) and len(early[0]) < len(early[-1])


def test_a_route_that_makes_faces_at_once_may_be_begun_too() -> None:
    class Other:
        def perform(self, audio, times, seed, transcript, options):  # type: ignore[no-untyped-def]
            return perform(audio, times, seed, transcript, options)

    times = np.arange(60) / 30
    begun = begin(Other(), None, times, 1, None, FaceOptions())
    assert begun.upto(3) is begun.upto(60)
    assert np.array_equal(begun.upto(60).chest, begin(load(), None, times, 1, None, FaceOptions()).upto(60).chest)
