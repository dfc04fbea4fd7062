# SPDX-License-Identifier: Apache-2.0
"""The conformance checks against this repository's bridge, or against the one that ``--address`` names (see conftest)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bridge_server.cli.launch import launch
from tests.conformance.checks import CHECKS, Peer


@pytest.fixture(scope="module")
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    # the options are there only when this folder is named on the command line
    if address := request.config.getoption("--address", None):
        yield address, request.config.getoption("--token"), request.config.getoption("--key")
        return
    record, process = launch(
        tmp_path_factory.mktemp("state"), extra=["--generator", "tests.bridge.generators:Moody", "--device", "cpu"]
    )
    yield record.address, record.token, ""
    process.terminate()
    assert process.wait(20) == 0


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_check(endpoint: tuple[str, str, str], check: Callable[[Peer], None]) -> None:
    peer = Peer(*endpoint)
    try:
        check(peer)
    finally:
        peer.close()
