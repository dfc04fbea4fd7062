# SPDX-License-Identifier: Apache-2.0
"""The two networks that films are measured with and that no library here has: AlexNet's features for LPIPS, and SyncNet.

Layer for layer as published, so that the published files load by their own names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from shared.errors import UnderstudyError

__all__ = ["AlexFeatures", "SyncNet", "load_state", "lpips_distance", "mfcc"]


def load_state(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a published file. :raises UnderstudyError: ``weights_invalid``."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has many ways to say that a file is not its own
        raise UnderstudyError("weights_invalid", f"{path.name} cannot be read as weights ({str(error).splitlines()[0][:200]}).",
                              "Download it again from where it is published.") from error
    return dict(state)


def _fill(module: nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    missing = [name for name in module.state_dict() if name not in state and not name.endswith("num_batches_tracked")]
    if missing:
        raise UnderstudyError("weights_invalid", f"{path.name} lacks {', '.join(missing[:4])}{' and more' if len(missing) > 4 else ''}.",
                              "Download the published file again.")
    try:
        module.load_state_dict({k: v for k, v in state.items() if k in module.state_dict()}, strict=False)
    except RuntimeError as error:
        raise UnderstudyError("weights_invalid", f"{path.name} has tensors of other shapes ({str(error).splitlines()[-1].strip()[:200]}).",
                              "Download the published file again.") from error


class AlexFeatures(nn.Module):
    """torchvision's AlexNet up to its last convolution, with LPIPS' learned weights of the five layers (Zhang et al. 2018).

    :param alexnet: ``alexnet-owt-7be5be79.pth``. :param linear: LPIPS' ``alex.pth``, which torchmetrics carries.
    """

    _TAPS = (1, 4, 7, 9, 11)

    def __init__(self, alexnet: Path, linear: Path) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU())
        _fill(self, load_state(alexnet), alexnet)
        state = load_state(linear)
        try:
            self.linear = [state[f"lin{n}.model.1.weight"].reshape(-1) for n in range(5)]
        except KeyError as error:
            raise UnderstudyError("weights_invalid", f"{linear.name} lacks {error}.", "Install torchmetrics again.") from error
        self.eval().requires_grad_(False)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """The five layers of (N, 3, H, W) in [-1, 1], each of unit length along its channels."""
        shift = torch.tensor([-0.030, -0.088, -0.188]).reshape(1, 3, 1, 1)
        scale = torch.tensor([0.458, 0.448, 0.450]).reshape(1, 3, 1, 1)
        x, out = (pictures - shift) / scale, []
        for n, layer in enumerate(self.features):
            x = layer(x)
            if n in self._TAPS:
                out.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return out


def lpips_distance(network: AlexFeatures, a: np.ndarray, b: np.ndarray) -> float:
    """LPIPS of two (H, W, 3) uint8 pictures."""
    pair = torch.from_numpy(np.stack((a, b))).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        layers = network(pair)
        parts = [((x[:1] - x[1:]).square() * w.reshape(1, -1, 1, 1)).sum(1).mean() for x, w in zip(layers, network.linear, strict=True)]
    return float(sum(parts))


def _convolutions(kind: type[nn.Module], norm: type[nn.Module], layers: list[tuple[Any, ...]]) -> list[nn.Module]:
    out: list[nn.Module] = []
    for layer in layers:
        if layer[0] == "pool":
            pool = nn.MaxPool2d if kind is nn.Conv2d else nn.MaxPool3d
            out.append(pool(*layer[1:]))
        else:
            out += [kind(*layer), norm(layer[1]), nn.ReLU(inplace=True)]
    return out


class SyncNet(nn.Module):
    """SyncNet (Chung and Zisserman 2016): 0.2 s of lips and of speech into one space of 1024 dimensions.

    :param path: the published ``syncnet_v2.model``, a state dict.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(*_convolutions(nn.Conv2d, nn.BatchNorm2d, [
            (1, 64, (3, 3), (1, 1), (1, 1)), ("pool", (1, 1), (1, 1)), (64, 192, (3, 3), (1, 1), (1, 1)), ("pool", (3, 3), (1, 2)),
            (192, 384, (3, 3), 1, (1, 1)), (384, 256, (3, 3), 1, (1, 1)), (256, 256, (3, 3), 1, (1, 1)), ("pool", (3, 3), (2, 2)),
            (256, 512, (5, 4))]))
        self.netfcaud, self.netfclip = (nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))
                                        for _ in range(2))
        self.netcnnlip = nn.Sequential(*_convolutions(nn.Conv3d, nn.BatchNorm3d, [
            (3, 96, (5, 7, 7), (1, 2, 2), 0), ("pool", (1, 3, 3), (1, 2, 2)), (96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)),
            ("pool", (1, 3, 3), (1, 2, 2), (0, 1, 1)), (256, 256, (1, 3, 3), 1, (0, 1, 1)), (256, 256, (1, 3, 3), 1, (0, 1, 1)),
            (256, 256, (1, 3, 3), 1, (0, 1, 1)), ("pool", (1, 3, 3), (1, 2, 2)), (256, 512, (1, 6, 6), 1, 0)]))
        if path is not None:
            _fill(self, load_state(path), path)
        self.eval().requires_grad_(False)

    def speech(self, cepstra: torch.Tensor) -> torch.Tensor:
        """(N, 1024) of (N, 1, 13, 20): 13 cepstra at 100 per second."""
        return self.netfcaud(self.netcnnaud(cepstra).flatten(1))

    def lips(self, faces: torch.Tensor) -> torch.Tensor:
        """(N, 1024) of (N, 3, 5, 224, 224): faces as OpenCV reads them, BGR from 0 to 255, at 25 per second."""
        return self.netfclip(self.netcnnlip(faces).flatten(1))


def mfcc(sound: np.ndarray, rate: int = 16_000) -> np.ndarray:
    """(T, 13) cepstra at 100 per second of (N,) samples in [-1, 1], as ``python_speech_features.mfcc`` makes them by default.

    Windows of 25 ms without taper, 512-point spectra, 26 triangular filters on the mel scale, pre-emphasis 0.97, lifter 22, and the
    logarithm of the energy in the first place.
    """
    from scipy.fftpack import dct

    samples = np.clip(sound, -1, 1) * 32767.0
    samples = np.append(samples[0], samples[1:] - 0.97 * samples[:-1])
    length, step, size = round(0.025 * rate), round(0.01 * rate), 512
    frames = 1 if len(samples) <= length else 1 + int(np.ceil((len(samples) - length) / step))
    padded = np.concatenate((samples, np.zeros(max((frames - 1) * step + length - len(samples), 0))))
    windows = padded[np.arange(frames)[:, None] * step + np.arange(length)]
    power = np.abs(np.fft.rfft(windows, size)) ** 2 / size
    energy = power.sum(1)
    mel = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), 28)
    bins = np.floor((size + 1) * 700 * (10 ** (mel / 2595) - 1) / rate)
    bank = np.zeros((26, size // 2 + 1))
    for j in range(26):
        for i in range(int(bins[j]), int(bins[j + 1])):
            bank[j, i] = (i - bins[j]) / (bins[j + 1] - bins[j])
        for i in range(int(bins[j + 1]), int(bins[j + 2])):
            bank[j, i] = (bins[j + 2] - i) / (bins[j + 2] - bins[j + 1])
    tiny = np.finfo(float).eps
    cepstra = dct(np.log(np.maximum(power @ bank.T, tiny)), type=2, axis=1, norm="ortho")[:, :13]
    cepstra *= 1 + 11 * np.sin(np.pi * np.arange(13) / 22)
    cepstra[:, 0] = np.log(np.maximum(energy, tiny))
    return cepstra
