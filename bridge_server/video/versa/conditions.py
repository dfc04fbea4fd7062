# SPDX-License-Identifier: Apache-2.0
"""Speech, emotion, blinks and identity as tokens for the extra cross-attention.

The paper names the four inputs and not how they are encoded. Here, for each frame: a window of audio features, a mixture of learned
emotion labels (one label is the special case), the mean of both lids' closing, and CLIP's image embedding of the photograph's
face, from the encoder that Stable Video Diffusion has anyway, so that no face recognition model is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from bridge_server.face.emotion import EMOTIONS
from shared.errors import UnderstudyError

__all__ = [
    "EMOTION_NAMES", "FEATURE_RATE", "FaceConditioner", "FaceConfig", "FaceInputs", "audio_windows", "blink_ratio", "emotion_weights",
]

EMOTION_NAMES: Final = tuple(EMOTIONS)
FEATURE_RATE: Final = 50.0
"""Rows of audio features a second, wav2vec 2.0's own rate."""
# curves that speech moves too say little about emotion
_SPOKEN: Final = ("jaw", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRoll", "mouthShrug", "mouthLowerDown", "mouthUpperUp",
                  "mouthStretch", "eyeBlink", "eyeLook", "tongue")


@dataclass(frozen=True)
class FaceConfig:
    """:ivar audio: name of the audio encoder. :ivar audio_width: numbers of one of its rows. :ivar window: rows heard for a frame.
    :ivar audio_tokens: tokens made of them. :ivar identity_width: of CLIP's embedding. :ivar identity_tokens: tokens made of it.
    :ivar width: of a token: the U-Net's ``cross_attention_dim``."""

    audio: str = "mel"
    audio_width: int = 42
    window: int = 10
    audio_tokens: int = 8
    identity_width: int = 1024
    identity_tokens: int = 4
    width: int = 1024

    def to_json(self) -> dict[str, Any]:
        """For the weights' metadata."""
        return asdict(self)


@dataclass
class FaceInputs:
    """Per frame of a film.

    :ivar audio: (F, window, audio_width). :ivar emotion: (F, emotions), rows that add up to 1. :ivar blink: (F,) in [0, 1].
    :ivar identity: (identity_width,).
    """

    audio: Tensor
    emotion: Tensor
    blink: Tensor
    identity: Tensor

    def take(self, index: list[int]) -> FaceInputs:
        """The frames ``index``."""
        return FaceInputs(self.audio[index], self.emotion[index], self.blink[index], self.identity)


class FaceConditioner(nn.Module):
    """The four inputs to tokens (1, F, K, width), K = audio_tokens + 2 + identity_tokens."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        self.config = config
        hidden, width = 512, config.width
        self.audio = nn.Sequential(nn.Linear(config.window * config.audio_width, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
                                   nn.Linear(hidden, config.audio_tokens * width))
        self.emotion = nn.Parameter(torch.randn(len(EMOTION_NAMES), width))
        self.blink = nn.Sequential(nn.Linear(2, 128), nn.SiLU(), nn.Linear(128, width))
        self.identity = nn.Linear(config.identity_width, config.identity_tokens * width)
        self.norm = nn.LayerNorm(width)

    def forward(self, inputs: FaceInputs) -> Tensor:
        """Tokens for one window of frames."""
        frames, width = len(inputs.blink), self.config.width
        kind = self.emotion.dtype
        heard = self.audio(inputs.audio.flatten(1).to(kind)).view(frames, -1, width)
        feeling = (inputs.emotion.to(kind) @ self.emotion)[:, None]
        lids = self.blink(torch.stack((inputs.blink, inputs.blink**2), -1).to(kind))[:, None]
        who = self.identity(inputs.identity.to(kind)).view(1, -1, width).expand(frames, -1, -1)
        tokens: Tensor = self.norm(torch.cat((heard, feeling, lids, who), 1))[None]
        return tokens


def audio_windows(features: np.ndarray, frames: int, fps: float, window: int) -> np.ndarray:
    """(frames, window, width): for each frame the rows around its time; past the ends is the nearest row.

    :param features: (rows, width) at :data:`FEATURE_RATE`, row 0 at the first frame's time.
    """
    centre = np.arange(frames) / fps * FEATURE_RATE
    rows = np.rint(centre[:, None] + np.arange(window) - (window - 1) / 2).astype(int)
    return features[np.clip(rows, 0, len(features) - 1)]


def blink_ratio(curves: Mapping[str, np.ndarray], frames: int) -> np.ndarray:
    """(frames,) in [0, 1]: how far both lids are closed, from ARKit curves; 0 where there are none."""
    lids = [np.asarray(curves[name], np.float32) for name in ("eyeBlinkLeft", "eyeBlinkRight") if name in curves and len(curves[name])]
    if not lids:
        return np.zeros(frames, np.float32)
    mean = np.clip(np.mean([lid[np.minimum(np.arange(frames), len(lid) - 1)] for lid in lids], 0), 0, 1)
    return mean.astype(np.float32)


def emotion_weights(curves: Mapping[str, np.ndarray], frames: int, fps: float, label: str = "auto") -> np.ndarray:
    """(frames, emotions), rows that add up to 1.

    :param label: an emotion of :data:`EMOTION_NAMES` for the whole film, or ``auto``: read from the face curves, smoothed over two
        seconds; what no emotion explains is neutral.
    :raises UnderstudyError: ``request_invalid`` for an unknown label.
    """
    out = np.zeros((frames, len(EMOTION_NAMES)), np.float32)
    if label != "auto":
        if label not in EMOTION_NAMES:
            raise UnderstudyError("request_invalid", f"There is no emotion named {label!r}.",
                                  f"Choose auto or one of {', '.join(EMOTION_NAMES)}.")
        out[:, EMOTION_NAMES.index(label)] = 1
        return out
    shapes = {name: _shape(name) for name in EMOTION_NAMES if name != "neutral"}
    names = sorted({curve for shape in shapes.values() for curve in shape})
    seen = np.stack([_curve(curves, name, frames) for name in names], -1)
    half = max(round(fps), 1)
    kernel = np.hanning(2 * half + 3)[1:-1]
    padded = np.pad(seen, ((half, half), (0, 0)), mode="edge")
    seen = np.stack([np.convolve(padded[:, k], kernel / kernel.sum(), mode="valid") for k in range(len(names))], -1)
    for emotion, shape in shapes.items():
        target = np.array([shape.get(name, 0.0) for name in names])
        size = float(np.linalg.norm(target))
        along = seen @ target / size**2
        alike = seen @ target / np.maximum(np.linalg.norm(seen, axis=-1) * size, 1e-6)
        out[:, EMOTION_NAMES.index(emotion)] = np.clip(along, 0, 1) * np.clip((alike - 0.5) / 0.4, 0, 1)
    total = out.sum(-1, keepdims=True)
    out /= np.maximum(total, 1.0)
    out[:, EMOTION_NAMES.index("neutral")] += 1 - out.sum(-1)
    return out


def _shape(emotion: str) -> dict[str, float]:
    """Curves of an emotion, both sides, without those that speech moves."""
    full: dict[str, float] = {}
    for name, value in EMOTIONS[emotion].items():
        if name.startswith(_SPOKEN):
            continue
        for one in (name,) if name.endswith(("Left", "Right")) or name == "browInnerUp" else (f"{name}Left", f"{name}Right"):
            full[one] = value
    return full


def _curve(curves: Mapping[str, np.ndarray], name: str, frames: int) -> np.ndarray:
    values = np.asarray(curves.get(name, ()), np.float64)
    return values[np.minimum(np.arange(frames), len(values) - 1)] if len(values) else np.zeros(frames)
