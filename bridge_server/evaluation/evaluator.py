# SPDX-License-Identifier: Apache-2.0
"""The judge: encoders of text and of motion that were trained together, so that what belongs together lies together.

What the T2M evaluator is to HumanML3D (Guo et al. 2022), with the symmetric InfoNCE loss and the filter against false
negatives of TMR (Petrovich et al., ICCV 2023). It is trained on training splits alone and knows nothing of the
generator. A second, small network encodes gesture windows, for FGD (Yoon et al. 2020).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bridge_server.motion.features import contacts_of, heading_of
from shared import rotations as rot
from shared.kinematics import forward
from shared.skeleton import BODY_JOINT_COUNT, MIRROR

from .items import Body

__all__ = [
    "FEATURES",
    "GESTURE_FRAMES",
    "Evaluator",
    "EvaluatorConfig",
    "GestureCoder",
    "gesture_windows",
    "local_joints",
    "mirror_features",
    "motion_features",
]

_JOINTS: Final = BODY_JOINT_COUNT
FEATURES: Final = 6 * _JOINTS + 1 + 4
"""Joints and their velocities in the heading frame, speed of the heading, contacts of the soles."""
GESTURE_FRAMES: Final = 64
"""Frames of a gesture window, 2.1 s (Yoon et al.: 34 frames at 15 a second)."""
_DOWN: Final = 8


def local_joints(rotations: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, 22, 3) seen from over the pelvis's place on the floor and along its heading, and their world
    positions."""
    positions, _ = forward(rotations[:, :_JOINTS].astype(np.float64), translation.astype(np.float64))
    unturn = rot.yaw_quat(-heading_of(rotations[:, 0].astype(np.float64)))
    centred = positions - positions[:, :1] * [1.0, 0.0, 1.0]
    return rot.rotate(np.repeat(unturn[:, None], _JOINTS, 1), centred), positions


def motion_features(rotations: np.ndarray, translation: np.ndarray, fps: float = 30.0) -> np.ndarray:
    """(T, FEATURES) float32: joints (metres), velocities (m/s) in the heading frame, heading speed (rad/s), contacts (0
    or 1).

    Everything is computed from the body as it moves, never from what a generator says of it.
    """
    local, positions = local_joints(rotations, translation)
    yaw = heading_of(rotations[:, 0].astype(np.float64))
    velocity = np.gradient(positions, axis=0) * fps if len(positions) > 1 else np.zeros_like(positions)
    turn = np.gradient(yaw) * fps if len(yaw) > 1 else np.zeros_like(yaw)
    velocity = rot.rotate(np.repeat(rot.yaw_quat(-yaw)[:, None], _JOINTS, 1), velocity)
    contacts = contacts_of(rotations.astype(np.float64), translation.astype(np.float64), fps)
    return np.concatenate(
        (local.reshape(len(local), -1), velocity.reshape(len(local), -1), turn[:, None], contacts), 1
    ).astype(np.float32)


def mirror_features(x: np.ndarray) -> np.ndarray:
    """The features (T, FEATURES) of the same motion in a mirror."""
    partner = list(MIRROR[:_JOINTS])
    width, flip = 3 * _JOINTS, np.array([-1, 1, 1], np.float32)
    blocks = [x[:, n * width : (n + 1) * width].reshape(-1, _JOINTS, 3)[:, partner] * flip for n in (0, 1)]
    return np.concatenate((*(b.reshape(len(x), -1) for b in blocks), -x[:, -5:-4], x[:, [-2, -1, -4, -3]]), 1)


@dataclass
class EvaluatorConfig:
    """:ivar embedding: dimensions of the shared space. :ivar text_width: of the sentence encoder."""

    width: int = 128
    layers: int = 2
    embedding: int = 64
    text_width: int = 384
    dropout: float = 0.1

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


class Evaluator(nn.Module):
    """Motion features (B, T, FEATURES) and sentence embeddings (B, text_width) to unit vectors (B, embedding)."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: EvaluatorConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("std", torch.ones(FEATURES))
        self.convolutions = nn.ModuleList(
            (nn.Conv1d(FEATURES, w, 6, 2, 2), nn.Conv1d(w, w, 4, 2, 1), nn.Conv1d(w, w, 4, 2, 1))
        )
        layer = nn.TransformerEncoderLayer(w, 4, 2 * w, config.dropout, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.position = nn.Parameter(torch.randn(64, w) * 0.02)
        self.motion_head = nn.Sequential(
            nn.LayerNorm(2 * w), nn.Linear(2 * w, w), nn.GELU(), nn.Linear(w, config.embedding)
        )
        self.text_head = nn.Sequential(
            nn.Linear(config.text_width, w), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(w, config.embedding)
        )
        self.scale = nn.Parameter(torch.tensor(2.0))

    def motion(self, x: Tensor, lengths: Tensor) -> Tensor:
        """:param lengths: (B,) frames that count; the rest is padding."""
        x = (x - self.mean) / self.std
        frames = torch.arange(x.shape[1], device=x.device)
        x = (x * (frames < lengths[:, None])[..., None]).transpose(1, 2)
        for convolution in self.convolutions:
            x = functional.gelu(convolution(x))
        x = x.transpose(1, 2)
        n = x.shape[1]
        valid = torch.arange(n, device=x.device) < (lengths[:, None] // _DOWN).clamp(min=1)
        x = self.layers(x + self.position[:n], src_key_padding_mask=~valid)
        weight = valid[..., None].to(x.dtype)
        mean = (x * weight).sum(1) / weight.sum(1)
        highest = x.masked_fill(~valid[..., None], -1e4).amax(1)
        return functional.normalize(self.motion_head(torch.cat((mean, highest), -1)), dim=-1)

    def text(self, sentences: Tensor) -> Tensor:
        """(B, embedding)."""
        return functional.normalize(self.text_head(sentences), dim=-1)

    @torch.no_grad()
    def embed(self, bodies: list[Body]) -> np.ndarray:
        """(N, embedding) of whole bodies; those past 512 frames are cut."""
        self.eval()
        out = []
        device = self.mean.device
        for a in range(0, len(bodies), 32):
            rows = [motion_features(*b)[: 8 * len(self.position)] for b in bodies[a : a + 32]]
            most = -(-max(max(len(r) for r in rows), _DOWN) // _DOWN) * _DOWN
            x = np.stack([np.pad(r, ((0, most - len(r)), (0, 0))) for r in rows])
            lengths = torch.tensor([len(r) for r in rows], device=device)
            out.append(self.motion(torch.from_numpy(x).to(device), lengths).cpu().numpy())
        return np.concatenate(out).astype(np.float64)

    @torch.no_grad()
    def embed_text(self, sentences: np.ndarray) -> np.ndarray:
        """(N, embedding) of sentence embeddings (N, text_width)."""
        self.eval()
        return self.text(torch.from_numpy(sentences).to(self.mean.device)).cpu().numpy().astype(np.float64)


_UPPER: Final = (3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21)


def gesture_windows(bodies: list[Body], stride: int = GESTURE_FRAMES // 2) -> np.ndarray:
    """Windows (W, GESTURE_FRAMES, 39) float32 of the upper body's joints relative to the pelvis, heading frame,
    metres."""
    windows = []
    for rotations, translation in bodies:
        local, _ = local_joints(rotations, translation)
        upper = (local[:, _UPPER] - local[:, :1]).reshape(len(local), -1).astype(np.float32)
        windows += [upper[a : a + GESTURE_FRAMES] for a in range(0, len(upper) - GESTURE_FRAMES + 1, stride)]
    return np.stack(windows) if windows else np.zeros((0, GESTURE_FRAMES, 3 * len(_UPPER)), np.float32)


class GestureCoder(nn.Module):
    """The autoencoder whose latents FGD compares: windows (B, 64, 39) to (B, 32) and back."""

    mean: Tensor
    std: Tensor

    def __init__(self, width: int = 64, latent: int = 32) -> None:
        super().__init__()
        size = 3 * len(_UPPER)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))
        self.encoder = nn.Sequential(
            nn.Conv1d(size, width, 4, 2, 1),
            nn.GELU(),
            nn.Conv1d(width, width, 4, 2, 1),
            nn.GELU(),
            nn.Conv1d(width, width, 4, 2, 1),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(width * GESTURE_FRAMES // 8, latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, width * GESTURE_FRAMES // 8),
            nn.Unflatten(1, (width, GESTURE_FRAMES // 8)),
            nn.GELU(),
            nn.ConvTranspose1d(width, width, 4, 2, 1),
            nn.GELU(),
            nn.ConvTranspose1d(width, width, 4, 2, 1),
            nn.GELU(),
            nn.ConvTranspose1d(width, size, 4, 2, 1),
        )

    def encode(self, x: Tensor) -> Tensor:
        """(B, latent)."""
        z: Tensor = self.encoder(((x - self.mean) / self.std).transpose(1, 2))
        return z

    def forward(self, x: Tensor) -> Tensor:
        """Mean squared error of the reconstruction, in units of the spread."""
        normal = ((x - self.mean) / self.std).transpose(1, 2)
        return functional.mse_loss(self.decoder(self.encoder(normal)), normal)

    @torch.no_grad()
    def embed(self, bodies: list[Body]) -> np.ndarray:
        """(W, latent) of all windows of the bodies."""
        self.eval()
        windows = torch.from_numpy(gesture_windows(bodies)).to(self.mean.device)
        if not len(windows):
            return np.zeros((0, 32))
        return np.concatenate([self.encode(w).cpu().numpy() for w in windows.split(256)]).astype(np.float64)
