# SPDX-License-Identifier: Apache-2.0
"""Performances to be measured, kept on disk row by row, so that an interrupted evaluation goes on where it stopped."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from tqdm import tqdm

from bridge_server.audio.sound import Audio
from bridge_server.motion.generator import Generator
from bridge_server.motion.weights import find_set, read_card
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.skeleton import BODY_JOINT_COUNT
from shared.timeline import Direction

from .items import FPS, Body, Item

__all__ = ["Takes", "Wish", "direct", "speak"]

_SOURCE: Final = Path(__file__).resolve().parent.parent
_MADE_BY: Final = ("motion", "audio", "text", "hands")
_NETWORKS: Final = ("tokenizer", "text", "residual")
"""What every performance depends on; one with sound depends on the audio branch too."""


@dataclass
class Wish:
    """One performance that is wanted. :ivar name: says for what; ``request`` holds the seed."""

    name: str
    request: MotionRequest
    audio: Audio | None = None

    @property
    def digest(self) -> bytes:
        """Changes with anything that shapes the result."""
        r = self.request
        text = f"{self.name} {r.seed} {r.duration} {[(d.start, d.end, d.text, d.part) for d in r.directions]}"
        return text.encode() + (b"" if self.audio is None else hashlib.sha256(self.audio.samples.tobytes()).digest())


def direct(item: Item, text: str, seed: int, audio: Audio | None = None) -> Wish:
    """One caption over an item's whole length. The face's own nods are left out: they are no part of the motion
    model."""
    request = MotionRequest(
        fps=FPS, duration=item.seconds, directions=[Direction(0.0, item.seconds, text)], seed=seed, face=False
    )
    return Wish(item.name, request, audio)


def speak(name: str, audio: Audio, seed: int, keep_time: bool = True) -> Wish:
    """Speech alone, for its whole length. :param keep_time: strokes are led to syllables."""
    return Wish(name, MotionRequest(fps=FPS, duration=audio.duration, seed=seed, face=False, keep_time=keep_time), audio)


def _code() -> bytes:
    digest = hashlib.sha256()
    for folder in _MADE_BY:
        for path in sorted((_SOURCE / folder).glob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.digest()


class Takes:
    """Performs rows of wishes with one weights set.

    :param folder: where rows are kept. :param weights: name or folder of a set.
    :param make: makes the generator, called only when something is missing.
    :raises UnderstudyError: ``weights_missing`` or ``weights_invalid``.
    """

    def __init__(self, folder: Path, weights: str, make: Callable[[], Generator]) -> None:
        self.card = read_card(find_set(weights))
        self._folder, self._make = folder, make
        self._generator: Generator | None = None
        self._code = _code()

    @property
    def generator(self) -> Generator:
        """Loaded on first use."""
        if self._generator is None:
            self._generator = self._make()
        return self._generator

    def row(self, name: str, wishes: Sequence[Wish]) -> list[Body]:
        """Bodies of the wishes, in order; performed, or read when they were performed before."""
        names = (*_NETWORKS, "audio") if any(w.audio is not None for w in wishes) else _NETWORKS
        digest = hashlib.sha256(repr([self.card["files"].get(f"{n}.safetensors") for n in names]).encode() + self._code)
        for wish in wishes:
            digest.update(wish.digest)
        path = self._folder / f"{name}-{digest.hexdigest()[:16]}.npz"
        if (kept := _read(path)) is not None and len(kept) == len(wishes):
            return kept
        bodies = []
        for wish in tqdm(wishes, desc=name, unit="take"):
            motion: Motion = self.generator.perform(wish.request, wish.audio, lambda stage, fraction: None)
            bodies.append(
                (motion.rotations[:, :BODY_JOINT_COUNT].astype(np.float32), motion.translation.astype(np.float32))
            )
        _write(path, bodies)
        return bodies


def _read(path: Path) -> list[Body] | None:
    try:
        with np.load(path, allow_pickle=False) as z:
            edges = np.cumsum(z["lengths"])[:-1]
            return list(zip(np.split(z["rotations"], edges), np.split(z["translation"], edges), strict=True))
    except FileNotFoundError:
        return None
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        # a row that was cut off while it was written is made anew
        return None


def _write(path: Path, bodies: list[Body]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part.npz")
    np.savez(
        temporary,
        lengths=np.array([len(q) for q, _ in bodies]),
        rotations=np.concatenate([q for q, _ in bodies]),
        translation=np.concatenate([t for _, t in bodies]),
    )
    temporary.replace(path)
