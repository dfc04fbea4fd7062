# SPDX-License-Identifier: Apache-2.0
"""The composite track: the body below the neck, and a mask of fixed size where the head is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bridge_server.pose_track.layout import FACE_POINTS
from bridge_server.pose_track.track import PoseTrack

__all__ = ["composite", "head_mask"]


def composite(track: PoseTrack, head_size: float | None = None) -> PoseTrack:
    """The track without points of the head; the head is only a mask, whose content is left to the speech.

    :param head_size: side of the mask in pixels, by default the track's own.
    """
    confidence = track.confidence.copy()
    confidence[:, list(FACE_POINTS)] = 0.0
    return replace(track, confidence=confidence, face_size=track.face_size if head_size is None else float(head_size))


def head_mask(track: PoseTrack, frame: int) -> np.ndarray:
    """(H, W) uint8: 255 in a square of ``face_size`` pixels, the same for every frame, centred on the middle of the face.

    Sides are rounded to whole pixels; the square is cut where it leaves the picture.
    """
    side = round(track.face_size)
    mask = np.zeros((track.height, track.width), np.uint8)
    left, top = (int(np.floor(c - side / 2 + 0.5)) for c in track.face_centre[frame])
    mask[max(top, 0): max(top + side, 0), max(left, 0): max(left + side, 0)] = 255
    return mask
