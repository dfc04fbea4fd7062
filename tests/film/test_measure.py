# SPDX-License-Identifier: Apache-2.0
"""Measures of films against values worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bridge_server.cli.main import main
from bridge_server.video import encode, measure


def test_psnr() -> None:
    a = np.full((12, 12, 3), 100, np.uint8)
    assert measure.psnr(a, a) == float("inf")
    assert measure.psnr(a, a + 10) == pytest.approx(20 * np.log10(25.5))
    with pytest.raises(ValueError):
        measure.psnr(a, a[:5])


def test_ssim() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)
    assert measure.ssim(a, a) == pytest.approx(1.0)
    # flat pictures have no structure: only the term of the means is left
    low, high = np.full((20, 20, 3), 100, np.uint8), np.full((20, 20, 3), 120, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert measure.ssim(low, high) == pytest.approx((2 * 100 * 120 + c1) / (100**2 + 120**2 + c1), abs=1e-9)
    metrics = pytest.importorskip("skimage.metrics")
    b = np.clip(a.astype(int) + rng.integers(-40, 40, a.shape), 0, 255).astype(np.uint8)
    theirs = metrics.structural_similarity(a, b, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    assert measure.ssim(a, b) == pytest.approx(theirs, abs=2e-3)


def test_flicker() -> None:
    steady = [np.full((8, 8, 3), 10 * n, np.uint8) for n in range(8)]
    jumping = [np.full((8, 8, 3), 10 * (n % 2), np.uint8) for n in range(8)]
    assert measure.flicker(steady) == 0
    assert measure.flicker(jumping) == pytest.approx(20)
    assert measure.flicker(steady[:2]) == 0


def test_key_points() -> None:
    wanted, found = np.zeros((1, 4, 2)), np.zeros((1, 4, 2))
    found[0, :, 0] = (0, 3, 8, 100)
    confidence = np.array([[1, 1, 1, 0.1]])
    assert measure.keypoint_distance(found, wanted, confidence) == pytest.approx(11 / 3)
    assert measure.pck(found, wanted, confidence, 20.0) == pytest.approx(2 / 3)
    assert np.isnan(measure.pck(found, wanted, confidence * 0, 20.0))


def test_frechet() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 3))
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False)).T)
    # N(0, 1) against N((2, 0, 0), 9): 4 + 3 (1 + 9 - 2 sqrt 9) = 16
    assert measure.frechet(x, 3 * x + (2, 0, 0)) == pytest.approx(16, abs=1e-6)
    assert measure.frechet(x, x) == pytest.approx(0, abs=1e-6)


def test_cosine_and_sync() -> None:
    a = np.array([[1.0, 0], [0, 2]])
    assert measure.mean_similarity(a, np.array([[1.0, 0]])) == pytest.approx(0.5)
    sound = np.random.default_rng(0).normal(size=(60, 8))
    confidence, least, shift = measure.sync(np.roll(sound, 3, axis=0), sound, reach=5)
    assert shift == -3 and least == pytest.approx(0) and confidence > 2


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, bright in (("a", 60), ("b", 70)):
        frames = [np.full((64, 64, 3), bright + 5 * n, np.uint8) for n in range(4)]
        encode.write_segment(tmp_path / f"{name}.mp4", frames, 10.0, ".mp4")
    assert main(["evaluate-video", str(tmp_path / "a.mp4"), "--reference", str(tmp_path / "b.mp4")]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["flicker"] < 2 and out["psnr_db"] == pytest.approx(28.1, abs=1) and 0.9 < out["ssim"] < 1
    assert main(["evaluate-video", str(tmp_path / "none.mp4")]) == 1
    encode.write_segment(tmp_path / "c.mp4", frames[:3], 10.0, ".mp4")
    assert main(["evaluate-video", str(tmp_path / "a.mp4"), "--reference", str(tmp_path / "c.mp4")]) == 1
