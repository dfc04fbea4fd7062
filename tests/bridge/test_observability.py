# SPDX-License-Identifier: Apache-2.0
"""Logs and metrics, and models that go when nobody needs them."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest

from shared.errors import UnderstudyError

from .conftest import Start, request_for, wait_for


def test_one_line_for_each_stage_of_a_job(start: Start) -> None:
    bridge = start("Moody")
    client = bridge.client()
    message = request_for().to_message()
    client.send(message)
    client.wait(message.id, seconds=60)
    # the answer may be here before the bridge has written its line about it
    wait_for(lambda: f"job.done job={message.id}" in bridge.log, "the line of a finished job")
    lines = [line for line in bridge.log.splitlines() if f"job={message.id}" in line]
    assert [line.split()[2] for line in lines] == ["job.queued", "job.start", "job.done"]
    assert re.search(r"seconds=\d+\.\d{3} motion=2\.000", lines[-1]) and "t_walking=" in lines[-1]


def test_logs_as_json(start: Start) -> None:
    bridge = start("Moody", "--log-format", "json")
    client = bridge.client()
    with pytest.raises(UnderstudyError):
        client.perform(request_for("raise an error"), seconds=60)
    wait_for(lambda: "job.failed" in bridge.log, "the line of a failed job")
    records = [json.loads(line) for line in bridge.log.splitlines()]
    failed = next(r for r in records if r["event"] == "job.failed")
    assert failed["code"] == "unsupported" and failed["level"] == "WARNING" and failed["seconds"] >= 0


def test_prometheus(start: Start) -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    bridge = start("Moody", "--metrics-port", "0")
    said = (bridge.state_dir / "logs" / "start.log").read_text()
    url = re.search(r"http://127\.0\.0\.1:\d+/metrics", said)
    assert url is not None
    client = bridge.client()
    client.perform(request_for(), seconds=60)
    with pytest.raises(UnderstudyError):
        client.perform(request_for("raise an error"), seconds=60)
    with urllib.request.urlopen(url.group(), timeout=10) as answer:
        text = answer.read().decode()
    values = {m[1]: float(m[2]) for m in re.finditer(r"^(\w+(?:\{[^}]*\})?) ([\d.e+-]+)$", text, re.M)}
    assert values['understudy_jobs_total{state="done"}'] == 1
    assert values['understudy_failures_total{code="unsupported"}'] == 1
    assert values["understudy_motion_seconds_total"] == pytest.approx(2.0)
    speed = values["understudy_motion_seconds_total"] / values["understudy_work_seconds_total"]
    assert values["understudy_motion_seconds_per_second"] >= speed > 0, "the failed job made no motion but took time"
    assert values["understudy_queue_jobs"] == 0 and values["understudy_running_jobs"] == 0
    assert values['understudy_stage_seconds_count{stage="walking"}'] >= 1
    page = (Path(__file__).resolve().parents[2] / "docs" / "bridge.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`(understudy_\w+)", page))
    served = {name for name in re.findall(r"^# TYPE (\w+)", text, re.M) if not name.endswith("_created")}
    assert {name.removesuffix("_total") for name in described} == {name.removesuffix("_total") for name in served}


def test_idle_model_is_dropped_and_loaded_again(start: Start) -> None:
    bridge = start("Moody", "--unload-after", "0.2")
    client = bridge.client()
    wait_for(lambda: client.status()["workers"][0]["state"] == "unloaded", "the idle model is dropped")
    assert client.hello()["state"] == "ready"
    stages: list[str] = []
    client.perform(request_for(), lambda stage, *_: stages.append(stage), seconds=60)
    assert "loading model" in stages
    wait_for(lambda: client.status()["workers"][0]["state"] == "unloaded", "it is dropped again")
    pids = bridge.workers()
    assert Path(f"/proc/{pids[0]}").exists() or not Path("/proc").is_dir()
