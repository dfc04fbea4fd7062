# SPDX-License-Identifier: Apache-2.0
"""The one bridge that all Blenders of a batch share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bridge_server.cli.client import connect
from bridge_server.cli.launch import launch
from shared.errors import UnderstudyError

__all__ = ["SharedBridge"]

STARTS: Final = 5
START_SECONDS: Final = 180.0
STOP_SECONDS: Final = 10.0


class SharedBridge:
    """The bridge that runs with a state folder, or one started here, which ends with this process at the latest.

    :param extra: arguments of ``serve`` for a bridge that is started here.
    """

    def __init__(self, state_dir: Path, extra: Sequence[str] = ()) -> None:
        self.state_dir = state_dir
        self._extra = tuple(extra)
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0

    def __enter__(self) -> SharedBridge:
        self.ensure()
        return self

    def __exit__(self, *details: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def ensure(self) -> None:
        """Start one where none answers; one that was started here and died is started again, a few times.

        :raises UnderstudyError: ``bridge_not_running``, ``version_mismatch``, ``unauthorised``.
        """
        if self._process is not None and self._process.poll() is None:
            return
        try:
            with connect(self.state_dir):
                return
        except UnderstudyError as error:
            if error.code != "bridge_not_running" or self._starts == STARTS:
                raise
        self._starts += 1
        _, self._process = launch(self.state_dir, extra=self._extra, parent_pid=os.getpid(), seconds=START_SECONDS)
