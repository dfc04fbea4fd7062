# SPDX-License-Identifier: Apache-2.0
"""The pose picture as MimicMotion draws DWPose: colours by confidence, drawn large, channels swapped.

Read from MimicMotion's ``mimicmotion/dwpose/util.py``: limbs from confidence .3 with the product of both ends' confidences,
the canvas darkened to 0.6, discs of all joints in the colour of their own confidence, hands, then a resize from a short side of
2160 and BGR2RGB, so that limb 0 is **blue** in the tensor. EchoMimicV2 is the same at 800.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np

from bridge_server.pose_track.layout import BODY, COLOURS, HAND_EDGES, LEFT_HAND, LIMBS, RIGHT_HAND, hand_colours
from bridge_server.pose_track.track import PoseTrack

__all__ = ["MIMICMOTION_SIDE", "draw_dwpose"]

MIMICMOTION_SIDE: Final = 2160
THRESHOLD: Final = 0.3
_TINY: Final = 0.01


def _shade(colour: tuple[int, int, int], amount: float) -> list[int]:
    return [int(c * amount) for c in colour]


def _body(canvas: np.ndarray, points: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    for colour, (a, b) in zip(COLOURS, LIMBS, strict=False):
        if confidence[a] < THRESHOLD or confidence[b] < THRESHOLD:
            continue
        (ax, ay), (bx, by) = points[a], points[b]
        length = math.hypot(ax - bx, ay - by)
        angle = math.degrees(math.atan2(ay - by, ax - bx))
        polygon = cv2.ellipse2Poly((int((ax + bx) / 2), int((ay + by) / 2)), (int(length / 2), 4), int(angle), 0, 360, 1)
        cv2.fillConvexPoly(canvas, polygon, _shade(colour, confidence[a] * confidence[b]))
    canvas = (canvas * 0.6).astype(np.uint8)
    for colour, point, sure in zip(COLOURS, points, confidence, strict=True):
        # the published detector gives -1 as the index of a point under the threshold, which is then not drawn
        if sure >= THRESHOLD:
            cv2.circle(canvas, (int(point[0]), int(point[1])), 4, _shade(colour, sure), thickness=-1)
    return canvas


def _hand(canvas: np.ndarray, points: np.ndarray, confidence: np.ndarray) -> None:
    whole = points.astype(int)
    for colour, (a, b) in zip(hand_colours(), HAND_EDGES, strict=True):
        if (whole[[a, b]] > _TINY).all():
            cv2.line(canvas, whole[a].tolist(), whole[b].tolist(),
                     (colour * int(confidence[a] * confidence[b] * 255)).tolist(), thickness=2)
    for point, sure in zip(whole, confidence, strict=True):
        if (point > _TINY).all():
            cv2.circle(canvas, point.tolist(), 4, (0, 0, int(sure * 255)), thickness=-1)


def draw_dwpose(track: PoseTrack, frame: int, *, short_side: int = MIMICMOTION_SIDE, swap: bool = True) -> np.ndarray:
    """(H, W, 3) uint8 of one frame, channels as the model receives them.

    :param short_side: pixels of the canvas that is drawn on before it is resized to the track's size.
    :param swap: exchange the first and last channel at the end, as MimicMotion does.
    """
    scale = short_side / min(track.width, track.height)
    canvas = np.zeros((int(track.height * scale), int(track.width * scale), 3), np.uint8)
    points, confidence = track.points[frame] * scale, track.confidence[frame]
    canvas = _body(canvas, points[BODY], confidence[BODY])
    for hand in (LEFT_HAND, RIGHT_HAND):
        if confidence[hand].max() > 0:
            _hand(canvas, points[hand], confidence[hand])
    if scale != 1:
        canvas = cv2.resize(canvas, (track.width, track.height))
    return np.ascontiguousarray(canvas[..., ::-1]) if swap else canvas
