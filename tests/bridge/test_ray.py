# SPDX-License-Identifier: Apache-2.0
"""Workers on a Ray cluster of two real nodes on this machine, one of which is killed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge_server.cli.client import Client
from bridge_server.cli.launch import launch
from shared.errors import UnderstudyError

from .conftest import RunningBridge, request_for, wait_for

ray = pytest.importorskip("ray", reason="ray is not installed (pip install 'understudy[ray]')")
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster whose head has no processors to give."""
    from ray.cluster_utils import Cluster

    root = str(Path(__file__).resolve().parents[2])
    former = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = root
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield made
    made.shutdown()
    os.environ.pop("PYTHONPATH") if former is None else os.environ.update(PYTHONPATH=former)


@pytest.fixture(scope="module")
def nodes(cluster: Any) -> list[Any]:
    """The two nodes with processors; the worker needs one of them."""
    return [cluster.add_node(num_cpus=1, memory=4 << 30) for _ in range(2)]


@pytest.fixture(scope="module")
def ray_bridge(cluster: Any, nodes: list[Any]) -> Iterator[RunningBridge]:
    with tempfile.TemporaryDirectory() as folder:
        record, process = launch(
            Path(folder),
            extra=[
                "--generator",
                "tests.bridge.generators:Moody",
                "--device",
                "cpu",
                "--executor",
                "ray",
                "--ray-address",
                cluster.address,
            ],
        )
        bridge = RunningBridge(record, process, Path(folder))
        yield bridge
        assert bridge.stop() == 0


@pytest.fixture
def ray_client(ray_bridge: RunningBridge) -> Iterator[Client]:
    with Client(ray_bridge.record.address, ray_bridge.record.token) as client:
        wait_for(lambda: client.hello()["state"] in ("ready", "failed"), "the actor is up", 300)
        assert client.hello()["state"] == "ready", client.hello()["error"]
        yield client


def test_job_runs_on_a_node(ray_client: Client) -> None:
    parts: list[int] = []
    stages: list[str] = []
    motion = ray_client.perform(
        request_for("1 second of work", seed=3),
        lambda s, *_: stages.append(s),
        lambda first, part: parts.append(first),
        seconds=60,
    )
    assert motion.translation[0, 1] == 3 and len(motion) == 60
    assert parts == [0, 30] and "walking" in stages
    assert motion.metadata["node"] == ray_client.hello()["models"][0]["node"]


def test_errors_arrive_as_they_were(ray_client: Client) -> None:
    with pytest.raises(UnderstudyError, match="This is not supported") as caught:
        ray_client.perform(request_for("raise an error"), seconds=60)
    assert caught.value.code == "unsupported"


def test_out_of_memory_is_tried_with_less(ray_client: Client) -> None:
    assert len(ray_client.perform(request_for("out of memory at first"), seconds=60)) == 60


def test_out_of_memory_after_that_has_the_figures_of_the_node(ray_client: Client) -> None:
    with pytest.raises(UnderstudyError, match=r"cpu has [\d.]+ GB of [\d.]+ GB free, and 12\.5 GB more were asked for") as caught:
        ray_client.perform(request_for("always out of memory"), seconds=60)
    assert caught.value.code == "out_of_memory"


def test_cancel_keeps_the_actor(ray_client: Client) -> None:
    before = ray_client.perform(request_for(), seconds=60).metadata["pid"]
    message = request_for("60 seconds of work").to_message()
    ray_client.send(message)
    wait_for(lambda: ray_client.status(message.id)["stage"] == "walking", "it runs")
    ray_client.cancel(message.id)
    with pytest.raises(UnderstudyError, match="cancelled"):
        ray_client.wait(message.id, seconds=60)
    assert ray_client.perform(request_for(), seconds=60).metadata["pid"] == before


def test_node_killed_in_mid_run(cluster: Any, nodes: list[Any], ray_client: Client) -> None:
    first = ray_client.perform(request_for(), seconds=60).metadata["node"]
    message = request_for("4 seconds of work", seed=8).to_message()
    ray_client.send(message)
    wait_for(lambda: ray_client.status(message.id)["stage"] == "walking", "it runs")
    cluster.remove_node(next(n for n in nodes if n.node_id == first), allow_graceful=False)
    motion = ray_client.wait(message.id, seconds=180)
    assert motion.translation[0, 1] == 8 and motion.metadata["node"] != first
    # Ray ran it again, the bridge did not have to
    assert ray_client.status(message.id)["attempts"] == 1
