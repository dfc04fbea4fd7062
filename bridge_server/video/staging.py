# SPDX-License-Identifier: Apache-2.0
"""The photograph at the size that a model works at, and the track moved onto the person in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from bridge_server.pose_track.align import reproportion
from bridge_server.pose_track.layout import INDEX
from bridge_server.pose_track.track import PoseTrack
from bridge_server.video.person import Person, find_person, person_from_points
from bridge_server.video.photo import Photo
from bridge_server.video.puppet.renderer import fit_photo
from bridge_server.video.renderers import Scene

__all__ = ["Stage", "face_box", "set_stage", "working_size"]

_HEAD: Final = 0.24 / 0.063
"""Side of the head's square in distances of the eyes: hair to chin of an adult with a little room."""


@dataclass(frozen=True)
class Stage:
    """:ivar photo: of the working size. :ivar person: in its pixels. :ivar track: the performance on that person, same pixels.
    :ivar reference: one frame: the person's pose in the photograph."""

    photo: Photo
    person: Person
    track: PoseTrack
    reference: PoseTrack


def working_size(width: int, height: int, multiple: int, pixels: int = 0) -> tuple[int, int]:
    """The film's size to whole multiples, reduced to an area of ``pixels`` (0: not reduced)."""
    scale = min(1.0, (pixels / (width * height)) ** 0.5) if pixels else 1.0
    return (max(round(width * scale / multiple), 1) * multiple, max(round(height * scale / multiple), 1) * multiple)


def set_stage(scene: Scene, width: int, height: int) -> Stage:
    """Fit the photograph, find its person, and give the track that person's place and proportions.

    :raises UnderstudyError: as :func:`~.person.find_person` and :func:`~.person.person_from_points`.
    """
    person = find_person(scene.photo) if scene.points is None else person_from_points(scene.photo, *scene.points)
    photo, scale, offset = fit_photo(scene.photo, person.points, person.eyes, width, height)
    points = person.points * scale + offset
    inside = ((points >= 0) & (points < (width, height))).all(-1)
    person = Person(person.eyes * scale + offset, points, np.where(inside, person.confidence, 0.0), person.placed)
    track = scene.track if (scene.track.width, scene.track.height) == (width, height) else _fit_track(scene.track, width, height)
    confidence = person.confidence
    if not person.placed:
        # proportions that are guessed beyond the shoulders must not change the limbs
        known = [INDEX[n] for n in ("nose", "neck", "left_shoulder", "right_shoulder", "left_eye", "right_eye", "left_ear", "right_ear")]
        confidence = np.where(np.isin(np.arange(len(confidence)), known), confidence, 0.0)
    moved = reproportion(track, person.points, confidence)
    seen = ((moved.points >= 0) & (moved.points < (width, height))).all(-1)
    # what the virtual camera cut off may be within the photograph, and the other way round
    came_in = seen & ~((track.points >= 0) & (track.points < (width, height))).all(-1)
    # the head's size is the photograph's own: the eyes measure it better than guessed shoulders do
    moved = replace(moved, confidence=np.where(seen, np.where(came_in, 0.8, moved.confidence), 0.0), face_size=_HEAD * person.unit)
    # a detector would be sure of what is plainly there, and drawers colour by that
    sure = np.where(confidence > 0, np.maximum(confidence, 0.85), 0.0)
    reference = PoseTrack(track.fps, width, height, person.points[None], sure[None], np.zeros((1, len(points))), person.face[None],
                          moved.face_size)
    return Stage(photo, person, moved, reference)


def _fit_track(track: PoseTrack, width: int, height: int) -> PoseTrack:
    """The track at another size with its proportions: scaled to cover, middle on middle, as the photograph is."""
    scale = max(width / track.width, height / track.height)
    offset = (np.array([width, height]) - scale * np.array([track.width, track.height])) / 2
    return replace(track, width=width, height=height, points=track.points * scale + offset,
                   face_centre=track.face_centre * scale + offset, face_size=track.face_size * scale)


def face_box(person: Person, size: tuple[int, int], room: float = 2.4) -> tuple[int, int, int]:
    """(left, top, side) of a square around the face, within the picture. :param room: side in distances of the eyes, halved."""
    side = int(min(2 * room * person.unit, *size))
    centre = person.face
    left = int(np.clip(centre[0] - side / 2, 0, size[0] - side))
    top = int(np.clip(centre[1] - side / 2, 0, size[1] - side))
    return left, top, side
