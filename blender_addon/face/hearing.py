# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the bridge what is said, for the words and for suggested directions; nothing is performed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import EnumProperty, StringProperty

from .. import cast, compat, directions, remarks, session, sound, speech, translations
from ..performance import Performing
from ..shared.errors import UnderstudyError
from ..sidebar import paragraph
from . import acting, words

if TYPE_CHECKING:
    from ..core.desk import Job
    from ..shared.face_requests import Heard

__all__ = ["CLASSES", "begin", "draw_suggestion", "draw_transcript", "place"]


@dataclass
class Listening:
    """The owner of a job of kind ``speech``.

    :ivar character: session uid of the armature. :ivar start: frame at second 0 of the speech.
    :ivar signature: of the speech and the transcript that were sent.
    :ivar remarks: what the bridge remarked about the speech, once it was heard.
    """

    character: int
    start: float
    signature: str
    suggest: bool
    ended: bool = False
    remarks: tuple[str, ...] = ()

    def tick(self, job: "Job") -> None:
        """Nothing is shown before it is complete."""

    def cancelled(self) -> None:
        """Nothing has been changed."""
        self.ended = True

    def finish(self, job: "Job") -> None:
        """Nothing is left over."""

    def finished(self, job: "Job") -> None:
        """Take over the words and place the suggestions, as one undo step; or tell what went wrong."""
        self.ended = True
        character = next((o for o in bpy.data.objects if compat.session_uid(o) == self.character and o.type == "ARMATURE"), None)
        if character is None:
            return
        if job.heard is not None:
            self.remarks = tuple(remarks.sentences({"warnings": job.heard.warnings}))
            remarks.note(character.name, self.remarks)
            take_over(character, job.heard, self.start, self.signature, suggested=self.suggest)
            session.push_undo("Suggest Directions" if self.suggest else "Find Words")
        cancelled = job.error is not None and job.error.code == "cancelled"
        session.tell(character, None if cancelled else job.error)


def take_over(character: Any, heard: "Heard", start: float, signature: str, *, suggested: bool) -> None:
    """Words onto the lane; suggestions as strips, in the place of former suggestions."""
    rate = cast.fps(bpy.context.scene)
    settings = character.understudy_face
    if not len(settings.words) or settings.words_for != signature or not suggested:
        words.fill(character, heard.words, start, rate)
        settings.words_for = signature
    if suggested:
        place(character, heard, start, rate)
    settings.heard_note = "\n".join(remarks.sentences({"warnings": heard.warnings}))


def place(character: Any, heard: "Heard", start: float, rate: float) -> int:
    """Suggestions as ordinary strips with their reasons; former suggestions go. Returns how many."""
    items = character.understudy.directions
    for n in reversed(range(len(items))):
        if items[n].reason:
            items.remove(n)
    for suggestion in heard.suggestions:
        item = directions.add(items, suggestion.direction, start, rate)
        item.reason = suggestion.reason
    character.understudy.direction_index = max(0, len(items) - 1)
    return len(heard.suggestions)


def begin(context: bpy.types.Context, character: Any, *, suggest: bool) -> "Job":
    """Ask the bridge. :raises UnderstudyError: for what is wrong before it is asked."""
    from ..shared.face_requests import SpeechRequest

    if session.job_of(character) is not None:
        raise UnderstudyError("busy", f"{character.name} is performing already.", "Wait for it, or cancel it first.")
    content, name, _ = sound.read(context, character)
    if content is None:
        raise UnderstudyError("audio_missing", "There is no speech to listen to.", "Choose the speech first.")
    transcript = acting.transcript_of(character)
    if suggest and not transcript.strip():
        raise UnderstudyError("request_invalid", "Directions are suggested for a transcript, and there is none.",
                              "Write what is said into the transcript, or choose a text.")
    language = acting.of(character).language
    request = SpeechRequest(content, name, transcript, "" if language == "unknown" else language, suggest)
    session.tell(character, None)
    start = speech.origin(context, character)
    owner = Listening(compat.session_uid(character), start, acting.signature(content, transcript), suggest)
    job = session.desk().submit(request, owner)
    session.keep_pumping()
    return job


class _Hearing(Performing):
    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        """Why it is greyed, or ""."""
        character = cast.active(context)
        if character is None:
            return cast.NO_CHARACTER
        if session.job_of(character) is not None:
            return f"{character.name} is performing already"
        return "Choose the speech first" if character.understudy.sound_source == "NONE" else ""

    def execute(self, context: bpy.types.Context) -> set[str]:
        """In the background: wait for the words. With a window: begin, and come back at once."""
        character = cast.active(context)
        try:
            job = self._began(self.begin(context, character))
            while bpy.app.background and not job.owner.ended:  # type: ignore[attr-defined]
                session.pump(0.1)
            if job.error is not None:
                raise job.error
        except UnderstudyError as error:
            return cast.refuse(self, character, error)  # type: ignore[arg-type]
        remarks.report(self, job.owner.remarks)
        return {"FINISHED"}


class UNDERSTUDY_OT_find_words(_Hearing, bpy.types.Operator):
    """Find the words of the speech, or its sounds where there is no transcript, and show them over the Timeline"""

    bl_idname = "understudy.find_words"
    bl_label = "Find Words"

    def begin(self, context: bpy.types.Context, character: Any) -> "Job":
        """Words alone."""
        return begin(context, character, suggest=False)


class UNDERSTUDY_OT_suggest_directions(_Hearing, bpy.types.Operator):
    """Place directions for what is said, each with its reason, for you to look at; nothing is performed"""

    bl_idname = "understudy.suggest_directions"
    bl_label = "Suggest Directions"

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        """Why it is greyed, or ""."""
        found = super().reason(context)
        if not found and not acting.transcript_of(cast.active(context)).strip():
            return "Write what is said into the transcript first"
        return found

    def begin(self, context: bpy.types.Context, character: Any) -> "Job":
        """Words and suggestions."""
        return begin(context, character, suggest=True)


class UNDERSTUDY_OT_suggestion(bpy.types.Operator):
    """Keep a suggested direction as one of your own, or drop it"""

    bl_idname = "understudy.suggestion"
    bl_label = "Suggestion"
    bl_options = {"REGISTER", "UNDO"}

    action: EnumProperty(name="Action", items=[
        ("KEEP", "Keep", "Keep this direction as one of your own"), ("DROP", "Drop", "Delete this suggested direction"),
        ("DROP_ALL", "Drop All", "Delete all suggested directions that you have not kept")])
    identity: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is a suggestion."""
        character = cast.active(context)
        if character is None or not any(d.reason for d in character.understudy.directions):
            cls.poll_message_set("There is no suggestion: press Suggest Directions")
            return False
        return True

    @classmethod
    def description(cls, context: bpy.types.Context, properties: Any) -> str:
        """The tooltip of the action."""
        return {"KEEP": "Keep this direction as one of your own", "DROP": "Delete this suggested direction",
                "DROP_ALL": "Delete all suggested directions that you have not kept"}[properties.action]

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Do it."""
        settings = cast.active(context).understudy
        items = settings.directions
        if self.action == "DROP_ALL":
            gone = [d.uuid for d in items if d.reason]
        else:
            active = items[settings.direction_index] if settings.direction_index < len(items) else None
            item = next((d for d in items if d.uuid == self.identity), None) if self.identity else active
            if item is None or not item.reason:
                self.report({"ERROR"}, "This is not a suggestion")
                return {"CANCELLED"}
            if self.action == "KEEP":
                item.reason = ""
                return {"FINISHED"}
            gone = [item.uuid]
        for n in reversed(range(len(items))):
            if items[n].uuid in gone:
                items.remove(n)
        settings.direction_index = max(0, min(settings.direction_index, len(items) - 1))
        return {"FINISHED"}


def draw_transcript(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """Transcript and the two buttons, for the panel of the speech."""
    settings = acting.of(character)
    row = layout.row(align=True)
    if settings.text is None:
        row.prop(character.understudy, "transcript", icon="TEXT")
    row.prop(settings, "text", text="" if settings.text is None else "Transcript", icon_only=settings.text is None)
    layout.prop(settings, "language")
    for sentence in character.understudy_face.heard_note.splitlines():
        paragraph(layout, context, translations.sentence(sentence), "INFO")
    row = layout.row(align=True)
    row.operator("understudy.find_words", icon="ALIGN_JUSTIFY")
    row.operator("understudy.suggest_directions", icon="OUTLINER_OB_LIGHT")


def draw_suggestion(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """Why the active direction was suggested, with one click to keep or drop it."""
    settings = character.understudy
    if not 0 <= settings.direction_index < len(settings.directions):
        return
    item = settings.directions[settings.direction_index]
    if not item.reason:
        return
    box = layout.box()
    paragraph(box, context, item.reason, "OUTLINER_OB_LIGHT")
    row = box.row(align=True)
    for action, label, icon in (("KEEP", "Keep", "CHECKMARK"), ("DROP", "Drop", "X"), ("DROP_ALL", "Drop All", "TRASH")):
        properties = row.operator("understudy.suggestion", text=label, icon=icon)
        properties.action, properties.identity = action, item.uuid


CLASSES = (UNDERSTUDY_OT_find_words, UNDERSTUDY_OT_suggest_directions, UNDERSTUDY_OT_suggestion)
