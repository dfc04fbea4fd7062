# SPDX-License-Identifier: Apache-2.0
"""The add-on's client, link and desk over real sockets, without Blender."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from blender_addon.core.bridge_process import BridgeCommand, BridgeProcess, find_command, pid_alive
from blender_addon.core.client import Timing
from blender_addon.core.desk import Desk, Job
from blender_addon.core.link import BridgeLink
from blender_addon.shared.errors import UnderstudyError
from blender_addon.shared.protocol import Message
from blender_addon.shared.requests import MotionRequest, motion_to_buffers
from blender_addon.shared.state import BridgeRecord, read_record
from blender_addon.shared.timeline import Direction

from .bridge_double import BridgeDouble, performance

FAST = Timing(ping=0.1, silence=1.0, hello=1.0, reconnect=0.3)
DOUBLE = Path(__file__).with_name("bridge_double.py")
SECONDS = 30.0


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of the test's own, and no client thread left behind."""
    monkeypatch.setenv("UNDERSTUDY_STATE_DIR", str(tmp_path))
    for name in ("UNDERSTUDY_BRIDGE_PYTHON", "UNDERSTUDY_BRIDGE_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    assert not [t for t in threading.enumerate() if t.name == "understudy-client"]


def desk_for(record: BridgeRecord | None, command: Callable[[], BridgeCommand] | None = None) -> Desk:
    def nothing() -> BridgeCommand:
        raise UnderstudyError("bridge_not_running", "The bridge is not set up on this computer.", "Install it.")

    return Desk(BridgeLink(command or nothing, "test", record=lambda: record, timing=FAST))


def run(desk: Desk, job: Job) -> Job:
    """Until the job ends."""
    deadline = time.monotonic() + SECONDS
    while job.open and time.monotonic() < deadline:
        desk.wait(0.05)
    assert not job.open, f"still {job.stage}"
    return job


def request(**values: object) -> MotionRequest:
    values.setdefault("directions", [Direction(0.0, 1.0, "walks forward")])
    return MotionRequest(duration=2.0, **values)  # type: ignore[arg-type]


def test_a_job_comes_back_as_a_motion() -> None:
    with BridgeDouble() as bridge:
        desk = desk_for(bridge.record)
        audio = np.arange(200_000, dtype=np.uint8)
        job = run(desk, desk.submit(request(audio=audio, seed=7), "me"))
        desk.close()
    assert job.state == "done" and job.motion is not None and job.owner == "me"
    assert len(job.motion) == 60 and job.final_frames == 30
    assert job.motion.metadata["seed"] == 7
    np.testing.assert_array_equal(bridge.requests[0].audio, audio)
    assert bridge.requests[0].directions[0].text == "walks forward"


def test_two_jobs_share_a_link() -> None:
    with BridgeDouble() as bridge:
        desk = desk_for(bridge.record)
        first, second = desk.submit(request(seed=1)), desk.submit(request(seed=2))
        run(desk, first), run(desk, second)
        desk.close()
    assert [j.motion.metadata["seed"] for j in (first, second) if j.motion] == [1, 2]


def test_progress_never_runs_backwards() -> None:
    with BridgeDouble(pause=0.3) as bridge:
        desk = desk_for(bridge.record)
        job = desk.submit(request())
        seen = []
        while job.open:
            desk.wait(0.02)
            seen.append(job.fraction)
        desk.close()
    assert seen == sorted(seen) and len(set(seen)) > 2


def test_a_wrong_direction_is_refused_before_anything_is_sent() -> None:
    with BridgeDouble() as bridge:
        desk = desk_for(bridge.record)
        with pytest.raises(UnderstudyError) as caught:
            desk.submit(request(directions=[Direction(2.0, 1.0, "walks")]))
        assert caught.value.code == "direction_invalid" and not desk.jobs
        desk.close()
        assert "submit" not in bridge.seen


@pytest.mark.parametrize(("behaviour", "code", "words"), [
    ("refuse", "audio_unreadable", "Try WAV"), ("newer", "version_mismatch", "Update the Blender add-on"),
    ("stranger", "unauthorised", "token"), ("vanish", "bridge_lost", "Perform again"),
])
def test_what_goes_wrong_at_the_bridge_is_said(behaviour: str, code: str, words: str) -> None:
    with BridgeDouble(behaviour) as bridge:
        desk = desk_for(bridge.record)
        job = run(desk, desk.submit(request()))
        desk.close()
    assert job.state == "failed" and job.error is not None
    assert job.error.code == code and words in str(job.error)


def test_nobody_at_the_address() -> None:
    with BridgeDouble() as bridge:
        address = bridge.record.address
    desk = desk_for(BridgeRecord(address, "", 0, "", ""))
    job = run(desk, desk.submit(request()))
    desk.close()
    assert job.error is not None and job.error.code == "bridge_not_running" and address in job.error.message


def test_not_an_address() -> None:
    desk = desk_for(BridgeRecord("nonsense", "", 0, "", ""))
    job = run(desk, desk.submit(request()))
    desk.close()
    assert job.error is not None and job.error.code == "bridge_not_running" and "nonsense" in job.error.message


def test_cancel_is_immediate_and_reaches_the_bridge() -> None:
    with BridgeDouble("silent") as bridge:
        desk = desk_for(bridge.record)
        job = desk.submit(request())
        while job.stage != "queued":
            desk.wait(0.02)
        desk.cancel(job)
        assert job.state == "cancelled" and not desk.jobs
        deadline = time.monotonic() + 5
        while "cancel" not in bridge.seen and time.monotonic() < deadline:
            desk.wait(0.02)
        assert "cancel" in bridge.seen
        desk.close()


def test_a_result_that_was_missed_is_fetched_after_a_reconnect() -> None:
    with BridgeDouble("silent") as bridge:
        desk = desk_for(bridge.record)
        job = desk.submit(request())
        while job.stage != "queued":
            desk.wait(0.02)
        bridge.behaviour = "perform"
        body, buffers = motion_to_buffers(performance(job.request))
        bridge.done[job.id] = Message("result", job.id, body, buffers)
        desk.link._connect(bridge.record)  # as after a loss
        run(desk, job)
        desk.close()
    assert job.motion is not None and "fetch" in bridge.seen


def test_closing_with_a_dead_peer_does_not_hang() -> None:
    bridge = BridgeDouble("silent").start()
    desk = desk_for(bridge.record)
    job = desk.submit(request(audio=np.zeros(5_000_000, np.uint8)))
    while job.stage != "queued":
        desk.wait(0.02)
    bridge.stop()
    began = time.monotonic()
    desk.close()
    assert time.monotonic() - began < 5


def python_double(behaviour: str) -> Callable[[], BridgeCommand]:
    """A command whose ``-m bridge_server serve`` is the double."""
    return lambda: BridgeCommand(Path(sys.executable), DOUBLE.parent / "double_package", (behaviour,))


def test_the_bridge_is_started_when_it_is_needed_and_ends_with_the_link() -> None:
    desk = desk_for(None, python_double("perform"))
    job = run(desk, desk.submit(request()))
    assert job.state == "done", job.error
    pid = desk.link.process.pid
    assert pid is not None and desk.link.process.running
    desk.link.stop()
    assert not pid_alive(pid) and read_record() is None


def test_the_bridge_is_given_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bridge_server").mkdir()
    (tmp_path / "bridge_server" / "__main__.py").write_text(
        "import os\nraise SystemExit(' '.join(str(os.environ.get(n)) for n in ('HF_HUB_OFFLINE', 'KEPT', 'PYTHONPATH')))")
    monkeypatch.setenv("KEPT", "kept")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for environment, offline in (((("HF_HUB_OFFLINE", "1"),), "1"), ((), "None")):
        desk = desk_for(None, lambda given=environment: BridgeCommand(Path(sys.executable), tmp_path, (), given))
        job = run(desk, desk.submit(request()))
        assert job.error is not None and f"exit code 1: {offline} kept None" in job.error.message
        desk.close()


def test_a_running_bridge_is_used_and_left_alone(state: Path) -> None:
    owner = desk_for(None, python_double("perform"))
    run(owner, owner.submit(request()))
    guest = desk_for(None)
    assert run(guest, guest.submit(request())).state == "done"
    guest.link.stop()
    assert owner.link.process.running
    owner.close()
    owner.link.stop()


def test_a_bridge_that_is_killed_in_the_middle_is_said_and_started_again() -> None:
    desk = desk_for(None, python_double("silent"))
    job = desk.submit(request())
    deadline = time.monotonic() + SECONDS
    while job.stage != "queued" and time.monotonic() < deadline:
        desk.wait(0.05)
    pid = desk.link.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    run(desk, job)
    assert job.error is not None and job.error.code == "bridge_lost" and "Perform again" in job.error.fix
    again = desk.submit(request())
    while again.stage != "queued" and again.open and time.monotonic() < deadline:
        desk.wait(0.05)
    assert again.open and desk.link.process.pid != pid
    desk.cancel(again)
    desk.close()
    desk.link.stop()


def test_a_lock_file_that_was_left_behind_does_not_mislead(state: Path) -> None:
    from blender_addon.shared.state import write_record

    # this test's own process is alive, but no bridge
    write_record(BridgeRecord("tcp://127.0.0.1:9", "old", os.getpid(), "", ""))
    desk = desk_for(None, python_double("perform"))
    assert run(desk, desk.submit(request())).state == "done"
    desk.close()
    desk.link.stop()


def test_a_bridge_that_cannot_start_says_why_and_pauses(tmp_path: Path) -> None:
    (tmp_path / "bridge_server").mkdir()
    (tmp_path / "bridge_server" / "__main__.py").write_text("raise SystemExit('no module named torch')")
    desk = desk_for(None, lambda: BridgeCommand(Path(sys.executable), tmp_path))
    job = run(desk, desk.submit(request()))
    assert job.error is not None and job.error.code == "bridge_not_running"
    assert "exit code 1: no module named torch" in job.error.message and "bridge-start.log" in job.error.fix
    process: BridgeProcess = desk.link.process
    assert process.failures == 1 and not process.may_start()
    second = run(desk, desk.submit(request()))
    assert second.error is not None and "Start Bridge" in second.error.fix
    desk.close()


def test_starts_that_fail_in_a_row_are_spaced_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now = [1000.0]
    monkeypatch.setattr("blender_addon.core.bridge_process.time.monotonic", lambda: now[0])
    process = BridgeProcess()
    assert process.may_start()
    waited = []
    for _ in range(7):
        with pytest.raises(UnderstudyError):
            process.start(BridgeCommand(tmp_path / "no-python"))
        began = now[0]
        while not process.may_start():
            now[0] += 0.5
        waited.append(now[0] - began)
    assert waited == [1.0, 2.0, 5.0, 15.0, 60.0, 60.0, 60.0]


def test_a_python_is_never_guessed(state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UnderstudyError) as caught:
        find_command()
    assert caught.value.code == "bridge_not_running" and "preferences" in caught.value.fix
    with pytest.raises(UnderstudyError) as caught:
        find_command(str(tmp_path / "no-python"))
    assert caught.value.code == "file_missing"
    monkeypatch.setenv("UNDERSTUDY_BRIDGE_PYTHON", sys.executable)
    assert find_command().python == Path(sys.executable)
    monkeypatch.delenv("UNDERSTUDY_BRIDGE_PYTHON")
    (state / "install.json").write_text(f'{{"python": {sys.executable!r}}}'.replace("'", '"'))
    assert find_command().python == Path(sys.executable)
    with pytest.raises(UnderstudyError):
        find_command(folder=str(tmp_path))
