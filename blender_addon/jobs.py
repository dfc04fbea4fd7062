# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking for a performance, and taking it in: what is sent, and who waits for the answer."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import bpy

from . import cast, compat, directions, gradual, remarks, session, sound, speech, splice, staging, streaming, takes, terms
from .core.desk import Job
from .face import acting, words
from .shared import timeline
from .shared.errors import UnderstudyError
from .shared.motion import Motion
from .shared.requests import MAX_SECONDS, MotionRequest

__all__ = ["Performance", "begin", "build_request", "check_character", "ready", "request_facts", "seeds_of", "submit"]

_log = logging.getLogger("understudy.jobs")


def check_character(character: Any) -> None:
    """:raises UnderstudyError: where an armature cannot perform."""
    if character is None:
        raise UnderstudyError("character_missing", "No character is chosen.", "Pick an armature, or add a character.")
    if character.library is not None:
        raise UnderstudyError("character_missing", f"{character.name} is linked from another file and cannot be animated here.",
                              "Make a library override of it first.")
    cast.mapping_of(character).check()


def build_request(context: bpy.types.Context, character: Any, start: float | None = None, *, bare: bool = False) -> MotionRequest:
    """What the character is asked to perform; nothing in the scene is changed.

    :param start: frame of the first sample, where it is not what the speech or the scene says.
    :param bare: neither speech nor direction is needed.
    :raises UnderstudyError: with the first thing that is wrong.
    """
    check_character(character)
    settings = character.understudy
    rate = cast.fps(context.scene)
    asked = timeline.check(directions.to_seconds(
        settings.directions, speech.origin(context, character) if start is None else start, rate))
    content, name, seconds = sound.read(context, character)
    if content is None and not asked and not bare:
        raise UnderstudyError("audio_missing", "There is neither speech nor a direction to perform.",
                              "Choose the speech, or add a direction.")
    first = speech.origin(context, character) if start is None else start
    shown = (context.scene.frame_end - first + 1) / rate
    last = max((d.end for d in asked), default=0.0)
    if last > MAX_SECONDS:
        raise UnderstudyError("direction_invalid", f"A direction ends after {last / 60:.0f} minutes; "
                              f"at most {MAX_SECONDS / 60:.0f} are performed at once.", "Perform the shot in parts.")
    # None lets the speech decide; directions may go on after it
    duration = None if content is not None and (seconds is None or last <= seconds) else last
    return MotionRequest(
        fps=rate, duration=duration, directions=asked, seed=settings.seed, weights=settings.weights or terms.DEFAULT,
        text_guidance=settings.text_guidance or None, audio_guidance=settings.audio_guidance or None,
        temperature=settings.temperature or None,
        amplitude=settings.amplitude, tempo=settings.tempo, energy=settings.energy, keep_time=settings.keep_time,
        in_place=settings.root == "in_place", audio_name=name, audio=content,
        transcript=acting.transcript_of(character),
        face_settings=acting.sampled(context, character, first, max(last, seconds or shown, 0.0), content),
    )


@dataclass
class Performance:
    """The owner of a job: remembers by number what the result is for, and puts it there.

    :ivar character: session uid of the armature.
    :ivar start: frame of the performance's first frame.
    :ivar action_uid: session uid of the take's action, once applied.
    :ivar applying: called when the result has come, before it is put onto the rig.
    :ivar stretches: of an edit, what of the take is new; :ivar base_uid: session uid of the action that is edited.
    :ivar keep_hand_set: hand-set keys stay as they are.
    :ivar following: seeds of further takes to be performed after this one.
    :ivar bases: the weights that made what is edited, which still has a part in the result.
    :ivar request: of an edit, what was asked: its variations are the same but for the seed.
    :ivar remarks: what the bridge remarked about the result, once it is there.
    """

    character: int
    start: float
    facts: dict[str, Any] = field(default_factory=dict)
    action_uid: int = 0
    ended: bool = False
    applying: Callable[[], None] | None = None
    stretches: tuple[splice.Stretch, ...] = ()
    base_uid: int = 0
    keep_hand_set: bool = True
    following: tuple[int, ...] = ()
    bases: tuple[dict[str, Any], ...] = ()
    request: MotionRequest | None = None
    remarks: tuple[str, ...] = ()
    stream: "streaming.Stream | None" = None
    work: "gradual.Gradual | None" = None

    def armature(self) -> Any:
        """The character, or None where it was deleted or another file was loaded."""
        return next((o for o in bpy.data.objects if compat.session_uid(o) == self.character and o.type == "ARMATURE"), None)

    def action(self) -> Any:
        """The take's action, or None."""
        return next((a for a in bpy.data.actions if compat.session_uid(a) == self.action_uid), None)

    def _steps(self, motion: Motion, run: gradual.Run[Any]) -> gradual.Steps[Any]:
        """Put the result onto the rig; see :mod:`.gradual`."""
        character = cast.by_uid(self.character)
        if not self.stretches:
            return staging.apply_steps(character, motion, self.start, self.facts, run)
        takes_of = character.understudy.takes
        base = next((t for t in takes_of if t.action is not None and compat.session_uid(t.action) == self.base_uid), None)
        return splice.splice_steps(character, base, motion, self.start, self.stretches, self.facts,
                                   keep_hand_set=self.keep_hand_set, run=run)

    def next(self, context: bpy.types.Context, character: Any) -> Job:
        """Ask for the next variation. :raises UnderstudyError: as what asked for this one, or ``not_found``."""
        if self.request is None:
            return begin(context, character, seeds=self.following)
        character = ready(context, character)
        known = {compat.session_uid(t.action) for t in character.understudy.takes if t.action is not None}
        if self.base_uid and self.base_uid not in known:
            raise UnderstudyError("not_found", "The take that was to be varied is gone.", "Show another take, and perform again.")
        session.tell(character, None)
        request = replace(self.request, seed=self.following[0])
        facts = {**self.facts, "seed": request.seed, "lane": words.lane_mark(character)}
        return submit(request, Performance(
            self.character, self.start, facts, stretches=self.stretches, base_uid=self.base_uid, keep_hand_set=self.keep_hand_set,
            following=self.following[1:], bases=self.bases, request=request))

    def _go_on(self, character: Any) -> None:
        """Ask for the next variation; in the background the caller does that."""
        if not self.following or bpy.app.background:
            return
        try:
            self.next(bpy.context, character)
        except UnderstudyError as error:
            session.tell(character, error)

    def tick(self, job: Job) -> None:
        """Show the frames that are final already."""
        if self.stretches or not job.parts or not streaming.active():
            return
        character = self.armature()
        if character is None:
            return
        if self.stream is None:
            self.stream = streaming.Stream(self.character, self.start)
        self.stream.tick(character, job.parts)

    def cancelled(self) -> None:
        """Put back what was shown before."""
        self.ended = True
        self._end_stream()

    def _end_stream(self) -> None:
        for unfinished in (self.stream, self.work):
            if unfinished is not None:
                unfinished.close()
        self.stream = self.work = None

    def finished(self, job: Job) -> None:
        """Apply the result, as one undo step; or tell what went wrong."""
        if job.motion is not None and self.bases:
            job.motion.metadata["bases"] = list(self.bases)
        character = self.armature()
        dense = character is not None and character.understudy.key_mode == "DENSE"
        if job.motion is not None and character is not None and streaming.active():
            # a little at a time, so that Blender goes on answering
            motion = job.motion
            if dense and not self.stretches and motion.fps == self.facts["fps"]:
                # its keys take the place of the early ones
                self.stream = self.stream or streaming.Stream(self.character, self.start)
            else:
                self.work = gradual.Gradual(lambda run: self._steps(motion, run))
            session.finishing[self.character] = job
            return
        self._end_stream()
        self._end(job, character, None)

    def finish(self, job: Job) -> None:
        """Go on with putting the result onto the rig, after :meth:`finished` has begun with it."""
        character, action = self.armature(), None
        assert job.motion is not None
        if self.action_uid:
            action = self.action()  # None where it was undone meanwhile
        elif character is not None:
            try:
                if self.work is not None:
                    if not self.work.advance():
                        return
                    action = self.work.value
                else:
                    assert self.stream is not None
                    action = self.stream.finish(character, job.motion, self.facts)
                    if action is None:
                        return
            except LookupError as error:
                _log.info("the take is written at once: %s", error)
            except UnderstudyError as error:
                job.state, job.error, job.motion = "failed", error, None
            except Exception:  # written at once it may still succeed, or fail with a sentence
                _log.exception("the take could not be written a little at a time")
            if action is not None:
                # Blender evaluates what is new before it pushes an undo step; it does so by itself when it has had its turn
                self.action_uid = compat.session_uid(action)
                self._end_stream()
                return
        session.finishing.pop(self.character, None)
        self._end_stream()
        self._end(job, character, action)

    def _end(self, job: Job, character: Any, action: Any) -> None:
        self.ended = True
        if job.motion is not None:
            try:
                if character is None:
                    raise UnderstudyError("character_missing", "The character was deleted while it performed.",
                                          "Undo the deletion and press Perform again.")
                if self.applying is not None:
                    self.applying()
                action = action or gradual.drain(self._steps(job.motion, gradual.at_once))
            except UnderstudyError as error:
                job.state, job.error = "failed", error
            except Exception as error:  # the timer must live on, and the artist must hear of it
                _log.exception("the result could not be applied")
                job.state, job.error = "failed", UnderstudyError(
                    "internal", f"The result could not be put onto the rig ({type(error).__name__}: {error}).",
                    "Please report this, with the add-on's log file.")
            else:
                self.action_uid = compat.session_uid(action)
                self.remarks = tuple(remarks.sentences(job.motion.metadata))
                remarks.note(character.name, self.remarks)
                words.after_take(character, job.motion, self.start, self.facts)
                session.push_undo("Perform Again" if self.stretches else "Perform")
                self._go_on(character)
        cancelled = job.error is not None and job.error.code == "cancelled"
        session.tell(character, None if cancelled else job.error)


def ready(context: bpy.types.Context, character: Any) -> Any:
    """The character that is meant. :raises UnderstudyError: ``busy`` while it performs."""
    character = character or cast.active(context)
    if character is not None and session.job_of(character) is not None:
        raise UnderstudyError("busy", f"{character.name} is performing already.", "Wait for it, or cancel it first.")
    return character


def submit(request: MotionRequest, owner: Performance) -> Job:
    """Send a request, and go on until its result is on the rig."""
    job = session.desk().submit(request, owner)
    session.keep_pumping()
    return job


def request_facts(character: Any, request: MotionRequest, start: float) -> dict[str, Any]:
    """What is kept with the take of where it came from."""
    return {"seed": request.seed, "directions": timeline.to_json(request.directions), "sound": request.audio_name,
            "start_frame": start, "fps": request.fps, "speech": acting.signature(request.audio, request.transcript),
            "lane": words.lane_mark(character)}


def seeds_of(character: Any) -> list[int]:
    """The seeds of as many variations as the artist wants."""
    settings = character.understudy
    return [(settings.seed + n) % 2**31 for n in range(settings.variations)]


def begin(context: bpy.types.Context, character: Any = None, *, seeds: Sequence[int] = ()) -> Job:
    """Ask for a performance; the job runs on while :func:`.session.pump` is called.

    :param seeds: perform with the first of these, and (with a window) with the others afterwards.
    :raises UnderstudyError: for anything that is wrong before the bridge is asked.
    """
    character = ready(context, character)
    request = build_request(context, character)
    if seeds:
        request.seed = seeds[0]
    session.tell(character, None)
    start = speech.origin(context, character)
    facts = request_facts(character, request, start)
    return submit(request, Performance(compat.session_uid(character), start, facts, following=tuple(seeds[1:])))
