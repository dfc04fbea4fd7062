# SPDX-License-Identifier: Apache-2.0
"""Jobs that outlive their client and their bridge."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from bridge_server.service.jobs import Job
from bridge_server.service.store import JobStore
from shared.errors import UnderstudyError
from shared.protocol import Message

from .conftest import Start, end_hard, request_for, wait_for


def job(id: str, state: str = "queued", **facts: object) -> Job:
    return Job(id, "motion", frames=[b"header", b"\x00" * 100], state=state, **facts)  # type: ignore[arg-type]


def finish(store: JobStore, j: Job, frames: list[bytes] | None = None, state: str = "done") -> None:
    j.state, j.finished = state, 2.0
    store.finish(j, frames)


def test_records_and_results_survive(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    first, second = job("a", created=1.0), job("b", created=2.0, owner="ava")
    for j in (first, second):
        store.add(j)
    finish(store, first, [b"header", b"", b"xyz" * 1000])
    store.close()
    again = JobStore(tmp_path)
    found = again.get("a")
    assert found is not None and (found.state, found.finished) == ("done", 2.0)
    assert again.result("a") == [b"header", b"", b"xyz" * 1000]
    assert [j.id for j in again.unfinished()] == ["b"]
    assert again.unfinished()[0].frames == [b"header", b"\x00" * 100]
    assert [j.id for j in again.newest("ava")] == ["b"] and [j.id for j in again.newest(None)] == ["a", "b"]
    again.close()


def test_failed_job_keeps_its_error(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    j = job("a")
    store.add(j)
    j.error = UnderstudyError("out_of_memory", "Too big.", "Make it smaller.")
    finish(store, j, state="failed")
    found = store.get("a")
    assert found is not None and found.error is not None and found.error.to_json() == j.error.to_json()
    assert store.result("a") is None
    store.close()


def test_names_that_are_no_file_names(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs")
    for id in ("..", ".", "con", "CON", "a" * 64, "A" * 64, "x.part"):
        j = job(id)
        store.add(j)
        finish(store, j, [id.encode()])
    for id in ("..", ".", "con", "CON", "a" * 64, "A" * 64, "x.part"):
        assert store.result(id) == [id.encode()]
    assert {p.name for p in tmp_path.iterdir()} == {"jobs"}
    store.close()


def test_oldest_go_first_when_the_disk_limit_is_reached(tmp_path: Path) -> None:
    store = JobStore(tmp_path, limit=10_000)
    store.add(job("waits", created=0.5))
    for n in range(20):
        j = job(f"j{n}", created=1.0 + n)
        store.add(j)
        finish(store, j, [b"x" * 1000])
    kept = [j.id for j in store.newest(None)]
    assert kept[0] == "waits", "a job that waits is never cleaned away"
    assert kept[1:] == [f"j{n}" for n in range(20 - len(kept) + 1, 20)] and 5 <= len(kept) <= 11
    assert sum(p.stat().st_size for p in tmp_path.glob("*.re*")) <= 10_000
    assert store.get("j0") is None and store.result("j0") is None
    store.close()


def test_half_written_files_are_not_taken_for_whole(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    j = job("a")
    store.add(j)
    finish(store, j, [b"header", b"x" * 1000])
    path = next(tmp_path.glob("*.result"))
    whole = path.read_bytes()
    for size in (0, 3, 7, 20, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert store.result("a") is None
    path.write_bytes(whole)
    assert store.result("a") == [b"header", b"x" * 1000]
    store.close()


def test_leftovers_of_a_killed_bridge_are_swept(tmp_path: Path) -> None:
    JobStore(tmp_path).close()
    (tmp_path / "0123.result.part").write_bytes(b"half")
    JobStore(tmp_path).close()
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\x00" + b"\xff" * 4000])
def test_broken_database_is_put_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "jobs.sqlite").write_bytes(content)
    store = JobStore(tmp_path)
    store.add(job("a"))
    assert store.get("a") is not None
    store.close()
    assert len(list(tmp_path.glob("jobs.broken-*"))) == 1


def test_folder_that_vanishes_costs_the_record_not_the_job(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs")
    shutil.rmtree(tmp_path / "jobs", ignore_errors=True)
    j = job("a")
    store.add(j)
    j.state, j.finished = "done", 2.0
    assert store.finish(j, [b"result"]) is False
    store.close()


def test_result_is_fetched_from_the_next_bridge(start: Start) -> None:
    first = start()
    message = request_for("0 seconds of work", seed=11).to_message()
    client = first.client()
    client.send(message)
    client.wait(message.id, seconds=60)
    assert first.stop() == 0
    second = start()
    client = second.client()
    motion = client.fetch(message.id, seconds=60)
    assert motion.translation[0, 1] == 11 and len(motion) == 60
    # and the id is still taken
    client.send(request_for("0 seconds of work", seed=12).to_message(message.id))
    np.testing.assert_array_equal(client.wait(message.id, seconds=60).translation, motion.translation)


def test_killed_bridge_reports_interrupted_jobs_and_runs_again_what_may_be(start: Start) -> None:
    first = start()
    client = first.client()
    plain, again, waiting = (request_for("3 seconds of work", seed=n).to_message() for n in (1, 2, 3))
    again.body["retryable"] = waiting.body["retryable"] = True
    for message in (plain, again, waiting):
        client.send(message)
    wait_for(lambda: client.status(plain.id)["state"] == "running", "the first job runs")
    end_hard(first.record.pid)
    first.process.wait(60)
    second = start()
    client = second.client()
    assert client.status(plain.id)["state"] == "interrupted"
    with pytest.raises(UnderstudyError) as caught:
        client.fetch(plain.id, seconds=60)
    assert caught.value.code == "bridge_lost" and caught.value.retryable
    for message, seed in ((again, 2), (waiting, 3)):
        assert client.fetch(message.id, seconds=30).translation[0, 1] == seed


def test_stopped_bridge_keeps_retryable_jobs(start: Start) -> None:
    first = start()
    client = first.client()
    message = request_for("2 seconds of work", seed=4).to_message()
    message.body["retryable"] = True
    client.send(message)
    wait_for(lambda: client.status(message.id)["state"] == "running", "the job runs")
    client.ask(Message("shutdown"))
    with pytest.raises(UnderstudyError):
        client.wait(message.id, seconds=60)
    assert first.process.wait(60) == 0
    assert start().client().fetch(message.id, seconds=30).translation[0, 1] == 4
