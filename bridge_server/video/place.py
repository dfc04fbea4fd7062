# SPDX-License-Identifier: Apache-2.0
"""A first guess of where the body's points are in a photograph, for the artist to correct."""

from __future__ import annotations

import numpy as np

from bridge_server.video.person import find_person
from bridge_server.video.photo import Photo
from shared.errors import UnderstudyError
from shared.films import Look, standing_figure

__all__ = ["place"]


def place(photo: Photo) -> Look:
    """Points from a detector where one is installed, else from the face and usual proportions, else a figure to drag from.

    Points are in the pixels of the file as it is meant to be seen; a picture without one clear person is no error here, since
    the points can be placed by hand.
    """
    from bridge_server.pose_track.detect import find_detector

    notes = list(photo.notes)
    detector = find_detector()
    if detector is not None:
        found = detector.people(photo.pixels)
        if len(found) == 1:
            return _look(photo, found[0][:, :2], found[0][:, 2], detector.name, notes)
        notes.append("No person was found." if not found else f"{len(found)} people were found.")
        if found:
            largest = max(found, key=lambda p: float(np.ptp(p[p[:, 2] > 0.3][:, 1])) if (p[:, 2] > 0.3).any() else 0.0)
            notes.append("The points are on the largest of them; cut the photograph to one person, or move the points.")
            return _look(photo, largest[:, :2], largest[:, 2], detector.name, notes)
    try:
        person = find_person(photo)
    except UnderstudyError as error:
        notes += [error.message, "Drag the points onto the person."]
        figure = standing_figure(*photo.size)
        return _look(photo, figure[:, :2], figure[:, 2], "", notes)
    return _look(photo, person.points, person.confidence, "proportion", notes)


def _look(photo: Photo, points: np.ndarray, confidence: np.ndarray, by: str, notes: list[str]) -> Look:
    width, height = (round(side / photo.scale) for side in photo.size)
    return Look(width, height, np.concatenate((points / photo.scale, confidence[:, None]), 1), by, tuple(notes))
