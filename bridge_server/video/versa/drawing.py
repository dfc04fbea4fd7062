# SPDX-License-Identifier: Apache-2.0
"""The networks at work: pictures to latents, a film's denoising, latents to pictures, with parts on the device in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from bridge_server.video.versa.memory import CHUNK, CONTEXT
from bridge_server.video.versa.sampler import Networks, Reference
from bridge_server.video.versa.weights import VersaFiles, load_networks
from shared.errors import UnderstudyError

__all__ = ["TYPES", "Drawing"]

TYPES: Final = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_RATE, _MOTION = 7, 127
"""Stable Video Diffusion's conditions; MimicMotion leaves them at these values whatever the film's rate."""


class Drawing:
    """Everything loaded from a weights folder. ``StableVideoDiffusionPipeline`` supplies what is not the denoising."""

    def __init__(self, files: VersaFiles, device: str, precision: str, offload: str) -> None:
        from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, StableVideoDiffusionPipeline
        from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

        self.device, self.dtype, self.offload = torch.device(device), TYPES[precision], offload
        unet, pose_net, face = load_networks(files, self.dtype)
        svd = str(files.svd)
        variants: dict[str, Any] = {part: _variant(files, part) for part in ("vae", "image_encoder")}
        # its encoder overflows in fp16; a part whose layers come and go cannot be cast for that moment, and bf16 has the range
        self._vae_type = torch.bfloat16 if offload == "sequential" and self.dtype == torch.float16 else self.dtype
        try:
            vae = AutoencoderKLTemporalDecoder.from_pretrained(svd, subfolder="vae", dtype=self._vae_type, **variants["vae"])
            encoder = CLIPVisionModelWithProjection.from_pretrained(
                svd, subfolder="image_encoder", dtype=self.dtype, **variants["image_encoder"])
            scheduler = EulerDiscreteScheduler.from_pretrained(svd, subfolder="scheduler")
            processor = CLIPImageProcessor.from_pretrained(svd, subfolder="feature_extractor")
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise UnderstudyError("weights_invalid", f"{files.svd.name} cannot be loaded ({type(error).__name__}: {error}).",
                                  "Fetch Stable Video Diffusion XT again.") from error
        self.pipe: Any = StableVideoDiffusionPipeline(vae.eval(), encoder.eval(), unet, scheduler, processor)
        self.nets = Networks(unet, pose_net, face, scheduler)
        self._parts: dict[str, list[Any]] = {"vae": [vae], "image_encoder": [encoder],
                                             "unet": [unet, pose_net, *([face] if face is not None else [])]}
        if offload == "none":
            for modules in self._parts.values():
                for module in modules:
                    module.to(self.device)
        elif offload == "sequential":
            from accelerate import cpu_offload

            for module in (vae, encoder, unet):
                cpu_offload(module, self.device)
            for module in self._parts["unet"][1:]:
                module.to(self.device)

    @contextmanager
    def on_device(self, part: str) -> Iterator[None]:
        """The part ``unet``, ``vae`` or ``image_encoder`` on the device that draws, while inside."""
        if self.offload != "model":
            yield
            return
        for module in self._parts[part]:
            module.to(self.device)
        try:
            yield
        finally:
            for module in self._parts[part]:
                module.to("cpu")
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    @property
    def scaling(self) -> float:
        """What clean latents are multiplied with before noise is added."""
        return float(self.pipe.vae.config.scaling_factor)

    @torch.no_grad()
    def embed(self, picture: np.ndarray) -> Tensor:
        """(1, 1, C) of a picture (H, W, 3) uint8 RGB, as CLIP sees it."""
        from PIL import Image

        with self.on_device("image_encoder"), torch.autocast(self.device.type, enabled=False):
            out: Tensor = self.pipe._encode_image(Image.fromarray(picture), self.device, 1, False)
        return out

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """(N, 4, h, w), not scaled, of pictures (N, 3, H, W) in [-1, 1]; one at a time."""
        vae = self.pipe.vae
        upcast = self._vae_type == torch.float16 and vae.config.force_upcast
        # not in the half precision of a training step either
        with self.on_device("vae"), torch.autocast(self.device.type, enabled=False):
            if upcast:
                vae.to(dtype=torch.float32)
            kind = torch.float32 if upcast else self._vae_type
            parts = [vae.encode(p[None].to(self.device, kind)).latent_dist.mode().float() for p in pictures]
            if upcast:
                vae.to(dtype=self._vae_type)
        return torch.cat(parts)

    def reference(self, picture: np.ndarray) -> Reference:
        """Of the photograph (H, W, 3) uint8 at the working size."""
        latents = self.encode(to_tensor(picture[None]))
        ids = self.pipe._get_add_time_ids(_RATE - 1, _MOTION, 0.0, self.dtype, 1, 1, False)
        return Reference(self.embed(picture), latents, ids)

    @torch.no_grad()
    def decode(self, latents: Tensor, start: int, stop: int) -> np.ndarray:
        """(stop - start, H, W, 3) uint8 of the film's latents (1, F, 4, h, w).

        Frames are decoded in chunks of a fixed grid with their neighbours, so that any division of the film is the same film.
        """
        out = []
        with self.on_device("vae"):
            for first in range(start // CHUNK * CHUNK, stop, CHUNK):
                low, high = max(first - CONTEXT, 0), min(first + CHUNK + CONTEXT, latents.shape[1])
                part = latents[0, low:high].to(self.device, self._vae_type) / self.scaling
                pictures = self.pipe.vae.decode(part, num_frames=high - low).sample.float()
                use = slice(max(start, first) - low, min(stop, first + CHUNK, latents.shape[1]) - low)
                out.append(((pictures[use].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())
        return np.concatenate(out)


def to_tensor(pictures: np.ndarray) -> Tensor:
    """(N, 3, H, W) in [-1, 1] of (N, H, W, 3) uint8."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _variant(files: VersaFiles, part: str) -> dict[str, str]:
    from bridge_server.video.model_folders import weight_file
    from bridge_server.video.versa.weights import PARTS

    name = weight_file(files.svd / part, PARTS[part])[0].name
    return next(({"variant": v} for v in ("fp16", "bf16") if f".{v}." in name or f".{v}-" in name), {})
