# SPDX-License-Identifier: Apache-2.0
"""The second opinion of pocketsphinx's acoustic model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge_server.face import phones, recogniser
from bridge_server.face.acoustics import RATE, log_mel
from bridge_server.face.evaluate import _needless
from bridge_server.face.mouth import Segment
from bridge_server.face.training.speakers import flite, label_rows
from bridge_server.face.visemes import VISEME_INDEX

pytest.importorskip("pocketsphinx")
SHUT = VISEME_INDEX["PP"]


@pytest.fixture(scope="module")
def model() -> phones.Phones:
    found = phones.load()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def said():
    found = flite("My fellow Americans, ask what you can do for your country.", "slt")
    if found is None:
        pytest.skip("flite is not installed")
    return found


def test_it_hears_what_is_said(model: phones.Phones, said) -> None:
    heard = model.hear(said.samples, model.voice(said.samples))
    assert heard.shape == (len(said.samples) // 320 + 1, 15)
    assert np.allclose(heard.sum(axis=1), 1) and heard.min() >= 0
    truth = label_rows(said.segments, len(heard), recogniser.FRAME)
    assert (heard.argmax(axis=1) == truth)[truth != 0].mean() > 0.5


def test_loudness_does_not_matter(model: phones.Phones, said) -> None:
    loud, quiet = said.samples, said.samples * 0.03
    assert np.allclose(model.hear(loud, model.voice(loud)), model.hear(quiet, model.voice(quiet)), atol=1e-3)


def test_a_stretch_is_heard_as_within_the_whole(model: phones.Phones, said, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.concatenate([said.samples] * 2)
    opinion = model.voice(x)
    whole = model.hear(x, opinion)
    first = 40 * 320
    part = model.hear(x[first:], opinion)
    assert np.abs(part[50:] - whole[90:]).max() < 1e-3
    monkeypatch.setattr(phones, "_BLOCK", 120)
    assert np.abs(model.hear(x, opinion) - whole).max() < 0.05


def test_silence_and_a_single_sample_are_heard(model: phones.Phones) -> None:
    for x in (np.zeros(RATE, np.float32), np.zeros(1, np.float32)):
        heard = model.hear(x, model.voice(x))
        assert np.isfinite(heard).all() and len(heard) == len(x) // 320 + 1


def test_opinions_that_agree_count_and_silence_is_the_recognisers_to_say() -> None:
    rng = np.random.default_rng(0)
    truth, wrong = rng.integers(1, 15, 200), rng.integers(1, 15, 200)
    heard, other = np.full((2, 200, 15), 0.4 / 14)
    heard[np.arange(200), truth] = other[np.arange(200), wrong] = 0.6
    assert phones.share(heard, heard) == pytest.approx(0.21, abs=0.01) and phones.share(heard, other) == 0
    assert np.allclose(phones.joined(heard, np.full((200, 15), 1 / 15), 0.0), heard, atol=1e-4)
    both = phones.joined(heard, np.roll(heard, 3, axis=1), 0.35)
    assert np.allclose(both.sum(axis=1), 1) and np.allclose(both[:, 0], heard[:, 0]) and both.min() >= 0
    assert (both[:, SHUT] >= heard[:, SHUT] / 2 - 1e-6).all()
    nobody = np.zeros((5, 15))
    nobody[:, 0] = 1
    assert phones.share(nobody, heard[:5]) == 0 and np.array_equal(phones.joined(nobody, heard[:5], 0.35)[:, 0], nobody[:, 0])


def test_without_pocketsphinx_the_recogniser_is_alone(monkeypatch: pytest.MonkeyPatch, said) -> None:
    monkeypatch.setattr(phones, "load", lambda: None)
    net = recogniser.load()
    if net is None:
        pytest.skip("no weights")
    heard = net(log_mel(said.samples))
    assert phones.both(heard, said.samples) is heard


def test_a_model_of_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        phones.Phones(tmp_path)
    for name in ("mdef", "means", "variances", "sendump", "transition_matrices"):
        (tmp_path / name).write_bytes(b"BMDF" + b"\0" * 200)
    with pytest.raises(ValueError):
        phones.Phones(tmp_path)


def test_closures_without_a_bilabial_are_counted() -> None:
    segments = [Segment(0.0, 0.1, "PP"), Segment(0.1, 0.3, "aa"), Segment(0.3, 0.4, "PP"), Segment(0.4, 0.6, "nn")]
    assert _needless(segments, [(0.12, 0.2)]).tolist() == [1, 2]
    assert _needless(segments, []).tolist() == [2, 2] and _needless([], [(0.1, 0.2)]).tolist() == [0, 0]
