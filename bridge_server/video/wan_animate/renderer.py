# SPDX-License-Identifier: Apache-2.0
"""The ``wan-animate`` renderer: our track in Wan-Animate's convention, and the performer's face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.motion.generator import Report
from bridge_server.pose_track.draw_wan import draw_wan
from bridge_server.video import device as devices
from bridge_server.video import driving, model_folders, wan
from bridge_server.video.renderers import Cost, Description, Scene
from bridge_server.video.staging import Stage, set_stage, working_size
from shared.errors import UnderstudyError

__all__ = ["WanAnimateRenderer"]

_STEPS: Final = {"draft": 8, "normal": 20, "best": 30}
_PIXELS: Final = 720 * 1280
_INDEX: Final = "model_index.json"
_EXTRA: Final = {"image_processor": "config"}


@dataclass
class _Prepared:
    scene: Scene
    stage: Stage
    folder: Path
    offload: str
    steps: int
    segment: int
    film: np.ndarray | None = None


class WanAnimateRenderer:
    """Wan2.2-Animate-14B.

    :param weights: folder in diffusers' layout (``Wan-AI/Wan2.2-Animate-14B-Diffusers``); default ``$UNDERSTUDY_FILM_WEIGHTS/wan-animate``.
    :param device: as ``versa``. :param precision: ``auto`` is bf16 on GPUs. :param offload: as ``versa``.
    :param steps: of denoising (0: 8, 20 or 30 by quality). :param segment: frames at once, 4N + 1. :param overlap: frames of the
        former segment that the next one continues, 1 or 5. :param guidance: 1 turns it off, as published.
    :param face_video: film of the performer's face, square; by default cut from the driving film, else made of the photograph.
    :param head: 0 leaves nose, eyes and ears out of the drawn poses. :param prompt: words about the film. :param pixels: working area.
    """

    def __init__(
        self, weights: str | Path | None = None, device: str = "auto", precision: str = "auto", offload: str = "auto", steps: int = 0,
        segment: int = 77, overlap: int = 1, guidance: float = 1.0, face_video: str | Path | None = None, head: int = 1,
        prompt: str = wan.PROMPT, pixels: int = _PIXELS,
    ) -> None:
        self._weights = Path(weights) if weights else model_folders.default_folder("wan-animate")
        self._device = devices.choose_device(device)
        self._precision = "bf16" if precision == "auto" and self._device != "cpu" else devices.choose_precision(precision, self._device)
        self._offload, self._steps, self._guidance = offload, int(steps), float(guidance)
        self._segment, self._overlap = int(segment), int(overlap)
        self._face = Path(face_video) if face_video else None
        self._head, self._prompt, self._pixels = bool(head), prompt, int(pixels)
        if self._segment < 5 or self._segment % 4 != 1 or self._overlap not in (1, 5) or self._overlap >= self._segment:
            raise UnderstudyError("request_invalid", f"Segments of {self._segment} frames that share {self._overlap} cannot be drawn.",
                                  "Choose a segment of 4N + 1 frames and an overlap of 1 or 5.")
        self._pipe: Any = None
        self._kept = wan.Kept()
        self._ready: _Prepared | None = None

    @classmethod
    def describe(cls, weights: str | Path | None = None) -> Description:
        """What it needs, and whether it is here."""
        why = model_folders.packages_missing()
        if not why:
            try:
                wan.check_folder(Path(weights) if weights else model_folders.default_folder("wan-animate"), "wan-animate", _INDEX, _EXTRA)
            except UnderstudyError as error:
                why = error.message
        return Description(
            "wan-animate", "photoreal, by Wan2.2-Animate from drawn poses and the performer's face",
            "Needs diffusers (pip install 'understudy[video]'), Wan2.2-Animate-14B in diffusers' layout, and a GPU with 80 GB, or 48 GB "
            "with offload; docs/film.md tells where to get it.", not why, why, "code Apache-2.0; weights: see their model card",
            cost=Cost(memory_gb=43, memory_gb_per_megapixel=19), device="cuda", takes_driving=True)

    def key(self) -> str:
        """Changes with every option that changes a picture."""
        return f"{self._weights} {self._precision} {self._steps} {self._segment} {self._overlap} {self._guidance} {self._face} " \
               f"{self._head} {self._prompt} {self._pixels}"

    def keep_in(self, folder: Path) -> None:
        """Keep the drawn pictures there until the film is finished."""
        self._kept.folder = folder

    def prepare(self, scene: Scene, report: Report) -> list[str]:
        """Check the weights, the memory and the driving film; nothing is loaded yet.

        :raises UnderstudyError: ``weights_missing``, ``weights_invalid``, ``out_of_memory``, and what photograph and films can cause.
        """
        folder = wan.check_folder(self._weights, "wan-animate", _INDEX, _EXTRA)
        width, height = working_size(scene.width, scene.height, 16, self._pixels)
        count = len(scene.track)
        # a film that is shorter than a segment would be filled up to one
        segment = min(self._segment, max(-(-(max(count, 2) - 1) // 4) * 4 + 1, self._overlap + 4))
        need = wan.wan_need(folder, "animate", count, segment, width, height, 4 if self._precision == "fp32" else 2)
        offload, memory = devices.choose_offload(need, self._offload, self._device)
        notes = [*scene.photo.notes, memory]
        report("looking at the photograph", 0.01)
        stage = set_stage(scene, width, height)
        for film in (self._face, scene.driving):
            if film is not None:
                next(driving.read_film(film, 1, scene.track.fps))
        if self._face is None and scene.driving is None:
            notes.append("The face is driven by the photograph, moved by the face curves; a film of the performing character does it "
                         "better.")
        if not 20 <= scene.track.fps <= 40:
            notes.append(f"Wan-Animate was trained at 30 frames per second, and this film has {scene.track.fps:g}.")
        if self._device == "cpu":
            notes.append("There is no GPU, so this takes very long.")
        self._ready = _Prepared(scene, stage, folder, offload, self._steps or _STEPS.get(scene.quality, 20), segment)
        return notes

    def frames(self, start: int, stop: int, report: Report) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 RGB; the first call draws the whole film."""
        if self._ready is None:
            raise RuntimeError("prepare() has not been called")
        yield from wan.developed(self._kept, "wan-animate", self._ready, self.key(), lambda: self._draw(report), start, stop, report)

    def face_frames(self, size: int) -> Iterator[np.ndarray]:
        """(size, size, 3) uint8 of the prepared scene's face film."""
        assert self._ready is not None
        scene, stage = self._ready.scene, self._ready.stage
        if self._face is not None:
            return (_square(p, size) for p in driving.read_film(self._face, len(scene.track), scene.track.fps))
        if scene.driving is not None:
            return driving.face_of_driving(scene.driving, scene.track, size)
        return driving.face_of_photo(stage, dict(scene.face), len(scene.track), size)

    def _draw(self, report: Report) -> np.ndarray:
        import torch
        from PIL import Image

        r = self._ready
        assert r is not None
        if self._pipe is None:
            report("loading the networks", 0.02)
            self._pipe = _load(r.folder, self._device, self._precision, r.offload)
        pipe, stage = self._pipe, r.stage
        report("drawing the poses", 0.05)
        poses = [Image.fromarray(draw_wan(stage.track, n, head=self._head)) for n in range(len(stage.track))]
        faces = [Image.fromarray(f) for f in self.face_frames(pipe.transformer.config.motion_encoder_size)]
        count = len(poses)
        if count == 1:
            # the pipeline mirrors what it lacks, which a single picture cannot do
            poses, faces = poses * 2, faces * 2
        segments = -(-max(count - self._overlap, 1) // (r.segment - self._overlap))
        try:
            words = wan.embed_prompt(pipe, self._prompt, 512)
            without = wan.embed_prompt(pipe, "", 512) if self._guidance > 1 else None
            with wan.steps_reported(pipe.scheduler, segments * r.steps, report, 0.1, 0.95):
                film = pipe(
                    image=Image.fromarray(stage.photo.pixels), pose_video=poses, face_video=faces, prompt_embeds=words,
                    negative_prompt_embeds=without, height=stage.track.height, width=stage.track.width, segment_frame_length=r.segment,
                    num_inference_steps=r.steps, mode="animate", prev_segment_conditioning_frames=self._overlap,
                    guidance_scale=self._guidance, generator=torch.Generator("cpu").manual_seed(r.scene.seed), output_type="np").frames[0]
        except torch.OutOfMemoryError as error:
            raise UnderstudyError("out_of_memory", "The device ran out of memory while drawing.",
                                  "Film in parts, choose a smaller film, or the offload model or sequential.") from error
        return wan.to_uint8(film)[:count]


def _square(picture: np.ndarray, size: int) -> np.ndarray:
    import cv2

    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    return cv2.resize(picture[top: top + side, left: left + side], (size, size), interpolation=cv2.INTER_AREA)


def _load(folder: Path, device: str, precision: str, offload: str) -> Any:
    import torch
    from diffusers import WanAnimatePipeline

    kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    try:
        # the picture coder loses detail in half precision
        pipe = WanAnimatePipeline.from_pretrained(str(folder), dtype={"vae": torch.float32, "default": kind}, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise UnderstudyError("weights_invalid", f"{folder.name} cannot be loaded ({type(error).__name__}: {error}).",
                              "Fetch the model again.") from error
    pipe.set_progress_bar_config(disable=True)
    if offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        pipe.to(device)
    return pipe
