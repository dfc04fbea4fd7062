# SPDX-License-Identifier: Apache-2.0
"""A prepared scene to the latents of its film and of its refined regions, kept on disk between steps."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from bridge_server.motion.generator import Report
from bridge_server.video.versa import refine
from bridge_server.video.versa.conditions import FEATURE_RATE, FaceInputs, audio_windows, blink_ratio, emotion_weights
from bridge_server.video.versa.drawing import Drawing, to_tensor
from bridge_server.video.versa.pictures import PosePictures
from bridge_server.video.versa.sampler import Sampling, denoise, start_noise
from shared.errors import UnderstudyError

if TYPE_CHECKING:
    from bridge_server.video.versa.renderer import VersaRenderer, _Prepared

__all__ = ["draw", "face_inputs"]

_ON_DEVICE: Final = 1 << 30
"""Latents of films under this many bytes stay on the device that draws."""


def face_inputs(scene: Any, config: Any, identity: Tensor, emotion: str, encoder_device: str = "cpu") -> FaceInputs:
    """What the face's layers hear and see, for frame 0 (the photograph: silent, neutral, eyes open) and then every frame."""
    from bridge_server.audio.decode import decode
    from bridge_server.audio.encoder import load_audio_encoder

    frames, fps = len(scene.track), scene.track.fps
    encoder = load_audio_encoder(config.audio, device=encoder_device)
    if encoder.width != config.audio_width:
        raise UnderstudyError("weights_invalid", f"The face layers hear {config.audio_width} numbers a row and the audio encoder "
                              f"{config.audio} gives {encoder.width}.", "Use the audio encoder that they were trained with.")
    rows = int(np.ceil(frames / fps * FEATURE_RATE)) + config.window
    if scene.audio is not None:
        sound, _ = decode(scene.audio.read_bytes(), scene.audio.name)
        samples, rate = sound.samples, sound.rate
    else:
        samples, rate = np.zeros(16_000, np.float32), 16_000
    features = encoder.features(samples, rate, rows, FEATURE_RATE, scene.audio_start)
    silent = encoder.features(np.zeros(rate, np.float32), rate, config.window, FEATURE_RATE)
    heard = np.concatenate((silent[None], audio_windows(features, frames, fps, config.window)))
    feeling = emotion_weights(scene.face, frames, fps, emotion)
    neutral = emotion_weights({}, 1, fps, "neutral")
    lids = np.concatenate((np.zeros(1, np.float32), blink_ratio(scene.face, frames)))
    return FaceInputs(torch.from_numpy(heard).float(), torch.from_numpy(np.concatenate((neutral, feeling))), torch.from_numpy(lids),
                      identity.flatten().float().cpu())


def draw(renderer: VersaRenderer, ready: _Prepared, report: Report) -> tuple[Tensor, dict[str, Tensor]]:
    """Latents (1, F + 1, 4, h, w) of the film and of each region; loads the networks when they are first needed."""
    from bridge_server.video.versa.renderer import face_crop, posed

    stage, scene = ready.stage, ready.scene
    sampling = Sampling(ready.steps, ready.window, min(renderer._overlap, max(ready.window - 2, 0)), renderer._guidance)
    if renderer._drawing is None:
        report("loading the networks", 0.02)
        renderer._drawing = Drawing(ready.files, renderer._device, renderer._precision, ready.offload)
    drawing: Drawing = renderer._drawing
    report("looking at the photograph", 0.05)
    track = posed(stage)
    reference = drawing.reference(stage.photo.pixels)
    faces, head = None, drawing.nets.unet.head
    if drawing.nets.face is not None:
        faces = face_inputs(scene, drawing.nets.face.config, drawing.embed(face_crop(stage)), renderer._emotion)
    poses = PosePictures(track, head)
    height, width = reference.latents.shape[-2:]
    store = drawing.device if len(track) * height * width * 4 * 4 * 6 < _ON_DEVICE else torch.device("cpu")
    share = 0.6 if ready.regions else 0.85
    kept = _Kept(renderer, ready)
    latents, begin = kept.load("film")
    if latents is None:
        drawing.nets.scheduler.set_timesteps(sampling.steps)
        noise = start_noise(len(track), sampling.window, (height, width), scene.seed)
        latents, begin = noise * drawing.nets.scheduler.init_noise_sigma, 0
    if begin < sampling.steps:
        with drawing.on_device("unet"):
            latents = denoise(
                drawing.nets, latents.to(store), reference, poses, sampling, faces=faces, masks=poses.masks, begin=begin,
                progress=lambda f: report("denoising", 0.05 + share * (begin + f * (sampling.steps - begin)) / sampling.steps),
                after_step=lambda step, now: kept.save("film", now, step))
    refined = {}
    for number, region in enumerate(ready.regions):
        low, span = 0.05 + share + 0.25 * number / len(ready.regions), 0.25 / len(ready.regions)
        done, begin = kept.load(region.name)
        if done is None:
            done = _region(renderer, ready, region, latents, faces, head, sampling, lambda f, low=low, span=span:
                           report("refining", low + span * f))
            kept.save(region.name, done, 1)
        refined[region.name] = done
    return latents, refined


def _region(renderer: VersaRenderer, ready: _Prepared, region: refine.Region, film: Tensor, faces: FaceInputs | None, head: str,
            sampling: Sampling, progress: Any) -> Tensor:
    drawing, stage, working = renderer._drawing, ready.stage, renderer._refine_size
    photo = refine.cut(stage.photo.pixels, region.own, region.side, working)
    parts = [drawing.encode(to_tensor(photo[None]))]
    count = len(stage.track)
    for first in range(0, count, 8):
        progress(0.4 * first / count)
        last = min(first + 8, count)
        pictures = drawing.decode(film[:, 1:], first, last)
        crops = np.stack([refine.cut(p, region.corner[n], region.side, working) for n, p in enumerate(pictures, first)])
        parts.append(drawing.encode(to_tensor(crops)))
    clean = torch.cat(parts)[None].float() * drawing.scaling
    corners = np.concatenate((region.own[None], region.corner))
    from bridge_server.video.versa.renderer import posed

    poses = PosePictures(refine.crop_track(posed(stage), corners, region.side, working), head)
    scheduler = drawing.nets.scheduler
    scheduler.set_timesteps(sampling.steps)
    begin = max(sampling.steps - max(round(renderer._strength * sampling.steps), 1), 0)
    noise = start_noise(clean.shape[1], sampling.window, (working // 8, working // 8), ready.scene.seed + 1)
    noisy = clean + noise.to(clean.device) * scheduler.sigmas[begin].item()
    reference = drawing.reference(photo)
    # the whole photograph says who this is; a hand alone would not
    reference.embedding = drawing.embed(stage.photo.pixels)
    with drawing.on_device("unet"):
        return denoise(drawing.nets, noisy, reference, poses, sampling, faces=faces if region.name == "face" else None,
                       masks=poses.masks, begin=begin, progress=lambda f: progress(0.4 + 0.6 * f))


class _Kept:
    """Latents of an unfinished film in a folder; nothing without one."""

    def __init__(self, renderer: VersaRenderer, ready: _Prepared) -> None:
        self._folder = renderer._keep
        if self._folder is None:
            return
        scene, stage = ready.scene, ready.stage
        digest = sha256(f"{renderer.key()} {ready.steps} {ready.window} {scene.seed} {scene.photo.digest} {scene.audio_start}".encode())
        for part in (stage.track.points, stage.track.confidence, stage.reference.points, *(scene.face[n] for n in sorted(scene.face))):
            digest.update(np.ascontiguousarray(part, np.float32).tobytes())
        if scene.audio is not None:
            digest.update(sha256(scene.audio.read_bytes()).digest())
        self._digest = digest.hexdigest()

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / f"versa-{name}.safetensors"

    def load(self, name: str) -> tuple[Tensor | None, int]:
        """Latents and the number of steps done, if this very film left them."""
        from safetensors import SafetensorError, safe_open

        if self._folder is None or not self._path(name).is_file():
            return None, 0
        try:
            with safe_open(self._path(name), "pt") as file:
                facts = file.metadata() or {}
                if facts.get("film") != self._digest:
                    return None, 0
                return file.get_tensor("latents"), int(facts["step"])
        except (SafetensorError, OSError, KeyError, ValueError):
            # an unreadable remainder only costs the time to draw it again
            return None, 0

    def save(self, name: str, latents: Tensor, step: int) -> None:
        """Keep the latents; the file appears whole or not at all."""
        from safetensors.torch import save_file

        if self._folder is None or not self._folder.is_dir():
            return
        temporary = self._path(name).with_suffix(f".{os.getpid()}.part")
        save_file({"latents": latents.detach().float().cpu().contiguous()}, temporary, {"film": self._digest, "step": str(step)})
        temporary.replace(self._path(name))
