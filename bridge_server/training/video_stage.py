# SPDX-License-Identifier: Apache-2.0
"""The two stages of the film model: from poses to pictures at all scales, then the face from speech, emotion and blinks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from bridge_server.training.loop import RunOptions, train
from bridge_server.training.video_data import VideoClip, crop_box, cropped, region_weights
from bridge_server.video.versa.conditions import FEATURE_RATE, FaceConditioner, FaceConfig, FaceInputs, audio_windows, emotion_weights
from bridge_server.video.versa.drawing import Drawing, to_tensor
from bridge_server.video.versa.face_attention import FaceConditions
from bridge_server.video.versa.pictures import PosePictures, joined

__all__ = ["Settings", "Trainer", "Window", "diffusion_loss", "train_stage"]

_MEAN, _SPREAD = 0.7, 1.6
"""Of the logarithm of the noise, as Stable Video Diffusion was trained for high resolutions."""


@dataclass(frozen=True)
class Settings:
    """:ivar width: of the pictures that are learnt from. :ivar window: frames at once, besides the reference.
    :ivar scales: range of the crops, 1 being the whole picture. :ivar pose_side: canvas that poses are drawn on.
    :ivar hand_weight: of the loss on hands. :ivar face_weight: on the head, in stage 2. :ivar drop: how often conditions are left out.
    :ivar pool: encoded windows that are kept and learnt from again with other noise, since encoding costs about as much as learning.
    :ivar reuse: how often a window is learnt from, on average, before it is replaced.
    :ivar train: ``all`` of the U-Net in stage 1, its ``temporal`` layers, or ``pose`` for PoseNet alone."""

    width: int = 576
    height: int = 1024
    window: int = 16
    scales: tuple[float, float] = (0.45, 1.0)
    pose_side: int = 2160
    head: str = "mask"
    hand_weight: float = 10.0
    face_weight: float = 5.0
    drop: float = 0.1
    pool: int = 32
    reuse: int = 4
    train: str = "all"
    checkpointing: bool = True
    audio: str = "mel"
    audio_layer: Any = "last"
    heard: int = 10


@dataclass
class Window:
    """A stretch of a clip, frame 0 being the reference. :ivar latents: (1, n, 4, h, w) scaled. :ivar image: (1, 4, h, w) not scaled.
    :ivar embedding: (1, 1, C). :ivar poses: (n, 3, H, W). :ivar weights: (n, h, w). :ivar faces: in stage 2. :ivar masks: (n, h, w)."""

    latents: Tensor
    image: Tensor
    embedding: Tensor
    poses: Tensor
    weights: Tensor
    faces: FaceInputs | None = None
    masks: Tensor | None = None


def diffusion_loss(predicted: Tensor, noisy: Tensor, clean: Tensor, sigma: Tensor, weights: Tensor) -> Tensor:
    """() of a v-prediction after Karras et al. 2022, each noise level counting alike.

    :param predicted: (1, n, 4, h, w) by the U-Net for ``noisy / sqrt(sigma^2 + 1)``. :param weights: (n, h, w).
    """
    scale = sigma**2 + 1
    denoised = noisy / scale - predicted.float() * sigma / scale.sqrt()
    error = (denoised - clean) ** 2 * (scale / sigma**2)
    by_place = weights[None, :, None].expand_as(error)
    return (error * by_place).sum() / by_place.sum()


@dataclass
class Trainer:
    """Networks and data of one stage. :ivar stage: 1 or 2."""

    drawing: Drawing
    clips: list[VideoClip]
    held: list[VideoClip]
    settings: Settings
    stage: int
    encoder: Any = None
    _heard: dict[str, np.ndarray] = field(default_factory=dict)
    _pool: list[Window] = field(default_factory=list)
    _steps: int = 0

    def prepare(self) -> nn.ParameterDict:
        """Freeze what the stage does not teach; returns the parameters that it does, as one module."""
        nets, s = self.drawing.nets, self.settings
        face_names = set(nets.unet.face_names)
        nets.unet.head = s.head
        nets.unet.requires_grad_(False)
        nets.pose_net.requires_grad_(False)
        if self.stage == 1:
            nets.pose_net.requires_grad_(True)
            for name, parameter in nets.unet.named_parameters():
                temporal = "temporal" in name or "time_mixer" in name or "time_pos_embed" in name
                parameter.requires_grad_(name not in face_names and (s.train == "all" or (s.train == "temporal" and temporal)))
        else:
            if nets.face is None:
                width = nets.unet.config.cross_attention_dim
                width = width if isinstance(width, int) else width[0]
                identity = self.drawing.pipe.image_encoder.config.projection_dim
                torch.manual_seed(0)
                nets.face = FaceConditioner(FaceConfig(s.audio, self.encoder.width, s.heard, identity_width=identity, width=width))
                nets.face.to(self.drawing.device)
            nets.face.train().requires_grad_(True)
            for name, parameter in nets.unet.named_parameters():
                parameter.requires_grad_(name in face_names)
        if s.checkpointing:
            nets.unet.enable_gradient_checkpointing()
        nets.unet.train()
        return nn.ParameterDict({name.replace(".", "|"): p for name, p in self.parameters() if p.requires_grad})

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """All of U-Net, PoseNet and face, by the names of a checkpoint."""
        nets = self.drawing.nets
        parts: list[tuple[str, nn.Module]] = [("unet", nets.unet), ("pose_net", nets.pose_net)]
        if nets.face is not None:
            parts.append(("face", nets.face))
        return [(f"{prefix}.{name}", p) for prefix, part in parts for name, p in part.named_parameters()]

    def window(self, clip: VideoClip, start: int, scale: float, at: tuple[float, float], reference: int) -> Window:
        """The frames from ``start``, cropped and encoded. :param reference: frame to stand for the photograph, where there is none."""
        s, drawing = self.settings, self.drawing
        count = min(s.window, len(clip.track))
        index = list(range(start, start + count))
        shape = (s.width, s.height)
        if clip.reference is None:
            index = [reference, *index]
        box = crop_box(clip.track, index, shape, scale, at)
        pictures, track = cropped(clip.pictures[index], clip.track.take(np.array(index)), box, shape)
        if clip.reference is not None:
            photo, own = clip.reference
            first, pose = cropped(photo[None], own, crop_box(own, [0], shape, scale, at), shape)
            pictures, track = np.concatenate((first, pictures)), joined(pose, track)
        tensors = to_tensor(pictures)
        encoded = drawing.encode(tensors)
        poses = PosePictures(track, s.head, short_side=s.pose_side)
        index = list(range(count + 1))
        head = s.face_weight if self.stage == 2 else 1.0
        weights = np.stack([region_weights(track, n, s.hand_weight if self.stage == 1 else 1.0, head) for n in index])
        made = Window((encoded * drawing.scaling)[None], encoded[:1], drawing.embed(pictures[0]), poses(index), torch.from_numpy(weights))
        if self.stage == 2:
            made.faces, made.masks = self._faces(clip, start, count, pictures[0], track), poses.masks(index)
        return made

    def _faces(self, clip: VideoClip, start: int, count: int, photo: np.ndarray, track: Any) -> FaceInputs:
        """What is heard and seen in the window; the reference frame is silent, neutral and open-eyed."""
        s, fps = self.settings, clip.track.fps
        if clip.name not in self._heard:
            rows = int(np.ceil(len(clip.track) / fps * FEATURE_RATE)) + s.heard
            samples, rate = np.zeros(16_000, np.float32), 16_000
            if clip.sound is not None:
                from bridge_server.audio.decode import decode

                sound, _ = decode(clip.sound.read_bytes(), clip.sound.name)
                samples, rate = sound.samples, sound.rate
            silent = self.encoder.features(np.zeros(16_000, np.float32), 16_000, s.heard, FEATURE_RATE)
            self._heard[clip.name] = np.concatenate((silent[None], audio_windows(
                self.encoder.features(samples, rate, rows, FEATURE_RATE), len(clip.track), fps, s.heard)))
        heard = self._heard[clip.name][[0, *range(start + 1, start + 1 + count)]]
        feeling = np.concatenate((emotion_weights({}, 1, fps, "neutral"),
                                  emotion_weights({}, count, fps, clip.facts.get("emotion", "neutral"))))
        lids = np.concatenate((np.zeros(1, np.float32), clip.blink[start: start + count]))
        half = max(int(track.face_size / 2), 4)
        x, y = np.clip(track.face_centre[0], half, (track.width - half, track.height - half)).astype(int)
        face = np.ascontiguousarray(photo[max(y - half, 0): y + half, max(x - half, 0): x + half])
        return FaceInputs(torch.from_numpy(heard).float(), torch.from_numpy(feeling), torch.from_numpy(lids),
                          self.drawing.embed(face).flatten().float().cpu())

    def pooled(self) -> Window:
        """One of the kept windows; every few steps one of them is a new one."""
        s = self.settings
        if len(self._pool) < max(s.pool, 1):
            self._pool.append(self.drawn())
            return self._pool[-1]
        number = int(torch.randint(len(self._pool), ()))
        if self._steps % max(s.reuse, 1) == 0:
            self._pool[number] = self.drawn()
        self._steps += 1
        return self._pool[number]

    def drawn(self) -> Window:
        """A window of a random clip, place, scale and reference."""
        def pick(n: int) -> int:
            return int(torch.randint(max(n, 1), ()))

        clip = self.clips[pick(len(self.clips))]
        low, high = self.settings.scales
        u = torch.rand(3).tolist()
        return self.window(clip, pick(len(clip.track) - self.settings.window + 1), low + (high - low) * u[0], (u[1], u[2]),
                           pick(len(clip.track)))

    def loss(self, window: Window, sigma: Tensor, noise: Tensor, drop: bool = False) -> Tensor:
        """() at one noise level. :param sigma: (). :param drop: leave pose, photograph and face out, for guidance."""
        nets = self.drawing.nets
        device = nets.device
        clean = window.latents.to(device)
        noisy = clean + noise.to(device) * sigma.to(device)
        image, embedding = window.image.to(device), window.embedding.to(device)
        pose = face = None
        if drop:
            image, embedding = torch.zeros_like(image), torch.zeros_like(embedding)
        else:
            pose = nets.pose_net(window.poses.to(device))
            if window.faces is not None and nets.face is not None and window.masks is not None:
                inputs = FaceInputs(*(getattr(window.faces, n).to(device) for n in ("audio", "emotion", "blink", "identity")))
                face = FaceConditions(nets.face(inputs), window.masks[None].to(device))
        scaled = noisy / (sigma.to(device) ** 2 + 1).sqrt()
        with_image = torch.cat((scaled, image[:, None].expand(-1, scaled.shape[1], -1, -1, -1)), 2)
        ids = torch.tensor([[6.0, 127.0, 0.0]], device=device)
        out = nets.unet(with_image, 0.25 * sigma.log().to(device), embedding.float(), ids, pose=pose, face=face)
        return diffusion_loss(out, noisy, clean, sigma.to(device), window.weights.to(device))

    def step(self) -> tuple[Tensor, dict[str, float]]:
        """The loss of one random window."""
        window = self.pooled()
        sigma = (torch.randn(()) * _SPREAD + _MEAN).exp()
        # stage 2 teaches the face alone, which dropping everything would not reach
        drop = self.stage == 1 and float(torch.rand(())) < self.settings.drop
        return self.loss(window, sigma, torch.randn_like(window.latents), drop), {"sigma": float(sigma)}

    @torch.no_grad()
    def validate(self, module: nn.Module) -> dict[str, float]:
        """Loss of held-out clips at fixed windows, noise and levels."""
        generator = torch.Generator().manual_seed(1)
        nets = self.drawing.nets
        nets.unet.eval()
        losses = []
        for clip in self.held:
            window = self.window(clip, 0, self.settings.scales[1], (0.5, 0.5), len(clip.track) - 1)
            for sigma in (0.3, 1.0, 4.0, 20.0):
                noise = torch.randn(window.latents.shape, generator=generator)
                losses.append(float(self.loss(window, torch.tensor(sigma), noise)))
        nets.unet.train()
        return {"loss": float(np.mean(losses))}

    def save(self, path: Path, taught: set[str], kept: dict[str, Tensor] | None = None) -> None:
        """``versa.safetensors``: what this run has taught, over what the stage before had."""
        from safetensors.torch import save_file

        state = dict(kept or {})
        state |= {name: p.detach().to("cpu", torch.float16).contiguous() for name, p in self.parameters() if name in taught}
        metadata = {"head": self.settings.head}
        if self.drawing.nets.face is not None:
            metadata["face"] = json.dumps(self.drawing.nets.face.config.to_json())
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        save_file(state, temporary, metadata)
        temporary.replace(path)


FOLDERS: Final = {1: "video-pose", 2: "video-face"}


def train_stage(trainer: Trainer, options: RunOptions, out: Path) -> None:
    """Run or resume a stage and write ``out``."""
    module = trainer.prepare()
    names = {name.replace("|", ".") for name in module}
    best = train(module, trainer.step, options, trainer.validate, better="loss")
    module.load_state_dict(best)
    kept: dict[str, Tensor] = {}
    if out.is_file():
        from bridge_server.video.versa.weights import read_checkpoint

        kept = read_checkpoint(out)
    trainer.save(out, names, kept)
