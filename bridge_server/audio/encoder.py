# SPDX-License-Identifier: Apache-2.0
"""Audio encoders by name: ``mel`` (the starter weights') and ``wav2vec2`` (the paper's).

Every encoder gives rows of features at exact times. The last two numbers of a row are always energy and onset strength as
``mel`` computes them (:mod:`.features`), so that who listens for speech or beats need not know which encoder is in use.
Which encoder a weights set was trained with, and the hash of its model, stands on the set's card.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from bridge_server.pretrained import ENCODERS_VARIABLE, find_local, weights_hash
from shared.errors import UnderstudyError

from .features import WIDTH, MelRows, mel_features

__all__ = ["HUB", "NAMES", "AudioEncoder", "Mel", "Rows", "Wav2Vec2", "load_audio_encoder"]

NAMES: Final = ("mel", "wav2vec2")
HUB: Final = "facebook/wav2vec2-base-960h"
"""The model that is looked for in the hub's cache; a folder may hold any other wav2vec 2.0 model."""
_STRETCH: Final = 30.0
_MARGIN: Final = 2.0
"""Seconds that are heard at once, and to either side of them for context."""
_QUIET: Final = 1.0
"""Seconds of silence after the end of a recording."""
_SMALLEST: Final = 5.0


class Rows(Protocol):
    """Features of a recording. :ivar sample: rows (N, width or 42) of runs from everywhere in it; of all of it where it is short."""

    sample: list[np.ndarray]

    def rows(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, width) float32; stretches are best asked for from the start to the end."""


class AudioEncoder(Protocol):
    """Samples to rows of features. :ivar width: numbers a row."""

    name: str
    width: int

    def features(self, samples: np.ndarray, sample_rate: int, rows: int, rate: float = 60.0, first: float = 0.0) -> np.ndarray:
        """(rows, width) float32 of mono samples (N,); row ``k`` at second ``first + k / rate``; past the end is silence."""

    def open(self, samples: np.ndarray, sample_rate: int, rows: int, rate: float = 60.0, first: float = 0.0) -> Rows:
        """The same rows, each stretch of them when it is asked for."""

    def card(self) -> dict[str, Any]:
        """What a weights set notes, and what :func:`load_audio_encoder` takes back."""

    def shrink(self) -> bool:
        """Need less memory at once from now on; False when there is nothing to reduce."""


class Mel:
    """Log-mel bands, energy and onset; no model."""

    name = "mel"
    width = WIDTH

    def features(self, samples: np.ndarray, sample_rate: int, rows: int, rate: float = 60.0, first: float = 0.0) -> np.ndarray:
        """See :func:`.features.mel_features`."""
        return mel_features(samples, sample_rate, rows, rate, first)

    def open(self, samples: np.ndarray, sample_rate: int, rows: int, rate: float = 60.0, first: float = 0.0) -> Rows:
        """See :class:`AudioEncoder`."""
        return MelRows(samples, sample_rate, rows, rate, first)

    def card(self) -> dict[str, Any]:
        """See :class:`AudioEncoder`."""
        return {"name": self.name}

    def shrink(self) -> bool:
        """There is nothing to reduce."""
        return False


class Wav2Vec2:
    """Hidden states of a wav2vec 2.0 model (Baevski et al. 2020), interpolated from its 50 rows a second, with energy and onset.

    :param layer: ``last``; ``mean`` of all layers; a layer's number, 0 being what enters the first; or one weight for each of
        layers 0 to the last. Each layer's rows are brought to zero mean and unit variance first, so that weights mean the same
        everywhere. The middle layers know most about sounds and the rhythm of speech, the last ones of a model that was
        fine-tuned on text most about letters (Pasad et al. 2021).
    """

    name = "wav2vec2"

    def __init__(self, folder: Path, device: str = "cpu", layer: Any = "last") -> None:
        from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

        self.digest = weights_hash(folder)
        self.device, self.layer = device, layer
        self.extractor: Any = Wav2Vec2FeatureExtractor.from_pretrained(folder, local_files_only=True)
        self.model: Any = Wav2Vec2Model.from_pretrained(folder, local_files_only=True).eval().to(device)
        config = self.model.config
        self._weights = _layer_weights(layer, config.num_hidden_layers + 1)
        self.width = int(config.hidden_size) + 2
        self.rate = int(self.extractor.sampling_rate)
        self.hop = math.prod(config.conv_stride)
        field = 1
        for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
            field = (field - 1) * stride + kernel
        # the middle of the samples that a row was computed from
        self.centre = (field - 1) / 2
        self.stretch = _STRETCH

    def features(self, samples: np.ndarray, sample_rate: int, rows: int, rate: float = 60.0, first: float = 0.0) -> np.ndarray:
        """See :class:`AudioEncoder`."""
        return self.open(samples, sample_rate, rows, rate, first).rows(0, rows)

    def open(self, samples: np.ndarray, sample_rate: int, rows: int, rate: float = 60.0, first: float = 0.0) -> Rows:
        """See :class:`AudioEncoder`."""
        return _Wav2Vec2Rows(self, samples, sample_rate, rows, rate, first)

    def prepared(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        """Samples (N,) as the model takes them, with a little silence at the end."""
        samples = _resampled(samples, sample_rate, self.rate)
        samples = np.concatenate((samples.astype(np.float32), np.zeros(round(_QUIET * self.rate), np.float32)))
        if self.extractor.do_normalize:
            # over the whole recording, so that a stretch does not sound otherwise than its neighbours
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        return samples

    @property
    def length(self) -> int:
        """Samples that are heard at once."""
        return max(1, round(self.stretch * self.rate / self.hop)) * self.hop

    def hidden(self, samples: np.ndarray, start: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Times in samples (M,) and hidden states (M, width - 2) of ``length`` prepared samples from ``start`` on."""
        import torch

        margin = round(_MARGIN * self.rate / self.hop) * self.hop
        begin = max(0, start - margin)
        piece = torch.from_numpy(samples[begin:start + length + margin])[None].to(self.device)
        with torch.inference_mode():
            out = self._mixed(self.model(piece, output_hidden_states=True).hidden_states)[0].float().cpu().numpy()
        row = begin // self.hop + np.arange(len(out))
        mine = (row >= start // self.hop) & (row < (start + length) // self.hop)
        return row[mine] * self.hop + self.centre, out[mine]

    def _mixed(self, layers: Any) -> Any:
        from torch.nn.functional import layer_norm

        total = 0
        for weight, layer in zip(self._weights, layers, strict=True):
            if weight:
                total = total + weight * layer_norm(layer, layer.shape[-1:])
        return total

    def card(self) -> dict[str, Any]:
        """See :class:`AudioEncoder`."""
        return {"name": self.name, "sha256": self.digest, "layer": self.layer}

    def shrink(self) -> bool:
        """Hear half as much at once."""
        if self.stretch <= _SMALLEST:
            return False
        self.stretch /= 2
        return True


class _Wav2Vec2Rows:
    """See :class:`Rows`. The last stretches heard are kept, since what is asked for overlaps."""

    def __init__(self, encoder: Wav2Vec2, samples: np.ndarray, sample_rate: int, rows: int, rate: float, first: float) -> None:
        self._encoder, self._rate, self._first = encoder, rate, first
        self._loudness = MelRows(samples, sample_rate, rows, rate, first)
        self.sample = self._loudness.sample
        self._samples = encoder.prepared(samples, sample_rate)
        # as it is now: what was heard already must go on with what is heard later
        self._length = encoder.length
        self._heard: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See :class:`Rows`."""
        e, count = self._encoder, stop - start
        at = (np.arange(start, stop) / self._rate + self._first) * e.rate
        ends = np.floor((at[[0, -1]] - e.centre) / e.hop) if count else np.zeros(2)
        low, high = (int(np.clip((row * e.hop) // self._length, 0, (len(self._samples) - 1) // self._length)) for row in ends + (0, 1))
        for k in range(low, high + 1):
            if k not in self._heard:
                self._heard[k] = e.hidden(self._samples, k * self._length, self._length)
        parts = [self._heard[k] for k in range(low, high + 1)]
        self._heard = {k: v for k, v in self._heard.items() if k >= high - 1}
        times, hidden = (np.concatenate([p[n] for p in parts]) for n in range(2))
        below = np.clip(np.searchsorted(times, at) - 1, 0, len(times) - 2) if len(times) > 1 else np.zeros(count, int)
        above = np.minimum(below + 1, len(times) - 1)
        weight = np.clip((at - times[below]) / max(e.hop, 1), 0, 1).astype(np.float32)[:, None]
        mixed = (1 - weight) * hidden[below] + weight * hidden[above]
        return np.concatenate((mixed, self._loudness.rows(start, stop)[:, -2:]), 1).astype(np.float32)


def _layer_weights(layer: Any, count: int) -> list[float]:
    """One weight for each of ``count`` layers, their sum 1. :raises UnderstudyError: ``unsupported``."""
    if layer == "last":
        return [0.0] * (count - 1) + [1.0]
    if layer == "mean":
        return [1 / count] * count
    if isinstance(layer, int) and not isinstance(layer, bool) and 0 <= layer < count:
        return [float(n == layer) for n in range(count)]
    if isinstance(layer, list) and len(layer) == count and all(isinstance(w, int | float) and w >= 0 for w in layer) and sum(layer):
        return [w / sum(layer) for w in layer]
    raise UnderstudyError("unsupported", f"The audio encoder has no layer {layer!r}.",
                          f"Write last, mean, a number from 0 to {count - 1}, or {count} weights.")


def _resampled(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    if rate == wanted:
        return samples
    from scipy.signal import resample_poly

    common = math.gcd(rate, wanted)
    return np.asarray(resample_poly(samples.astype(np.float64), wanted // common, rate // common))


def load_audio_encoder(
    name: str = "mel", folder: str | Path | None = None, device: str = "cpu", *, sha256: str = "", layer: Any = "last",
    beside: Path | None = None,
) -> AudioEncoder:
    """An audio encoder. Nothing is fetched: a model must be on this machine.

    :param folder: with ``config.json``, ``preprocessor_config.json`` and ``model.safetensors``; by default it is looked for
        beside the weights, in ``$UNDERSTUDY_ENCODERS/wav2vec2`` and in the model hub's cache.
    :param sha256: hash that the model must have; empty accepts any. :param layer: as :class:`Wav2Vec2` takes it.
    :param beside: folder of the weights set that it is for.
    :raises UnderstudyError: ``audio_encoder_missing``, ``weights_invalid`` or ``unsupported``.
    """
    if name not in NAMES:
        raise UnderstudyError("unsupported", f"There is no audio encoder named {name!r}.", f"Choose one of {', '.join(NAMES)}.")
    if name == "mel":
        return Mel()
    path = Path(folder) if folder else find_local(name, HUB, beside=beside)
    if path is None:
        raise UnderstudyError("audio_encoder_missing", f"The audio encoder {name} is not on this machine.",
                              f"Run 'hf download {HUB}', or put the model's folder into ${ENCODERS_VARIABLE} under the name {name}.")
    for needed in ("config.json", "preprocessor_config.json"):
        if not (path / needed).is_file():
            raise UnderstudyError("audio_encoder_missing", f"{path} holds no wav2vec 2.0 model: {needed} is missing.",
                                  f"Name a folder with config.json, preprocessor_config.json and model.safetensors of {HUB} "
                                  "or another wav2vec 2.0 model.")
    from safetensors import SafetensorError

    try:
        encoder = Wav2Vec2(path, device, layer)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, SafetensorError) as error:
        raise UnderstudyError("weights_invalid", f"The audio encoder in {path.name} cannot be read ({type(error).__name__}: {error}).",
                              f"Fetch {HUB} again; the weights must be model.safetensors.") from error
    if sha256 and encoder.digest != sha256:
        raise UnderstudyError("weights_invalid", f"The audio encoder {name} is not the one that these weights were trained with "
                              f"(hash {encoder.digest[:12]}, expected {sha256[:12]}).", "Use the model that the weights' card names.")
    return encoder
