# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work on Blender's data a few milliseconds at a time, so that Blender goes on answering; or all at once.

The work is written once, as a generator. It yields after every small piece: False where it could go on at once, True where it
has to wait for a thread. It is sent True where Blender has had its turn since, and with it the artist, who may have
undone or deleted anything: whatever belongs to Blender must then be looked up anew.
"""

import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from . import unfinished

__all__ = ["BUDGET_SECONDS", "Gradual", "Run", "Steps", "at_once", "drain", "result_of"]

BUDGET_SECONDS = 0.008
"""How long one turn may take."""

T = TypeVar("T")
Steps = Generator[bool, bool, T]
Run = Callable[[Callable[[], T]], "Future[T]"]
"""Begins a piece of work without Blender data, on a thread or at once."""


def at_once(work: Callable[[], T]) -> "Future[T]":
    """Do it now."""
    future: Future[T] = Future()
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
    return future


def result_of(future: "Future[T]") -> Steps[T]:
    """Wait for a thread; afterwards everything of Blender's must be looked up anew. :raises: what the work raised."""
    while not future.done():
        yield True
    return future.result()


def drain(steps: Steps[T]) -> T:
    """All of it now."""
    try:
        next(steps)
        while True:
            steps.send(False)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


class Gradual(unfinished.Holder):
    """Work that goes on with every :meth:`advance`; begun anew where a save or an undo comes between.

    :param begin: makes the generator; what it makes in the file before its end must bear :data:`.unfinished.MARK`.
    """

    def __init__(self, begin: Callable[[Run[Any]], Steps[Any]]) -> None:
        self._begin = begin
        self._pool = ThreadPoolExecutor(1, "understudy-gradual")
        self._steps: Steps[Any] | None = None
        self.value: Any = None
        unfinished.hold(self)

    def advance(self) -> bool:
        """Go on for about :data:`BUDGET_SECONDS`; True once :attr:`value` is there. :raises: what the work raises."""
        until = time.perf_counter() + BUDGET_SECONDS
        try:
            if self._steps is None:
                self._steps = self._begin(self._pool.submit)
                waiting = next(self._steps)
            else:
                waiting = self._steps.send(True)
            while not waiting and time.perf_counter() < until:
                waiting = self._steps.send(False)
        except StopIteration as end:
            self.value, self._steps = end.value, None
            return True
        return False

    def restart(self) -> None:
        """Take back what has been made so far; the next :meth:`advance` begins anew."""
        if self._steps is not None:
            self._steps.close()
            self._steps = None

    def before_save(self) -> None:
        """Nothing unfinished goes into a file."""
        self.restart()

    def after_undo(self) -> None:
        """What was there may be gone."""
        self.restart()

    def close(self) -> None:
        """Take back what is unfinished, and end the thread."""
        self.restart()
        self._pool.shutdown(wait=False, cancel_futures=True)
        unfinished.release(self)
