# SPDX-License-Identifier: Apache-2.0
"""Generators in processes of their own, with real processes."""

from __future__ import annotations

import gc
import json
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from bridge_server.audio.sound import Audio
from bridge_server.motion import generator as generators
from bridge_server.motion.process import ProcessGenerator
from bridge_server.motion.process_spec import read_spec
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.timeline import Direction

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/generator_process/generator.toml"

MOODY = '''
import os, sys, time
import numpy as np
from shared.errors import UnderstudyError
from shared.motion import Motion
from understudy_generator import serve_generator

assert "torch" not in sys.modules and not any("bridge_server" in os.listdir(p) for p in sys.path if os.path.isdir(p))

class Moody:
    def __init__(self, weights, device):
        print("loading", weights, "on", device, flush=True)
        if weights == "none":
            raise UnderstudyError("weights_missing", "There are no weights named none.", "Choose others.")
        if weights == "crash":
            raise RuntimeError("no such device")
        if weights == "die":
            print("the native library is not there", flush=True)
            os._exit(7)
        if weights == "slow":
            time.sleep(60)
        self.small = 0
    def describe(self):
        return {"name": "moody", "licence": "MIT", "device": "cpu", "non_commercial": False}
    def shrink(self):
        self.small += 1
        return True
    def perform(self, request, audio, report, chunk=None):
        text = request.directions[0].text
        report("working", 0.25)
        if text == "die":
            print("about to die", flush=True)
            os._exit(9)
        if text == "raise":
            raise UnderstudyError("unsupported", "That is not supported.", "Do something else.")
        if text == "crash":
            raise ValueError("something broke inside")
        if text == "memory" and self.small < 2:
            raise MemoryError("12.5 GiB")
        if text == "deaf":
            time.sleep(60)
        while text == "wait":
            report("waiting", 0.5)
            time.sleep(0.01)
        motion = Motion.rest(round(request.directions[0].end * request.fps), request.fps)
        motion.translation[:, 0] = 0 if audio is None else audio.samples.mean()
        motion.metadata = {"pid": os.getpid(), "audio": None if audio is None else [audio.rate, len(audio.samples)]}
        if chunk:
            chunk(0, motion.slice(0, 10))
        return motion

serve_generator(Moody)
'''


@pytest.fixture
def moody(tmp_path: Path) -> Path:
    folder = tmp_path / "moody"
    folder.mkdir()
    (folder / "moody.py").write_text(MOODY)
    (folder / "moody.json").write_text(json.dumps({
        "command": ["{python}", "moody.py"], "licence": "MIT", "non_commercial": True, "start_seconds": 30, "cancel_seconds": 0.3}))
    return folder / "moody.json"


def start(path: Path, weights: str = "starter") -> ProcessGenerator:
    made = generators.load(f"process:{path}", weights)
    assert isinstance(made, ProcessGenerator)
    return made


def ask(text: str, seconds: float = 1.0) -> MotionRequest:
    return MotionRequest(directions=[Direction(0, seconds, text)])


def quiet(stage: str, fraction: float) -> None:
    assert 0 <= fraction <= 1


def pid_of(generator: ProcessGenerator) -> int:
    return generator._children[0].process.pid


def gone(pid: int, seconds: float = 10.0) -> bool:
    until = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def test_the_example_performs_in_another_process() -> None:
    generator = start(EXAMPLE)
    assert generator.describe()["name"] == "swayer" and generator.describe()["process"]
    t = np.arange(48_000) / 16_000
    audio = Audio((0.5 * np.sin(2 * np.pi * 150 * t) * (t % 1 < 0.5)).astype(np.float32))
    stages: list[float] = []
    parts: list[tuple[int, Motion]] = []
    motion = generator.perform(MotionRequest(seed=3, fps=24), audio, lambda _, f: stages.append(f), lambda n, m: parts.append((n, m)))
    generator.close()
    assert len(motion) == 72 and motion.fps == 24 and motion.rotations.flags.writeable
    assert stages == sorted(stages) and parts[0][0] == 0 and sum(len(m) for _, m in parts) == 72
    assert np.array_equal(np.concatenate([m.rotations for _, m in parts]), motion.rotations)
    assert motion.metadata["generator"]["name"] == "swayer" and motion.metadata["seed"] == 3
    assert np.ptp(motion.rotations[:, 18], axis=0).max() > 0.05


def test_requests_results_and_who_made_them(moody: Path) -> None:
    generator = start(moody)
    motion = generator.perform(ask("stands"), Audio(np.full(800, 0.5, np.float32)), quiet)
    assert motion.metadata["audio"] == [16_000, 800] and motion.translation[0, 0] == pytest.approx(0.5)
    assert motion.metadata["pid"] == pid_of(generator)
    # what its file says of the terms is not undone by what the process says
    assert motion.metadata["generator"]["non_commercial"] and motion.metadata["generator"]["licence"] == "MIT"
    assert generator.perform(ask("stands"), None, quiet).metadata["audio"] is None
    generator.close()


def test_errors_cross_over_and_the_process_goes_on(moody: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    generator = start(moody)
    before = pid_of(generator)
    with pytest.raises(UnderstudyError, match="not supported. Do something else") as found:
        generator.perform(ask("raise"), None, quiet)
    assert found.value.code == "unsupported"
    with pytest.raises(UnderstudyError, match="ValueError: something broke inside"):
        generator.perform(ask("crash"), None, quiet)
    with pytest.raises(UnderstudyError) as found:
        generator.perform(ask("memory"), None, quiet)
    assert found.value.code == "out_of_memory" and generator.shrink() and generator.shrink()
    assert len(generator.perform(ask("memory"), None, quiet)) == 30 and pid_of(generator) == before
    generator.close()
    assert gone(before) and "something broke inside" in caplog.text and "moody: loading starter on cpu" in caplog.text


def test_a_crash_is_retryable_and_the_next_request_starts_it_anew(moody: Path) -> None:
    generator = start(moody)
    with pytest.raises(UnderstudyError, match="ended unexpectedly .exit code 9; it said: about to die") as found:
        generator.perform(ask("die"), None, quiet)
    assert found.value.code == "worker_died" and found.value.retryable
    assert len(generator.perform(ask("stands"), None, quiet)) == 30
    generator.close()


@pytest.mark.parametrize("mood", ["wait", "deaf"])
def test_a_cancel_stops_it_and_one_that_does_not_listen_is_ended(moody: Path, mood: str) -> None:
    generator = start(moody)
    before, stages = pid_of(generator), []

    def stop(stage: str, fraction: float) -> None:
        stages.append(stage)
        if stage == "waiting" or stages.count("working") > 3:
            raise UnderstudyError("cancelled", "The job was cancelled.")

    with pytest.raises(UnderstudyError, match="cancelled"):
        generator.perform(ask(mood), None, stop)
    assert gone(before) if mood == "deaf" else psutil.pid_exists(before)
    assert len(generator.perform(ask("stands"), None, quiet)) == 30
    assert (pid_of(generator) == before) == (mood == "wait")
    generator.close()


def test_what_goes_wrong_while_loading_is_said(moody: Path) -> None:
    for weights, words, code in (("none", "no weights named none", "weights_missing"),
                                 ("crash", "RuntimeError: no such device", "internal"),
                                 ("die", "exit code 7; it said: the native library is not there", "worker_died")):
        with pytest.raises(UnderstudyError, match=words) as found:
            start(moody, weights)
        assert found.value.code == code
    data = json.loads(moody.read_text())
    moody.write_text(json.dumps({**data, "start_seconds": 1}))
    with pytest.raises(UnderstudyError, match="did not load within 1 s"):
        start(moody, "slow")
    moody.write_text(json.dumps({**data, "command": ["no-such-program-here"]}))
    with pytest.raises(UnderstudyError, match="its program no-such-program-here is missing"):
        start(moody)


def test_it_ends_with_its_owner(moody: Path) -> None:
    generator = start(moody)
    pid = pid_of(generator)
    del generator
    gc.collect()
    assert gone(pid)
    # and when the owner is killed
    code = textwrap.dedent(f"""
        from bridge_server.motion import generator
        g = generator.load({f'process:{moody}'!r})
        print(g._children[0].process.pid, flush=True)
        input()
    """)
    owner = psutil.Popen([sys.executable, "-c", code], cwd=EXAMPLE.parents[2], stdin=-1, stdout=-1)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait(10)
    owner.stdout.close()
    assert owner.stdin is not None
    owner.stdin.close()
    assert gone(pid)


@pytest.mark.parametrize(("text", "words"), [
    ("command = 3", "command must be array"), ("name = 'x'", "lacks 'command'"), ("command = [", "not valid TOML"),
    ("command = ['a']\nenvironment = {A = 1}", "must be a string"), ("command = ['a']\nname = 'a b'", "must match"),
])
def test_a_broken_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "g.toml"
    path.write_text(text)
    with pytest.raises(UnderstudyError, match=words):
        read_spec(path)
    with pytest.raises(UnderstudyError, match="cannot be read"):
        read_spec(tmp_path / "none.toml")


def test_the_configuration_folder_names_generators(moody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_CONFIG_DIR", str(tmp_path / "config"))
    folder = tmp_path / "config" / "generators"
    folder.mkdir(parents=True)
    (folder / "grumpy.toml").write_text(f"command = ['{{python}}', 'moody.py']\nfolder = {str(moody.parent)!r}\nlicence = 'MIT'\n")
    (folder / "broken.toml").write_text("command = []")
    (folder / "absent.toml").write_text("command = ['no-such-program-here']\nneeds = 'Install it.'")
    found = {d.name: d for d in generators.describe_all()}
    assert found["grumpy"].runs_here and found["grumpy"].licence == "MIT"
    assert not found["broken"].runs_here and "entries" in found["broken"].why_not
    assert not found["absent"].runs_here and found["absent"].needs == "Install it."
    generator = generators.load("grumpy")
    assert isinstance(generator, ProcessGenerator)
    assert len(generator.perform(ask("stands"), None, quiet)) == 30
    generator.close()
