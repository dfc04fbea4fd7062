# SPDX-License-Identifier: Apache-2.0
"""A generator in a process of its own behind a real bridge."""

from __future__ import annotations

from pathlib import Path

import psutil

from bridge_server.cli.launch import launch
from shared.requests import MotionRequest

from .conftest import RunningBridge, understudy, wait_for

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/generator_process/generator.toml"


def test_it_is_listed_performs_and_ends_with_the_bridge(tmp_path: Path, speech_wav) -> None:  # type: ignore[no-untyped-def]
    state = tmp_path / "state"
    record, process = launch(state, extra=["--generator", f"process:{EXAMPLE}", "--device", "cpu"])
    bridge = RunningBridge(record, process, state)
    try:
        client = bridge.client()
        stages: list[str] = []
        motion = client.perform(MotionRequest(audio=speech_wav, seed=4), lambda stage, *_: stages.append(stage), seconds=60)
        assert len(motion) == 90 and motion.metadata["generator"]["name"] == "swayer" and "swaying" in stages
        assert client.hello()["models"][0]["licence"] == "Apache-2.0"
        worker, = bridge.workers()
        child, = psutil.Process(worker).children()
    finally:
        bridge.stop()
    wait_for(lambda: not child.is_running(), "the generator's process ends with the bridge")


def test_the_command_lists_generators_and_writes_the_kit(tmp_path: Path) -> None:
    done = understudy("generators", state_dir=tmp_path)
    assert done.returncode == 0 and "versa (the default)" in done.stdout and "needs: A weights set" in done.stdout
    done = understudy("generators", "--kit", str(tmp_path / "kit"), state_dir=tmp_path)
    assert done.returncode == 0 and (tmp_path / "kit/understudy_generator.py").is_file() and (tmp_path / "kit/shared/motion.py").is_file()
    done = understudy("generate", "--generator", f"process:{tmp_path / 'no.toml'}", "--say", "0-1:walks", "--out",
                      str(tmp_path / "take.npz"), state_dir=tmp_path)
    assert done.returncode == 1 and "no.toml cannot be read" in done.stderr and "Traceback" not in done.stderr
