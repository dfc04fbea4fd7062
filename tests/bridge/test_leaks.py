# SPDX-License-Identifier: Apache-2.0
"""The fixture that watches over these tests, on tests that leave something behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAD = "from tests.bridge.conftest import nothing_left_behind\nimport socket, subprocess, sys, threading, time, zmq\nkept = []\n"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("kept.append(socket.create_server(('127.0.0.1', 0)))", "sockets"),
        ("s = zmq.Context.instance().socket(zmq.ROUTER); s.bind_to_random_port('tcp://127.0.0.1'); kept.append(s)", "sockets"),
        ("t = threading.Thread(target=time.sleep, args=(8,)); t.start()", "threads"),
        ("kept.append(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(8)']))", "processes"),
        ("s = socket.create_server(('127.0.0.1', 0)); s.close()", ""),
    ],
    ids=["socket", "zmq socket", "thread", "process", "nothing"],
)
def test_what_is_left_behind_fails_the_test(tmp_path: Path, body: str, named: str) -> None:
    (tmp_path / "test_it.py").write_text(f"{HEAD}def test_it():\n    {body}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", "/dev/null"]
    done = subprocess.run([*command, str(tmp_path / "test_it.py")], cwd=ROOT, capture_output=True, text=True, timeout=120,
                          env={"PYTHONPATH": str(ROOT), "PATH": ""})
    assert ("left behind" in done.stdout) is bool(named), done.stdout
    assert f"'{named}': {{" in done.stdout or not named
