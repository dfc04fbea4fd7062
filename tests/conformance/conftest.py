# SPDX-License-Identifier: Apache-2.0
"""``pytest tests/conformance --address tcp://HOST:PORT [--token TOKEN] [--key FILE]`` checks a bridge that is up, of whatever make."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the bridge is; without an address this repository's own is started."""
    group = parser.getgroup("conformance", "the bridge to be checked")
    group.addoption("--address", help="a bridge's address, as tcp://127.0.0.1:40123")
    group.addoption("--token", default="", help="its session token, on loopback")
    group.addoption("--key", default="", help="a client's key file, for a bridge on another machine")
