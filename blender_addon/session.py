# SPDX-License-Identifier: GPL-3.0-or-later
"""What is going on now: the link to the bridge, open jobs, and what to tell the artist.

All of it lives in this module and none of it in the .blend, so that a file saved in the middle of a job opens
clean. Nothing here keeps a reference to Blender data: between two ticks the artist may undo or load a file.

:func:`pump` is all that has to run again and again. A timer calls it where Blender has an event loop; a loop
calls it in the background, where timers never fire.
"""

import logging
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import bpy

from . import compat, log, preferences
from .shared.errors import UnderstudyError

if TYPE_CHECKING:
    from .core.bridge_process import BridgeCommand
    from .core.desk import Desk, Job
    from .core.link import BridgeLink
    from .core.trial import Trial
    from .shared.keys import ClientKey
    from .shared.state import BridgeRecord

__all__ = ["Owner", "ask_for_offers", "cancel", "desk", "finishing", "job_of", "key", "notices", "open_jobs", "pump", "shutdown",
           "source_root", "tell", "trial", "wait_for"]

_log = logging.getLogger("understudy.session")

BUSY_SECONDS = 0.05
IDLE_SECONDS = 0.5
STEP_SECONDS = 0.1
"""How long a loop without events waits for the next thing to happen."""

notices: dict[int, UnderstudyError] = {}
"""The last failure per character, by session uid, until the next attempt; 0 for what concerns no character."""

finishing: "dict[int, Job]" = {}
"""Jobs whose result has come and is being put onto the rig, by session uid of the character."""

_desk: "Desk | None" = None


class Owner(Protocol):
    """What a job is for."""

    character: int

    def tick(self, job: "Job") -> None:
        """Called on the main thread again and again while the job is open."""

    def cancelled(self) -> None:
        """Called on the main thread, once, when the job was given up here."""

    def finished(self, job: "Job") -> None:
        """Called on the main thread, once, when the job has ended in any other way."""

    def finish(self, job: "Job") -> None:
        """Called on the main thread again and again while the job is in :data:`finishing`."""


def source_root() -> Path | None:
    """The source tree that the add-on runs from, or None where it is installed."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "bridge_server").is_dir() else None


def _command() -> "BridgeCommand":
    from .core.bridge_process import find_command

    chosen = preferences.get()
    arguments: tuple[str, ...] = ("--device", str(chosen.device)) if chosen.device not in ("", "auto") else ()
    if generator := str(chosen.generator).strip():
        kind, colon, path = generator.partition(":")
        arguments += ("--generator", f"process:{bpy.path.abspath(path)}" if colon and kind == "process" else generator)
    arguments += tuple(shlex.split(os.environ.get("UNDERSTUDY_BRIDGE_ARGUMENTS", "")))
    environment = {name: bpy.path.abspath(path) for name, path in (
        ("UNDERSTUDY_AUDIO2FACE", chosen.audio2face), ("UNDERSTUDY_FACE_FIT", chosen.face_fit)) if path}
    if not preferences.online():
        # the bridge is this add-on's child and keeps to Blender's setting; the libraries that fetch models all heed this
        environment["HF_HUB_OFFLINE"] = "1"
    return find_command(bpy.path.abspath(chosen.bridge_python), bpy.path.abspath(chosen.bridge_folder), arguments,
                        source_root(), tuple(environment.items()))


def _fixed_record() -> "BridgeRecord | None":
    from .shared.state import BridgeRecord, read_record

    address = preferences.bridge_address()
    if not address:
        return None
    own = read_record()
    if own is not None and own.address == address:
        return own
    return BridgeRecord(address, preferences.get().token, 0, "", "")


def _may_start() -> bool:
    """Whether the bridge is started when it is needed; a program that started this Blender may have one of its own."""
    return bool(preferences.get().auto_start) and os.environ.get("UNDERSTUDY_AUTO_START") != "0"


def key() -> "ClientKey | None":
    """The key for the address in the preferences, read from its file; nothing of it is kept. :raises UnderstudyError: not a key."""
    from .shared.keys import ClientKey

    chosen = preferences.get()
    if not chosen.key_file:
        return None
    return ClientKey.load(Path(bpy.path.abspath(chosen.key_file)), str(chosen.server_key).strip())


def trial() -> "Trial":
    """A trial of the connection that the preferences describe. :raises UnderstudyError: nothing to try, or not a key."""
    from .core.trial import Trial

    record = _fixed_record()
    if record is None:
        raise UnderstudyError("request_invalid", "There is no address to try.", "Enter one, as tcp://192.168.1.20:40123.")
    return Trial(record, f"Blender {bpy.app.version_string} (test)", key())


def desk() -> "Desk":
    """The desk, made on first use."""
    global _desk
    if _desk is None:
        from .core.desk import Desk
        from .core.link import BridgeLink

        log.open_log()
        link = BridgeLink(_command, f"Blender {bpy.app.version_string}",
                          auto_start=_may_start, record=_fixed_record, key=key)
        _desk = Desk(link)
    return _desk


def link_state() -> "tuple[str, BridgeLink | None]":
    """The state of the link for the panel, without making one."""
    return (_desk.link.state, _desk.link) if _desk is not None else ("off", None)


_asked = -1


def ask_for_offers() -> None:
    """A bridge that was met while it loaded did not know its renderers and faces yet: ask again, a few times for each connection."""
    global _asked
    from .shared.protocol import Message

    state, link = link_state()
    if link is None or state != "ready" or link.welcome.get("renderers"):
        return
    # by the clock of redraws; each epoch begins anew
    if _asked // 1000 != link.epoch:
        _asked = link.epoch * 1000
    if _asked % 1000 < 500:
        _asked += 1
        if _asked % 20 == 1:
            link.send(Message("status"))


def job_of(character: Any) -> "Job | None":
    """The open job of a character."""
    if _desk is None or character is None:
        return None
    uid = compat.session_uid(character)
    if uid in finishing:
        return finishing[uid]
    return next((job for job in _desk.jobs.values() if getattr(job.owner, "character", None) == uid), None)


def open_jobs() -> "list[Job]":
    """All jobs that are out, without making a desk."""
    return list(_desk.jobs.values()) if _desk is not None else []


def tell(character: Any, error: UnderstudyError | None) -> None:
    """Show a failure in the panel of a character (None: of no one), or clear it."""
    uid = 0 if character is None else compat.session_uid(character)
    if error is None:
        notices.pop(uid, None)
    else:
        notices[uid] = error


def wait_for(job: "Job", progress: Callable[[str, float, float | None], None] | None = None) -> None:
    """Without an event loop: wait until the job's owner, which has ``ended``, is done with it; Ctrl-C gives the job up.

    :param progress: called with stage, fraction and seconds left whenever they change.
    :raises UnderstudyError: what went wrong.
    """
    owner: Any = job.owner
    shown = ("", -1.0)
    try:
        while not owner.ended:
            pump(STEP_SECONDS)
            now = (job.stage, round(job.fraction, 2))
            if progress is not None and now != shown and job.open:
                shown = now
                progress(job.stage, job.fraction, job.eta)
    except KeyboardInterrupt:
        cancel(job)
        pump(STEP_SECONDS)
        raise
    if job.error is not None:
        raise job.error


def pump(wait: float = 0.0) -> None:
    """Take in what the bridge sent, and hand ended jobs to their owners.

    :param wait: seconds to wait for something to happen; for loops without events only.
    """
    if _desk is None:
        return
    for job in _desk.wait(wait) if wait else _desk.poll():
        if job.owner is not None:
            job.owner.finished(job)  # type: ignore[attr-defined]
    for job in list(_desk.jobs.values()):
        if job.owner is not None:
            job.owner.tick(job)  # type: ignore[attr-defined]
    for job in list(finishing.values()):
        job.owner.finish(job)  # type: ignore[attr-defined]


def push_undo(message: str) -> None:
    """One undo step of what the timer has done."""
    with compat.window_override():
        bpy.ops.ed.undo_push(message=message)


def cancel(job: "Job") -> None:
    """Give a job up."""
    if job.open:
        desk().cancel(job)
        if job.owner is not None:
            job.owner.cancelled()  # type: ignore[attr-defined]


def _tick() -> float | None:
    """The timer: fast while something is happening, slow while connected, gone when not."""
    pump()
    state, _ = link_state()
    busy = _desk is not None and (bool(_desk.jobs) or bool(finishing) or state in ("starting", "connecting"))
    redraw(fast=busy)
    if busy:
        return BUSY_SECONDS
    return IDLE_SECONDS if state == "ready" else None


_drawn: tuple[object, ...] = ()


def redraw(*, fast: bool) -> None:
    """Redraw the sidebars and the boards when something in them has changed, and every second (``fast``) for the time that is left."""
    global _drawn
    jobs = [*open_jobs(), *finishing.values()]
    shown = tuple((job.stage, round(job.fraction, 2), len(job.parts)) for job in jobs)
    now = (link_state()[0], shown, int(time.monotonic()) if fast else 0)
    if now == _drawn:
        return
    _drawn = now
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                # drawing the view itself anew would take longer than everything else here
                if area.type == "DOPESHEET_EDITOR" or area.type == "VIEW_3D" and region.type == "UI":
                    region.tag_redraw()


def keep_pumping() -> None:
    """Make sure that the timer runs, where timers do."""
    if not bpy.app.background and not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=BUSY_SECONDS, persistent=True)


def shutdown() -> None:
    """Cancel jobs, stop an own bridge, forget everything."""
    global _desk
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    for job in finishing.values():
        job.owner.cancelled()  # type: ignore[attr-defined]
    finishing.clear()
    if _desk is not None:
        held, _desk = _desk, None
        for job in list(held.jobs.values()):
            held.cancel(job)
            if job.owner is not None:
                job.owner.cancelled()  # type: ignore[attr-defined]
        held.link.stop()
    notices.clear()
