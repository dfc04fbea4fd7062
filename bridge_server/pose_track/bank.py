# SPDX-License-Identifier: Apache-2.0
"""The relation bank (token2pose): motion tokens linked to pieces of real 2D motion.

A decoded performance that is projected to 2D looks stiff: the tokenizer has smoothed it. The bank gives, for every token, real
2D segments of that token; the one that fits the projection and continues the one before is taken, neighbours are blended, and
the result is fitted to the person. What the director sees slowly stays the performance's; what a token cannot hold comes from
the bank.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.pose_track.layout import FEET, INDEX, LEFT_HAND, RIGHT_HAND
from bridge_server.pose_track.track import PoseTrack
from shared.errors import UnderstudyError

__all__ = ["DEFAULT_BANK", "FPS", "HOP", "LENGTH", "TOKEN", "Bank", "enliven", "normalise"]

FPS: Final = 30.0
TOKEN: Final = 4
"""Frames of one motion token."""
LENGTH: Final = 16
"""Frames of a segment: four tokens. Neighbours overlap by half, so that seams come slower than what the bank is for."""
HOP: Final = LENGTH // 2
_DEGREE: Final = 8
DEFAULT_BANK: Final = Path(__file__).resolve().parent / "data" / "bank.npz"
_FORMAT: Final = "understudy-relation-bank-1"
_STEP: Final = 1 / 2000
"""Segments are kept as 16-bit multiples of this share of the trunk's length."""
_BODY: Final = slice(1, 14)
"""Neck to ankles; the head is left to the mask."""
_CANDIDATES: Final = 24


@dataclass
class Bank:
    """:ivar segments: (S, 16, 13, 2) float, body18 without the head at 30 per second, in trunk lengths, x right, y down, from the
        segment's mean neck.
    :ivar codes: (S,) the token in the segment's middle, a row of ``vectors``.
    :ivar vectors: (C, W) the tokens' latent vectors: near ones stand for similar motion.
    :ivar tokenizer: digest of the tokenizer's encoder and book, empty for a bank without tokens.
    :ivar facts: sources and licences.
    """

    segments: np.ndarray
    codes: np.ndarray
    vectors: np.ndarray
    tokenizer: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.segments.ndim != 4 or self.segments.shape[1:] != (LENGTH, 13, 2) or self.codes.shape != self.segments.shape[:1]:
            raise ValueError(f"segments {self.segments.shape} and codes {self.codes.shape} do not fit")
        if len(self.segments) == 0:
            raise ValueError("there are no segments")
        order = np.argsort(self.codes, kind="stable")
        self._order, self._starts = order, np.searchsorted(self.codes[order], np.arange(len(self.vectors) + 1))
        # for every token its neighbours in the book, nearest first, itself leading
        v = self.vectors.astype(np.float32)
        distance = (v**2).sum(1)[:, None] - 2 * v @ v.T + (v**2).sum(1)
        self._near = np.argsort(distance, axis=1)[:, : min(24, len(v))]

    def of(self, code: int, least: int = 48) -> np.ndarray:
        """Indices of a token's segments, and of neighbouring tokens' until there are ``least``."""
        parts: list[np.ndarray] = []
        total = 0
        for near in self._near[code]:
            parts.append(self._order[self._starts[near]: self._starts[near + 1]])
            total += len(parts[-1])
            if total >= least:
                break
        return np.concatenate(parts) if total else np.arange(len(self.segments))

    def save(self, path: str | Path) -> None:
        """Write npz without pickle; whole or not at all."""
        path = Path(path)
        temporary = path.with_name("part-" + path.name)
        quantised = np.clip(np.rint(self.segments / _STEP), -32767, 32767).astype(np.int16)
        # differences in time are small numbers, which compress
        quantised[:, 1:] = np.diff(quantised, axis=1)
        with temporary.open("wb") as file:
            np.savez_compressed(file, head=np.array(json.dumps({"format": _FORMAT, "tokenizer": self.tokenizer, **self.facts})),
                                segments=quantised, codes=self.codes.astype(np.int16), vectors=self.vectors.astype(np.float16))
        temporary.replace(path)

    @classmethod
    def load(cls, path: str | Path | None = None) -> Bank:
        """A bank, the shipped one by default. :raises UnderstudyError: ``file_missing`` or ``file_invalid``."""
        path = DEFAULT_BANK if path is None else Path(path)
        if not path.is_file():
            raise UnderstudyError("file_missing", f"There is no relation bank {path}.", "Make one with 'understudy bank build'.")
        try:
            with np.load(path, allow_pickle=False) as z:
                head = json.loads(str(z["head"]))
                if head.pop("format") != _FORMAT:
                    raise ValueError("another format")
                segments = np.cumsum(z["segments"].astype(np.int32), axis=1) * _STEP
                return cls(segments, z["codes"].astype(np.int64), z["vectors"].astype(np.float32), head.pop("tokenizer"), head)
        except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise UnderstudyError("file_invalid", f"{path.name} is not a relation bank ({error}).",
                                  "Make one with 'understudy bank build'.") from error


def normalise(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Body points (T, 18 or more, 2) without the head, in trunk lengths: (T, 13, 2), and the trunk's length in pixels."""
    hips = (points[:, INDEX["left_hip"]] + points[:, INDEX["right_hip"]]) / 2
    trunk = max(float(np.percentile(np.linalg.norm(hips - points[:, INDEX["neck"]], axis=-1), 95)), 1e-6)
    return points[:, _BODY] / trunk, trunk


def _windows(body: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 16, 13, 2) windows at every second token from their mean necks, and those means (N, 2)."""
    count = max(-(-len(body) // HOP), 1)
    padded = np.pad(body, ((HOP // 2, count * HOP + LENGTH - len(body)), (0, 0), (0, 0)), mode="edge")
    windows = np.stack([padded[n * HOP: n * HOP + LENGTH] for n in range(count + 1)])
    middle = windows[:, :, 0].mean(1)
    return windows - middle[:, None, None], middle


def _path(fit: np.ndarray, first: np.ndarray, last: np.ndarray, weight: float) -> np.ndarray:
    """The cheapest way (N,) through candidates: ``fit`` (N, K); ``first``, ``last`` (N, K, D) what must continue."""
    cost, back = fit[0].copy(), np.zeros(fit.shape, np.int64)
    for n in range(1, len(fit)):
        a, b = last[n - 1], first[n]
        jump = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)
        total = cost[:, None] + weight * np.maximum(jump, 0)
        back[n] = np.argmin(total, axis=0)
        cost = total[back[n], np.arange(fit.shape[1])] + fit[n]
    way = np.empty(len(fit), np.int64)
    way[-1] = int(np.argmin(cost))
    for n in range(len(fit) - 1, 0, -1):
        way[n - 1] = back[n, way[n]]
    return way


def _trend() -> np.ndarray:
    """(16, 16) projection of a segment onto a polynomial in time: what is left, over about 7 Hz, is the fine movement."""
    time = np.linspace(-1, 1, LENGTH)
    basis, _ = np.linalg.qr(np.stack([time**k for k in range(_DEGREE + 1)], -1))
    return np.asarray(basis @ basis.T)


def _described(segments: np.ndarray, weight: np.ndarray, speed: float) -> np.ndarray:
    """(S, D) float32 whose distances compare pose and, ``speed`` times as much, change of pose."""
    body = segments * weight[:, None]
    change = np.diff(body, axis=1) * speed
    return np.concatenate((body.reshape(len(body), -1), change.reshape(len(body), -1)), 1).astype(np.float32)


def _resampled(x: np.ndarray, old: float, new: float, frames: int) -> np.ndarray:
    time = np.clip(np.arange(frames) / new * old, 0, len(x) - 1)
    low = np.minimum(np.floor(time).astype(int), max(len(x) - 2, 0))
    part = (time - low).reshape(-1, *[1] * (x.ndim - 1))
    return (1 - part) * x[low] + part * x[np.minimum(low + 1, len(x) - 1)]


def enliven(track: PoseTrack, bank: Bank, codes: np.ndarray | None = None, *, continuity: float = 1.5, speed: float = 3.0,
            liveliness: float = 2.5, amount: float = 1.0) -> PoseTrack:
    """The track with the bank's fine movement in the place of its own.

    What is slower than about 7 Hz stays the performance's, so that the gesture is where and when it was; what is faster comes
    from the chosen real segments.

    :param codes: (N,) the performance's tokens, one for 4 frames at 30 per second; without them all segments are candidates.
    :param continuity: how much a jump between neighbours counts against the fit.
    :param speed: how much more a difference of movement counts than one of pose.
    :param liveliness: how far a segment's energy may be changed towards the usual of its kind.
    :param amount: 1 for the bank's fine movement, 0 for the track's own.
    """
    if len(track) < 3:
        return track
    frames = int(np.floor((len(track) - 1) / track.fps * FPS + 1e-6)) + 1
    points = _resampled(track.points.astype(np.float64), track.fps, FPS, frames)
    body, trunk = normalise(points)
    windows, middle = _windows(body)
    # joints that are not seen say nothing about the fit
    seen = _resampled(track.confidence, track.fps, FPS, frames)[:, _BODY].mean(0)
    weight = np.sqrt(np.clip(seen, 0.02, 1) / np.clip(seen, 0.02, 1).sum())
    flat, wanted = _described(bank.segments, weight, speed), _described(windows, weight, speed)
    chosen, fit = [], []
    for n in range(len(windows)):
        index = np.arange(len(flat))
        if codes is not None and len(codes):
            index = bank.of(int(codes[min((n * HOP + HOP // 2) // TOKEN, len(codes) - 1)]))
        distance = ((flat[index] - wanted[n]) ** 2).sum(1)
        # always the same number, the last repeated where a token has few
        best = np.argsort(distance, kind="stable")[np.minimum(np.arange(_CANDIDATES), len(index) - 1)]
        chosen.append(index[best])
        fit.append(distance[best])
    fine = np.eye(LENGTH) - _trend()
    candidates = np.einsum("ij,nkjpc->nkipc", fine, bank.segments[np.array(chosen)])
    weighted = candidates * weight[:, None] * speed
    first = weighted[:, :, :HOP].reshape(*weighted.shape[:2], -1)
    last = weighted[:, :, HOP:].reshape(*weighted.shape[:2], -1)
    way = _path(np.array(fit), first, last, continuity)
    taken = candidates[np.arange(len(way)), way]
    # the best fit is on the quiet side of its kind; every chosen segment gets the energy that its candidates have on average
    power = (candidates**2).mean((2, 3, 4))
    gain = np.sqrt(power.mean(1) / np.maximum(power[np.arange(len(way)), way], 1e-12))
    taken = taken * np.clip(gain, 1 / liveliness, liveliness)[:, None, None, None]
    own = np.einsum("ij,njpc->nipc", fine, windows)
    # the track's own fine movement is faded linearly (neighbouring windows agree about it), the bank's so that its power stays
    # (neighbouring segments are of different moments)
    linear = np.concatenate((np.arange(HOP) + 0.5, HOP - np.arange(HOP) - 0.5)) / HOP
    even = np.sin(linear * np.pi / 2)
    total = np.zeros((len(windows) * HOP + LENGTH, 13, 2))
    for n in range(len(windows)):
        total[n * HOP: n * HOP + LENGTH] += taken[n] * even[:, None, None] - own[n] * linear[:, None, None]
    delta = total[HOP // 2: HOP // 2 + frames] * amount
    delta = _resampled(delta * trunk, FPS, track.fps, len(track))
    out = track.points.astype(np.float64).copy()
    out[:, _BODY] += delta
    neck = delta[:, 0]
    out[:, [0, 14, 15, 16, 17]] += neck[:, None]
    for group, name in ((LEFT_HAND, "left_wrist"), (RIGHT_HAND, "right_wrist"), (slice(FEET.start, FEET.start + 3), "left_ankle"),
                        (slice(FEET.start + 3, FEET.stop), "right_ankle")):
        out[:, group] += delta[:, INDEX[name] - _BODY.start][:, None]
    return replace(track, points=out, face_centre=track.face_centre + neck)
