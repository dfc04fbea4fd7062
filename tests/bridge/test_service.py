# SPDX-License-Identifier: Apache-2.0
"""The bridge's answers when all is well."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from bridge_server import __version__
from bridge_server.cli.client import Client
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.protocol import Message, new_id
from shared.state import lock_file

from .conftest import RunningBridge, Start, request_for, wait_for


def test_welcome_says_what_the_bridge_is(bridge: RunningBridge, client: Client) -> None:
    wait_for(lambda: client.hello()["state"] == "ready", "the model is loaded")
    welcome = client.hello()
    assert welcome["bridge"] == __version__
    assert welcome["device"] == "cpu"
    assert welcome["models"][0]["name"] == "Moody" and welcome["models"][0]["licence"] == "CC0-1.0"
    assert welcome["pid"] == bridge.record.pid
    assert Path(welcome["log"]).is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX's")
def test_lock_file_is_for_its_owner_only(bridge: RunningBridge) -> None:
    assert stat.S_IMODE(lock_file(bridge.state_dir).stat().st_mode) == 0o600


def test_result_is_the_motion_of_the_generator(client: Client) -> None:
    motion = client.perform(request_for(seed=7, fps=25.0))
    assert len(motion) == 50 and motion.fps == 25.0
    np.testing.assert_array_equal(motion.translation[:, 1], 7.0)
    np.testing.assert_allclose(motion.translation[:, 2], np.arange(50) / 25, atol=1e-6)
    assert list(motion.face) == ["jawOpen"]
    assert motion.metadata["directions"] == ["walks forward"]


def test_chunks_together_are_the_result(client: Client) -> None:
    parts: list[tuple[int, Motion]] = []
    motion = client.perform(request_for(), part=lambda first, part: parts.append((first, part)))
    assert [first for first, _ in parts] == [0, 30]
    np.testing.assert_array_equal(np.concatenate([p.rotations for _, p in parts]), motion.rotations)


def test_progress_grows_and_names_stages(client: Client) -> None:
    seen: list[tuple[str, float, float | None]] = []
    client.perform(request_for("0.6 seconds of work"), lambda *p: seen.append(p))
    fractions = [fraction for _, fraction, _ in seen]
    assert fractions == sorted(fractions) and 0 <= fractions[0] and fractions[-1] <= 1
    assert {"starting", "walking"} <= {stage for stage, _, _ in seen}
    assert any(eta is not None and 0 <= eta < 10 for _, _, eta in seen)


def test_audio_reaches_the_generator_decoded(client: Client, speech_wav: np.ndarray) -> None:
    request = request_for()
    request.audio, request.audio_name = speech_wav, "speech.wav"
    motion = client.perform(request)
    assert motion.metadata["audio_seconds"] == pytest.approx(3.0, abs=0.01)
    assert "warnings" not in motion.metadata


def test_silence_is_performed_and_said(client: Client, silent_wav: np.ndarray) -> None:
    request = request_for()
    request.audio, request.audio_name = silent_wav, "quiet.wav"
    assert "quiet.wav is silent" in client.perform(request).metadata["warnings"][0]


def test_queue_positions_and_busy(bridge: RunningBridge, client: Client) -> None:
    messages = [request_for("5 seconds of work").to_message() for _ in range(5)]
    for message in messages:
        client.send(message)
    accepted: dict[str, int] = {}
    refused: dict[str, Message] = {}
    while len(accepted) + len(refused) < 5:
        answer = client.receive(60)
        assert answer is not None
        if answer.type == "accepted":
            accepted[answer.id] = answer.body["position"]
        elif answer.type == "error":
            refused[answer.id] = answer
    # one runs, three wait (the limit of this bridge), the fifth is refused
    assert [accepted[m.id] for m in messages[:4]] == [0, 1, 2, 3]
    assert refused[messages[4].id].body["code"] == "busy" and refused[messages[4].id].body["retryable"]
    # the answer to a question comes while a job runs
    assert client.status()["queue"] == 3
    assert client.status(messages[2].id)["position"] == 2
    for message in messages[:4]:
        client.cancel(message.id)
    cancelled = set()
    while len(cancelled) < 4:
        answer = client.receive(60)
        assert answer is not None
        if answer.type == "error":
            assert answer.body["code"] == "cancelled"
            cancelled.add(answer.id)
    assert cancelled == {m.id for m in messages[:4]}


def test_same_id_is_the_same_job(client: Client) -> None:
    id = new_id()
    first = client.perform(request_for("0.3 seconds of work", seed=3), id=id)
    again = client.perform(request_for("0.3 seconds of work", seed=4), id=id)
    np.testing.assert_array_equal(first.translation, again.translation)
    assert [j["job"] for j in client.jobs()].count(id) == 1
    assert client.status(id)["attempts"] == 1


def test_another_connection_gets_progress_and_result(bridge: RunningBridge) -> None:
    first = bridge.client()
    message = request_for("1 second of work", seed=5).to_message()
    first.send(message)
    wait_for(
        lambda: (m := first.receive(1)) is not None and m.type == "progress" and m.body["stage"] == "walking", "it runs"
    )
    first.close()
    second = bridge.client()
    stages: list[str] = []
    motion = second.fetch(message.id, lambda stage, fraction, eta: stages.append(stage), seconds=60)
    assert motion.translation[0, 1] == 5 and stages
    # and once more after the end
    assert second.fetch(message.id, seconds=60).translation[0, 1] == 5


def test_list_shows_states(client: Client) -> None:
    id = new_id()
    with pytest.raises(UnderstudyError):
        client.perform(request_for("raise an error"), id=id)
    job = next(j for j in client.jobs() if j["job"] == id)
    assert job["state"] == "failed" and job["error"]["code"] == "unsupported"
    json.dumps(job, allow_nan=False)


def test_unknown_job(client: Client) -> None:
    with pytest.raises(UnderstudyError, match="knows no job") as caught:
        client.status("nonsense")
    assert caught.value.code == "not_found"


def test_shutdown_by_message(start: Start) -> None:
    bridge = start()
    bridge.client().shutdown()
    assert bridge.process.wait(60) == 0
    assert not lock_file(bridge.state_dir).exists()
    assert "bridge.exit code=0 reason='a client asked for it'" in bridge.log.splitlines()[-1]


def test_serve_does_not_import_torch(start: Start) -> None:
    bridge = start()
    if not Path("/proc").is_dir():
        pytest.skip("needs /proc to see which libraries a process has mapped")
    client = bridge.client()
    wait_for(lambda: client.hello()["state"] == "ready", "the model is loaded")
    assert "libtorch" not in Path(f"/proc/{bridge.record.pid}/maps").read_text()
    assert os.getpid() != bridge.record.pid
