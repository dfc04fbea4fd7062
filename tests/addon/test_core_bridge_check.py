# SPDX-License-Identifier: Apache-2.0
"""The check of the bridge's Python."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from blender_addon.core.bridge_check import Check, check
from blender_addon.core.bridge_process import BridgeCommand
from blender_addon.shared.errors import UnderstudyError

ROOT = Path(__file__).resolve().parents[2]


def test_this_python_has_what_the_bridge_needs() -> None:
    found = check(BridgeCommand(Path(sys.executable), ROOT))
    assert found.good and not found.install and found.version == sys.version_info[:3]
    assert found.summary.endswith("has what the bridge needs.")


def test_without_the_bridge(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho '@check [[3, 11, 9], [\"torch\", \"zmq\", \"bridge_server\"]]'\n")
    python.chmod(0o755)
    found = check(BridgeCommand(python))
    assert found.missing == ("torch", "pyzmq", "understudy") and found.install == f'"{python}" -m pip install understudy'
    assert "lacks torch, pyzmq, understudy" in found.summary
    assert "dev.py" in check(BridgeCommand(python, ROOT)).install
    assert f'-e "{tmp_path}"' in check(BridgeCommand(python, tmp_path)).install


def test_another_python() -> None:
    old = Check((3, 9, 1), (), "")
    assert not old.good and "needs Python 3.11" in old.summary


def test_what_is_no_python(tmp_path: Path) -> None:
    nothing = tmp_path / "python"
    with pytest.raises(UnderstudyError, match="cannot be run"):
        check(BridgeCommand(nothing))
    nothing.write_text("#!/bin/sh\necho hello\n")
    nothing.chmod(0o755)
    with pytest.raises(UnderstudyError, match="does not answer as a Python"):
        check(BridgeCommand(nothing))
