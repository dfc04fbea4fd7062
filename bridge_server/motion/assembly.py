# SPDX-License-Identifier: Apache-2.0
"""Tokens to frames that are final, while more tokens are still being drawn.

The sampler gives a window of tokens at a time. Each call here turns what has become certain into frames,
cleans them and joins them to those given before, which are never touched again. So a long take streams, and what is
streamed is exactly what the result holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from torch import Tensor

from bridge_server.hands import add_hands
from shared import rotations as rot
from shared.kinematics import forward
from shared.motion import Motion
from shared.skeleton import BODY_JOINT_COUNT, JOINT_COUNT
from shared.timeline import Direction

from . import features
from .attributes import scale_energy, scale_gestures
from .cleanup import Before, calm, clean, soles
from .features import PartFeatures
from .layering import lay_over
from .rhythm import HOLD, Rhythm, bend, retime, upper_speed
from .tokenizer import DOWN_RATE, Tokenizer

__all__ = ["Assembler", "FineLayer"]

_CONTEXT: Final = 45
"""Frames before the new ones that clean-up and smoothing look at."""
_AHEAD: Final = 8
"""Tokens to the right that the decoder's convolutions see: nearer ones are not certain yet."""
_FADE: Final = 10
"""Frames over which a stretch takes leave of the end of the one before."""


@dataclass
class FineLayer:
    """A strip for an arm or the head, performed by itself.

    :ivar first: frame on which it begins. :ivar rotations: (T, 22, 4). :ivar weight: (T,).
    """

    part: str
    first: int
    rotations: np.ndarray
    weight: np.ndarray


@dataclass
class Assembler:
    """Makes one performance, stretch by stretch.

    :ivar rate: frames per second of what it gives (30, times the tempo). :ivar frames: how many there will be.
    :ivar rhythm: the syllables to keep time with, or None.
    """

    tokenizer: Tokenizer
    rate: float
    frames: int
    directions: list[Direction]
    layers: list[FineLayer]
    seed: int = 0
    amplitude: float = 1.0
    energy: float = 1.0
    rhythm: Rhythm | None = None

    def __post_init__(self) -> None:
        self.rotations = rot.identity(self.frames, JOINT_COUNT)
        self.translation = np.zeros((self.frames, 3))
        self.contacts = np.zeros((self.frames, 4), np.float32)
        self.done = 0
        self._features: dict[str, np.ndarray] = {}
        # heading (radians) and place (metres) of the path before clean-up, which the next stretch goes on from
        self._yaw = np.zeros(self.frames)
        self._raw = np.zeros((self.frames, 3))
        self._speed = np.zeros(0)

    def add(self, tokens: Tensor, last: bool) -> int:
        """Take the tokens (n, G, L) drawn so far, all of them final, and return how many frames are."""
        certain = decoded = self.frames if last else min(self.frames, DOWN_RATE * max(0, len(tokens) - _AHEAD))
        if self.rhythm is not None and not last:
            certain = max(0, decoded - HOLD)
        if certain <= self.done:
            return self.done
        known = self._read(tokens)
        first = max(0, self.done - _CONTEXT)
        stretch = PartFeatures({name: x[first:known] for name, x in self._features.items()})
        yaw, place = self._yaw[first], self._raw[first]
        body, translation, contacts = features.decode(stretch, yaw, (place[0], place[2]))
        headings = yaw + np.concatenate(([0.0], np.cumsum(stretch.parts["lower"][:-1, 0], dtype=np.float64)))
        new = slice(self.done, certain)
        inner = slice(self.done - first, certain - first)
        self._yaw[new], self._raw[new], self.contacts[new] = headings[inner], translation[inner], contacts[inner]
        body, translation = calm(body, translation)
        if self.rhythm is not None:
            body = self._timed(body, first, decoded, self.rhythm)
        for layer in self.layers:
            a, b = max(layer.first, first), min(layer.first + len(layer.weight), known)
            if a < b:
                here, there = slice(a - first, b - first), slice(a - layer.first, b - layer.first)
                body[here] = lay_over(body[here], layer.rotations[there], layer.part, layer.weight[there])
        body = scale_energy(scale_gestures(body, self.amplitude, self.rate), self.energy, self.rate)
        body, translation = clean(body, translation, contacts, self._before(first))
        rotations = rot.identity(len(body), JOINT_COUNT)
        rotations[:, :BODY_JOINT_COUNT] = body
        rotations = add_hands(rotations, self.rate, self.directions, self.seed, first / self.rate)
        self.rotations[new], self.translation[new] = self._joined(rotations, translation, inner)
        self.done = certain
        return certain

    def _timed(self, body: np.ndarray, first: int, decoded: int, rhythm: Rhythm) -> np.ndarray:
        """The stretch with the ends of its strokes on syllables. Frames under ``decoded`` are what they will stay."""
        a = len(self._speed)
        before = body[a - first - 1] if a > first else None
        self._speed = np.concatenate((self._speed, upper_speed(body[a - first:decoded - first], before)))
        source = retime(self._speed, rhythm, decoded == self.frames)[first:] - first
        rest = np.arange(len(source), len(body))
        return bend(body, np.concatenate((np.maximum(source, 0), rest)))

    def motion(self, start: int, stop: int) -> Motion:
        """Frames that are final."""
        return Motion(self.rate, self.rotations[start:stop], self.translation[start:stop], contacts=self.contacts[start:stop])

    def _read(self, tokens: Tensor) -> int:
        """Decode what is new, with enough before it for the convolutions; returns the frames known."""
        begin = max(0, self.done // DOWN_RATE - 2 * _AHEAD)
        fresh = self.tokenizer.decode_features(tokens[begin:]).parts
        # the first tokens of what was decoded lack their left neighbours
        keep = 0 if begin == 0 else _AHEAD * DOWN_RATE
        for name, x in fresh.items():
            old = self._features.get(name, x[:0])
            self._features[name] = np.concatenate((old[:begin * DOWN_RATE + keep], x[keep:]))
        return min(self.frames, len(tokens) * DOWN_RATE)

    def _before(self, first: int) -> Before | None:
        if self.done == 0:
            return None
        last = slice(self.done - 1, self.done)
        points = soles(*forward(self.rotations[last, :BODY_JOINT_COUNT], self.translation[last]))
        return Before(self.done - 1 - first, self.translation[self.done - 1], points[0])

    def _joined(self, rotations: np.ndarray, translation: np.ndarray, inner: slice) -> tuple[np.ndarray, np.ndarray]:
        """The new frames, led away from the last final one."""
        q, t = rotations[inner], translation[inner].copy()
        if self.done == 0:
            return rot.continuous(q), t
        n = min(_FADE, len(q))
        fade = 1 - (np.arange(n) + 1) / (_FADE + 1)
        fade = fade * fade * (3 - 2 * fade)
        end_q, end_t = self.rotations[self.done - 1], self.translation[self.done - 1]
        gap = rot.mul(end_q, rot.conjugate(rotations[inner.start - 1]))
        part = rot.slerp(rot.identity(n, JOINT_COUNT), np.broadcast_to(gap, (n, JOINT_COUNT, 4)), fade[:, None])
        q[:n] = rot.mul(part, q[:n])
        t[:n] += fade[:, None] * (end_t - translation[inner.start - 1])
        return rot.continuous(np.concatenate((end_q[None], q)))[1:], t
