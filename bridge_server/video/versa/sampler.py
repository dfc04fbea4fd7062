# SPDX-License-Identifier: Apache-2.0
"""Denoising a whole film: every step runs over all windows, so that neighbours agree all the way from noise to picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bridge_server.video.versa.conditions import FaceConditioner, FaceInputs
from bridge_server.video.versa.face_attention import FaceConditions
from bridge_server.video.versa.pose_net import PoseNet
from bridge_server.video.versa.windows import window_weight, windows

__all__ = ["Networks", "Reference", "Sampling", "denoise", "start_noise"]


@dataclass
class Networks:
    """What draws, on the device that draws. :ivar unet: a :class:`~.unet.VersaUNet`, whose base has no types.
    :ivar face: None where the face's layers are not trained."""

    unet: Any
    pose_net: PoseNet
    face: FaceConditioner | None
    scheduler: Any

    @property
    def device(self) -> torch.device:
        """Of the U-Net."""
        return next(self.pose_net.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Of the U-Net."""
        return next(self.pose_net.parameters()).dtype


@dataclass
class Reference:
    """The photograph, encoded. :ivar embedding: (1, 1, C) by CLIP. :ivar latents: (1, 4, h, w), not scaled. :ivar time_ids: (1, 3)."""

    embedding: Tensor
    latents: Tensor
    time_ids: Tensor


@dataclass(frozen=True)
class Sampling:
    """:ivar steps: of the whole schedule. :ivar window: frames at once. :ivar overlap: frames that windows share.
    :ivar guidance: how much more than without pose and photograph; 1 turns it off and halves the time."""

    steps: int = 25
    window: int = 72
    overlap: int = 6
    guidance: float = 2.0


def start_noise(frames: int, window: int, size: tuple[int, int], seed: int) -> Tensor:
    """(1, frames, 4, h, w) unit noise; from window to window the same, as MimicMotion does, which keeps distant parts alike."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((1, min(window, frames), 4, *size), generator=generator)
    return noise.repeat(1, -(-frames // noise.shape[1]), 1, 1, 1)[:, :frames]


@torch.no_grad()
def denoise(
    nets: Networks, latents: Tensor, reference: Reference, poses: Callable[[list[int]], Tensor], sampling: Sampling, *,
    faces: FaceInputs | None = None, masks: Callable[[list[int]], Tensor] | None = None, begin: int = 0,
    progress: Callable[[float], None] = lambda fraction: None, after_step: Callable[[int, Tensor], None] = lambda step, latents: None,
) -> Tensor:
    """(1, F, 4, h, w) clean latents; frame 0 is the photograph.

    :param latents: at the noise of step ``begin``; float32, on the device that is to hold the film.
    :param poses: pictures (n, 3, H, W) in [-1, 1] of the asked frames. :param masks: (n, h, w) where the face's layers act.
    :param faces: of all frames; needs trained face layers.
    :param progress: fraction of the work after every window; may raise to cancel.
    :param after_step: called with the number of steps done and the latents, to keep them.
    """
    device, dtype, store = nets.device, nets.dtype, latents.device
    parts = windows(latents.shape[1], sampling.window, sampling.overlap)
    scheduler = nets.scheduler
    scheduler.set_timesteps(sampling.steps, device=device)
    scheduler.set_begin_index(begin)
    timesteps = scheduler.timesteps[begin:]
    guided = sampling.guidance > 1
    image, embedding = reference.latents.to(device, dtype), reference.embedding.to(device, dtype)
    time_ids = reference.time_ids.to(device, dtype)
    done = 0
    for step, t in enumerate(timesteps, begin):
        scaled = scheduler.scale_model_input(latents, t.to(store) if store.type != "cuda" else t)
        total, weights = torch.zeros_like(latents), torch.zeros(latents.shape[1], device=store)
        for part in parts:
            noisy = scaled[:, part].to(device, dtype)
            frames = len(part)
            pose = nets.pose_net(poses(part).to(device, dtype))
            face = None
            if faces is not None and nets.face is not None:
                tokens = nets.face(_on(faces.take(part), device))
                face = FaceConditions(tokens, masks(part)[None].to(device, dtype) if masks else None)
            with_image = torch.cat((noisy, image[:, None].expand(-1, frames, -1, -1, -1)), 2)
            out = nets.unet(with_image, t, embedding, time_ids, pose=pose, face=face).float()
            if guided:
                without = nets.unet(torch.cat((noisy, torch.zeros_like(noisy)), 2), t, torch.zeros_like(embedding), time_ids).float()
                out = without + sampling.guidance * (out - without)
            weight = window_weight(frames).to(store)
            total[:, part] += out.to(store) * weight[:, None, None, None]
            weights[part] += weight
            done += 1
            progress(done / (len(timesteps) * len(parts)))
        latents = scheduler.step(total / weights[:, None, None, None], t, latents, return_dict=False)[0]
        after_step(step + 1, latents)
    return latents


def _on(faces: FaceInputs, device: torch.device) -> FaceInputs:
    return FaceInputs(*(getattr(faces, name).to(device) for name in ("audio", "emotion", "blink", "identity")))
