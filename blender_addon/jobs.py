# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking for a performance, and taking it in: what is sent, and who waits for the answer."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import bpy

from . import cast, compat, directions, session, sound, speech, staging
from .core.desk import Job
from .shared import timeline
from .shared.errors import UnderstudyError
from .shared.requests import MAX_SECONDS, MotionRequest

__all__ = ["Performance", "begin", "build_request"]

_log = logging.getLogger("understudy.jobs")


def _check_character(character: Any) -> None:
    if character is None:
        raise UnderstudyError("character_missing", "No character is chosen.", "Pick an armature, or add a character.")
    if character.library is not None:
        raise UnderstudyError("character_missing", f"{character.name} is linked from another file and cannot be animated here.",
                              "Make a library override of it first.")
    cast.mapping_of(character).check()


def build_request(context: bpy.types.Context, character: Any) -> MotionRequest:
    """What the character is asked to perform; nothing in the scene is changed.

    :raises UnderstudyError: with the first thing that is wrong.
    """
    _check_character(character)
    settings = character.understudy
    rate = cast.fps(context.scene)
    asked = timeline.check(directions.to_seconds(settings.directions, speech.origin(context, character), rate))
    content, name, seconds = sound.read(context, character)
    if content is None and not asked:
        raise UnderstudyError("audio_missing", "There is neither speech nor a direction to perform.",
                              "Choose the speech, or add a direction.")
    last = max((d.end for d in asked), default=0.0)
    if last > MAX_SECONDS:
        raise UnderstudyError("direction_invalid", f"A direction ends after {last / 60:.0f} minutes; "
                              f"at most {MAX_SECONDS / 60:.0f} are performed at once.", "Perform the shot in parts.")
    # None lets the speech decide; directions may go on after it
    duration = None if content is not None and (seconds is None or last <= seconds) else last
    return MotionRequest(
        fps=rate, duration=duration, directions=asked, seed=settings.seed, text_guidance=settings.text_guidance,
        audio_guidance=settings.audio_guidance, amplitude=settings.amplitude, tempo=settings.tempo, energy=settings.energy,
        in_place=settings.root == "in_place", audio_name=name, audio=content,
    )


@dataclass
class Performance:
    """The owner of a job: remembers by number what the result is for, and puts it there.

    :ivar character: session uid of the armature.
    :ivar start: frame of the performance's first frame.
    :ivar action_uid: session uid of the take's action, once applied.
    :ivar applying: called when the result has come, before it is put onto the rig.
    """

    character: int
    start: float
    facts: dict[str, Any] = field(default_factory=dict)
    action_uid: int = 0
    ended: bool = False
    applying: Callable[[], None] | None = None

    def armature(self) -> Any:
        """The character, or None where it was deleted or another file was loaded."""
        return next((o for o in bpy.data.objects if compat.session_uid(o) == self.character and o.type == "ARMATURE"), None)

    def action(self) -> Any:
        """The take's action, or None."""
        return next((a for a in bpy.data.actions if compat.session_uid(a) == self.action_uid), None)

    def finished(self, job: Job) -> None:
        """Apply the result, as one undo step; or tell what went wrong."""
        self.ended = True
        character = self.armature()
        if job.motion is not None:
            try:
                if character is None:
                    raise UnderstudyError("character_missing", "The character was deleted while it performed.",
                                          "Undo the deletion and press Perform again.")
                if self.applying is not None:
                    self.applying()
                action = staging.apply_motion(character, job.motion, self.start, self.facts)
            except UnderstudyError as error:
                job.state, job.error = "failed", error
            except Exception as error:  # the timer must live on, and the artist must hear of it
                _log.exception("the result could not be applied")
                job.state, job.error = "failed", UnderstudyError(
                    "internal", f"The result could not be put onto the rig ({type(error).__name__}: {error}).",
                    "Please report this, with the add-on's log file.")
            else:
                self.action_uid = compat.session_uid(action)
                with compat.window_override():
                    bpy.ops.ed.undo_push(message="Perform")
        cancelled = job.error is not None and job.error.code == "cancelled"
        session.tell(character, None if cancelled else job.error)


def begin(context: bpy.types.Context, character: Any = None) -> Job:
    """Ask for a performance; the job runs on while :func:`.session.pump` is called.

    :raises UnderstudyError: for anything that is wrong before the bridge is asked.
    """
    character = character or cast.active(context)
    if character is not None and session.job_of(character) is not None:
        raise UnderstudyError("busy", f"{character.name} is performing already.", "Wait for it, or cancel it first.")
    request = build_request(context, character)
    session.tell(character, None)
    start = speech.origin(context, character)
    facts = {"seed": request.seed, "directions": timeline.to_json(request.directions), "sound": request.audio_name,
             "start_frame": start, "fps": request.fps}
    owner = Performance(compat.session_uid(character), start, facts)
    job = session.desk().submit(request, owner)
    session.keep_pumping()
    return job
