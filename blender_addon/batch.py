# SPDX-License-Identifier: GPL-3.0-or-later
"""Performing without a window: the same jobs, waited for."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import bpy

from . import jobs, session
from .shared.errors import UnderstudyError

if TYPE_CHECKING:
    from .core.desk import Job

__all__ = ["Progress", "perform_blocking", "print_progress", "wait_for"]

Progress = Callable[[str, float, float | None], None]
"""Called with (stage, fraction in [0, 1], seconds left or None) whenever one of them changes."""



def print_progress(stage: str, fraction: float, eta: float | None) -> None:
    """One line on the terminal, written over and over where the terminal can."""
    left = "" if eta is None else f", {eta:.0f} s left"
    line = f"{stage} {fraction * 100:.0f} %{left}"
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\x1b[K{line}")
    else:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def perform_blocking(context: bpy.types.Context, progress: Progress | None = None, character: Any = None) -> bpy.types.Action:
    """Perform the chosen character and return the new take's action.

    :param progress: called as things go on; an interrupt from the keyboard cancels the job at the bridge.
    :raises UnderstudyError: with the sentence that the panel would show; the file is as it was then.
    """
    return wait_for(jobs.begin(context, character), progress)


def wait_for(job: "Job", progress: Progress | None = None) -> bpy.types.Action:
    """Wait for a job that has begun and return its take's action. :raises UnderstudyError: as :func:`perform_blocking`."""
    owner = job.owner
    assert isinstance(owner, jobs.Performance)
    if progress is not None:
        owner.applying = lambda: progress("writing keys", 0.0, None)
    session.wait_for(job, progress)
    if progress is not None:
        progress("done", 1.0, 0.0)
    action = owner.action()
    if action is None:
        raise UnderstudyError("internal", "The performance ended without a take.", "Please report this.")
    return action
