# SPDX-License-Identifier: GPL-3.0-or-later
"""Films and looks at pictures as jobs of the bridge: who waits for them, and what is done with what comes back."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from .. import compat, session
from ..shared.errors import UnderstudyError
from . import landing, picture, preview
from .settings import film_of, picture_of

if TYPE_CHECKING:
    from ..core.desk import Job
    from ..shared.films import Film, Look

__all__ = ["Filming", "Looking", "begin", "job_of", "look", "looking_at"]

_log = logging.getLogger("understudy.film")



@dataclass
class _Owner:
    """What both kinds have in common. :ivar character: -1, so that a film never stands in the way of a performance."""

    subject: int
    character: int = -1
    ended: bool = False

    def tick(self, job: "Job") -> None:
        """Nothing to do in between."""

    def finish(self, job: "Job") -> None:
        """Nothing is put onto a rig a little at a time."""

    def cancelled(self) -> None:
        """It was given up here."""
        self.ended = True


@dataclass
class Filming(_Owner):
    """Waits for a film. :ivar first: scene frame of the whole film's first frame. :ivar path: of the film, once written."""

    first: int = 0
    folder: Path = Path()
    has_sound: bool = False
    land: str = "SEQUENCER"
    part: bool = False
    path: Path | None = None
    notes: tuple[str, ...] = ()

    def tick(self, job: "Job") -> None:
        """Show what is drawn."""
        if job.preview is not None:
            preview.show(job.preview[1])

    def finished(self, job: "Job") -> None:
        """Write the film and land it, as one undo step; or tell what went wrong."""
        self.ended = True
        preview.clear()
        character = landing.by_uid(self.subject)
        if job.film is not None:
            try:
                self._land(character, job.film)
            except UnderstudyError as error:
                job.state, job.error = "failed", error
            except Exception as error:  # the timer must live on, and the artist must hear of it
                _log.exception("the film could not be landed")
                job.state, job.error = "failed", UnderstudyError(
                    "internal", f"The film could not be laid into the scene ({type(error).__name__}: {error}).",
                    f"It is in {self.path}." if self.path else "Please report this, with the add-on's log file.")
        cancelled = job.error is not None and job.error.code == "cancelled"
        session.tell(character, None if cancelled else job.error)

    def cancelled(self) -> None:
        self.ended = True
        preview.clear()

    def _land(self, character: Any, film: "Film") -> None:
        self.path = landing.write(film, self.folder, landing.name_of(character) if character is not None else "film")
        self.notes = film.notes
        if character is None:
            raise UnderstudyError("character_missing", "The character was deleted while it was filmed.", f"The film is in {self.path}.")
        settings, start = film_of(character), self.first + film.first
        with compat.window_override():
            context = bpy.context
            if self.land == "SEQUENCER" or (self.land == "PLANE" and self.part):
                heard = self.has_sound and not self.part
                self.notes += tuple(landing.into_sequencer(context, character, self.path, start, film.frames, heard))
            elif self.land == "PLANE":
                landing.onto_plane(context, character, self.path, start, film.frames, (film.width, film.height))
            if not self.part:
                settings.made_path, settings.made_first, settings.made_last = str(self.path), start, start + film.frames - 1
                settings.again_first, settings.again_last = start, start + min(film.frames, 50) - 1
            if settings.photo is not None:
                picture_of(settings.photo).notes = "\n".join(self.notes)
            bpy.ops.ed.undo_push(message="Film Again" if self.part else "Film")


@dataclass
class Looking(_Owner):
    """Waits for what the bridge sees in a picture; ``subject`` is the picture's session uid."""

    def finished(self, job: "Job") -> None:
        """Keep the points with the picture."""
        self.ended = True
        image: Any = next((i for i in bpy.data.images if compat.session_uid(i) == self.subject), None)
        if job.film is not None and image is not None:
            _place(image, job.film)
            with compat.window_override():
                bpy.ops.ed.undo_push(message="Place Points")
        elif job.error is not None and job.error.code != "cancelled":
            session.tell(None, job.error)


def _place(image: Any, seen: "Look") -> None:
    from ..core.film_points import NAMES, Point

    scale = image.size[0] / max(seen.width, 1), image.size[1] / max(seen.height, 1)
    found = [Point(float(x) * scale[0], float(y) * scale[1], bool(sure > 0)) for x, y, sure in seen.points[: len(NAMES)]]
    # what was not seen still needs a place from which it can be dragged
    width, height = image.size
    inside = [Point(min(max(p.x, 0.03 * width), 0.97 * width), min(max(p.y, 0.03 * height), 0.97 * height), False) for p in found]
    picture.set_points(image, [p if p.shown else moved for p, moved in zip(found, inside, strict=True)])
    kept = picture_of(image)
    kept.placed_by, kept.notes = seen.placed_by, "\n".join(seen.notes)


def job_of(character: Any) -> "Job | None":
    """The open film of a character."""
    uid = compat.session_uid(character)
    return next((j for j in session.open_jobs() if isinstance(j.owner, Filming) and j.owner.subject == uid), None)


def looking_at(image: Any) -> "Job | None":
    """The open look at a picture."""
    uid = compat.session_uid(image)
    return next((j for j in session.open_jobs() if isinstance(j.owner, Looking) and j.owner.subject == uid), None)


def begin(context: bpy.types.Context, character: Any, part: tuple[int, int] | None = None, tick: Any = None) -> "Job":
    """Order a film; the job runs on while :func:`..session.pump` is called.

    :raises UnderstudyError: for anything that is wrong before the bridge is asked.
    """
    from . import order

    if job_of(character) is not None:
        raise UnderstudyError("busy", f"{character.name} is being filmed already.", "Wait for it, or cancel it first.")
    shot = order.build(context, character, part, tick)
    session.tell(character, None)
    owner = Filming(compat.session_uid(character), first=int(shot.first), folder=shot.folder, has_sound=shot.has_sound,
                    land=film_of(character).landing, part=part is not None)
    job = session.desk().submit(shot.order, owner)
    session.keep_pumping()
    return job


def look(image: Any) -> "Job":
    """Let the bridge look where the body is in a picture. :raises UnderstudyError: where the picture cannot be read."""
    import numpy as np

    from ..shared.films import FilmOrder

    content, name = picture.content_of(image)
    session.tell(None, None)
    order = FilmOrder("look", np.frombuffer(content, np.uint8), name)
    job = session.desk().submit(order, Looking(compat.session_uid(image)))
    session.keep_pumping()
    return job
