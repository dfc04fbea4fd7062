# SPDX-License-Identifier: Apache-2.0
"""Measures of films, each by its published formula; what needs a trained network takes it as an encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np

__all__ = ["Encoder", "flicker", "frechet", "keypoint_distance", "mean_similarity", "pck", "psnr", "ssim", "sync"]

Encoder = Callable[[np.ndarray], np.ndarray]
"""Pictures (N, H, W, 3) uint8 RGB to features (N, D): Inception for FID, I3D over clips for FVD, ArcFace for CSIM."""
_K1: Final = 0.01
_K2: Final = 0.03


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal to noise ratio in dB of uint8 pictures of one shape; infinite for equal ones."""
    _same(a, b)
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity of two (H, W, 3) uint8 pictures, mean over channels (Wang et al. 2004: Gaussian of 1.5 pixels in 11x11,
    K1 .01, K2 .03; the 5 pixels at the rims are left out)."""
    import cv2

    _same(a, b)
    if min(a.shape[:2]) < 11:
        raise ValueError("pictures must have at least 11x11 pixels")

    def mean(x: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.GaussianBlur(x, (11, 11), 1.5))[5:-5, 5:-5]

    x, y = a.astype(np.float64), b.astype(np.float64)
    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = (_K1 * 255) ** 2, (_K2 * 255) ** 2
    return float((((2 * mx * my + c1) * (2 * vxy + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


def flicker(frames: Iterable[np.ndarray]) -> float:
    """How much a film trembles, in grey levels: mean absolute second difference in time of (H, W, 3) uint8 frames.

    A steady movement of a smooth picture has little of it, a picture that jumps forth and back has much.
    """
    before: list[np.ndarray] = []
    total, count = 0.0, 0
    for frame in frames:
        before.append(frame.astype(np.float32))
        if len(before) == 3:
            total += float(np.abs(before[0] - 2 * before[1] + before[2]).mean())
            count += 1
            before.pop(0)
    return total / count if count else 0.0


def keypoint_distance(found: np.ndarray, wanted: np.ndarray, confidence: np.ndarray, threshold: float = 0.3) -> float:
    """Mean distance in pixels of (T, N, 2) points over those with confidence (T, N) in both; NaN where there is none.

    ``confidence`` is the smaller one of the track's and the detector's.
    """
    gap = np.linalg.norm(found - wanted, axis=-1)[confidence >= threshold]
    return float(gap.mean()) if gap.size else float("nan")


def pck(found: np.ndarray, wanted: np.ndarray, confidence: np.ndarray, scale: np.ndarray | float, share: float = 0.2,
        threshold: float = 0.3) -> float:
    """Share of key points within ``share`` of ``scale`` (one number, or (T,): such as the trunk's length in pixels)."""
    gap = np.linalg.norm(found - wanted, axis=-1)
    limit = share * np.broadcast_to(np.reshape(scale, (-1, 1)), gap.shape)
    seen = confidence >= threshold
    return float((gap <= limit)[seen].mean()) if seen.any() else float("nan")


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of features (N, D) and (M, D): FID with Inception's features, FVD with I3D's."""
    from scipy.linalg import eigvals

    if min(len(a), len(b)) < 2:
        raise ValueError("at least two features of each are needed")
    ma, mb = a.mean(0), b.mean(0)
    ca, cb = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    # the trace of the root of a product of covariances: its eigenvalues are real and not negative but for rounding
    root = np.sqrt(np.clip(eigvals(ca @ cb).real, 0, None)).sum()
    return float(((ma - mb) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * root)


def mean_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Mean cosine of features (N, D) with (N, D) or (1, D): CSIM with a face recogniser's."""
    norm = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return float(((a * b).sum(-1) / np.maximum(norm, 1e-12)).mean())


def sync(video: np.ndarray, audio: np.ndarray, reach: int = 15) -> tuple[float, float, int]:
    """Lip synchronisation from SyncNet's features (N, D) of picture and sound, one pair for each frame.

    :returns: (Sync-C: median less least mean distance over shifts, Sync-D: least mean distance, shift in frames at which it is).
    """
    if len(video) != len(audio) or len(video) <= 2 * reach:
        raise ValueError("one feature a frame of both is needed, and more frames than twice the reach")
    inner = slice(reach, len(video) - reach)
    means = []
    for shift in range(-reach, reach + 1):
        moved = audio[inner.start + shift: inner.stop + shift]
        means.append(float(np.linalg.norm(video[inner] - moved, axis=-1).mean()))
    best = int(np.argmin(means))
    return float(np.median(means) - means[best]), means[best], best - reach


def features(frames: Sequence[np.ndarray], encoder: Encoder, batch: int = 16) -> np.ndarray:
    """(N, D) of frames (H, W, 3), ``batch`` at a time."""
    parts = [encoder(np.stack(frames[n: n + batch])) for n in range(0, len(frames), batch)]
    return np.concatenate(parts)


def _same(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape:
        raise ValueError(f"pictures of {a.shape} and {b.shape} cannot be compared")
