# SPDX-License-Identifier: Apache-2.0
"""Life cycle of the bridge process: one per state folder, logs, signals, the parent that it must not outlive."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from shared.errors import UnderstudyError

__all__ = ["LOGGER", "InstanceLock", "ParentWatch", "Signals", "log_event", "logging_to"]

LOGGER: Final = logging.getLogger("understudy.bridge")


def log_event(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """One line ``event key=value …`` in the log; values with spaces, or that could break the line, are quoted."""
    parts = [event]
    for name, value in fields.items():
        if value is None:
            continue
        text = f"{value:.3f}" if isinstance(value, float) else str(value)
        plain = text and text.isprintable() and not any(c in text for c in ' "=')
        parts.append(f"{name}={text}" if plain else f"{name}={text!r}")
    LOGGER.log(level, " ".join(parts), extra={"event": event, "fields": fields})


class _Lines(logging.Formatter):
    """One line of text a record: time, level, event, fields."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")


class _Json(logging.Formatter):
    """One JSON object a record, for programs that collect logs."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {
            "time": record.created,
            "level": record.levelname,
            "event": getattr(record, "event", record.getMessage()),
        }
        facts.update({k: v for k, v in getattr(record, "fields", {}).items() if v is not None})
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps(facts, default=str)


@contextmanager
def logging_to(path: Path, *, verbose: bool = False, as_json: bool = False) -> Iterator[None]:
    """Log to ``path`` (5 files of 5 MB at most) and, if ``verbose``, to standard error; text or JSON lines.

    :raises UnderstudyError: ``file_invalid`` when the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file: logging.Handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=5 << 20, backupCount=4, encoding="utf-8", errors="backslashreplace"
        )
    except OSError as error:
        raise UnderstudyError(
            "file_invalid",
            f"The log file {path} cannot be written ({error.strerror}).",
            "Give the bridge a folder that you may write to, with --state-dir.",
        ) from error
    formatter = _Json() if as_json else _Lines()
    handlers = [file]
    if verbose:
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in handlers:
        handler.setFormatter(formatter)
        LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    try:
        yield
    finally:
        for handler in handlers:
            LOGGER.removeHandler(handler)
            handler.close()


class InstanceLock:
    """Holds the state folder for one bridge; the operating system lets go of it when the process ends in any way."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "bridge.lock"
        self._file: int | None = None

    def acquire(self) -> bool:
        """False when another bridge holds it. :raises OSError: when the folder cannot be written."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Let go; harmless when not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class ParentWatch:
    """Tells when a process has gone, also when its number was given to another one since."""

    def __init__(self, pid: int | None) -> None:
        self._process: psutil.Process | None = None
        self._gone = False
        if pid is not None:
            try:
                self._process = psutil.Process(pid)
            except psutil.NoSuchProcess:
                self._gone = True

    def gone(self) -> bool:
        """Whether the process has ended."""
        if self._process is not None and not self._gone:
            try:
                self._gone = not self._process.is_running() or self._process.status() == psutil.STATUS_ZOMBIE
            except psutil.NoSuchProcess:
                self._gone = True
        return self._gone


class Signals:
    """Turns SIGINT, SIGTERM (and Ctrl-Break) into a reason to stop; the former handlers come back at exit."""

    def __init__(self) -> None:
        self.received: str | None = None
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
            if (number := getattr(signal, name, None)) is not None:
                self._former[number] = signal.signal(number, self._take)
        return self

    def _take(self, number: int, frame: Any) -> None:
        self.received = signal.Signals(number).name

    def __exit__(self, *details: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
