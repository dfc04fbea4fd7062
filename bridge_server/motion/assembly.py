# SPDX-License-Identifier: Apache-2.0
"""Tokens to frames that are final, while more tokens are still being drawn.

The sampler gives a window of tokens at a time. Each call here turns what has become certain into frames,
cleans them and joins them to those given before, which are never touched again. So a long take streams, and what is
streamed is exactly what the result holds.

Fingers come from the ``hands`` tokens where the weights have them, else from hand shapes; jaw and expression from the ``face``
tokens where that is asked for, else they are left to the face that is put on afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from bridge_server.hands import add_hands
from shared import rotations as rot
from shared.kinematics import forward
from shared.motion import Motion
from shared.skeleton import BODY_JOINT_COUNT, JOINT_COUNT
from shared.timeline import Direction

from . import features
from .attributes import scale_energy, scale_gestures
from .cleanup import CALM_FRAMES, Before, calm, clean, soles
from .features import EXPRESSION_WIDTH, FIRST_FINGER, JAW, PartFeatures
from .layering import lay_fingers_over, lay_over
from .rhythm import HOLD, Rhythm, bend, hold_in_pauses, retime, upper_speed
from .tokenizer import DOWN_RATE, Tokenizer

__all__ = ["Assembler", "FineLayer", "calm_face"]

_CONTEXT: Final = 45
"""Frames before the new ones that clean-up and smoothing look at."""
_AHEAD: Final = 8
"""Tokens to the right that the decoder's convolutions see: nearer ones are not certain yet."""
_FADE: Final = 10
"""Frames over which a stretch takes leave of the end of the one before."""
_CALM_FACE: Final = 0.6
_FACE_FADE: Final = 3
"""The same for a face, which has to meet the sounds."""


@dataclass
class FineLayer:
    """A strip for an arm or the head, performed by itself.

    :ivar first: frame on which it begins. :ivar rotations: (T, 22, 4). :ivar weight: (T,).
    :ivar hands: (T, 30, 4) finger joints, or None.
    """

    part: str
    first: int
    rotations: np.ndarray
    weight: np.ndarray
    hands: np.ndarray | None = None


@dataclass
class Assembler:
    """Makes one performance, stretch by stretch.

    :ivar rate: frames per second of what it gives (30, times the tempo). :ivar frames: how many there will be.
    :ivar rhythm: the syllables to keep time with, or None.
    :ivar face: how strong a jaw and expression are taken from the tokens, 0 to 2; None takes none.
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
    face: float | None = None

    def __post_init__(self) -> None:
        self.rotations = rot.identity(self.frames, JOINT_COUNT)
        self.translation = np.zeros((self.frames, 3))
        self.contacts = np.zeros((self.frames, 4), np.float32)
        self.expression = np.zeros((self.frames, 0 if self.face is None else EXPRESSION_WIDTH), np.float32)
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
        hands = _calm_alone(features.decode_hands(stretch.parts["hands"])) if "hands" in stretch.parts else None
        if self.rhythm is not None:
            source = self._source(body, first, decoded, self.rhythm)
            body, hands = bend(body, source), None if hands is None else _bend_fingers(hands, source)
            body = hold_in_pauses(body, self.rhythm, first)
        for layer in self.layers:
            a, b = max(layer.first, first), min(layer.first + len(layer.weight), known)
            if a < b:
                here, there = slice(a - first, b - first), slice(a - layer.first, b - layer.first)
                body[here] = lay_over(body[here], layer.rotations[there], layer.part, layer.weight[there])
                if hands is not None and layer.hands is not None:
                    hands[here] = lay_fingers_over(hands[here], layer.hands[there], layer.part, layer.weight[there])
        body = scale_energy(scale_gestures(body, self.amplitude, self.rate), self.energy, self.rate)
        body, translation = clean(body, translation, contacts, self._before(first))
        rotations = rot.identity(len(body), JOINT_COUNT)
        rotations[:, :BODY_JOINT_COUNT] = body
        if hands is None:
            rotations = add_hands(rotations, self.rate, self.directions, self.seed, first / self.rate)
        else:
            rotations[:, FIRST_FINGER:] = hands
        if self.face is not None:
            jaw, expression = calm_face(*features.decode_face(stretch.parts["face"]), self.face)
            rotations[:, JAW] = jaw
            self.expression[new] = self._expression_joined(expression, inner)
        self.rotations[new], self.translation[new] = self._joined(rotations, translation, inner)
        self.done = certain
        return certain

    def _source(self, body: np.ndarray, first: int, decoded: int, rhythm: Rhythm) -> np.ndarray:
        """Which row of the stretch each row shows, so that strokes end on syllables. Frames under ``decoded`` are what they will stay."""
        a = len(self._speed)
        before = body[a - first - 1] if a > first else None
        self._speed = np.concatenate((self._speed, upper_speed(body[a - first:decoded - first], before)))
        source = retime(self._speed, rhythm, decoded == self.frames)[first:] - first
        rest = np.arange(len(source), len(body))
        return np.concatenate((np.maximum(source, 0), rest))

    def motion(self, start: int, stop: int) -> Motion:
        """Frames that are final."""
        return Motion(self.rate, self.rotations[start:stop], self.translation[start:stop], self.expression[start:stop],
                      contacts=self.contacts[start:stop])

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
        fade = _leave(len(q))
        n = len(fade)
        end_q, end_t = self.rotations[self.done - 1], self.translation[self.done - 1]
        gap = rot.mul(end_q, rot.conjugate(rotations[inner.start - 1]))
        part = rot.slerp(rot.identity(n, JOINT_COUNT), np.broadcast_to(gap, (n, JOINT_COUNT, 4)), fade[:, None])
        q[:n] = rot.mul(part, q[:n])
        t[:n] += fade[:, None] * (end_t - translation[inner.start - 1])
        return rot.continuous(np.concatenate((end_q[None], q)))[1:], t

    def _expression_joined(self, expression: np.ndarray, inner: slice) -> np.ndarray:
        """The same for expression (T, E), within the time of a sound."""
        out = expression[inner].copy()
        if self.done:
            fade = _leave(len(out), _FACE_FADE)[:, None]
            out[:len(fade)] += (fade * (self.expression[self.done - 1] - expression[inner.start - 1])).astype(np.float32)
        return out


def _leave(frames: int, longest: int = _FADE) -> np.ndarray:
    """(N,) weights that fall smoothly from one to zero, N at most ``longest``."""
    n = min(longest, frames)
    fade = 1 - (np.arange(n) + 1) / (longest + 1)
    return fade * fade * (3 - 2 * fade)


def _calm_alone(rotations: np.ndarray) -> np.ndarray:
    """Rotations (T, J, 4) without their tremor, as :func:`.cleanup.calm` does for a body."""
    return rot.normalise(gaussian_filter1d(rot.continuous(rotations), CALM_FRAMES, axis=0, mode="nearest"))


def calm_face(jaw: np.ndarray, expression: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """The same for a jaw (T, 4) and expression (T, E), less of it: lips close within three frames. ``strength`` scales both."""
    smooth = rot.normalise(gaussian_filter1d(rot.continuous(jaw[:, None]), _CALM_FACE, axis=0, mode="nearest"))
    turn = strength * rot.quat_to_axis_angle(smooth[:, 0])
    calmed = strength * gaussian_filter1d(expression, _CALM_FACE, axis=0, mode="nearest")
    return rot.axis_angle_to_quat(turn), calmed.astype(np.float32)


def _bend_fingers(hands: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Fingers (T, 30, 4) whose row k is row ``source[k]``, which may lie between two: they keep the time of their arms."""
    low = np.clip(np.floor(source).astype(int), 0, len(hands) - 1)
    high = np.minimum(low + 1, len(hands) - 1)
    return rot.continuous(rot.slerp(hands[low], hands[high], (source - low)[:, None]))
