# SPDX-License-Identifier: GPL-3.0-or-later
"""The Perform button, its progress and its cancel."""

from typing import Any

import bpy

from . import cast, compat, remarks, session, takes, translations
from .shared.errors import UnderstudyError
from .sidebar import Staying

__all__ = ["CLASSES", "Performing", "draw", "reason_not_to_perform"]


class Performing(Staying):
    """Mix-in for operators that begin a job: wait in the background, stay and hear Esc with a window."""

    bl_options = {"REGISTER"}
    _job_id = ""
    _owner: Any = None
    """What the job is for, which knows in the end what was remarked about the result; it holds nothing of Blender's."""

    def _began(self, job: Any) -> Any:
        self._job_id, self._owner = job.id, job.owner
        return job

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is a character that is not performing already."""
        reason = cls.reason(context)
        if reason:
            cls.poll_message_set(reason)  # type: ignore[attr-defined]
        return not reason

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        """Why it is greyed, or ""."""
        return reason_not_to_perform(context)

    def begin(self, context: bpy.types.Context, character: Any) -> Any:
        """Begin, and return the job."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> set[str]:
        """In the background: wait for the take. With a window: begin, and come back at once."""
        character = cast.active(context)
        try:
            job = self._began(self.begin(context, character))
            if bpy.app.background:
                from . import batch

                batch.wait_for(job, batch.print_progress)
                remarks.report(self, job.owner.remarks)
                while job.owner.following:
                    job = self._began(job.owner.next(context, character))
                    batch.wait_for(job, batch.print_progress)
                    remarks.report(self, job.owner.remarks)
        except UnderstudyError as error:
            return cast.refuse(self, character, error)  # type: ignore[arg-type]
        return {"FINISHED"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Esc cancels; everything else is left to Blender."""
        job = session.desk().jobs.get(self._job_id)
        if job is None or not job.open:
            if self._owner is not None and not self._owner.ended:
                return {"PASS_THROUGH"}  # its result is being put onto the rig
            if self._owner is not None:
                remarks.report(self, self._owner.remarks)
                self._owner = None
            character = cast.active(context)
            # of several variations the next one has begun
            following = session.job_of(character)
            if following is not None:
                self._began(following)
                return {"PASS_THROUGH"}
            self.cancel(context)
            error = session.notices.get(compat.session_uid(character)) if character else None
            if error is not None:
                self.report({"ERROR"}, str(error))  # type: ignore[attr-defined]
                return {"CANCELLED"}
            return {"FINISHED"}
        if self.given_up(context, event):
            session.cancel(job)
            self.cancel(context)
            self.report({"INFO"}, "The performance was cancelled")  # type: ignore[attr-defined]
            return {"CANCELLED"}
        return {"PASS_THROUGH"}


class UNDERSTUDY_OT_perform(Performing, bpy.types.Operator):
    """Perform the directions and the speech as a new take, or several (Esc cancels)"""

    bl_idname = "understudy.perform"
    bl_label = "Perform"

    def begin(self, context: bpy.types.Context, character: Any) -> Any:
        """One job; the other variations follow it."""
        from . import jobs

        return jobs.begin(context, character, seeds=jobs.seeds_of(character))


def reason_not_to_perform(context: bpy.types.Context) -> str:
    """Why Perform is greyed, or ""."""
    character = cast.active(context)
    if character is None:
        return cast.NO_CHARACTER
    if session.job_of(character) is not None:
        return f"{character.name} is performing already"
    settings = character.understudy
    if settings.sound_source == "NONE" and not any(d.enabled for d in settings.directions):
        return "Choose the speech or add a direction first"
    return ""


class UNDERSTUDY_OT_cancel(bpy.types.Operator):
    """Stop the performance that is being made; takes and directions stay as they are"""

    bl_idname = "understudy.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether something is being made."""
        if session.job_of(cast.active(context)) is None:
            cls.poll_message_set("Nothing is being performed")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Give the job up."""
        job = session.job_of(cast.active(context))
        if job is not None:
            session.cancel(job)
        return {"FINISHED"}


def _advanced(layout: Any, settings: Any) -> None:
    """What is seldom changed, folded away."""
    header, body = layout.panel("understudy_advanced", default_closed=True)
    header.label(text="Advanced")
    if body is None:
        return
    body.use_property_split = True
    body.use_property_decorate = False
    for name in ("text_guidance", "audio_guidance", "temperature"):
        body.prop(settings, name, slider=True)
    row = body.row()
    row.active = settings.key_mode == "SIMPLIFIED"
    row.prop(settings, "face_error", slider=True)


def draw(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """The panel's content."""
    from . import lock_ops, regenerate, terms

    settings = character.understudy
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    terms.draw(column, settings)
    for name in ("amplitude", "tempo", "energy"):
        column.prop(settings, name, slider=True)
    column.prop(settings, "keep_time")
    column.prop(settings, "root")
    column.prop(settings, "key_mode")
    if settings.key_mode == "SIMPLIFIED":
        column.prop(settings, "key_angle")
        column.prop(settings, "key_distance")
    row = column.row(align=True)
    row.prop(settings, "seed")
    row.prop(settings, "seed_locked", text="", icon="LOCKED" if settings.seed_locked else "UNLOCKED")
    _advanced(layout, settings)
    job = session.job_of(character)
    if job is None:
        main = layout.row()
        main.scale_y = 1.5
        main.operator("understudy.perform", icon="PLAY")
        layout.prop(settings, "variations")
        if reason := reason_not_to_perform(context):
            layout.label(text=translations.sentence(reason), icon="INFO", translate=False)
    else:
        row = layout.row(align=True)
        row.progress(factor=job.fraction, text=job.label, type="BAR")
        row.operator("understudy.cancel", text="", icon="X")
        if getattr(job.owner, "stretches", ()):
            layout.label(text="A part of a take appears when all of it is made", icon="INFO")
    takes.draw(layout, context, character)
    if (take := takes.current(character)) is not None:
        terms.draw_take(layout, take.action)
        remarks.draw_take(layout, context, take.action)
    regenerate.draw(layout, context, character)
    lock_ops.draw(layout, context, character)


CLASSES = (UNDERSTUDY_OT_perform, UNDERSTUDY_OT_cancel)
