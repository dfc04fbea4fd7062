# SPDX-License-Identifier: Apache-2.0
"""The pose picture as Wan-Animate draws it: 20 points, thin limbs, no points of the face beyond nose, eyes and ears.

Read from Wan2.2's ``animate/preprocess``: the toe is the middle of big and small toe, limbs 14-19 and 11-20 lead to the
toes, sticks are ``max(int(min(H, W) / 200) - 1, 1)`` wide, hands half of that, everything from confidence .5, channels RGB.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np

from bridge_server.pose_track.layout import BODY, COLOURS, HAND_EDGES, INDEX, LEFT_HAND, LIMBS, RIGHT_HAND, hand_colours
from bridge_server.pose_track.track import PoseTrack

__all__ = ["draw_wan", "wan_points"]

THRESHOLD: Final = 0.5
_COLOURS: Final = (*COLOURS, (200, 200, 0), (100, 100, 0))
_LIMBS: Final = (*LIMBS, (13, 18), (10, 19))


def wan_points(track: PoseTrack, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """(20, 2) pixels and (20,) confidence: body18, then left and right toe."""
    points, confidence = track.points[frame], track.confidence[frame]
    toes = [[INDEX[f"{side}_big_toe"], INDEX[f"{side}_small_toe"]] for side in ("left", "right")]
    return (np.concatenate((points[BODY], [points[t].mean(0) for t in toes])),
            np.concatenate((confidence[BODY], [confidence[t].mean() for t in toes])))


def draw_wan(track: PoseTrack, frame: int, *, head: bool = True) -> np.ndarray:
    """(H, W, 3) uint8 RGB of one frame. ``head=False`` leaves nose, eyes and ears away."""
    points, confidence = wan_points(track, frame)
    if not head:
        confidence[[0, 14, 15, 16, 17]] = 0
    canvas = np.zeros((track.height, track.width, 3), np.uint8)
    stick = max(int(min(track.height, track.width) / 200) - 1, 1)
    # the limbs and their colours are two lists of which the shorter ends the walk, so both toes' limbs take colours 17 and 18
    for colour, (a, b) in zip(_COLOURS, _LIMBS, strict=False):
        if confidence[a] < THRESHOLD or confidence[b] < THRESHOLD:
            continue
        (ax, ay), (bx, by) = points[a], points[b]
        angle = math.degrees(math.atan2(ay - by, ax - bx))
        length = math.hypot(ax - bx, ay - by)
        polygon = cv2.ellipse2Poly((int((ax + bx) / 2), int((ay + by) / 2)), (int(length / 2), stick), int(angle), 0, 360, 1)
        cv2.fillConvexPoly(canvas, polygon, [int(c * 0.6) for c in colour])
    for colour, point, sure in zip(_COLOURS, points, confidence, strict=True):
        if sure >= THRESHOLD:
            cv2.circle(canvas, (int(point[0]), int(point[1])), stick, colour, thickness=-1)
    for hand in (LEFT_HAND, RIGHT_HAND):
        _hand(canvas, track.points[frame, hand], track.confidence[frame, hand], max(stick // 2, 1))
    return canvas


def _hand(canvas: np.ndarray, points: np.ndarray, confidence: np.ndarray, stick: int) -> None:
    whole = points.astype(int)
    drawn = (confidence >= THRESHOLD) & (whole > 0).all(-1)
    for colour, (a, b) in zip(hand_colours(), HAND_EDGES, strict=True):
        if drawn[a] and drawn[b]:
            cv2.line(canvas, whole[a].tolist(), whole[b].tolist(), (colour * 255).tolist(), thickness=stick)
    for point in whole[drawn]:
        cv2.circle(canvas, point.tolist(), stick, (0, 0, 255), thickness=-1)
