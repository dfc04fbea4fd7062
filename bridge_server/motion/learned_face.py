# SPDX-License-Identifier: Apache-2.0
"""A face alone from the ``face`` tokens, over a body that stays: what the speech asks of the whole body, of which the face is kept."""

from __future__ import annotations

import math

import numpy as np

from bridge_server.audio.encoder import AudioEncoder
from bridge_server.audio.heard import Heard
from bridge_server.audio.sound import Audio
from bridge_server.face.generated import not_learnt
from bridge_server.text.encoder import TextEncoder
from shared import rotations as rot

from . import features
from .assembly import calm_face
from .audio_branch import AUDIO_RATE
from .decoding import Networks as Drawing
from .draws import Draw, SampleOptions
from .outlook import ROWS, Outlook
from .sampler import draw_together
from .scheduling import Planner
from .tokenizer import DOWN_RATE
from .weights import Networks

__all__ = ["speak"]

_FPS = 30.0


def speak(net: Networks, encoder: TextEncoder, hearing: AudioEncoder, audio: Audio, times: np.ndarray, strength: float,
          options: SampleOptions) -> tuple[np.ndarray, np.ndarray]:
    """The jaw's rotation (T, 4) and expression (T, 100) float32 at ``times`` (T,) seconds.

    :param strength: scales both.
    :raises UnderstudyError: ``unsupported`` where the weights have not learnt faces.
    """
    groups = tuple(net.tokenizer.group_names)
    if "face" not in groups:
        raise not_learnt(str(net.card["name"]))
    frames = math.ceil(float(times[-1]) * _FPS) + 2
    tokens = math.ceil(frames / DOWN_RATE)
    outlook = Outlook(Planner([], tokens, encoder, groups), Heard(hearing, audio, tokens, ROWS, AUDIO_RATE), tokens, frames, False)
    drawn = draw_together(Drawing(net.text, net.audio, net.residual, net.tokenizer),
                          [Draw(tokens, len(groups), outlook.look, options.seed)], options)[0]
    jaw, expression = calm_face(*features.decode_face(net.tokenizer.decode_features(drawn).parts["face"]), strength)
    position = np.clip(np.asarray(times, np.float64) * _FPS, 0, len(jaw) - 1)
    low = np.floor(position).astype(int)
    high, share = np.minimum(low + 1, len(jaw) - 1), position - low
    mixed = (1 - share)[:, None] * expression[low] + share[:, None] * expression[high]
    return rot.continuous(rot.slerp(jaw[low], jaw[high], share)[:, None])[:, 0], mixed.astype(np.float32)
