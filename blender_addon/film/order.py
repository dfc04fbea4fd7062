# SPDX-License-Identifier: GPL-3.0-or-later
"""From the panel and the scene to the order of a film."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

from .. import cast, session, sound, speech, takes
from ..shared.errors import UnderstudyError
from . import picture
from .settings import film_of, picture_of

if TYPE_CHECKING:
    from ..core.film_estimate import Renderer
    from ..shared.films import FilmOrder

__all__ = ["Shot", "build", "film_frames", "film_shape", "folder_of", "reason_not_to_film", "renderer_of", "renderers"]

MAX_FRAMES = 20_000


@dataclass(frozen=True)
class Shot:
    """An order and where its result belongs. :ivar first: scene frame of the film's first frame; :ivar frames: of the whole film."""

    order: "FilmOrder"
    first: float
    frames: int
    rate: float
    folder: Path
    has_sound: bool


def renderers() -> "list[Renderer]":
    """Those of the connected bridge; without one, the embedded one."""
    from ..core.film_estimate import renderers_of

    link = session.link_state()[1]
    return renderers_of(link.welcome if link is not None else {})


def renderer_of(character: Any) -> "Renderer":
    """The chosen renderer, as far as it is known."""
    from ..core.film_estimate import Renderer

    name = film_of(character).renderer
    return next((r for r in renderers() if r.name == name), Renderer(name))


def film_frames(context: bpy.types.Context, character: Any) -> tuple[int, int]:
    """First and last scene frame of the film."""
    settings, scene = film_of(character), context.scene
    take = takes.current(character)
    if settings.span == "FRAMES":
        return settings.first, settings.last
    if settings.span == "TAKE" and take is not None and take.action is not None:
        first, last = take.action.frame_range
        return int(np.ceil(first)), int(np.floor(last))
    return scene.frame_start, scene.frame_end


def film_shape(context: bpy.types.Context, character: Any) -> tuple[int, int]:
    """(width, height) of the film in pixels."""
    from ..core.film_estimate import film_size
    from .scene_camera import picture_size

    settings = film_of(character)
    image = settings.photo
    shape = (int(image.size[0]), int(image.size[1])) if settings.shape == "PHOTO" and image is not None else picture_size(context.scene)
    return film_size((max(shape[0], 1), max(shape[1], 1)), settings.short_side)


def folder_of(character: Any) -> Path:
    """Where films are written. :raises UnderstudyError: ``file_missing`` for a place beside a .blend that is not saved."""
    chosen = film_of(character).folder
    if chosen.startswith("//") and not bpy.data.filepath:
        raise UnderstudyError("file_missing", "Films are to be written beside the .blend file, which has not been saved.",
                              "Save it first, or choose another folder.")
    return Path(bpy.path.abspath(chosen or "//"))


def reason_not_to_film(context: bpy.types.Context) -> str:
    """Why Film is greyed, or ""."""
    character = cast.active(context)
    if character is None:
        return cast.NO_CHARACTER
    from .job import job_of

    if job_of(character) is not None:
        return f"{character.name} is being filmed already"
    settings = film_of(character)
    if settings.photo is None:
        return "Choose a reference picture first"
    try:
        if not picture.permitted(settings.photo):
            return "State first that this picture may be used"
        folder_of(character)
    except UnderstudyError as error:
        return error.message.rstrip(".")
    if settings.framing == "scene" and context.scene.camera is None:
        return "The scene has no camera: add one, or choose another framing"
    if renderer_of(character).takes_driving and settings.framing != "scene":
        return f"{settings.renderer} is shown the character by the scene's camera: choose the framing Scene Camera"
    first, last = film_frames(context, character)
    if last <= first:
        return "There is nothing to film: the last frame is not after the first"
    lacking = renderer_of(character)
    if lacking.why_not:
        return f"{lacking.name} cannot run: {lacking.why_not.rstrip('.')}"
    points = picture.points_of(settings.photo)
    if points:
        from ..core.film_points import missing

        if absent := missing(points):
            return f"Place on the picture: {', '.join(absent)}"
    return ""


def build(context: bpy.types.Context, character: Any, part: tuple[int, int] | None = None,
          tick: Callable[[float], None] | None = None) -> Shot:
    """Read everything that the film needs; nothing in the scene is changed.

    :param part: scene frames (first, last) that are drawn, of the whole film; None for all. :param tick: told the share that is read.
    :raises UnderstudyError: with the first thing that is wrong.
    """
    from ..core.film_points import to_array
    from ..shared.films import FilmOrder
    from .performer import read_performer

    cast.mapping_of(character).check()
    settings, scene, rate = film_of(character), context.scene, cast.fps(context.scene)
    if not 1 <= rate <= 120:
        raise UnderstudyError("request_invalid", f"A film cannot have {rate:g} frames per second.", "Set the scene's rate to 1 to 120.")
    content, name = picture.content_of(settings.photo)
    if not picture.permitted(settings.photo):
        raise UnderstudyError("request_invalid", "Nobody has stated that the reference picture may be used.",
                              "Press State Permission in the Film panel.")
    folder = folder_of(character)
    first, last = film_frames(context, character)
    if last <= first or last - first >= MAX_FRAMES:
        raise UnderstudyError("request_invalid", f"A film from frame {first} to frame {last} cannot be made.",
                              f"Choose 2 to {MAX_FRAMES} frames.")
    if part is not None and not first <= part[0] < part[1] <= last:
        raise UnderstudyError("request_invalid", f"Frames {part[0]} to {part[1]} do not lie within the film, {first} to {last}.",
                              "Choose frames within it.")
    heard, heard_name, _ = sound.read(context, character)
    width, height = film_shape(context, character)
    seen = read_performer(scene, character, [float(n) for n in range(first, last + 1)], camera=settings.framing == "scene", tick=tick)
    placed = picture.points_of(settings.photo)
    driving = None
    if renderer_of(character).takes_driving:
        from .driving import film_character

        driving = film_character(scene, character, (first, last), (width, height))
    take = takes.current(character)
    facts = takes.facts_of(take.action) if take is not None and take.action is not None else {}
    face = np.stack(list(seen.face.values()), 1) if seen.face else None
    order = FilmOrder(
        photo=np.frombuffer(content, np.uint8), photo_name=name, audio=heard, audio_name=heard_name,
        audio_start=(first - speech.origin(context, character)) / rate if heard is not None else 0.0,
        positions=seen.joints.positions.astype(np.float32), turns=seen.joints.turns.astype(np.float32), known=seen.joints.known,
        driving=driving, driving_name="" if driving is None else "driving.mp4", offsets=seen.joints.offsets.astype(np.float32),
        performance_fps=rate, face=face, face_names=list(seen.face),
        floor=seen.joints.floor, view=seen.views, projection=seen.projections, camera_width=max(seen.size[0], 16),
        camera_height=max(seen.size[1], 16), points=to_array(placed) if placed else None, renderer=settings.renderer,
        framing=settings.framing, width=width, height=height, fps=rate, seed=settings.seed, quality=settings.quality,
        format=settings.file_format, permission=picture_of(settings.photo).permission, mark=settings.mark,
        part_start=None if part is None else (part[0] - first) / rate, part_end=None if part is None else (part[1] + 1 - first) / rate,
        facts={k: facts[k] for k in ("seed", "directions", "generator") if k in facts})
    order.check()
    return Shot(order, float(first), last - first + 1, rate, folder, heard is not None)
