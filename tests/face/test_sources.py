# SPDX-License-Identifier: Apache-2.0
"""Alignment, recogniser and signal: where the mouth shapes come from, and how each hands over to the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge_server.audio.decode import decode as decode_audio
from bridge_server.face import acoustics as ac
from bridge_server.face import align, espeak, perform, phonemes, recogniser
from bridge_server.face.evaluate import alignment_errors, frame_accuracy
from bridge_server.face.evaluate import test_utterances as make_utterances
from bridge_server.face.phonemes import decode
from bridge_server.face.training.music import music
from bridge_server.face.training.speakers import from_espeak, label_rows
from bridge_server.face.visemes import CLOSED_OPENING, opening
from bridge_server.audio.sound import Audio
from shared.errors import UnderstudyError

EXAMPLES = Path(__file__).parents[2] / "examples"
SAID = (
    "One moment, I am on my way. Hello, and welcome! My name is Understudy. Give me a voice, and a few words on "
    "the timeline. "
    "I listen, I learn my part, and I play it for you. And if you like it, I could jump for joy!"
)
needs_aligner = pytest.mark.skipif(not align.available(), reason="pocketsphinx is not installed")
needs_espeak = pytest.mark.skipif(not espeak.available(), reason="espeak-ng is not installed")
needs_weights = pytest.mark.skipif(recogniser.load() is None, reason="the viseme weights are not there")


@pytest.fixture(scope="module")
def speech() -> Audio:
    return decode_audio((EXAMPLES / "speech.wav").read_bytes(), "speech.wav")[0]


def times(audio: Audio, fps: float = 30.0) -> np.ndarray:
    return np.arange(int(audio.duration * fps)) / fps


def test_rows_stand_at_exact_times():
    """A click at t is in row t / HOP, also after an hour's worth of rows would have drifted."""
    x = np.zeros(60 * ac.RATE, np.float32)
    for second in (1, 17, 59):
        x[second * ac.RATE] = 1.0
    mel = ac.log_mel(x).sum(axis=1)
    loud = np.flatnonzero(mel > mel.max() - 60)
    for second in (1, 17, 59):
        near = loud[np.abs(loud - second * 100) < 5]
        assert near.mean() == pytest.approx(second * 100, abs=0.51)


def test_long_audio_is_analysed_in_blocks_as_in_one_piece():
    rng = np.random.default_rng(0)
    x = rng.normal(size=35 * ac.RATE).astype(np.float32) * 0.1
    whole = ac.log_mel(x)
    assert len(whole) == 3501
    assert np.allclose(whole[2990:3010], ac.log_mel(x[29 * ac.RATE :])[90:110], atol=1e-3)


@needs_aligner
def test_transcript_gives_words_with_times(speech):
    p = perform(speech, times(speech), 0, SAID)
    assert p.source == "transcript" and p.warnings == []
    hello = [s for s in p.segments if s.word == "hello"]
    assert 4.2 < hello[0].start < 4.4
    assert {s.word for s in p.segments} >= {"moment", "welcome", "understudy", "timeline", "joy"}
    t = times(speech)
    wide = opening(p.curves)
    bilabials = [s for s in p.segments if s.viseme == "PP"]
    assert len(bilabials) > 10
    for s in bilabials:
        assert wide[(t >= s.start - 0.02) & (t <= s.end + 0.03)].min() <= CLOSED_OPENING, s


@needs_aligner
@pytest.mark.parametrize(
    "wrong",
    [
        "The quick brown fox jumps over the lazy dog.",
        "Hello.",
        SAID + " " + SAID,
        "There is a completely different story here about the weather in the mountains, "
        "where nobody has been since the winter of the year.",
    ],
)
def test_a_wrong_transcript_is_said_and_not_used(speech, wrong):
    p = perform(speech, times(speech), 0, wrong)
    assert p.source != "transcript"
    assert any("does not fit" in w for w in p.warnings)
    assert opening(p.curves).max() > 0.2


@needs_aligner
def test_unknown_words_are_guessed_and_named(speech):
    p = perform(speech, times(speech), 0, SAID.replace("Understudy", "Undurstuddee"))
    assert p.source == "transcript"
    assert any("undurstuddee" in w for w in p.warnings)


@needs_aligner
def test_a_word_is_guessed_without_espeak(speech, monkeypatch):
    monkeypatch.setattr(espeak, "available", lambda: False)
    found = align.align(ac.mono16(speech), SAID.replace("welcome", "welkomme"))
    assert found is not None and found.guessed == ["welkomme"]


def test_a_transcript_in_another_script_is_said(speech):
    p = perform(speech, times(speech), 0, "Здравствуйте, меня зовут")
    assert any("not English" in w or "not installed" in w for w in p.warnings)


def test_without_pocketsphinx_the_recogniser_is_used(speech, monkeypatch):
    monkeypatch.setattr(align, "available", lambda: False)
    p = perform(speech, times(speech), 0, SAID)
    assert p.source != "transcript" and any("pocketsphinx" in w for w in p.warnings)


def test_without_weights_the_signal_shapes_the_mouth(speech, monkeypatch):
    monkeypatch.setattr(recogniser, "load", lambda path=None: None)
    t = times(speech)
    p = perform(speech, t, 0)
    assert p.source == "signal" and any("weights" in w for w in p.warnings)
    wide = opening(p.curves)
    assert wide.max() > 0.3 and wide[(t > 0.2) & (t < 0.9)].max() < CLOSED_OPENING


@needs_weights
def test_the_recogniser_is_small_and_its_rows_do_not_depend_on_blocks(monkeypatch):
    assert sum(f.stat().st_size for f in recogniser.default_weights().parent.glob("viseme*.safetensors")) <= 3_000_000
    net = recogniser.load()
    mel = np.random.default_rng(0).normal(size=(1501, 40)).astype(np.float32)
    whole = net(mel)
    assert whole.shape == (751, 15) and np.allclose(whole.sum(axis=1), 1, atol=1e-4)
    monkeypatch.setattr(recogniser, "_BLOCK", 300)
    assert np.allclose(net(mel), whole, atol=1e-4)


@needs_weights
def test_noise_is_not_speech_to_the_recogniser():
    x = np.random.default_rng(0).normal(size=ac.RATE * 3).astype(np.float32) * 0.1
    t = np.arange(90) / 30
    assert opening(perform(Audio(x), t, 0).curves).mean() < 0.2


@needs_weights
def test_music_does_not_move_the_lips_and_is_said():
    """Chords and a melody that were not trained on; a voice before them still moves the mouth."""
    t = np.arange(90) / 30
    moved = []
    for seed in range(3):
        p = perform(Audio(music(3.0, np.random.default_rng(90_000 + seed))), t, 0)
        moved.append(float(opening(p.curves).mean()))
        assert any("music or noise" in w for w in p.warnings) or moved[-1] > 0.02
    assert np.median(moved) < 0.05


def test_wrong_weights_are_refused():
    with pytest.raises(UnderstudyError) as error:
        recogniser.Recogniser({"in.weight": np.zeros((4, 40, 5))})
    assert error.value.code == "weights_invalid"


@needs_espeak
@needs_weights
@pytest.mark.parametrize("telephone", [False, True], ids=["studio", "8 kHz telephone"])
def test_unseen_voices_and_languages_are_recognised(telephone):
    """The full figures are in docs/evaluation.json; here a few sentences must come near."""
    right = total = 0
    for _, u in make_utterances(3):
        x = u.samples
        if telephone:
            spectrum = np.fft.rfft(x)
            f = np.fft.rfftfreq(len(x), 1 / ac.RATE)
            x = np.fft.irfft(spectrum * ((f > 300) & (f < 3400)), len(x)).astype(np.float32)
        a = ac.analyse(Audio(x))
        rows = len(a) // 2 + 1
        segments = decode(recogniser.load()(a.mel))
        guess = label_rows([(s.start, s.end, s.viseme, "") for s in segments], rows, recogniser.FRAME)
        r, n = frame_accuracy(label_rows(u.segments, rows, recogniser.FRAME), guess)
        right, total = right + r, total + n
    assert right / total > (0.45 if telephone else 0.60)


@needs_espeak
@needs_aligner
def test_alignment_error():
    errors = [
        alignment_errors(from_espeak(text, "en-us+f4"))
        for text in ("The birch canoe slid on the smooth planks.", "Four hours of steady work faced us.")
    ]
    assert all(e is not None for e in errors)
    found = np.concatenate(errors)
    assert np.median(found) <= 0.02 and (found <= 0.04).mean() > 0.8


@needs_espeak
def test_espeak_gives_phonemes_in_order_and_names_an_unknown_voice():
    s = espeak.synthesise("Baby", "en-us")
    names = [n for _, _, n in s.segments if n]
    assert [n for n in names if n == "b"] == ["b", "b"]
    starts = [t for t, _ in s.phonemes]
    assert starts == sorted(starts) and starts[-1] <= len(s.samples) / s.rate + 0.02
    with pytest.raises(UnderstudyError):
        espeak.synthesise("x", "no-such-voice")


def test_two_speakers_of_different_loudness_both_move_the_lips(speech):
    x = ac.mono16(speech)
    both = np.concatenate((x[: 8 * ac.RATE], 0.25 * x[: 8 * ac.RATE]))
    t = np.arange(int(16 * 30)) / 30
    wide = opening(perform(Audio(both), t, 0).curves)
    assert wide[t > 8].max() > 0.5 * wide[t < 8].max()


def test_phonemes_of_an_artist_are_taken_as_they_are(speech):
    from bridge_server.face import FaceOptions
    from bridge_server.face.mouth import Segment

    segments = [Segment(1.0, 3.0, "ou")]
    p = perform(speech, times(speech), 0, options=FaceOptions(segments=segments))
    assert p.source == "artist" and p.segments == segments
    t = times(speech)
    assert p.curves["mouthPucker"][(t > 1.2) & (t < 2.8)].mean() > 0.3
    assert phonemes.Phonemes([], "artist").warnings == []
