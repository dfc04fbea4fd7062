# SPDX-License-Identifier: Apache-2.0
"""A first guess of where the body's points are in a photograph, for the artist to correct."""

from __future__ import annotations

from typing import Final

import numpy as np

from bridge_server.pose_track.layout import INDEX, POINT_COUNT
from bridge_server.video.person import find_person
from bridge_server.video.photo import Photo
from shared.errors import UnderstudyError
from shared.films import Look

__all__ = ["place"]

# A standing person that fills a picture: shares of its width and height, arms a little off the body
_FIGURE: Final = {
    "nose": (0.50, 0.12), "neck": (0.50, 0.22), "shoulder": (0.10, 0.22), "elbow": (0.15, 0.37), "wrist": (0.17, 0.50),
    "hip": (0.06, 0.50), "knee": (0.065, 0.71), "ankle": (0.07, 0.92), "eye": (0.02, 0.10), "ear": (0.04, 0.11),
}


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
        points, confidence = _figure(photo.size)
        return _look(photo, points, confidence, "", notes)
    return _look(photo, person.points, person.confidence, "proportion", notes)


def _look(photo: Photo, points: np.ndarray, confidence: np.ndarray, by: str, notes: list[str]) -> Look:
    width, height = (round(side / photo.scale) for side in photo.size)
    return Look(width, height, np.concatenate((points / photo.scale, confidence[:, None]), 1), by, tuple(notes))


def _figure(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    width, height = size
    # as wide as a body of this height is, whatever the picture's shape
    across = min(width, height * 0.75)
    points, confidence = np.zeros((POINT_COUNT, 2)), np.zeros(POINT_COUNT)
    for name, (x, y) in _FIGURE.items():
        sides = [(name, 0.0)] if name in ("nose", "neck") else [(f"right_{name}", -x), (f"left_{name}", x)]
        for full, offset in sides:
            points[INDEX[full]] = width / 2 + offset * across, y * height
            confidence[INDEX[full]] = 0.5
    return points, confidence
