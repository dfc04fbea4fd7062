# SPDX-License-Identifier: Apache-2.0
"""Brows and nods fall on accents, and eyes jump as eyes do: on made-up prosody, so that each accent is known."""

from __future__ import annotations

import numpy as np

from bridge_server.face import eyes
from bridge_server.face.performance import _Accents, _brows, _Draws, _head
from bridge_server.face.prosody import Prosody
from shared import rotations as rot
from shared.face_curves import ARKIT, ARKIT_INDEX

FPS = 60.0
SECONDS = 120.0
TIMES = np.arange(int(SECONDS * FPS)) / FPS
ACCENTS = np.arange(1.0, 119.0, 1.5)
NONE = Prosody(np.zeros(0), np.zeros(0), np.zeros((0, 2)))


def accented(strength: float) -> Prosody:
    return Prosody(ACCENTS, np.full(len(ACCENTS), strength), np.zeros((0, 2)))


def drawn(prosody: Prosody, seed: int) -> _Accents:
    brows, nods = (_Draws(seed, stream).first(len(prosody.accents)) for stream in (3, 4))
    return _Accents(prosody.accents, prosody.strengths, brows, nods)


def raised(prosody: Prosody, seed: int, amount: float = 1.0) -> np.ndarray:
    curves = np.zeros((len(TIMES), len(ARKIT)))
    _brows(curves, TIMES, drawn(prosody, seed), amount)
    both = curves[:, [ARKIT_INDEX["browOuterUpLeft"], ARKIT_INDEX["browOuterUpRight"]]]
    assert np.array_equal(both[:, 0], both[:, 1])
    return curves[:, ARKIT_INDEX["browInnerUp"]]


def nodded(prosody: Prosody, seed: int, amount: float = 1.0) -> np.ndarray:
    """(T,) degrees that neck and head together tip the face down."""
    turns = _head(TIMES, drawn(prosody, seed), prosody.pauses, seed, amount)
    return np.degrees(rot.quat_to_axis_angle(turns)[..., 0].sum(1))


def at(values: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    return values[np.rint(seconds * FPS).astype(int)]


def test_brows_are_raised_on_accents_and_nowhere_else():
    up = raised(accented(0.8), 4)
    peaks = at(up, ACCENTS)
    assert (at(up, ACCENTS + 0.75) == 0).all(), "between accents the brows are down"
    chosen = peaks > 0
    assert 0.4 < chosen.mean() < 0.8, "many accents raise them, not all"
    assert (peaks[chosen] >= 0.13).all() and up.max() <= 0.41
    for accent in ACCENTS[chosen]:
        window = up[int((accent - 0.5) * FPS):int((accent + 0.5) * FPS)]
        assert abs(np.argmax(window) / FPS - 0.5) <= 1.5 / FPS, "the raise is at its height on the syllable"


def test_strong_accents_raise_brows_more_often_and_higher_and_the_slider_scales_them():
    strong, weak = ([at(raised(accented(s), seed), ACCENTS) for seed in range(8)] for s in (1.0, 0.2))
    assert np.mean(np.array(strong) > 0) > np.mean(np.array(weak) > 0) + 0.2
    assert np.array(strong).max() > np.array(weak).max() + 0.1
    assert np.allclose(raised(accented(1.0), 1, 2.0), 2 * raised(accented(1.0), 1)) and not raised(accented(1.0), 1, 0.0).any()
    assert not raised(NONE, 1).any(), "without an accent no brow is raised"


def test_the_head_nods_on_accents():
    nod = np.mean([nodded(accented(1.0), s) - nodded(NONE, s) for s in range(8)], axis=0)
    on, off = at(nod, ACCENTS), at(nod, ACCENTS + 0.75)
    assert np.abs(off).max() < 1e-3 and on.min() > 0.2 and 0.8 < on.mean() < 3.0
    one = nodded(accented(1.0), 3) - nodded(NONE, 3)
    sizes = at(one, ACCENTS)
    assert 0.45 < (sizes > 0.5).mean() < 0.85, "about two accents of three"
    assert sizes.max() < 4.0 and np.corrcoef(at(nodded(accented(1.0), 3, 2.0) - nodded(NONE, 3, 2.0), ACCENTS), sizes)[0, 1] > 0.99
    for accent in ACCENTS[sizes > 0.5]:
        window = one[int((accent - 0.4) * FPS):int((accent + 0.4) * FPS)]
        assert abs(np.argmax(window) / FPS - 0.4) <= 2 / FPS


def test_a_head_is_calmer_in_a_pause():
    pause = Prosody(np.zeros(0), np.zeros(0), np.array([[40.0, 80.0]]))
    still, moving = slice(int(45 * FPS), int(75 * FPS)), slice(int(85 * FPS), int(115 * FPS))
    quiet, busy = (np.mean([np.ptp(nodded(pause, s)[span]) for s in range(6)]) for span in (still, moving))
    assert quiet < 0.6 * busy


def jumps(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(K,) sizes in degrees and (K,) durations in seconds of the saccades of two minutes, seen a thousand times a second."""
    t = np.arange(int(SECONDS * 1000)) / 1000
    look = np.degrees(eyes.Saccades(SECONDS, seed).at(t))
    speed = np.linalg.norm(np.gradient(look, axis=0), axis=1) * 1000
    fast = np.concatenate(([0], (speed > 8.0).astype(int), [0]))
    starts, stops = np.flatnonzero(np.diff(fast) == 1), np.flatnonzero(np.diff(fast) == -1)
    size = np.array([np.linalg.norm(look[min(b, len(look) - 1)] - look[max(a - 1, 0)]) for a, b in zip(starts, stops, strict=True)])
    # a drift of a sixth of a degree is no saccade
    return size[size > 0.3], ((stops - starts) / 1000)[size > 0.3]


def test_saccades_come_at_the_rate_and_in_the_sizes_of_people_in_talk():
    rates, sizes, durations = [], [], []
    for seed in range(5):
        size, duration = jumps(seed)
        rates.append(len(size) / SECONDS)
        sizes.append(size)
        durations.append(duration)
    size, duration = np.concatenate(sizes), np.concatenate(durations)
    assert 0.5 < np.mean(rates) < 2.0, "fixations of half a second to two"
    assert 0.5 < np.median(size) < 6 and np.quantile(size, 0.95) > 4 and size.max() < 30
    # the main sequence (Bahill et al. 1975): 21 ms and 2.2 ms a degree; the slowest edges of a jump go unseen
    assert duration.max() < 0.021 + 0.0022 * 24 + 0.003 and np.quantile(duration, 0.05) > 0.012
    assert np.corrcoef(size, duration)[0, 1] > 0.8, "larger jumps take longer"


def test_eyes_come_back_to_the_target():
    look = np.degrees(np.concatenate([eyes.Saccades(SECONDS, seed).at(TIMES) for seed in range(5)]))
    near = np.linalg.norm(look, axis=1) < 2.5
    assert near.mean() > 0.5 and np.abs(look.mean(0)).max() < 1.0 and np.abs(look).max() < 13
