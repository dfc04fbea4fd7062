# SPDX-License-Identifier: Apache-2.0
"""The state folder and the lock file in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from shared.state import BridgeRecord, lock_file, read_record, state_dir, write_record

RECORD = BridgeRecord("tcp://127.0.0.1:40123", "secret", 4711, "0.1.0", "the.log", "tcp://0.0.0.0:5600")


def test_folder_is_where_platformdirs_puts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    platformdirs = pytest.importorskip("platformdirs")
    monkeypatch.delenv("UNDERSTUDY_STATE_DIR", raising=False)
    for home in (None, "/somewhere/else"):
        if home is not None:
            monkeypatch.setenv("XDG_STATE_HOME", home)
        assert state_dir() == Path(platformdirs.user_state_dir("understudy", appauthor=False))
    monkeypatch.setenv("UNDERSTUDY_STATE_DIR", "/chosen")
    assert state_dir() == Path("/chosen")


def test_record_comes_back(tmp_path: Path) -> None:
    write_record(RECORD, tmp_path)
    assert read_record(tmp_path) == RECORD
    assert [p.name for p in tmp_path.iterdir()] == ["bridge.json"], "nothing temporary is left"
    if sys.platform != "win32":
        assert lock_file(tmp_path).stat().st_mode & 0o777 == 0o600


def test_record_of_an_older_bridge_and_what_is_none(tmp_path: Path) -> None:
    data = {"address": "tcp://127.0.0.1:1", "token": "t", "pid": 1, "version": "0.0.9", "log": "l"}
    lock_file(tmp_path).write_text(json.dumps(data))
    found = read_record(tmp_path)
    assert found is not None and found.remote == ""
    for content in ("", "{", "[]", '{"address": "x"}', '{"address": "a", "token": "t", "pid": "x", "version": "v", "log": "l"}'):
        lock_file(tmp_path).write_text(content)
        assert read_record(tmp_path) is None
