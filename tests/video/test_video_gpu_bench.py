# SPDX-License-Identifier: Apache-2.0
"""The benchmark of ``versa``: its code runs at tiny size, and without a GPU it says so."""

from __future__ import annotations

import pytest
import torch

from benchmarks import video_gpu

from .tiny import UNET


def test_without_a_gpu(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert video_gpu.main([]) == 0
    assert "no CUDA GPU" in capsys.readouterr().out


def test_measure_at_tiny_size() -> None:
    figures = video_gpu.measure("cpu", 3, 3, 64, 64, UNET)
    assert figures["versa_step_seconds"] > 0 and figures["plain_step_seconds"] > 0 and "peak_gb" not in figures
