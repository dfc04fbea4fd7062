# SPDX-License-Identifier: Apache-2.0
"""What the networks are shown of a track: pose pictures, and where the head is."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor

from bridge_server.pose_track.composite import composite, head_mask
from bridge_server.pose_track.draw_dwpose import MIMICMOTION_SIDE, draw_dwpose
from bridge_server.pose_track.track import PoseTrack

__all__ = ["HEAD_GREY", "PosePictures", "joined", "pose_picture"]

HEAD_GREY: Final = 128
"""Brightness of the head's square in pose pictures that have one."""


def pose_picture(track: PoseTrack, frame: int, head: str = "points", short_side: int = MIMICMOTION_SIDE) -> np.ndarray:
    """(H, W, 3) uint8 in MimicMotion's convention.

    :param head: ``points`` as published; ``mask`` for the composite track, whose head is a square of fixed size.
    """
    if head == "points":
        return draw_dwpose(track, frame, short_side=short_side)
    drawn = draw_dwpose(composite(track), frame, short_side=short_side)
    square = head_mask(track, frame)[..., None] > 0
    # under the skeleton, so that a hand before the face stays visible
    return np.where(square & (drawn.max(-1, keepdims=True) == 0), HEAD_GREY, drawn).astype(np.uint8)


def joined(reference: PoseTrack, track: PoseTrack) -> PoseTrack:
    """The photograph's pose as frame 0, then the film's."""
    return replace(track, **{name: np.concatenate((getattr(reference, name), getattr(track, name)))
                             for name in ("points", "confidence", "depth", "face_centre")})


class PosePictures:
    """Pictures of a track's frames, drawn when they are first asked for and kept while they are few."""

    def __init__(self, track: PoseTrack, head: str, keep: int = 512, short_side: int = MIMICMOTION_SIDE) -> None:
        self.track, self.head, self._keep, self._side = track, head, keep, short_side
        self._drawn: dict[int, np.ndarray] = {}

    def __call__(self, index: list[int]) -> Tensor:
        """(n, 3, H, W) in [-1, 1]."""
        return torch.from_numpy(np.stack([self._one(n) for n in index])).permute(0, 3, 1, 2).float() / 127.5 - 1

    def _one(self, frame: int) -> np.ndarray:
        if frame not in self._drawn:
            if len(self._drawn) >= self._keep:
                del self._drawn[next(iter(self._drawn))]
            self._drawn[frame] = pose_picture(self.track, frame, self.head, self._side)
        return self._drawn[frame]

    def masks(self, index: list[int], grow: float = 1.25) -> Tensor:
        """(n, H / 8, W / 8) in [0, 1]: the head's square, a little larger and with soft edges."""
        wide = replace(self.track, face_size=self.track.face_size * grow)
        size = (self.track.width // 8, self.track.height // 8)
        return torch.from_numpy(np.stack([cv2.resize(head_mask(wide, n), size, interpolation=cv2.INTER_AREA) for n in index])).float() / 255
