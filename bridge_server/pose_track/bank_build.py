# SPDX-License-Identifier: Apache-2.0
"""Making a relation bank: from motion capture seen by many virtual cameras, or from template videos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from bridge_server.pose_track.bank import FPS, HOP, LENGTH, TOKEN, Bank, normalise
from bridge_server.pose_track.files import read_dwpose
from bridge_server.pose_track.project import camera_for, track_of
from bridge_server.training.clips import Clip
from shared.errors import UnderstudyError
from shared.motion import Motion

__all__ = ["Tokens", "bank_of", "from_mocap", "from_templates"]


class Tokens:
    """The tokenizer of a weights set, as far as a bank needs it: the first code of the upper body.

    :param weights: name or folder of the set. :raises UnderstudyError: ``weights_missing`` or ``weights_invalid``.
    """

    def __init__(self, weights: str = "starter") -> None:
        from bridge_server.motion.weights import find_set, load_networks

        self._tokenizer = load_networks(find_set(weights)).tokenizer
        name = "upper" if "upper" in self._tokenizer.group_names else self._tokenizer.group_names[0]
        self._group = self._tokenizer.group_names.index(name)
        state = self._tokenizer.state_dict()
        digest = sha256()
        for key in sorted(state):
            # what decides on codes; a decoder may be refined later without touching them
            if f".{name}." in f".{key}." and ("encoder" in key or "quantizer" in key) and not key.endswith((".usage", ".sums")):
                digest.update(state[key].half().cpu().numpy().tobytes())
        self.digest = digest.hexdigest()
        books = [v for k, v in state.items() if f".{name}." in f".{k}." and "quantizer" in k and v.ndim >= 2
                 and v.shape[-1] == self._tokenizer.config.code_width and not k.endswith(".sums")]
        if not books:
            raise UnderstudyError("weights_invalid", "The tokenizer has no book of codes.", "Choose another weights set.")
        book = books[0].float().cpu().numpy()
        self.vectors = book[0] if book.ndim == 3 else book

    def _tensors(self, motion: Motion) -> dict[str, Any]:
        import torch

        from bridge_server.motion.features import encode

        even = motion.resample(FPS)
        frames = max(len(even) // TOKEN * TOKEN, TOKEN)
        even = even.take(np.minimum(np.arange(frames), len(even) - 1))
        features = encode(even.rotations[:, :22].astype(np.float32), even.translation.astype(np.float32))
        names = {part for parts in self._tokenizer.config.groups.values() for part in parts}
        return {k: torch.from_numpy(np.asarray(v, np.float32))[None] for k, v in features.parts.items() if k in names}

    def codes(self, motion: Motion) -> np.ndarray:
        """(N,) one for 4 frames at 30 per second."""
        tokens = self._tokenizer.encode(self._tensors(motion))
        return tokens[0, :, self._group, 0].cpu().numpy().astype(np.int64)

    def decoded(self, motion: Motion) -> Motion:
        """The performance after the tokenizer: what a generator at its best would give, at 30 per second."""
        from bridge_server.motion.features import decode

        parts = self._tokenizer.decode_features(self._tokenizer.encode(self._tensors(motion))[0])
        rotations, translation, _ = decode(parts)
        return Motion.from_body(FPS, rotations, translation)


def motion_of(clip: Clip) -> Motion:
    """A clip as a performance."""
    return Motion.from_body(FPS, clip.rotations, clip.translation)


def _pieces(body: np.ndarray, codes: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Segments (16, 13, 2) of one track, from their mean necks, with their codes."""
    for n in range((len(body) - LENGTH) // HOP + 1):
        piece = body[n * HOP: n * HOP + LENGTH]
        yield piece - piece[:, 0].mean(0), int(codes[min((n * HOP + LENGTH // 2) // TOKEN, len(codes) - 1)])


def bank_of(pieces: Iterable[tuple[np.ndarray, int]], vectors: np.ndarray, digest: str, per_code: int, limit: int,
            rng: np.random.Generator, facts: dict[str, Any]) -> Bank:
    """At most ``limit`` segments, at most ``per_code`` of each token, drawn evenly among those that were offered.

    :raises UnderstudyError: ``request_invalid`` where there is none.
    """
    kept: dict[int, list[np.ndarray]] = {}
    offered: dict[int, int] = {}
    for piece, code in pieces:
        offered[code] = offered.get(code, 0) + 1
        have = kept.setdefault(code, [])
        if len(have) < per_code:
            have.append(piece)
        else:
            # reservoir: every segment of a token has the same chance
            place = int(rng.integers(offered[code]))
            if place < per_code:
                have[place] = piece
    if not kept:
        raise UnderstudyError("request_invalid", "There is no motion to make a bank of.", "Name folders with motion.")
    segments, codes = [], []
    for depth in range(per_code):
        for code in sorted(kept):
            if depth < len(kept[code]) and len(segments) < limit:
                segments.append(kept[code][depth])
                codes.append(code)
    return Bank(np.array(segments), np.array(codes, np.int64), vectors, digest, facts)


def from_mocap(clips: Sequence[Clip], tokens: Tokens, *, cameras: int = 2, per_code: int = 16, limit: int = 6000, seed: int = 0,
               facts: dict[str, Any] | None = None, report: Any = None) -> Bank:
    """A bank of clips, each seen by ``cameras`` virtual cameras around the front (within about 45 degrees) at any height."""
    rng = np.random.default_rng(seed)

    def pieces() -> Iterator[tuple[np.ndarray, int]]:
        for number, clip in enumerate(clips):
            if report is not None:
                report(number / len(clips))
            if len(clip) < LENGTH:
                continue
            motion = motion_of(clip)
            codes = tokens.codes(motion)
            for _ in range(cameras):
                camera = camera_for(motion, "whole", 512, 512, azimuth=float(np.clip(rng.normal(0, 0.35), -0.8, 0.8)),
                                    elevation=float(rng.normal(0.05, 0.12)))
                body, _ = normalise(track_of(motion, camera, occlusion=False).points)
                yield from _pieces(body, codes)

    return bank_of(pieces(), tokens.vectors, tokens.digest, per_code, limit, rng, facts or {})


def from_templates(pairs: Sequence[tuple[Path, Path]], tokens: Tokens, *, per_code: int = 64, limit: int = 20000, seed: int = 0) -> Bank:
    """A bank of template videos: for each its DWPose npz and the SMPL-X performance that was fitted to it.

    :param pairs: (DWPose npz, performance as npz of Understudy, AMASS or BEAT2).
    :raises UnderstudyError: what is wrong with a file; ``file_invalid`` where the two are of different length.
    """
    def pieces() -> Iterator[tuple[np.ndarray, int]]:
        for pose, body_file in pairs:
            track, motion = read_dwpose(pose), _performance(body_file)
            if abs(track.duration - motion.duration) > 0.25:
                raise UnderstudyError("file_invalid", f"{pose.name} is {track.duration:.1f} s long and {body_file.name} "
                                      f"{motion.duration:.1f} s.", "Name the pose and the performance of the same video.")
            frames = int(track.duration * FPS)
            index = np.clip(np.arange(frames) / FPS * track.fps, 0, len(track) - 1)
            low = np.floor(index).astype(int)
            part = (index - low)[:, None, None]
            points = (1 - part) * track.points[low] + part * track.points[np.minimum(low + 1, len(track) - 1)]
            sure = np.minimum(track.confidence[low], track.confidence[np.minimum(low + 1, len(track) - 1)])[:, 1:14]
            body, _ = normalise(points)
            codes = tokens.codes(motion)
            for n, (piece, code) in enumerate(_pieces(body, codes)):
                # a segment with a limb that the detector did not see would teach a jump
                if sure[n * HOP: n * HOP + LENGTH].min() >= 0.3:
                    yield piece, code

    facts = {"sources": [pose.name for pose, _ in pairs]}
    return bank_of(pieces(), tokens.vectors, tokens.digest, per_code, limit, np.random.default_rng(seed), facts)


def _performance(path: Path) -> Motion:
    """A performance in any layout that the project reads."""
    from shared.formats.read import read_motion

    # fingers are in no token of the body, and BEAT2's could not be read without a model file
    motion: Motion = read_motion(path, hands=False)
    return motion
