# SPDX-License-Identifier: Apache-2.0
"""Blenders for the shots of a table, N at a time, and the report of what became of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bridge_server.batch.blender import BlenderCommand, event_of
from bridge_server.batch.bridge import SharedBridge
from bridge_server.batch.display import Display
from shared.errors import UnderstudyError
from shared.shots import Outcome, Report, Shot

__all__ = ["Runner"]

ATTEMPTS: Final = 2
"""How often a shot is tried that failed through no fault of its own, as when the bridge died."""
OTHERS_FAULT: Final = frozenset({"bridge_lost", "bridge_not_running", "worker_died", "busy"})
WAIT_SECONDS: Final = 0.05
STOP_SECONDS: Final = 5.0


class Running:
    """One Blender with one shot. A thread reads what it says, so that its pipe never fills.

    :ivar stage: what is being done; :ivar fraction: of it, [0, 1]. :ivar warnings: what the bridge remarked about the take.
    """

    def __init__(self, shot: Shot, fingerprint: str, command: BlenderCommand, state_dir: Path, log: Path, attempt: int) -> None:
        self.shot, self.fingerprint, self.log, self.attempt = shot, fingerprint, log, attempt
        self.name, self.stage, self.fraction = shot.name, "starting Blender", 0.0
        self.error: UnderstudyError | None = None
        self.frames = 0
        self.warnings: list[str] = []
        self.began = time.monotonic()
        self._told_the_end = False
        descriptor, name = tempfile.mkstemp(prefix="understudy-shot-", suffix=".json")
        self._task = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"shot": shot.to_json(), "parent": os.getpid()}, file)
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")}
        # the bridge is this process's to start and to end
        environment |= {"UNDERSTUDY_STATE_DIR": str(state_dir), "UNDERSTUDY_AUTO_START": "0", "PYTHONUNBUFFERED": "1"}
        try:
            # a session of its own: Ctrl-C in the terminal is heard here, and not by each Blender in its own way
            self.process = subprocess.Popen(
                command.line("shot", name), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                encoding="utf-8", errors="replace", env=environment, start_new_session=sys.platform != "win32")
        except OSError:
            self._task.unlink(missing_ok=True)
            raise
        self._reader = threading.Thread(target=self._read, name=f"batch-{shot.row}", daemon=True)
        self._reader.start()

    @property
    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self.began

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.log.open("w", encoding="utf-8") as log:
            for line in self.process.stdout:
                event = event_of(line)
                if event is None:
                    log.write(line)
                    log.flush()
                elif event.get("ended"):
                    self._told_the_end = True
                    self.frames = int(event.get("frames", 0))
                    self.warnings = [str(w) for w in event.get("warnings") or ()]
                    self.error = UnderstudyError.from_json(event["error"]) if event.get("error") else None
                elif "stage" in event:
                    self.stage, self.fraction = str(event["stage"]), float(event.get("fraction") or 0.0)

    def ended(self) -> bool:
        """Whether Blender has gone, and everything that it said was read."""
        if self.process.poll() is None or self._reader.is_alive():
            return False
        self._task.unlink(missing_ok=True)
        code = self.process.returncode
        if not self._told_the_end and self.error is None:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            self.error = UnderstudyError("internal", f"Blender {how} in the middle of the shot.", f"See {self.log}.")
        return True

    def stop(self, error: UnderstudyError | None = None) -> None:
        """End it, politely at first."""
        self.error = error
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(STOP_SECONDS)
        self._task.unlink(missing_ok=True)


class Runner:
    """Performs the shots of a table.

    :param jobs: how many Blenders at a time; :param again: perform finished shots as well.
    :param limit: seconds after which a shot is ended as failed.
    :param logs: folder for what each Blender says.
    """

    def __init__(self, shots: Sequence[Shot], command: Callable[[], BlenderCommand], bridge: SharedBridge, report: Report,
                 display: Display, *, jobs: int, logs: Path, again: bool = False, limit: float = 3600.0) -> None:
        self._shots, self._find, self._bridge, self._report, self._display = shots, command, bridge, report, display
        self._jobs, self._logs, self._again, self._limit = jobs, logs, again, limit
        self._waiting: list[tuple[Shot, int]] = []
        self._running: list[Running] = []
        self._performed = 0
        self.outcomes: list[Outcome] = []

    def run(self) -> bool:
        """Perform all of them.

        :returns: False when an interrupt from the keyboard stopped it; the Blenders have been ended then.
        :raises UnderstudyError: where nothing can be performed at all: no bridge, no Blender, no place for the report.
        """
        self._sort_out()
        if not self._waiting:
            return True
        command = self._find()
        self._logs.mkdir(parents=True, exist_ok=True)
        to_do = len(self._waiting)
        try:
            with self._bridge:
                while self._waiting or self._running:
                    self._start(command)
                    self._settle()
                    self._display.running(self._running, to_do, self._performed)
                    time.sleep(WAIT_SECONDS)
        except KeyboardInterrupt:
            self._stop()
            return False
        except BaseException:
            self._stop()
            raise
        return True

    def _sort_out(self) -> None:
        """What was finished before is passed over; what other rows will write is looked at when its turn comes."""
        written = {r for s in self._shots for r in s.results}
        for shot in self._shots:
            if written.isdisjoint(shot.sources) and self._is_done(shot):
                self._skip(shot)
            else:
                self._waiting.append((shot, 1))

    def _is_done(self, shot: Shot) -> bool:
        return not self._again and self._report.is_done(shot, shot.fingerprint())

    def _skip(self, shot: Shot) -> None:
        self._note(Outcome(shot, "skipped", 0.0, "finished before"))

    def _note(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._display.ended(outcome)

    def _next(self) -> tuple[Shot, int] | None:
        """The first shot whose sources are not still to be written by another row."""
        pending = {r for s, _ in self._waiting for r in s.results} | {r for o in self._running for r in o.shot.results}
        for entry in self._waiting:
            if not pending & set(entry[0].sources):
                return entry
        # rows that wait for each other: any order is as good
        return self._waiting[0] if self._waiting and not self._running else None

    def _start(self, command: BlenderCommand) -> None:
        while len(self._running) < self._jobs and (entry := self._next()) is not None:
            self._waiting.remove(entry)
            shot, attempt = entry
            if attempt == 1 and self._is_done(shot):
                self._performed += 1
                self._skip(shot)
                continue
            fingerprint = shot.fingerprint()
            if missing := next((p for p in shot.sources if not Path(p).is_file()), ""):
                self._failed(shot, fingerprint, 0.0, UnderstudyError(
                    "file_missing", f"There is no file {missing}.", f"Correct line {shot.row} of the table."))
                continue
            self._bridge.ensure()
            log = self._logs / f"line{shot.row:04d}-{shot.name}.log"
            self._running.append(Running(shot, fingerprint, command, self._bridge.state_dir, log, attempt))

    def _settle(self) -> None:
        for one in list(self._running):
            if one.seconds > self._limit and one.process.poll() is None:
                one.stop(UnderstudyError("timeout", f"The shot was not done after {self._limit / 60:g} minutes.",
                                         f"See {one.log}; --limit allows more."))
            if not one.ended():
                continue
            self._running.remove(one)
            error = one.error
            if error is not None and error.code in OTHERS_FAULT and one.attempt < ATTEMPTS:
                self._waiting.insert(0, (one.shot, one.attempt + 1))
            elif error is not None:
                self._failed(one.shot, one.fingerprint, one.seconds, error, log=str(one.log), attempts=one.attempt)
            else:
                self._performed += 1
                self._report.put(one.shot, one.fingerprint, "done", one.seconds, frames=one.frames, attempts=one.attempt,
                                 warnings=one.warnings)
                self._note(Outcome(one.shot, "done", one.seconds, " ".join(one.warnings)))

    def _failed(self, shot: Shot, fingerprint: str, seconds: float, error: UnderstudyError, **facts: object) -> None:
        self._performed += 1
        self._report.put(shot, fingerprint, "failed", seconds, error, **facts)
        self._note(Outcome(shot, "failed", seconds, str(error)))

    def _stop(self) -> None:
        """End what runs; what was finished stays in the report, so that the next run goes on from here."""
        for one in self._running:
            one.stop()
            self.outcomes.append(Outcome(one.shot, "stopped", one.seconds, "in the middle"))
        self.outcomes += [Outcome(shot, "stopped", 0.0, "not begun") for shot, _ in self._waiting]
        self._running, self._waiting = [], []
