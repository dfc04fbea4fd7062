# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with films: choose the picture, state its permission, look, film, film a stretch again, cancel."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from .. import cast, compat, session
from ..shared.errors import UnderstudyError
from ..sidebar import Staying
from . import job as jobs
from . import order, picture
from .settings import film_of, picture_of

__all__ = ["CLASSES"]

_REASONS = [
    ("SELF", "Shows me", "You are the person in the picture"),
    ("CONSENT", "Is used with consent", "The person in it has agreed to this use"),
    ("LICENCE", "Is free to use", "Its licence allows this use, and no person's rights are in the way"),
    ("FICTION", "Shows nobody real", "It was drawn, rendered or generated"),
]
_PICTURES = "*.jpg;*.jpeg;*.png;*.webp;*.tif;*.tiff;*.bmp"


class _OfCharacter:
    """For operators that need a character."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether it can be done; the reason is told where it cannot."""
        reason = cls.reason(context)
        if reason:
            cls.poll_message_set(reason)  # type: ignore[attr-defined]
        return not reason

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        """Why it is greyed, or ""."""
        return cast.NO_CHARACTER if cast.active(context) is None else ""


class _OfPicture(_OfCharacter):
    """For operators that need the character's reference picture."""

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        """Why it is greyed, or ""."""
        character = cast.active(context)
        if character is None:
            return cast.NO_CHARACTER
        return "" if film_of(character).photo is not None else "Choose a reference picture first"


class UNDERSTUDY_OT_film_picture(_OfCharacter, bpy.types.Operator, ImportHelper):
    """Choose the photograph of the person who is to perform"""

    bl_idname = "understudy.film_picture"
    bl_label = "Choose Picture"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default=_PICTURES, options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Load it, and let a connected bridge look at it."""
        character = cast.active(context)
        try:
            image = picture.load(Path(bpy.path.abspath(self.filepath)))
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        cast.clear_notice(character)
        film_of(character).photo = image
        # placed at once where nobody has to wait for a bridge that starts
        if not picture.points_of(image) and session.link_state()[0] == "ready" and not bpy.app.background:
            jobs.look(image)
        return {"FINISHED"}


class UNDERSTUDY_OT_film_permit(_OfPicture, bpy.types.Operator):
    """State who allows that this picture is used; asked once for each picture, and kept in every film of it"""

    bl_idname = "understudy.film_permit"
    bl_label = "State Permission"
    bl_options = {"REGISTER", "UNDO"}

    kind: EnumProperty(name="The picture", items=_REASONS)
    words: StringProperty(name="In Your Words", description="Name, date, licence or contract: what you would show if asked")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask."""
        return set(context.window_manager.invoke_props_dialog(self, width=420))

    def draw(self, context: bpy.types.Context) -> None:
        """The question."""
        layout: Any = self.layout
        image = film_of(cast.active(context)).photo
        layout.label(text=f"A film of {image.name} shows a person doing what they did not do.", icon="USER")
        layout.label(text="State why this picture may be used. The statement is kept in the film.")
        layout.prop(self, "kind")
        layout.prop(self, "words")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Keep the statement with the picture, as the file is now."""
        character = cast.active(context)
        image = film_of(character).photo
        said = next(name for key, name, _ in _REASONS if key == self.kind)
        try:
            digest = picture.digest_of(image)
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        kept = picture_of(image)
        kept.permission = f"The picture {said[:1].lower()}{said[1:]}" + (f": {self.words.strip()}" if self.words.strip() else "")
        kept.permission_digest = digest
        cast.clear_notice(character)
        return {"FINISHED"}


class UNDERSTUDY_OT_film_look(_OfPicture, bpy.types.Operator):
    """Let the bridge place the body's points: by a detector where one is installed, else from the face and usual proportions"""

    bl_idname = "understudy.film_look"
    bl_label = "Place Points"

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        """Why it is greyed, or ""."""
        reason = super().reason(context)
        if not reason and jobs.looking_at(film_of(cast.active(context)).photo) is not None:
            return "The picture is being looked at"
        return reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask, and in the background wait."""
        character = cast.active(context)
        try:
            job = jobs.look(film_of(character).photo)
            if bpy.app.background:
                session.wait_for(job)
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        return {"FINISHED"}


class UNDERSTUDY_OT_film_renderer(_OfCharacter, bpy.types.Operator):
    """Choose what draws the film"""

    bl_idname = "understudy.film_renderer"
    bl_label = "Choose Renderer"
    bl_options = {"REGISTER", "UNDO"}

    name: StringProperty()

    @classmethod
    def description(cls, context: bpy.types.Context, properties: Any) -> str:
        """What it is, what it needs, and why it cannot run."""
        found = next((r for r in order.renderers() if r.name == properties.name), None)
        return "" if found is None else " ".join(filter(None, (f"{found.summary}.", found.why_not, found.needs)))

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remember the choice."""
        film_of(cast.active(context)).renderer = self.name
        return {"FINISHED"}


class UNDERSTUDY_MT_film_renderer(bpy.types.Menu):
    """The renderers of the bridge; those that cannot run there say why"""

    bl_idname = "UNDERSTUDY_MT_film_renderer"
    bl_label = "Renderer"

    def draw(self, context: bpy.types.Context) -> None:
        """One line each."""
        for one in order.renderers():
            row = self.layout.row()
            text = one.name if not one.why_not else f"{one.name}: {one.why_not}"
            row.enabled = not one.why_not
            row.operator("understudy.film_renderer", text=text, icon="NONE" if row.enabled else "ERROR").name = one.name


class _Filming(_OfCharacter, Staying):
    """Begin in the window, wait in the background; with a window stay to hear Esc."""

    bl_options = {"REGISTER"}
    _job: Any = None

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        """Why it is greyed, or ""."""
        return order.reason_not_to_film(context)

    def part(self, context: bpy.types.Context) -> tuple[int, int] | None:
        """Frames that are drawn, None for all."""
        return None

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Order the film."""
        from ..batch import print_progress

        character, manager = cast.active(context), context.window_manager
        manager.progress_begin(0.0, 1.0)
        try:
            self._job = jobs.begin(context, character, self.part(context), manager.progress_update)
            manager.progress_end()
            if bpy.app.background:
                session.wait_for(self._job, print_progress)
        except UnderstudyError as error:
            manager.progress_end()
            return cast.refuse(self, character, error)  # type: ignore[arg-type]
        return {"FINISHED"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Esc cancels; everything else is left to Blender."""
        job = self._job
        if not job.open:
            self.cancel(context)
            if job.error is not None and job.error.code != "cancelled":
                self.report({"ERROR"}, str(job.error))  # type: ignore[attr-defined]
                return {"CANCELLED"}
            if job.film is not None:
                self.report({"INFO"}, f"The film is in {job.owner.path}")  # type: ignore[attr-defined]
            return {"FINISHED"}
        if self.given_up(context, event):
            session.cancel(job)
            self.cancel(context)
            self.report({"INFO"}, "The film was cancelled; filming again goes on where it was")  # type: ignore[attr-defined]
            return {"CANCELLED"}
        return {"PASS_THROUGH"}


class UNDERSTUDY_OT_film(_Filming, bpy.types.Operator):
    """Film the person of the picture, who moves and speaks as the character does in the scene (Esc cancels)"""

    bl_idname = "understudy.film"
    bl_label = "Film"


class UNDERSTUDY_OT_film_again(_Filming, bpy.types.Operator):
    """Film these frames again and lay them over the film; the rest of it stays as it is"""

    bl_idname = "understudy.film_again"
    bl_label = "Film Frames Again"

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        """Why it is greyed, or ""."""
        character = cast.active(context)
        if character is not None and not film_of(character).made_path:
            return "There is no film yet: press Film"
        return super().reason(context)

    def part(self, context: bpy.types.Context) -> tuple[int, int] | None:
        """The chosen frames."""
        settings = film_of(cast.active(context))
        return settings.again_first, settings.again_last


class UNDERSTUDY_OT_film_cancel(_OfCharacter, bpy.types.Operator):
    """Stop the film that is being made; what is drawn is kept, and filming again goes on from there"""

    bl_idname = "understudy.film_cancel"
    bl_label = "Cancel Film"

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        """Why it is greyed, or ""."""
        character = cast.active(context)
        if character is None:
            return cast.NO_CHARACTER
        return "" if jobs.job_of(character) is not None else "Nothing is being filmed"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Give the job up."""
        job = jobs.job_of(cast.active(context))
        if job is not None:
            session.cancel(job)
        return {"FINISHED"}


class UNDERSTUDY_OT_film_edit_points(_OfPicture, bpy.types.Operator):
    """Show the picture with the body's points in an Image Editor; drag them there"""

    bl_idname = "understudy.film_edit_points"
    bl_label = "Edit Points"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """In an Image Editor that is open, else in a window of its own."""
        from ..core.film_points import standing

        character = cast.active(context)
        image = film_of(character).photo
        if not picture.points_of(image):
            picture.set_points(image, standing(tuple(image.size)))
        film_of(character).show_points = True
        if bpy.app.background:
            return {"FINISHED"}
        area = next((a for w in context.window_manager.windows for a in w.screen.areas if a.type == "IMAGE_EDITOR"), None)
        if area is None:
            with compat.window_override():
                bpy.ops.wm.window_new()
            area = context.window_manager.windows[-1].screen.areas[0]
            area.type = "IMAGE_EDITOR"
        area.spaces.active.image = image
        area.tag_redraw()
        return {"FINISHED"}


CLASSES = (
    UNDERSTUDY_OT_film_picture, UNDERSTUDY_OT_film_permit, UNDERSTUDY_OT_film_look, UNDERSTUDY_OT_film_renderer,
    UNDERSTUDY_MT_film_renderer, UNDERSTUDY_OT_film, UNDERSTUDY_OT_film_again, UNDERSTUDY_OT_film_cancel,
    UNDERSTUDY_OT_film_edit_points,
)
