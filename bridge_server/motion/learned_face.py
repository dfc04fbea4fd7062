# SPDX-License-Identifier: Apache-2.0
"""A face alone from the ``face`` tokens, over a body that stays: what the speech asks of the whole body, of which the face is kept."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from bridge_server.audio.sound import Audio
from bridge_server.face.generated import not_learnt
from bridge_server.text.encoder import TextEncoder
from shared import rotations as rot

from . import features
from .assembly import calm_face
from .sampler import SampleOptions, Speech, sample
from .scheduling import plan
from .tokenizer import DOWN_RATE
from .weights import Networks

__all__ = ["speak"]

_FPS = 30.0

Listen = Callable[[Audio | None, int, float], tuple[np.ndarray | None, np.ndarray | None]]


def speak(net: Networks, encoder: TextEncoder, listen: Listen, audio: Audio, times: np.ndarray, strength: float,
          options: SampleOptions) -> tuple[np.ndarray, np.ndarray]:
    """The jaw's rotation (T, 4) and expression (T, 100) float32 at ``times`` (T,) seconds.

    :param strength: scales both. :param listen: gives audio features (8 N, width) and where somebody speaks (N,) of a sound, for N tokens at a tempo.
    :raises UnderstudyError: ``unsupported`` where the weights have not learnt faces.
    """
    if "face" not in net.tokenizer.group_names:
        raise not_learnt(str(net.card["name"]))
    frames = math.ceil(float(times[-1]) * _FPS) + 2
    tokens = math.ceil(frames / DOWN_RATE)
    rows, given = listen(audio, tokens, 1.0)
    made = plan([], tokens, encoder, speech=given, groups=tuple(net.tokenizer.group_names))
    drawn = sample(
        net.text, net.audio if given is not None else None, net.residual, net.tokenizer, made.conditions, made.strength, made.seeds,
        options, speech=None if rows is None or given is None else Speech(
            torch.from_numpy(rows)[None], torch.from_numpy(given), made.speech, torch.from_numpy(made.spoken)))
    jaw, expression = calm_face(*features.decode_face(net.tokenizer.decode_features(drawn).parts["face"]), strength)
    position = np.clip(np.asarray(times, np.float64) * _FPS, 0, len(jaw) - 1)
    low = np.floor(position).astype(int)
    high, share = np.minimum(low + 1, len(jaw) - 1), position - low
    mixed = (1 - share)[:, None] * expression[low] + share[:, None] * expression[high]
    return rot.continuous(rot.slerp(jaw[low], jaw[high], share)[:, None])[:, 0], mixed.astype(np.float32)
