# SPDX-License-Identifier: Apache-2.0
"""Hands and face once more, larger: what is small in the film is drawn again from a crop at the model's own size.

A crop follows the region with a fixed size. It is encoded, noised to a late step of the schedule, and denoised with the pose of the
crop and the same crop of the photograph, then put back with soft edges where the region is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from bridge_server.pose_track.layout import INDEX, LEFT_HAND, RIGHT_HAND
from bridge_server.pose_track.track import PoseTrack

__all__ = ["REGIONS", "Region", "crop_track", "cut", "find_regions", "paste"]

REGIONS: Final = ("face", "left_hand", "right_hand")
_SEEN: Final = 0.3


@dataclass(frozen=True)
class Region:
    """A square that follows a part of the body, in the film's working pixels.

    :ivar corner: (F, 2) int, left and top. :ivar side: pixels. :ivar weight: (F,) in [0, 1]: how much of it is put back.
    :ivar own: (2,) int, its corner in the photograph.
    """

    name: str
    corner: np.ndarray
    side: int
    weight: np.ndarray
    own: np.ndarray


def _smooth(x: np.ndarray, fps: float, seconds: float) -> np.ndarray:
    half = max(int(seconds * fps), 1)
    kernel = np.hanning(2 * half + 3)[1:-1]
    flat = np.pad(x.reshape(len(x), -1), ((half, half), (0, 0)), mode="edge")
    return np.stack([np.convolve(flat[:, k], kernel / kernel.sum(), "valid") for k in range(flat.shape[1])], -1).reshape(x.shape)


def find_regions(track: PoseTrack, reference: PoseTrack, names: Sequence[str], working: int) -> tuple[list[Region], list[str]]:
    """The regions that gain by a second pass, and sentences about those that cannot have one.

    A region that is already shown at ``working`` pixels has nothing to gain and is left out; one that the photograph does not show
    has nothing to be drawn from.
    """
    found, notes = [], []
    size = np.array([track.width, track.height])
    for name in names:
        if name == "face":
            centre, own = track.face_centre, reference.face_centre[0]
            extent = track.face_size * 1.4
            seen = track.confidence[:, INDEX["nose"]] >= _SEEN
            shown = True
        else:
            part = LEFT_HAND if name.startswith("left") else RIGHT_HAND
            wrist = INDEX[name.replace("_hand", "_wrist")]
            centre, sure = track.points[:, part].mean(1), track.confidence[:, part].mean(1)
            spread = np.ptp(track.points[:, part], axis=1).max(-1)
            seen = sure >= _SEEN
            extent = float(np.percentile(spread[seen], 95)) * 1.6 if seen.any() else 0.0
            shown = bool(reference.confidence[0, wrist] >= _SEEN)
            elbow = INDEX[name.replace("_hand", "_elbow")]
            # the photograph's detector may give no fingers: a hand goes on beyond the wrist in the forearm's direction
            forearm = reference.points[0, wrist] - reference.points[0, elbow]
            own = reference.points[0, wrist] + 0.25 * forearm * (reference.confidence[0, elbow] >= _SEEN)
        if not shown:
            if seen.any():
                notes.append(f"The photograph's points show no {name.replace('_', ' ')}, so it is not refined.")
            continue
        side = int(min(np.ceil(max(extent, 16) / 8) * 8, size.min() // 8 * 8))
        if not seen.any() or side >= working:
            continue
        corner = np.rint(_smooth(centre, track.fps, 0.12) - side / 2).astype(int)
        corner = np.clip(corner, 0, size - side)
        inside = (np.abs(centre - corner - side / 2) < side / 2).all(-1)
        weight = np.clip(_smooth((seen & inside).astype(float), track.fps, 0.15), 0, 1) * (seen & inside)
        place = np.clip(np.rint(own - side / 2).astype(int), 0, size - side)
        found.append(Region(name, corner, side, weight, place))
    return found, notes


def crop_track(track: PoseTrack, corner: np.ndarray, side: int, working: int) -> PoseTrack:
    """The track as the crop (F, 2) of ``side`` pixels shows it at ``working`` pixels."""
    scale = working / side
    return replace(track, width=working, height=working, points=(track.points - corner[:, None]) * scale,
                   face_centre=(track.face_centre - corner) * scale, face_size=track.face_size * scale)


def cut(picture: np.ndarray, corner: np.ndarray, side: int, working: int) -> np.ndarray:
    """(working, working, 3) uint8 of the square in a picture."""
    left, top = int(corner[0]), int(corner[1])
    return cv2.resize(picture[top: top + side, left: left + side], (working, working), interpolation=cv2.INTER_CUBIC)


def paste(picture: np.ndarray, region: Region, frame: int, drawn: np.ndarray) -> None:
    """Put a refined square (working, working, 3) back into a picture, in place, with edges that fade over an eighth of its side."""
    weight = float(region.weight[frame])
    if weight <= 0:
        return
    side = region.side
    left, top = (int(v) for v in region.corner[frame])
    ramp = np.clip((np.minimum(np.arange(side), side - 1 - np.arange(side)) + 0.5) / (side / 8), 0, 1)
    alpha = (weight * np.minimum.outer(ramp, ramp))[..., None]
    small = cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA)
    place = picture[top: top + side, left: left + side]
    place[:] = np.clip(place * (1 - alpha) + small * alpha + 0.5, 0, 255).astype(np.uint8)
