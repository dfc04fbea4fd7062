# SPDX-License-Identifier: Apache-2.0
"""The viseme recogniser: a small convolutional network over mel features, evaluated in numpy.

Layout of the weights (``viseme.safetensors``, float16): ``in.weight (W, 40, 5)``, ``in.bias``, per block ``k``
``block.k.weight (W, W, 5)``, ``block.k.bias``, ``out.weight (15, W, 1)``, ``out.bias``. The first layer has stride 2,
so that one output row is 20 ms; the blocks are residual, with SiLU, block ``k`` dilated by ``2 ** k``. Five blocks see
1.3 s of sound on either side. ``follow (15, 15)``, if there, is how likely one viseme comes after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from bridge_server.face.acoustics import MELS
from bridge_server.face.visemes import VISEMES
from shared.errors import UnderstudyError

__all__ = ["FRAME", "KERNEL", "WARPS", "Recogniser", "Voice", "default_weights", "load", "normalise", "warp"]

FRAME: Final = 0.02
"""Seconds per row of the recogniser's output; row ``k`` is centred on ``k * FRAME``."""
KERNEL: Final = 5
_BLOCK: Final = 3000
WARPS: Final = (0.88, 0.94, 1.0, 1.07, 1.15)
"""Vocal tract lengths that are tried on a clip, as factors of frequency; small speakers have large ones."""
_JUDGED: Final = 2000
"""Rows of 10 ms by which a speaker's vocal tract is judged."""


@dataclass(frozen=True)
class Voice:
    """:ivar tract: the vocal tract's length, one of :data:`WARPS`. :ivar channel: (40,), see :func:`normalise`."""

    tract: float
    channel: np.ndarray


def _channel(mel: np.ndarray) -> np.ndarray:
    """(40,) mean of the louder rows (N, 40)."""
    energy = mel.max(axis=1)
    loud = energy > np.percentile(energy, 95) - 6.0
    mean: np.ndarray = mel[loud].mean(axis=0) if loud.any() else mel.mean(axis=0)
    return mean


def normalise(mel: np.ndarray, channel: np.ndarray | None = None) -> np.ndarray:
    """Log mel rows (N, 40) with the channel taken out: the mean of the clip's louder rows is subtracted.

    Microphone, distance and band shift log mel energies by a constant per band; what remains is what is said.

    :param channel: (40,), the mean where the rows are not the whole clip.
    """
    return (np.maximum(mel - (_channel(mel) if channel is None else channel), -9.0) / 2.5).astype(np.float32)


def _mel_of(hertz: np.ndarray) -> np.ndarray:
    return 2595 * np.log10(1 + hertz / 700)


def warp(mel: np.ndarray, knots: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Log mel rows (N, 40) read at other frequencies: at ``f`` stands what was at ``f`` times the factor there.

    ``factors`` are given at ``knots`` (Hz) and interpolated; the mel scale is that of :mod:`~.acoustics`.
    """
    low, high = _mel_of(np.array([60.0, 7600.0]))
    centres = np.linspace(low, high, MELS + 2)[1:-1]
    hertz = 700 * (10 ** (centres / 2595) - 1)
    source = _mel_of(np.maximum(hertz * np.interp(hertz, knots, factors), 0))
    position = np.clip((source - centres[0]) / (centres[1] - centres[0]), 0, MELS - 1)
    first = np.minimum(position.astype(int), MELS - 2)
    share = (position - first).astype(mel.dtype)
    return (1 - share) * mel[:, first] + share * mel[:, first + 1]


def default_weights() -> Path:
    """Where the starter weights lie."""
    return Path(__file__).parents[1] / "weights" / "starter" / "viseme.safetensors"


def _convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, dilation: int = 1, stride: int = 1) -> np.ndarray:
    """(N, in) -> (N / stride, out), zero padding, as torch's Conv1d with the given dilation and stride."""
    reach = (weight.shape[2] - 1) // 2 * dilation
    padded = np.pad(x, ((reach, reach), (0, 0)))
    rows = (len(x) + stride - 1) // stride
    out = np.tile(bias, (rows, 1))
    for k in range(weight.shape[2]):
        first = k * dilation
        out += padded[first : first + (rows - 1) * stride + 1 : stride] @ weight[:, :, k].T
    return out


def _silu(x: np.ndarray) -> np.ndarray:
    # by tanh, which does not overflow
    return 0.5 * x * (1 + np.tanh(0.5 * x))


def _scaled(mel: np.ndarray, factor: float) -> np.ndarray:
    return mel if factor == 1.0 else warp(mel, np.array([0.0, 8000.0]), np.array([factor, factor]))


class Recogniser:
    """:param weights: tensors by name, as in the module's description.
    :param second: another network that is heard as well. What sounds is the geometric mean of both; whether
        anything is said is this one's to say.
    :ivar follow: (15, 15) probability that a viseme comes after another, or None.
    :raises UnderstudyError: ``weights_invalid`` when tensors are missing or of another shape.
    """

    def __init__(self, weights: dict[str, np.ndarray], second: Recogniser | None = None) -> None:
        self._second = second
        try:
            self._w = {k: np.asarray(v, dtype=np.float32) for k, v in weights.items()}
            self.follow = self._w.pop("follow", None)
            width = len(self._w["in.bias"])
            assert_shapes = {
                "in.weight": (width, MELS, KERNEL),
                "out.weight": (len(VISEMES), width, 1),
                "out.bias": (len(VISEMES),),
            }
            self._dilations = tuple(2**k for k in range(sum(name.endswith(".bias") for name in self._w) - 2))
            for k in range(len(self._dilations)):
                assert_shapes[f"block.{k}.weight"] = (width, width, KERNEL)
                assert_shapes[f"block.{k}.bias"] = (width,)
            wrong = [name for name, shape in assert_shapes.items() if self._w[name].shape != shape]
        except KeyError as error:
            wrong = [str(error)]
        if wrong:
            raise UnderstudyError(
                "weights_invalid",
                f"The viseme weights are not of this version ({', '.join(wrong)}).",
                "Take the file that belongs to this release, or train it again.",
            )

    def __call__(self, mel: np.ndarray) -> np.ndarray:
        """Probabilities (M, 15) float32 for log mel rows (N, 40) at 10 ms; M = ceil(N / 2)."""
        return self.hear(mel, self.voice(mel))

    def voice(self, mel: np.ndarray, others: np.ndarray | None = None) -> Voice:
        """Who speaks in a clip. It is heard with several vocal tract lengths, and the one that the network is surest of is kept.

        :param mel: (N, 40) of the clip, or of a loud stretch of it. :param others: (K, 40) rows from everywhere in the clip, by
            which its channel is judged; None: ``mel`` is all of it.
        """
        # the loudest stretch of 20 s is enough to judge by
        first = 0
        if len(mel) > _JUDGED:
            loud = np.cumsum(np.concatenate(([0.0], mel.max(axis=1))))
            first = int(np.argmax(loud[_JUDGED:] - loud[:-_JUDGED]))
        part = mel[first : first + _JUDGED]
        tract = max(WARPS, key=lambda factor: self._sureness(self._hear(_scaled(part, factor))))
        return Voice(tract, _channel(_scaled(mel if others is None else others, tract)))

    def hear(self, mel: np.ndarray, voice: Voice) -> np.ndarray:
        """Probabilities (M, 15) float32 for rows (N, 40) of a clip, or of a stretch of it, in which ``voice`` speaks."""
        scaled = _scaled(mel, voice.tract)
        mine = self._hear(scaled, voice.channel)
        if self._second is None:
            return mine
        both = np.sqrt(np.maximum(mine * self._second._hear(scaled, voice.channel), 1e-12))[:, 1:]
        both *= (1 - mine[:, :1]) / both.sum(axis=1, keepdims=True)
        return np.concatenate((mine[:, :1], both), axis=1)

    @staticmethod
    def _sureness(p: np.ndarray) -> float:
        speaking = p[:, 0] < 0.5
        return float(np.log(p[speaking].max(axis=1)).mean()) if speaking.any() else -np.inf

    @property
    def reach(self) -> int:
        """Rows of 10 ms to either side that a row's probabilities depend on."""
        mine = 2 * (KERNEL // 2 * (sum(self._dilations) + 2))
        return mine if self._second is None else max(mine, self._second.reach)

    def _hear(self, mel: np.ndarray, channel: np.ndarray | None = None) -> np.ndarray:
        """Probabilities (M, 15) for rows as they are."""
        x = normalise(mel, channel)
        margin = 2 * (KERNEL // 2 * (sum(self._dilations) + 2))
        parts = []
        for first in range(0, len(x), _BLOCK):  # long takes in pieces that overlap by what the network sees
            low, high = max(0, first - margin), min(len(x), first + _BLOCK + margin)
            logits = self._logits(x[low:high])
            parts.append(logits[(first - low) // 2 : (min(first + _BLOCK, len(x)) - low + 1) // 2])
        logits = np.concatenate(parts)
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def _logits(self, x: np.ndarray) -> np.ndarray:
        h = _convolve(x, self._w["in.weight"], self._w["in.bias"], stride=2)
        for k, dilation in enumerate(self._dilations):
            h = h + _convolve(_silu(h), self._w[f"block.{k}.weight"], self._w[f"block.{k}.bias"], dilation)
        return _convolve(_silu(h), self._w["out.weight"], self._w["out.bias"])


@lru_cache(maxsize=2)
def load(path: Path | None = None) -> Recogniser | None:
    """The recogniser, or None where no weights lie.

    :raises UnderstudyError: ``weights_invalid`` when the file cannot be used.
    """
    second = None if path is not None else default_weights().with_name("viseme_second.safetensors")
    path = path or default_weights()
    if not path.is_file():
        return None
    from safetensors.numpy import load_file

    other = Recogniser(load_file(second)) if second is not None and second.is_file() else None
    return Recogniser(load_file(path), other)
