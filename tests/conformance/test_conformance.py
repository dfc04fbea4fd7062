# SPDX-License-Identifier: Apache-2.0
"""This repository's bridge against the conformance checks; ``$UNDERSTUDY_CONFORMANCE`` = "ADDRESS TOKEN" takes another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from bridge_server.cli.launch import launch
from tests.conformance.checks import CHECKS, Peer


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    if given := os.environ.get("UNDERSTUDY_CONFORMANCE"):
        address, _, token = given.partition(" ")
        yield address, token
        return
    record, process = launch(
        tmp_path_factory.mktemp("state"), extra=["--generator", "tests.bridge.generators:Moody", "--device", "cpu"]
    )
    yield record.address, record.token
    process.terminate()
    assert process.wait(20) == 0


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_check(endpoint: tuple[str, str], check: Callable[[Peer], None]) -> None:
    peer = Peer(*endpoint)
    try:
        check(peer)
    finally:
        peer.close()
