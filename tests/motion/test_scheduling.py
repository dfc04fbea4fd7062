# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from bridge_server.motion.conditions import IDLE_SENTENCE, SPEECH_SENTENCE
from bridge_server.motion.scheduling import TOKEN_SECONDS, plan
from shared.timeline import Direction


class Letters:
    """Sentences to numbers that tell them apart."""

    width = 1
    digest = ""

    def __init__(self) -> None:
        self.known: list[str] = []

    def encode(self, texts: list[str]) -> np.ndarray:
        self.known = list(texts)
        return np.arange(len(texts), dtype=np.float32)[:, None]


def texts_over(directions: list[Direction], tokens: int, speech: np.ndarray | None = None) -> list[list[str]]:
    encoder = Letters()
    made = plan(directions, tokens, encoder, speech=speech)
    return [[encoder.known[int(made.conditions.text[0, n, g, 0])] for n in range(tokens)] for g in (0, 1)]


def test_strips_speak_to_their_part_and_gaps_are_filled() -> None:
    speech = np.array([False] * 10 + [True] * 30)
    lower, upper = texts_over([Direction(0, 20 * TOKEN_SECONDS, "walks"),
                               Direction(10 * TOKEN_SECONDS, 20 * TOKEN_SECONDS, "waves", "upper")], 40, speech)
    assert set(lower[:20]) == {"walks"} and set(lower[20:]) == {SPEECH_SENTENCE}
    assert set(upper[15:20]) == {"waves"} and set(upper[:10]) == {"walks"}
    lower, _ = texts_over([Direction(1, 2, "waves", "upper")], 40)
    assert set(lower) == {IDLE_SENTENCE}


class Arrows(Letters):
    """Each sentence a direction of its own, all of one length."""

    def encode(self, texts: list[str]) -> np.ndarray:
        self.known = list(texts)
        return np.eye(8, dtype=np.float32)[:len(texts)]


def test_an_overlap_on_one_part_goes_over_from_one_to_the_other() -> None:
    encoder = Arrows()
    strips = [Direction(0, 20 * TOKEN_SECONDS, "walks", strength=2.0), Direction(10 * TOKEN_SECONDS, 30 * TOKEN_SECONDS, "jumps")]
    made = plan(strips, 30, encoder, speech=None)
    walks, jumps = (made.conditions.text[0, :, 1, encoder.known.index(t)].numpy() for t in ("walks", "jumps"))
    assert (walks[:10] == 1).all() and (jumps[20:] == 1).all()
    assert (np.diff(walks[9:21]) < 0).all() and (np.diff(jumps[9:21]) > 0).all()
    assert np.allclose(made.conditions.text.norm(dim=-1), 1, atol=1e-5)
    assert made.strength[5, 0] == 2 and made.strength[25, 0] == 1 and 1 < made.strength[15, 0] < 2
    # times are the later one's from the middle of the overlap on
    since = made.conditions.since[0, :, 0].numpy()
    assert since[14] > 14 * TOKEN_SECONDS and np.isclose(since[15], 5.5 * TOKEN_SECONDS)


def test_a_strip_inside_another_is_heard_to_its_end() -> None:
    lower, _ = texts_over([Direction(0, 30 * TOKEN_SECONDS, "walks"), Direction(10 * TOKEN_SECONDS, 20 * TOKEN_SECONDS, "jumps")], 30)
    assert lower == ["walks"] * 10 + ["jumps"] * 10 + ["walks"] * 10


def test_strips_for_an_arm_are_left_to_their_own_pass() -> None:
    lower, upper = texts_over([Direction(0, 2, "waves", "left_arm")], 20)
    assert set(lower) | set(upper) == {IDLE_SENTENCE}


def test_phase_counts_seconds_from_and_to_the_strips_ends() -> None:
    made = plan([Direction(1.0, 3.0, "jumps")], 40, Letters(), speech=None)
    n = int(2.0 / TOKEN_SECONDS)
    centre = (n + 0.5) * TOKEN_SECONDS
    assert np.isclose(float(made.conditions.since[0, n, 0]), centre - 1.0)
    assert np.isclose(float(made.conditions.until[0, n, 1]), 3.0 - centre)
    assert not made.spoken.any()


def test_where_speech_alone_drives_is_known() -> None:
    speech = np.array([False] * 5 + [True] * 35)
    made = plan([Direction(1.0, 3.0, "jumps"), Direction(4.0, 5.0, "waves", "upper")], 40, Letters(), speech=speech)
    centre = (np.arange(40) + 0.5) * TOKEN_SECONDS
    assert np.array_equal(made.spoken, speech & ~((centre >= 1) & (centre < 3)) & ~((centre >= 4) & (centre < 5)))
