# SPDX-License-Identifier: Apache-2.0
"""A long take begins as soon as a short one, is the same streamed or not, and several go side by side."""

from __future__ import annotations

import numpy as np
import pytest

from bridge_server.audio.encoder import Mel
from bridge_server.audio.features import MelRows, mel_features
from bridge_server.audio.heard import Heard
from bridge_server.audio.sound import Audio
from bridge_server.motion import versa
from bridge_server.motion.outlook import Outlook
from bridge_server.motion.rhythm import syllable_onsets
from bridge_server.motion.scheduling import Planner, plan
from shared.face_settings import FaceSettings, Sampled
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.timeline import Direction

from .test_versa import Words, generator, quiet, speech, weights

__all__ = ["generator", "weights"]

STRIPS = [Direction(2.0, 8.0, "walks"), Direction(6.0, 11.0, "waves", "upper"), Direction(40.0, 44.0, "bows", "left_arm"),
          Direction(50.0, 58.0, "jumps", seed=3)]


def test_streamed_and_whole_are_the_same_motion(generator: versa.VersaGenerator) -> None:
    request, audio = MotionRequest(duration=62.0, directions=STRIPS, seed=4), speech(62.0)
    parts: list[Motion] = []
    streamed = generator.perform(request, audio, quiet, lambda first, m: parts.append(m))
    whole = generator.perform(request, audio, quiet)
    assert len(parts) > 3
    assert np.array_equal(streamed.rotations, whole.rotations) and np.array_equal(streamed.translation, whole.translation)
    for name, curve in whole.face.items():
        assert np.array_equal(streamed.face[name], curve)
        assert np.array_equal(np.concatenate([p.face[name] for p in parts]), curve[:sum(map(len, parts))])
    assert streamed.metadata == whole.metadata and "words" in whole.metadata and "words" not in parts[0].metadata


class Listened:
    """Counts what is read of a sound."""

    def __init__(self) -> None:
        self.furthest = 0.0

    def __call__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from bridge_server.face import stretches

        rows, advance = MelRows.rows, stretches.Speech.advance

        def counted(its: MelRows, start: int, stop: int) -> np.ndarray:
            self.furthest = max(self.furthest, stop / 60)
            return rows(its, start, stop)

        def heard(its: stretches.Speech) -> None:
            advance(its)
            self.furthest = max(self.furthest, 0.0 if np.isinf(its.until) else its.until)

        monkeypatch.setattr(MelRows, "rows", counted)
        monkeypatch.setattr(stretches.Speech, "advance", heard)


class Enough(Exception):
    pass


def test_the_first_frames_wait_for_the_first_stretch_alone(generator: versa.VersaGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    listened = Listened()
    listened(monkeypatch)
    fine: list[int] = []
    perform = generator._fine_layers
    monkeypatch.setattr(generator, "_fine_layers", lambda d, *rest: (fine.append(len(d)), perform(d, *rest))[1])
    words: list[str] = []
    encode = Words.encode
    monkeypatch.setattr(Words, "encode", lambda self, texts: (words.extend(texts), encode(self, texts))[1])

    def first(_: int, part: Motion) -> None:
        assert len(part) > 100 and part.face["jawOpen"].max() > 0
        raise Enough

    # many directions as well: neither their sentences nor their arms are made ready before they are due
    strips = [Direction(4.0 * n, 4.0 * n + 3, f"does thing {n}", "full" if n % 2 else "head") for n in range(60)]
    with pytest.raises(Enough):
        generator.perform(MotionRequest(duration=240.0, directions=strips), speech(240.0), quiet, first)
    assert 5 < listened.furthest < 25
    assert sum(fine) <= 3 and len(words) < 30


def test_features_of_a_stretch_are_those_of_the_whole() -> None:
    audio = speech(100.0)
    audio.samples[30 * audio.rate:50 * audio.rate] = 0
    rows = MelRows(audio.samples, audio.rate, 6000)
    whole = mel_features(audio.samples, audio.rate, 6000)
    for start, stop in ((0, 5), (1, 300), (4000, 4200), (5999, 6000)):
        assert np.allclose(rows.rows(start, stop), whole[start:stop], atol=1e-5)
    heard = Heard(Mel(), audio, 750, 8, 60.0)
    given = heard.given(0, 750)
    assert given.any() and not given.all()
    assert all(np.array_equal(heard.given(a, a + 50), given[a:a + 50]) for a in range(0, 700, 50))
    silent = Heard(Mel(), Audio(np.zeros(16_000, np.float32)), 8, 8, 60.0)
    assert not silent.speech and not silent.given(0, 8).any()
    # shorter than what activity is widened by
    assert Heard(Mel(), speech(0.6), 5, 8, 60.0).given(0, 5).shape == (5,)


def test_a_part_of_a_plan_is_that_of_the_whole() -> None:
    spoken = np.arange(300) % 40 < 25
    whole = plan(STRIPS[:2] + STRIPS[3:], 300, Words(), speech=spoken)
    planner = Planner(STRIPS[:2] + STRIPS[3:], 300, Words())
    for a, b in ((0, 72), (52, 124), (228, 300)):
        part = planner.part(a, b, spoken[a:b])
        for name in ("text", "since", "until", "given"):
            assert np.array_equal(getattr(part.conditions, name), getattr(whole.conditions, name)[:, a:b])
        assert np.array_equal(part.strength, whole.strength[a:b]) and np.array_equal(part.seeds, whole.seeds[a:b])
        assert np.array_equal(part.spoken, whole.spoken[a:b])


def test_syllables_are_found_alike_bit_by_bit() -> None:
    audio, tokens = speech(90.0), 680
    heard = Heard(Mel(), audio, tokens, 8, 60.0)
    assert not heard.short
    outlook = Outlook(Planner([Direction(20.0, 30.0, "walks")], tokens, Words()), heard, tokens, 4 * tokens, True)
    assert outlook.rhythm is not None
    known: list[np.ndarray] = []
    for stop in (72, 124, 176, 400, tokens):
        outlook.listen(stop)
        known.append(outlook.rhythm.onsets)
    for early, late in zip(known, known[1:], strict=False):
        assert np.array_equal(early, late[:len(early)]) and len(late) > len(early)
    whole = syllable_onsets(heard.rows(0, tokens), 60.0, 0.5 / 60)[0]
    assert len(whole) > 50 and np.allclose(known[-1], whole, atol=1e-6)
    directed = outlook.rhythm.spoken[4 * 155:4 * 220]
    assert directed.max() == 0 and outlook.rhythm.spoken.max() > 0.99


def test_requests_side_by_side_are_what_each_is_alone(generator: versa.VersaGenerator) -> None:
    base = MotionRequest(duration=4.0, directions=[Direction(0.5, 3.0, "walks"), Direction(1.0, 2.5, "waves", "left_arm")])
    from dataclasses import replace

    requests = [replace(base, seed=s) for s in (1, 2, 3)]
    requests += [replace(base, duration=11.0, seed=5), replace(base, seed=1, text_guidance=1.0), replace(base, seed=6, face=False)]
    audios = [speech(4.0), speech(4.0), speech(4.0), None, None, speech(4.0)]
    fractions: list[float] = []
    together = generator.perform_together(requests, audios, lambda stage, fraction: fractions.append(fraction))
    assert max(fractions) == pytest.approx(1.0) and fractions == sorted(fractions)
    for request, audio, motion in zip(requests, audios, together, strict=True):
        alone = generator.perform(request, audio, quiet)
        assert len(alone) == len(motion) and alone.metadata == motion.metadata
        assert np.abs(alone.rotations - motion.rotations).max() < 1e-3
        assert all(np.abs(alone.face[n] - motion.face[n]).max() < 1e-6 for n in alone.face)
    assert not np.allclose(together[0].rotations, together[1].rotations, atol=1e-2)


def test_a_gaze_is_streamed_as_it_is_in_the_whole(generator: versa.VersaGenerator) -> None:
    settings = FaceSettings(gaze=Sampled(30.0, np.array([[0.5, 1.5, 2.0]])))
    parts: list[tuple[int, Motion]] = []
    motion = generator.perform(MotionRequest(duration=25.0, face_settings=settings), speech(25.0), quiet,
                               lambda first, m: parts.append((first, m)))
    for first, part in parts:
        span = slice(first, first + len(part))
        assert np.array_equal(part.rotations, motion.rotations[span])


