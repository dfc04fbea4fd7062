# SPDX-License-Identifier: Apache-2.0
"""Words to mouth shapes and back, faces made anew, looks at a target, long transcripts, and what is no speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge_server.audio.sound import Audio
from bridge_server.face import acoustics as ac
from bridge_server.face import align, gaze, jobs, listening, routes, transcript
from bridge_server.face.mouth import Segment
from bridge_server.face.performance import FaceOptions, FacePerformance, perform
from bridge_server.face.recogniser import FRAME
from bridge_server.face.visemes import CLOSED_OPENING, VISEME_INDEX, opening
from bridge_server.face.words import complete, from_segments, to_segments
from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.face_curves import ARKIT
from shared.face_requests import FaceRequest, SpeechRequest
from shared.face_settings import FaceSettings, Sampled
from shared.kinematics import forward
from shared.motion import Motion
from shared.skeleton import JOINT_INDEX, NEUTRAL_OFFSETS
from shared.speech import Phone, Word

needs_sphinx = pytest.mark.skipif(not align.available(), reason="pocketsphinx is not installed")


def voice(seconds: float, rate: int = 16000) -> Audio:
    """A buzz with syllables, enough to open a mouth."""
    t = np.arange(int(seconds * rate)) / rate
    buzz = np.sign(np.sin(2 * np.pi * 120 * t)) * 0.3 + 0.1 * np.sin(2 * np.pi * 700 * t)
    return Audio((buzz * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t))).astype(np.float32), rate)


WORDS = [
    Word(0.3, 0.8, "mama", (Phone(0.3, 0.4, "M"), Phone(0.4, 0.55, "AA"), Phone(0.55, 0.65, "M"), Phone(0.65, 0.8, "AH"))),
    Word(1.0, 1.5, "", (Phone(1.0, 1.2, "PP"), Phone(1.2, 1.5, "oh"))),
]


def test_words_become_segments_with_silence_between():
    found = to_segments(WORDS)
    assert [s.viseme for s in found] == ["sil", "PP", "aa", "PP", "aa", "sil", "PP", "oh"]
    assert found[1].word == "mama" and found[1].phone == "M" and found[6].word == ""
    assert all(a.end == pytest.approx(b.start) for a, b in zip(found[:-1], found[1:], strict=True))


def test_recognised_sounds_are_stretches_between_pauses():
    segments = [Segment(0.0, 0.5, "sil"), Segment(0.5, 0.7, "PP"), Segment(0.7, 0.78, "sil"), Segment(0.78, 1.0, "aa"),
                Segment(1.0, 1.4, "sil"), Segment(1.4, 1.6, "oh")]
    found = from_segments(segments)
    assert [(w.start, w.end, [p.name for p in w.phones]) for w in found] == [(0.5, 1.0, ["PP", "aa"]), (1.4, 1.6, ["oh"])]


def test_a_retyped_word_gets_sounds_from_its_spelling():
    found = complete([WORDS[0], Word(1.0, 1.4, "pop")])
    assert found[0] == WORDS[0] and [p.name for p in found[1].phones] == ["P", "AA", "P"]
    assert found[1].phones[0].start == 1.0 and found[1].phones[-1].end == pytest.approx(1.4)
    assert complete([Word(0, 1, "")])[0].phones == ()


def test_the_lips_follow_corrected_words_alone():
    times = np.arange(60) / 30
    made = perform(voice(2.0), times, 0, options=FaceOptions(words=WORDS))
    wide = opening(made.curves)
    assert made.source == "artist" and made.words == WORDS
    for start, end in ((0.3, 0.4), (0.55, 0.65), (1.0, 1.2)):
        assert wide[(times >= start - 0.02) & (times <= end + 0.02)].min() <= CLOSED_OPENING
    assert wide[(times > 0.42) & (times < 0.54)].max() > 0.2
    # it buzzes on after the last word, but nobody speaks
    assert wide[times > 1.8].max() < 0.1


def test_blinks_can_be_fewer_more_or_none():
    times = np.arange(30 * 120) / 30

    def count(rate: float) -> int:
        shut = perform(None, times, 3, options=FaceOptions(blinks=rate)).blink > 0.5
        return int((np.diff(shut.astype(int)) == 1).sum())

    assert count(0.0) == 0 and count(0.5) < 0.75 * count(1.0) < count(1.0) and count(2.0) > 1.5 * count(1.0)


def test_only_the_asked_stretch_of_a_face_is_new():
    base = Motion.rest(90)
    base.face = {name: np.full(90, 0.05, np.float32) for name in ARKIT}
    base.rotations[:, JOINT_INDEX["jaw"]] = rot.axis_angle_to_quat(np.array([0.1, 0.0, 0.0]))
    request = FaceRequest(base, [(1.0, 2.0)], seed=4, face_settings=FaceSettings(words=WORDS, emotions={"happy": 1.0}))
    made = jobs.make_face(request, voice(3.0), lambda *_: None)
    outside = np.r_[0:30, 60:90]
    assert all(np.array_equal(made.face[n][outside], base.face[n][outside]) for n in ARKIT)
    assert np.array_equal(made.rotations[outside], base.rotations[outside])
    assert made.face["mouthSmileLeft"][40:50].min() > 0.2 and not np.array_equal(made.face["jawOpen"][35:55], base.face["jawOpen"][35:55])
    others = [j for j in range(55) if j not in (JOINT_INDEX["jaw"], JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"])]
    assert np.array_equal(made.rotations[:, others], base.rotations[:, others])
    # it comes in and goes out without a step
    assert max(np.abs(np.diff(made.face[n])).max() for n in ("mouthSmileLeft", "browInnerUp", "jawOpen")) < 0.35
    assert [w["text"] for w in made.metadata["words"]] == ["mama", ""] and made.metadata["lips"] == "artist"


def directions_of(rotations: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    positions, world = forward(rotations[:, :22].astype(float), translation, NEUTRAL_OFFSETS)
    head = JOINT_INDEX["head"]
    eyes = np.mean([NEUTRAL_OFFSETS[JOINT_INDEX[n]] for n in ("left_eye", "right_eye")], axis=0)
    at = positions[:, head] + rot.rotate(world[:, head], np.broadcast_to(eyes, (len(world), 3)))
    return at, world[:, head]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_head_and_eyes_together_point_at_the_target(share: float):
    motion = Motion.rest(90)
    motion.rotations[:, 0] = rot.axis_angle_to_quat(np.array([0.0, 0.3, 0.0]))
    motion.rotations[:, JOINT_INDEX["spine3"]] = rot.axis_angle_to_quat(np.array([0.2, 0.0, 0.1]))
    target = np.tile((1.5, 1.9, 2.0), (90, 1))
    turned, look = gaze.aim(motion.rotations, motion.translation, 30.0, target, share)
    at, world = directions_of(turned, motion.translation)
    # the eyes' own turn, in the head, then the head's, give the way to the target
    yaw, pitch = look[-1]
    forward_ = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    way = rot.rotate(world[-1], forward_)
    wanted = (target[-1] - at[-1]) / np.linalg.norm(target[-1] - at[-1])
    assert way @ wanted > 0.9999
    assert (np.abs(look[-1]).max() < 0.05) == (share == 1.0)
    untouched = [j for j in range(55) if j not in (JOINT_INDEX["neck"], JOINT_INDEX["head"])]
    assert np.array_equal(turned[:, untouched], motion.rotations[:, untouched]) or np.allclose(
        np.abs(np.sum(turned[:, untouched] * motion.rotations[:, untouched], -1)), 1)


def test_a_look_begun_is_a_look_continued_and_what_is_behind_is_let_go():
    motion = Motion.rest(60)
    targets = np.stack((np.linspace(-2, 2, 60), np.full(60, 1.6), np.full(60, 1.5)), axis=1)
    whole, look = gaze.aim(motion.rotations, motion.translation, 30.0, targets)
    part, part_look = gaze.aim(motion.rotations[:25], motion.translation[:25], 30.0, targets[:25])
    # streamed frames must be those of the result
    assert np.allclose(whole[:25], part, atol=1e-12) and np.allclose(look[:25], part_look, atol=1e-12)
    assert rot.angle_between(whole[:-1, 15], whole[1:, 15]).max() < np.radians(8)
    turned, look = gaze.aim(motion.rotations, motion.translation, 30.0, np.tile((0.01, 1.6, -3.0), (60, 1)), 1.0)
    assert np.abs(look).max() < 1e-3 and rot.angle_between(turned[:, 15], motion.rotations[:, 15]).max() < 1e-3


def test_a_target_reaches_curves_and_eye_joints():
    motion = Motion.rest(60)
    face = perform(None, motion.times, 1, options=FaceOptions(blinks=0.0))
    jobs.put_on(motion, face, FaceSettings(gaze=Sampled(1.0, np.array([[3.0, 1.65, 2.0]])), head_share=0.3))
    assert motion.face["eyeLookOutLeft"][30:].mean() > 0.5 and motion.face["eyeLookInRight"][30:].mean() > 0.5
    assert motion.face["eyeLookInLeft"][30:].max() == 0
    turn = rot.quat_to_axis_angle(motion.rotations[-1, JOINT_INDEX["left_eye"]])
    assert turn[1] > 0.2 and abs(turn[0]) < 0.2


def test_a_users_own_fit_gives_expression(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    matrix = np.random.default_rng(0).normal(size=(52, 10))
    np.save(tmp_path / "fit.npy", matrix)
    motion = Motion.rest(30)
    face = perform(None, motion.times, 1)
    jobs.put_on(motion, face, FaceSettings())
    assert motion.expression.shape == (30, 0)
    monkeypatch.setenv(routes.FIT, str(tmp_path / "fit.npy"))
    jobs.put_on(motion, face, FaceSettings())
    curves = np.stack([motion.face[n] for n in ARKIT], axis=1)
    assert np.allclose(motion.expression, curves @ matrix, atol=1e-5)
    monkeypatch.setenv(routes.FIT, str(tmp_path / "gone.npy"))
    with pytest.raises(UnderstudyError, match="no file"):
        jobs.put_on(motion, face, FaceSettings())


class OtherRoute:
    """A face of another package."""

    def perform(self, audio, times, seed, transcript, options):
        curves = {n: np.full(len(times), 0.25, np.float32) for n in ARKIT}
        return FacePerformance(curves, rot.identity(len(times), 2), np.zeros(len(times)), [], "other", [])


class _Entry:
    name = "other"

    @staticmethod
    def load():
        return OtherRoute


def test_routes_are_found_by_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(routes.AUDIO2FACE, raising=False)
    monkeypatch.setattr(routes, "entry_points", lambda group: [_Entry] if group == routes.ENTRY_POINT_GROUP else [])
    assert routes.available() == ["rules", "other"]
    made = jobs.begin_face(None, np.arange(3) / 30, 0, "", [], FaceSettings(route="other")).upto(3)
    assert made.source == "other" and made.curves["jawOpen"][0] == 0.25
    assert jobs.begin_face(None, np.arange(3) / 30, 0, "", [], FaceSettings()).upto(3).source == "none"
    for name, message in (("nobody", "no face route"), ("audio2face", "No folder")):
        with pytest.raises(UnderstudyError, match=message):
            routes.load(name)


def test_a_text_is_laid_out_roughly_along_the_sound():
    """Four minutes of sounds, a known time each, with pauses and some misheard: all within a fifth of a second."""
    rng = np.random.default_rng(0)
    states, begins, rows = [], [], []
    for n in range(2500):
        if n % 40 == 0:
            rows += [0] * int(rng.integers(10, 60))
        v = int(rng.integers(1, 15))
        states.append(v)
        begins.append(len(rows) * FRAME)
        rows += [v] * int(rng.integers(2, 8))
    heard = np.full((len(rows), 15), 0.02)
    wrong = rng.random(len(rows)) < 0.35
    heard[np.arange(len(rows)), np.where(wrong, rng.integers(1, 15, len(rows)) * (np.array(rows) > 0), rows)] = 0.7
    heard /= heard.sum(axis=1, keepdims=True)
    found = transcript.rough(heard, np.array(states))
    errors = np.abs(found - np.array(begins))
    assert np.median(errors) < 0.06 and np.percentile(errors, 98) < 0.25
    assert transcript.rough(heard[:1], np.zeros(0, int)).shape == (0,)


def test_long_speeches_are_cut_in_pauses():
    quiet = np.zeros(int(200 / FRAME), bool)
    for second in range(7, 200, 7):
        quiet[int(second / FRAME) : int((second + 0.3) / FRAME)] = True
    starts = np.arange(0, 200, 0.5)
    cuts = transcript._cuts(starts, quiet, 200.0)
    assert len(cuts) >= 4 and all(quiet[int(t / FRAME)] and starts[n - 1] < t <= starts[n] for t, n in cuts)
    pieces = np.diff([0.0, *(t for t, _ in cuts), 200.0])
    assert pieces.max() <= 45.0 and pieces.min() > 5


def rows_of(level: list[float], sounds: list[float]) -> tuple[ac.Acoustics, np.ndarray]:
    count = len(level)
    zero = np.zeros(count)
    a = ac.Acoustics(np.array(level), np.ones(count), np.full(count, 120.0), zero, zero, zero, np.zeros((count, 40)), True)
    heard = np.zeros((count // 2, 15))
    heard[:, 1] = np.array(sounds)[: 2 * (count // 2) : 2]
    heard[:, 0] = 1 - heard[:, 1]
    return a, heard


def test_what_is_loud_but_no_speech_keeps_the_lips_still():
    rng = np.random.default_rng(1)
    spoken = (rng.random(600) < 0.75).astype(float)
    a, heard = rows_of([0.8] * 1200, [*spoken, *([0.03] * 600)])
    mask = listening.speaking(a, heard)
    assert mask[:500].min() > 0.95 and mask[720:].max() < 0.05
    (start, end), = listening.other_sound(a, mask)
    assert 6.0 < start < 7.2 and end == pytest.approx(12.0, abs=0.1)
    speech = listening.only_speech(a, mask)
    assert speech.level[800:].max() < 0.05 and speech.level[:400].min() > 0.75 and speech.speech
    assert not listening.only_speech(a, np.zeros(1200)).speech


def test_two_voices_by_turns_are_noticed():
    def pitches(*hertz: float) -> ac.Acoustics:
        rng = np.random.default_rng(2)
        a, _ = rows_of([0.8] * 3000, [1.0] * 3000)
        voiced = (np.arange(3000) % 30) < 22
        syllable = np.arange(3000) // 30
        base = np.array(hertz)[(syllable // 8) % len(hertz)] * 2 ** (rng.normal(0, 1.2, 101)[syllable] / 12)
        return ac.Acoustics(a.level, voiced.astype(float), base, a.f1, a.f2, a.hiss, a.mel, True)

    assert listening.two_voices(pitches(110, 210))
    assert not listening.two_voices(pitches(110)) and not listening.two_voices(pitches(110, 122))


def test_silence_has_no_words():
    heard = jobs.hear(SpeechRequest(np.zeros(4, np.uint8)), Audio(np.zeros(16000, np.float32)), lambda *_: None)
    assert heard.words == [] and "silent" in heard.warnings[0]


def test_a_telephones_eight_kilohertz_is_spoken_to():
    made = perform(voice(2.0, 8000), np.arange(60) / 30, 0, options=FaceOptions(words=WORDS))
    assert opening(made.curves)[(np.arange(60) / 30 > 0.42) & (np.arange(60) / 30 < 0.54)].max() > 0.2


@needs_sphinx
def test_a_wrong_sentence_costs_only_its_own_piece(monkeypatch: pytest.MonkeyPatch):
    """Pieces that fit are aligned, the one that does not is named."""
    calls = []

    def piece(samples, level, heard, text, start, end):
        calls.append((start, end))
        if start < 60 <= end:
            return None, []
        return [Word(start, start + 0.5, text[0])], ["zyx"] if not calls[1:] else []

    monkeypatch.setattr(transcript, "_piece", piece)
    rng = np.random.default_rng(0)
    heard = np.full((6000, 15), 0.01)
    heard[np.arange(6000), rng.integers(1, 15, 6000)] = 0.86
    for second in range(10, 120, 10):
        heard[int(second / FRAME) : int((second + 0.4) / FRAME)] = np.eye(15)[0] * 0.85 + 0.01
    level = np.full(12001, 0.8)
    found = transcript.fit(np.zeros(120 * 16000, np.float32), level, " ".join(["people say what they want"] * 80), heard)
    assert found is not None and len(found.missed) == 1 and found.missed[0][0] < 60 <= found.missed[0][1]
    assert len(calls) >= 3 and found.guessed == ["zyx"] and calls[0][0] == 0.0 and calls[-1][1] == 120.0
    assert VISEME_INDEX["sil"] == 0
