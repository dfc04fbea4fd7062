# SPDX-License-Identifier: Apache-2.0
"""Jobs on disk: records in SQLite, requests and results as files, so that a job outlives its client and its bridge.

A file appears under its name only when it is complete, and says its own length, so that a half-written one is never
taken for whole. A disk that fails costs the record, never the job: every failure is logged and the bridge goes on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from shared.errors import UnderstudyError

from .jobs import FINAL, Job
from .life import log_event

__all__ = ["JobStore"]

_MAGIC: Final = b"UJF1"
_COLUMNS: Final = "id, kind, owner, state, attempts, retryable, created, started, finished, error"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
    retryable INTEGER NOT NULL, created REAL NOT NULL, started REAL, finished REAL, error TEXT,
    bytes INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS by_age ON jobs (created);
CREATE INDEX IF NOT EXISTS unfinished ON jobs (state) WHERE state IN ('queued', 'running');
PRAGMA user_version = 1;
"""


class JobStore:
    """The jobs of one state folder. Not for use by several threads.

    :param folder: where database and files lie; made when absent.
    :param limit: bytes that requests and results may take; the oldest finished jobs go first.
    :param most: records that are kept.
    """

    def __init__(self, folder: Path, *, limit: int = 2 << 30, most: int = 20_000) -> None:
        self._folder = folder
        self._limit, self._most = limit, most
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "jobs.sqlite"
        try:
            self._database = self._open(path)
        except sqlite3.DatabaseError as error:
            # a damaged record must not keep the bridge from starting; it is put aside for whoever wants to look
            aside = path.with_suffix(f".broken-{os.getpid()}")
            path.replace(aside)
            log_event("store.broken", why=error, kept=aside.name, level=logging.ERROR)
            self._database = self._open(path)
        self._bytes, self._count = self._database.execute(
            "SELECT COALESCE(SUM(bytes), 0), COUNT(*) FROM jobs"
        ).fetchone()
        for leftover in folder.glob("*.part"):
            leftover.unlink(missing_ok=True)

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        database = sqlite3.connect(path, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            # a commit survives the process, and a crash of the system at worst loses the last ones
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript(_SCHEMA)
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @contextmanager
    def _forgiving(self, what: str, job: str) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            log_event("store.failed", what=what, job=job, why=error, level=logging.ERROR)

    # ---- writing

    def add(self, job: Job) -> None:
        """Record a job and its request."""
        with self._forgiving("add", job.id):
            size = self._write(self._path(job.id, "request"), job.frames)
            self._database.execute(
                f"INSERT OR REPLACE INTO jobs ({_COLUMNS}, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    job.id,
                    job.kind,
                    job.owner,
                    job.state,
                    job.attempts,
                    job.retryable,
                    job.created,
                    None,
                    None,
                    None,
                    size,
                ),
            )
            self._bytes += size
            self._count += 1

    def begin(self, job: Job) -> None:
        """Record that a worker has begun."""
        with self._forgiving("begin", job.id):
            self._database.execute(
                "UPDATE jobs SET state = ?, attempts = ?, started = ? WHERE id = ?",
                (job.state, job.attempts, job.started, job.id),
            )

    def finish(self, job: Job, frames: Sequence[Any] | None) -> bool:
        """Record how a job ended, with its result; False when the result could not be kept."""
        kept = frames is None
        with self._forgiving("finish", job.id):
            size = 0 if frames is None else self._write(self._path(job.id, "result"), frames)
            kept = True
            error = json.dumps(job.error.to_json()) if job.error else None
            former = self._database.execute("SELECT bytes FROM jobs WHERE id = ?", (job.id,)).fetchone()
            self._database.execute(
                "UPDATE jobs SET state = ?, attempts = ?, started = ?, finished = ?, error = ?, bytes = ? WHERE id = ?",
                (job.state, job.attempts, job.started, job.finished, error, size, job.id),
            )
            self._path(job.id, "request").unlink(missing_ok=True)
            self._bytes += size - (former[0] if former else 0)
            self._clean()
        return kept

    def _clean(self) -> None:
        """Drop the oldest finished jobs until the rest is within the limits."""
        while self._bytes > self._limit or self._count > self._most:
            rows = self._database.execute(
                "SELECT id, bytes FROM jobs WHERE state NOT IN ('queued', 'running') ORDER BY created LIMIT 50"
            ).fetchall()
            if not rows:
                return
            for id, size in rows:
                if self._bytes <= self._limit and self._count <= self._most:
                    return
                for kind in ("request", "result"):
                    self._path(id, kind).unlink(missing_ok=True)
                self._database.execute("DELETE FROM jobs WHERE id = ?", (id,))
                self._bytes -= size
                self._count -= 1
                log_event("store.cleaned", job=id)

    # ---- reading

    def get(self, id: str) -> Job | None:
        """A recorded job, without its frames."""
        row = self._database.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (id,)).fetchone()
        return None if row is None else self._job(row)

    def newest(self, owner: str | None, most: int = 200) -> list[Job]:
        """The newest jobs, oldest of them first; of one owner, unless ``owner`` is None."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE ?1 IS NULL OR owner = ?1 ORDER BY created DESC, rowid DESC LIMIT ?2",
            (owner, most),
        ).fetchall()
        return [self._job(row) for row in reversed(rows)]

    def unfinished(self) -> list[Job]:
        """Jobs that a former bridge left queued or running, oldest first, with their requests where those are whole."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE state IN ('queued', 'running') ORDER BY created, rowid"
        ).fetchall()
        jobs = [self._job(row) for row in rows]
        for job in jobs:
            job.frames = self._read(self._path(job.id, "request")) or []
        return jobs

    def result(self, id: str) -> list[bytes] | None:
        """Frames of a result, or None when there is none, or none that is whole."""
        return self._read(self._path(id, "result"))

    @staticmethod
    def _job(row: Sequence[Any]) -> Job:
        job = Job(
            row[0],
            row[1],
            row[2],
            state=row[3],
            attempts=row[4],
            retryable=bool(row[5]),
            created=row[6],
            started=row[7],
            finished=row[8],
        )
        job.error = UnderstudyError.from_json(json.loads(row[9])) if row[9] else None
        job.fraction = 1.0 if job.state == "done" else 0.0
        assert job.state in (*FINAL, "queued", "running")
        return job

    # ---- files

    def _path(self, id: str, kind: str) -> Path:
        # an id may be any text of the protocol's alphabet, a file name may not (case, "con", "..")
        return self._folder / f"{hashlib.sha256(id.encode()).hexdigest()[:40]}.{kind}"

    @staticmethod
    def _write(path: Path, frames: Sequence[Any]) -> int:
        views = [memoryview(getattr(f, "buffer", f)).cast("B") for f in frames]
        head = _MAGIC + struct.pack(f"<I{len(views)}Q", len(views), *(v.nbytes for v in views))
        temporary = path.with_name(path.name + ".part")
        with temporary.open("wb") as file:
            file.write(head)
            for view in views:
                file.write(view)
        temporary.replace(path)
        return len(head) + sum(v.nbytes for v in views)

    @staticmethod
    def _read(path: Path) -> list[bytes] | None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            if content[:4] != _MAGIC:
                raise ValueError("another format")
            (count,) = struct.unpack_from("<I", content, 4)
            lengths = struct.unpack_from(f"<{count}Q", content, 8)
            start = 8 + 8 * count
            if len(content) != start + sum(lengths):
                raise ValueError(f"{len(content)} bytes, expected {start + sum(lengths)}")
        except (struct.error, ValueError) as error:
            log_event("store.damaged", file=path.name, why=error, level=logging.ERROR)
            return None
        frames = []
        for length in lengths:
            frames.append(content[start : start + length])
            start += length
        return frames
