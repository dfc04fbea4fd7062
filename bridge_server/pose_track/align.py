# SPDX-License-Identifier: Apache-2.0
"""Fitting a track to the person of a photograph: scale and offset, and the proportions of the limbs."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from bridge_server.pose_track.layout import BODY, INDEX, POINT_COUNT, TREE
from bridge_server.pose_track.track import PoseTrack
from shared.errors import UnderstudyError

__all__ = ["fit_linear", "proportions", "reproportion"]

# the 14 points that MimicMotion fits with: all of body18 but elbows and wrists
_FIT_POINTS: Final = (0, 1, 2, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)
_NECK: Final = INDEX["neck"]


def _too_few(count: int) -> UnderstudyError:
    return UnderstudyError("request_invalid", f"Only {count} points of the body are both in the photograph and in the track.",
                           "Place at least the neck, the nose and both shoulders on the photograph.")


def fit_linear(track: PoseTrack, points: np.ndarray, confidence: np.ndarray, threshold: float = 0.3) -> PoseTrack:
    """The track moved onto a photograph by one scale for each axis and one offset, as MimicMotion does.

    y is fitted by least squares over all frames; x takes the same scale in pixels, and the mean offset. Size becomes the
    photograph's only through ``points``; the track's width and height stay.

    :param points: (18, 2) or (66, 2) pixels of the photograph's person. :param confidence: of those points.
    :raises UnderstudyError: ``request_invalid`` with fewer than two points at different heights.
    """
    use = [i for i in _FIT_POINTS if confidence[i] >= threshold]
    seen = track.confidence[:, use] >= threshold
    y, target = track.points[:, use, 1], np.broadcast_to(points[use], (len(track), len(use), 2))
    if seen.sum() < 2 or np.ptp(y[seen]) < 1e-6 or np.ptp(points[use, 1]) < 1e-6:
        raise _too_few(int(seen.any(0).sum()))
    scale, low = np.polyfit(y[seen], target[..., 1][seen], 1)
    left = float(np.mean(target[..., 0][seen] - track.points[:, use, 0][seen] * scale))
    offset = np.array([left, low])
    return replace(track, points=track.points * scale + offset, face_centre=track.face_centre * scale + offset,
                   face_size=track.face_size * abs(float(scale)))


def proportions(track: PoseTrack, threshold: float = 0.3) -> np.ndarray:
    """(66,) pixels: how long the bone that ends in each point is where it is seen at full length; 0 where it never is.

    A bone that points at the camera looks short, so its length is the 95th percentile over the frames.
    """
    out = np.zeros(POINT_COUNT)
    for parent, child in TREE:
        seen = (track.confidence[:, parent] >= threshold) & (track.confidence[:, child] >= threshold)
        if seen.any():
            length = np.linalg.norm(track.points[seen, child] - track.points[seen, parent], axis=-1)
            out[child] = np.percentile(length, 95)
    return out


def reproportion(track: PoseTrack, points: np.ndarray, confidence: np.ndarray, threshold: float = 0.3) -> PoseTrack:
    """The track with the limb lengths of a photograph's person, standing where that person stands.

    Every bone keeps its direction and its foreshortening; only lengths change. The neck's movement is scaled by the ratio
    of shoulder widths and begins at the photograph's neck. Bones that the photograph does not show take the mean ratio of
    those it shows.

    :param points: (18 or 66, 2) pixels of the photograph. :param confidence: (18 or 66,).
    :raises UnderstudyError: ``request_invalid`` where the neck or all bones are missing.
    """
    count = len(points)
    own = proportions(track, threshold)
    ratio = np.full(POINT_COUNT, np.nan)
    for parent, child in TREE:
        if max(parent, child) < count and min(confidence[parent], confidence[child]) >= threshold and own[child] > 1e-6:
            ratio[child] = np.linalg.norm(points[child] - points[parent]) / own[child]
    known = np.isfinite(ratio[BODY])
    if confidence[_NECK] < threshold or not known.any():
        raise _too_few(int((confidence >= threshold).sum()))
    typical = float(np.median(ratio[BODY][known]))
    for left, right in ((n, n.replace("left", "right")) for n in INDEX if n.startswith("left")):
        # a limb that is foreshortened or hidden in the photograph is as long as its partner
        pair = ratio[[INDEX[left], INDEX[right]]]
        if np.isfinite(pair).any():
            ratio[[INDEX[left], INDEX[right]]] = np.nanmax(pair)
    ratio = np.where(np.isfinite(ratio), ratio, typical)
    out = np.empty_like(track.points, dtype=np.float64)
    start = np.median(track.points[:, _NECK], axis=0)
    out[:, _NECK] = points[_NECK] + (track.points[:, _NECK] - start) * typical
    for parent, child in TREE:
        out[:, child] = out[:, parent] + (track.points[:, child] - track.points[:, parent]) * ratio[child]
    nose = INDEX["nose"]
    centre = out[:, nose] + (track.face_centre - track.points[:, nose]) * typical
    return replace(track, points=out, face_centre=centre, face_size=track.face_size * typical)
