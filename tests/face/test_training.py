# SPDX-License-Identifier: Apache-2.0
"""The recogniser's training: a few steps, resumed, and evaluated by the other implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bridge_server.face import espeak
from bridge_server.face.acoustics import RATE, log_mel
from bridge_server.face.recogniser import Recogniser, load, normalise, warp
from bridge_server.face.training import corpus as corpora
from bridge_server.face.training.augment import (
    augment,
    blur,
    degrade,
    noise_floor,
    other_tempo,
    other_tract,
)
from bridge_server.face.training.music import music, noises
from bridge_server.face.training.render import render
from bridge_server.face.training.speakers import from_espeak, label_rows
from bridge_server.face.training.texts import SENTENCES, SYLLABLES, TEST_SENTENCES, invent
from bridge_server.face.training.train import VisemeNet, batch, export, train

needs_espeak = pytest.mark.skipif(not espeak.available(), reason="espeak-ng is not installed")


def test_no_test_sentence_language_or_voice_is_trained_on():
    for language, sentences in TEST_SENTENCES.items():
        assert not set(sentences) & set(SENTENCES.get(language, ()))
        assert language == "en" or (language not in SENTENCES and language not in SYLLABLES)
    held = {v.split(":")[1] for v in corpora.HELD_OUT_VOICES}
    assert not held & ({*corpora._VARIANTS} | {*corpora._FLITE} | {*corpora._FESTIVAL})


def test_invented_sentences_depend_on_the_seed_alone():
    for language in SYLLABLES:
        first, again = (invent(language, np.random.default_rng(3), 5) for _ in range(2))
        assert first == again and len(first.split()) == 5


def test_numpy_and_torch_agree():
    torch.manual_seed(0)
    net = VisemeNet(width=32).eval()
    for block in net.blocks:
        torch.nn.init.normal_(block.weight, std=0.2)
    mel = np.random.default_rng(0).normal(size=(203, 40)).astype(np.float32)
    ours = Recogniser(export(net))._hear(mel)
    with torch.inference_mode():
        theirs = net(torch.from_numpy(normalise(mel))[None]).softmax(1)[0].T.numpy()
    assert ours.shape == (102, 15) and np.abs(ours - theirs).max() < 5e-3  # float16 weights


def test_a_warp_moves_a_band_and_one_is_the_identity():
    mel = np.full((3, 40), -5.0, np.float32)
    mel[:, 20] = 3.0
    flat = np.array([0.0, 8000.0])
    assert np.allclose(warp(mel, flat, np.array([1.0, 1.0])), mel, atol=1e-4)
    assert warp(mel, flat, np.array([0.85, 0.85])).argmax() > 20 > warp(mel, flat, np.array([1.18, 1.18])).argmax()


def test_augmentation_keeps_the_length_that_it_says():
    x = np.sin(np.arange(RATE) * 0.2).astype(np.float32)
    for seed in range(30):
        y, stretch = augment(x, np.random.default_rng(seed), x[::-1])
        assert len(y) == pytest.approx(len(x) * stretch, abs=2) and np.isfinite(y).all() and np.abs(y).max() > 0
        assert np.isfinite(other_tract(log_mel(y), np.random.default_rng(seed))).all()


@needs_espeak
def test_labels_meet_the_sound():
    """Where /s/ is labelled there is hiss, and where silence is labelled there is none."""
    u = from_espeak("Six sisters sing. So does Susan.", "en-us")
    labels = label_rows(u.segments, len(u.samples) // 160 + 1)
    mel = log_mel(u.samples)[: len(labels)]
    high = mel[:, 30:].mean(axis=1)
    assert high[labels == 7].mean() > high[labels != 7].mean() + 2
    assert mel[labels == 0].max(axis=1).mean() < mel[labels != 0].max(axis=1).mean() - 2


@needs_espeak
def test_training_resumes_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(corpora, "_SHARES", {"espeak": 1.0, "flite": 0.0, "festival": 0.0})
    whole = train(tmp_path / "whole", minutes=0.4, steps=4, size=2)
    weights = whole.read_bytes()
    assert load(whole) is not None
    halves = tmp_path / "halves"
    halves.mkdir()
    (tmp_path / "whole" / "corpus").rename(halves / "corpus")
    real = torch.optim.AdamW.step
    steps = 0

    def interrupted(self, *args, **kwargs):
        nonlocal steps
        steps += 1
        if steps == 3:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", interrupted)
    monkeypatch.setattr("bridge_server.face.training.train.SAVE_EVERY", 2)
    with pytest.raises(KeyboardInterrupt):
        train(halves, minutes=0.4, steps=4, size=2)
    monkeypatch.setattr(torch.optim.AdamW, "step", real)
    assert train(halves, minutes=0.4, steps=4, size=2).read_bytes()[-2000:] == weights[-2000:]


@needs_espeak
def test_a_batch_depends_on_seed_and_step_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(corpora, "_SHARES", {"espeak": 1.0, "flite": 0.0, "festival": 0.0})
    items = render(tmp_path / "rendered", [corpora.build(tmp_path, 0.3, 5)], 0.004, 5)
    a, b, c = batch(items, 1, 7, 2), batch(items, 1, 7, 2), batch(items, 1, 8, 2)
    assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) and not torch.equal(a[0], c[0])
    assert a[0].shape == (2, 401, 40) and a[1].shape == (2, 201)
    assert set(np.unique(a[1])) <= {*range(15), 255}


def test_what_is_done_to_rows_keeps_them_and_their_labels_together():
    """A band that marks the label is still under it after an uneven change of tempo."""
    labels = np.repeat([0, 3, 0, 7, 0], 40).astype(np.uint8)
    mel = np.full((2 * len(labels), 40), -9.0, np.float32)
    mel[np.arange(len(mel)), np.repeat(labels, 2).astype(int) * 2] = 2.0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        m, y = other_tempo(mel, labels, rng)
        assert abs(len(m) - 2 * len(y)) <= 1 and 0.6 * len(labels) < len(y) <= len(labels)
        assert (m[::2].argmax(axis=1)[: len(y)] // 2 == y).mean() > 0.95
        for changed in (blur(mel, rng), noise_floor(mel, rng)):
            assert changed.shape == mel.shape and np.isfinite(changed).all() and np.abs(changed - mel).max() > 0.5
    x = np.sin(np.arange(RATE) * 0.2).astype(np.float32)
    old = degrade(x, np.random.default_rng(0))
    assert old.shape == x.shape and np.isfinite(old).all() and np.corrcoef(old, x)[0, 1] < 0.99


def test_music_and_noise_are_made_from_the_seed_alone():
    for make in (music, noises):
        a, b, c = (make(1.5, np.random.default_rng(k)) for k in (1, 1, 2))
        assert np.array_equal(a, b) and not np.array_equal(a, c)
        assert len(a) == 1.5 * RATE and np.isfinite(a).all() and 0.1 < np.abs(a).max() <= 1
