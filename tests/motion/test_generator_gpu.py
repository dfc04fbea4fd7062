# SPDX-License-Identifier: Apache-2.0
"""The GPU benchmark at a tiny size on the CPU, so that it still runs when somebody has a GPU."""

from __future__ import annotations

import pytest
import torch

from benchmarks import generator_gpu
from bridge_server.motion import versa
from bridge_server.motion.graphs import Graphs

from .test_batches import Recording
from .test_versa import generator, speech, weights

__all__ = ["generator", "weights"]


def test_both_figures_come_out_with_recorded_steps(generator: versa.VersaGenerator) -> None:
    recording = Recording()
    generator.player = Graphs(recording)
    figures = generator_gpu.measure(generator, speech(2.0), seconds=2.0, batch=3, times=1)
    assert set(figures) == {"clip_ms", "batch_rate", "finish_ms", "recorded"}
    assert figures["clip_ms"] > 0 and figures["batch_rate"] > 0 and figures["recorded"] == 1
    # one shape for the clip, one for three that are padded to four
    assert recording.count == 2 < recording.played


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert generator_gpu.main([]) == 0
    assert "Nothing was measured" in capsys.readouterr().out
