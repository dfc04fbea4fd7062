# SPDX-License-Identifier: Apache-2.0
"""The photograph taken apart: the person's outline, the background behind, colours that go on under every rim."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from bridge_server.pose_track.layout import INDEX
from bridge_server.video.person import Person

__all__ = ["fill", "outline", "soft"]

WORKING_SIDE: Final = 512


def fill(pixels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Smoothly continue the known pixels into the others (push-pull over a pyramid).

    :param pixels: (H, W, C) uint8. :param known: (H, W) bool. :returns: (H, W, C) uint8.
    """
    levels = [(pixels.astype(np.float32) * known[..., None], known.astype(np.float32))]
    while min(levels[-1][1].shape) > 2 and levels[-1][1].min() < 1:
        colour, weight = levels[-1]
        size = (max(weight.shape[1] // 2, 1), max(weight.shape[0] // 2, 1))
        levels.append((cv2.resize(colour, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1),
                       cv2.resize(weight, size, interpolation=cv2.INTER_AREA)))
    colour, weight = levels[-1]
    total = colour.sum((0, 1)) / max(float(weight.sum()), 1e-6)
    result = np.where(weight[..., None] > 1e-4, colour / np.maximum(weight, 1e-4)[..., None], total)
    for colour, weight in reversed(levels[:-1]):
        below = cv2.resize(result.astype(np.float32), (weight.shape[1], weight.shape[0]), interpolation=cv2.INTER_LINEAR)
        sure = np.minimum(weight, 1.0)[..., None]
        result = np.where(weight[..., None] > 1e-4, colour / np.maximum(weight, 1e-4)[..., None], 0) * sure
        result = result + below.reshape(result.shape) * (1 - sure)
    return np.clip(_relax(result.astype(np.float32), known) + 0.5, 0, 255).astype(np.uint8)


def _relax(pixels: np.ndarray, known: np.ndarray, times: int = 240) -> np.ndarray:
    """Make the filled part harmonic: close to a rim it then has the rim's colour, not that of the whole surroundings."""
    height, width = known.shape
    size = (max(width // 4, 2), max(height // 4, 2))
    weight = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    rim = cv2.resize(pixels * known[..., None], size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
    rim = rim / np.maximum(weight, 1e-4)[..., None]
    fixed = weight > 0.05
    state = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
    state[fixed] = rim[fixed]
    for _ in range(times):
        state = cv2.blur(state, (3, 3), borderType=cv2.BORDER_REPLICATE).reshape(state.shape)
        state[fixed] = rim[fixed]
    smooth = cv2.resize(state, (width, height), interpolation=cv2.INTER_LINEAR).reshape(pixels.shape)
    return np.where(known[..., None], pixels, smooth)


def _seeds(person: Person, width: int, height: int, scale: float) -> np.ndarray:
    """GrabCut's first guess (H, W): surely background, probably and surely the person."""
    mask = np.full((height, width), cv2.GC_BGD, np.uint8)
    unit, eyes = person.unit * scale, person.eyes.mean(0) * scale
    at = {name: person.points[i] * scale for name, i in INDEX.items()}
    seen = {name: person.confidence[i] >= 0.3 for name, i in INDEX.items()}
    bottom = float(height + unit)
    hips = seen["left_hip"] and seen["right_hip"]
    ankles = seen["left_ankle"] and seen["right_ankle"]

    def poly(points: list[tuple[float, float]], value: int) -> None:
        cv2.fillPoly(mask, [np.rint(np.array(points)).astype(np.int32)], value)

    x, y = eyes
    centre = float(at["neck"][0])
    half = max(abs(at["left_shoulder"][0] - at["right_shoulder"][0]) / 2, 2.2 * unit)
    shoulder = float((at["left_shoulder"][1] + at["right_shoulder"][1]) / 2)
    low = bottom
    if ankles:
        low = max(at["left_ankle"][1], at["right_ankle"][1]) + 1.6 * unit
    wide = half + 2.2 * unit
    poly([(centre - wide, low), (centre - wide, shoulder + unit), (centre - half, shoulder - 1.4 * unit),
          (x - 2.0 * unit, y + 1.4 * unit), (x - 2.0 * unit, y - 2.6 * unit), (x + 2.0 * unit, y - 2.6 * unit),
          (x + 2.0 * unit, y + 1.4 * unit), (centre + half, shoulder - 1.4 * unit), (centre + wide, shoulder + unit),
          (centre + wide, low)], cv2.GC_PR_FGD)
    if ankles and not (seen["left_wrist"] or seen["right_wrist"]):
        # arms may be spread
        reach = 10.5 * unit
        poly([(centre - reach, shoulder + 7 * unit), (centre - reach, shoulder - unit), (centre + reach, shoulder - unit),
              (centre + reach, shoulder + 7 * unit)], cv2.GC_PR_BGD)
        poly([(centre - wide, low), (centre - wide, shoulder), (centre + wide, shoulder), (centre + wide, low)], cv2.GC_PR_FGD)
    for a, b, thick in (("shoulder", "elbow", 1.9), ("elbow", "wrist", 1.7), ("hip", "knee", 2.4), ("knee", "ankle", 2.0)):
        for side in ("left", "right"):
            if seen[f"{side}_{a}"] and seen[f"{side}_{b}"]:
                ends = [tuple(int(v) for v in at[f"{side}_{n}"]) for n in (a, b)]
                cv2.line(mask, *ends, cv2.GC_PR_FGD, max(int(thick * unit), 1))
    for side in ("left", "right"):
        if seen[f"{side}_wrist"]:
            tip = at[f"{side}_wrist"] + 0.5 * (at[f"{side}_wrist"] - at[f"{side}_elbow"])
            cv2.circle(mask, tuple(int(v) for v in tip), int(1.6 * unit), cv2.GC_PR_FGD, -1)
    # what is surely the person: the face, the trunk, the middle of every limb that was placed
    cv2.ellipse(mask, tuple(int(v) for v in eyes + 0.35 * unit * person.down), (int(0.95 * unit), int(1.3 * unit)), 0, 0, 360,
                cv2.GC_FGD, -1)
    end = min((at["left_hip"][1] + at["right_hip"][1]) / 2, bottom) if hips else bottom
    inner = 0.55 * half
    poly([(centre - 0.5 * unit, shoulder - 0.6 * unit), (centre + 0.5 * unit, shoulder - 0.6 * unit),
          (centre + inner, shoulder + 0.8 * unit), (centre + inner * 0.8, end), (centre - inner * 0.8, end),
          (centre - inner, shoulder + 0.8 * unit)], cv2.GC_FGD)
    if person.placed:
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")):
            for side in ("left", "right"):
                if seen[f"{side}_{a}"] and seen[f"{side}_{b}"]:
                    ends = [tuple(int(v) for v in at[f"{side}_{n}"]) for n in (a, b)]
                    cv2.line(mask, *ends, cv2.GC_FGD, max(int(0.5 * unit), 1))
    return mask


def outline(pixels: np.ndarray, person: Person, alpha: np.ndarray | None = None) -> np.ndarray:
    """(H, W) bool: the person, by GrabCut from the points, or by the picture's own alpha.

    An alpha counts where it cuts something out around the face; one that hides the face does not.
    """
    height, width = pixels.shape[:2]
    if alpha is not None:
        x, y = np.clip(person.face.astype(int), 0, (width - 1, height - 1))
        shown = alpha > 127
        if shown[y, x] and shown.mean() < 0.95:
            return shown
    scale = min(1.0, WORKING_SIDE / max(width, height))
    size = (max(round(width * scale), 16), max(round(height * scale), 16))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    mask = _seeds(person, *size, scale)
    if (mask == cv2.GC_BGD).any() or (mask == cv2.GC_PR_BGD).any():
        cv2.setRNGSeed(1)
        cv2.grabCut(np.ascontiguousarray(small[..., ::-1]), mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 4,
                    cv2.GC_INIT_WITH_MASK)
    person_mask = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    person_mask = cv2.morphologyEx(person_mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    # the piece that holds the face, with its small holes closed
    count, labels, stats, _ = cv2.connectedComponentsWithStats(person_mask)
    x, y = np.clip((person.face * scale).astype(int), 0, (size[0] - 1, size[1] - 1))
    label = labels[y, x] if labels[y, x] else (1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])) if count > 1 else 0)
    person_mask = (labels == label).astype(np.uint8)
    holes, labels, stats, _ = cv2.connectedComponentsWithStats(1 - person_mask)
    for hole in range(1, holes):
        if stats[hole, cv2.CC_STAT_AREA] < 0.006 * person_mask.size:
            person_mask[labels == hole] = 1
    if scale < 1:
        big = cv2.resize(person_mask.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        return cv2.GaussianBlur(big, (0, 0), 0.6 / scale) > 0.5
    return person_mask > 0


def soft(mask: np.ndarray, width: float = 1.0) -> np.ndarray:
    """(H, W) uint8 alpha of a bool mask: a rim of about ``width`` pixels, slightly inside. Picture borders stay hard."""
    padded = np.pad(mask.astype(np.float32), 8, mode="edge")
    blurred = cv2.GaussianBlur(padded, (0, 0), width)[8:-8, 8:-8]
    return (np.clip((blurred - 0.5) * 1.6 + 0.35, 0, 1) * 255).astype(np.uint8)
