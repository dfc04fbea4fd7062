# SPDX-License-Identifier: Apache-2.0
"""The add-on's desk against the real bridge, with a generator that needs no weights."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from blender_addon.core.bridge_process import BridgeCommand, pid_alive
from blender_addon.core.desk import Desk, Job
from blender_addon.core.link import BridgeLink
from blender_addon.shared.edits import Edit, Lock, Range
from blender_addon.shared.requests import MotionRequest
from blender_addon.shared.state import read_record
from blender_addon.shared.timeline import Direction

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 90.0


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("UNDERSTUDY_STATE_DIR", str(tmp_path))
    arguments = ("--generator", "tests.addon.tiny_generator:TinyGenerator", "--device", "cpu")
    desk = Desk(BridgeLink(lambda: BridgeCommand(Path(sys.executable), ROOT, arguments), "test"))
    yield desk
    pid = desk.link.process.pid
    desk.link.stop()
    assert pid is None or not pid_alive(pid)


def run(desk: Desk, job: Job, until: str = "") -> Job:
    deadline = time.monotonic() + SECONDS
    while job.open and job.stage != until and time.monotonic() < deadline:
        desk.wait(0.05)
    assert time.monotonic() < deadline, f"still {job.stage}"
    return job


def speech(seconds: float) -> np.ndarray:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes((8000 * np.sin(np.arange(int(seconds * 16000)) * 0.1)).astype("<i2").tobytes())
    return np.frombuffer(file.getvalue(), np.uint8)


def walk(text: str = "walks forward") -> MotionRequest:
    return MotionRequest(directions=[Direction(0.0, 2.0, text)], duration=2.0)


def test_perform_cancel_and_perform_again(desk: Desk) -> None:
    job = run(desk, desk.submit(MotionRequest(audio=speech(1.5), audio_name="speech.wav", seed=3)))
    assert job.state == "done", job.error
    assert job.motion is not None and len(job.motion) == 45 and job.final_frames == 10
    long = run(desk, desk.submit(walk("walks slowly")), "body")
    began = time.monotonic()
    desk.cancel(long)
    again = run(desk, desk.submit(walk()))
    assert again.state == "done" and time.monotonic() - began < 20
    record = read_record()
    assert record is not None and Path(desk.link.log_path).is_file()


def test_a_part_of_a_take_goes_there_and_back(desk: Desk) -> None:
    first = run(desk, desk.submit(walk()))
    assert first.motion is not None and sum(len(p) for p in first.parts) == first.final_frames == 10
    base = first.motion
    request = MotionRequest(directions=[Direction(0.0, 2.0, "walks")], duration=2.0, seed=4,
                            edit=Edit(base, [Range(0.5, 1.5, "left_arm")], [Lock(0.2)]))
    again = run(desk, desk.submit(request))
    assert again.state == "done" and again.motion is not None, again.error
    changed = np.abs(again.motion.rotations - base.rotations).max(axis=(1, 2)) > 1e-4
    assert np.array_equal(np.flatnonzero(changed), np.arange(15, 45))


def test_refusals_come_through(desk: Desk) -> None:
    job = run(desk, desk.submit(MotionRequest(audio=np.frombuffer(b"no sound" * 99, np.uint8), audio_name="x.wav")))
    assert job.error is not None and job.error.code == "audio_unreadable" and job.error.fix


def test_killed_in_the_middle(desk: Desk) -> None:
    job = run(desk, desk.submit(walk("walks slowly")), "body")
    pid = desk.link.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    run(desk, job)
    assert job.error is not None and job.error.code == "bridge_lost" and "bridge.log" in job.error.fix
    assert run(desk, desk.submit(walk())).state == "done"
