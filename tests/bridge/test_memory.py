# SPDX-License-Identifier: Apache-2.0
"""Out of memory in a real worker process: one more try with less, then a sentence with the figure that would fit."""

from __future__ import annotations

import re

import pytest

from bridge_server.memory import longest, too_little
from bridge_server.service.worker import out_of_memory
from shared.errors import UnderstudyError

from .conftest import Start, request_for

GIB = 2**30


def test_second_try_with_smaller_windows_succeeds_in_the_same_worker(start: Start) -> None:
    bridge = start("Greedy")
    client = bridge.client()
    worker = bridge.workers()
    stages: list[str] = []
    motion = client.perform(request_for(duration=9.0), lambda stage, *_: stages.append(stage), seconds=60)
    assert motion.metadata["directions"] == ["walks forward in windows of 4"]
    assert motion.metadata["pid"] == worker[0], "the model stayed loaded"
    assert stages.index("again with less memory") < len(stages) - 1 - stages[::-1].index("walking")
    # what has been learned is kept: the next one does not run into it first
    again = client.perform(request_for(duration=9.0), lambda stage, *_: stages.append(stage), seconds=60)
    assert again.metadata["directions"] == ["walks forward in windows of 4"]
    assert stages.count("again with less memory") == 1


@pytest.mark.parametrize(("transcript", "asked"), [("", "12.5 GB"), ("numpy", "524288.0 GB")])
def test_after_one_retry_the_error_has_the_figures(start: Start, transcript: str, asked: str) -> None:
    bridge = start("Greedy")
    client = bridge.client()
    worker = bridge.workers()
    with pytest.raises(UnderstudyError) as caught:
        client.perform(request_for(duration=100.0, transcript=transcript), seconds=60)
    error = caught.value
    assert error.code == "out_of_memory" and error.retryable
    assert re.search(rf"cpu has [\d.]+ GB of [\d.]+ GB free, and {asked} more were asked for\.$", error.message), error.message
    assert error.fix == "Perform 50 s or less at once, close other programs."
    assert bridge.log.count("ran out of memory") == 2, "one try and one more"
    # 4 x 10 fits since the windows were made smaller once; so exactly one retry was made
    motion = client.perform(request_for(duration=10.0), seconds=60)
    assert motion.metadata["directions"] == ["walks forward in windows of 4"] and motion.metadata["pid"] == worker[0]


def test_a_generator_that_knows_its_needs_gives_the_length_that_would_fit(start: Start) -> None:
    client = start("Estimating").client()
    with pytest.raises(UnderstudyError) as caught:
        client.perform(request_for(duration=60.0), seconds=60)
    found = re.fullmatch(r"Perform at most (\d+) s at once, close other programs\.", caught.value.fix)
    assert found is not None, caught.value.fix
    # nine tenths of the free memory at a sixth of it for each second
    assert 4 <= int(found[1]) <= 5
    assert caught.value.message.startswith("60 s of performance need about ")


def test_longest_performance_that_fits() -> None:
    def needed(seconds: float) -> int:
        return int((2 + 0.1 * seconds) * GIB)

    assert longest(600.0, 10 * GIB, needed) == pytest.approx(70, abs=0.5)
    assert longest(50.0, 10 * GIB, needed) == 50.0
    assert longest(600.0, 2 * GIB, needed) is None
    assert longest(0.5, 10 * GIB, needed) is None


def test_an_estimate_that_was_proved_wrong_is_not_repeated() -> None:
    error = too_little("tried to allocate 3.00 GiB", "cpu", 100.0, lambda seconds: 1)
    assert "3.0 GB more were asked for" in error.message and error.fix.startswith("Perform 50 s or less")
    error = too_little("no figure in here", "cpu", None, None)
    assert error.fix.startswith("Perform a shorter stretch") and "asked for" not in error.message
    error = too_little("", "cpu", 100.0, lambda seconds: 10**18)
    assert error.fix == "Use a device with more memory, close other programs."


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (MemoryError(), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (UnderstudyError("out_of_memory", "Too big."), True),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, is_it: bool) -> None:
    assert out_of_memory(error) is is_it
