# SPDX-License-Identifier: Apache-2.0
"""The ``wan-animate-2`` renderer: the performance as a film of the character, for instance a viewport render."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.motion.generator import Report
from bridge_server.video import device as devices
from bridge_server.video import driving, model_folders, wan
from bridge_server.video.renderers import Cost, Description, Scene
from bridge_server.video.staging import Stage, set_stage, working_size
from shared.errors import UnderstudyError

__all__ = ["WanAnimate2Renderer"]

_STEPS: Final = {"draft": 15, "normal": 40, "best": 50}
_DISTILLED: Final = {"draft": 4, "normal": 10, "best": 14}
_PIXELS: Final = 800 * 640
_RATE: Final = 24
_INDEX: Final = "modular_model_index.json"
_PARTS: Final = ("text_encoder", "tokenizer", "image_encoder", "vae", "transformer", "scheduler")


@dataclass
class _Prepared:
    scene: Scene
    stage: Stage
    folder: Path
    offload: str
    steps: int
    segment: int
    film: np.ndarray | None = None


class WanAnimate2Renderer:
    """Wan2.2-Animate-2-14B, also the distilled one.

    :param weights: folder in diffusers' modular layout (``Wan-AI/Wan2.2-Animate-2-14B-Diffusers`` or ``...-Distilled-Diffusers``);
        default ``$UNDERSTUDY_FILM_WEIGHTS/wan-animate-2``.
    :param device: as ``versa``. :param precision: ``auto`` is bf16 on GPUs. :param offload: as ``versa``.
    :param steps: of denoising (0: 15, 40 or 50 by quality; distilled 4, 10 or 14). :param segment: frames at once, 4N + 1.
    :param prompt: words about the film. :param length: tokens of the prompt. :param pixels: working area.
    """

    def __init__(
        self, weights: str | Path | None = None, device: str = "auto", precision: str = "auto", offload: str = "auto", steps: int = 0,
        segment: int = 81, prompt: str = wan.PROMPT, length: int = 512, pixels: int = _PIXELS,
    ) -> None:
        self._weights = Path(weights) if weights else model_folders.default_folder("wan-animate-2")
        self._device = devices.choose_device(device)
        self._precision = "bf16" if precision == "auto" and self._device != "cpu" else devices.choose_precision(precision, self._device)
        self._offload, self._steps, self._segment = offload, int(steps), int(segment)
        self._prompt, self._length, self._pixels = prompt, int(length), int(pixels)
        if self._segment < 5 or self._segment % 4 != 1:
            raise UnderstudyError("request_invalid", f"Segments of {self._segment} frames cannot be drawn.", "Choose 4N + 1 frames.")
        self._pipe: Any = None
        self._kept = wan.Kept()
        self._ready: _Prepared | None = None

    @classmethod
    def describe(cls, weights: str | Path | None = None) -> Description:
        """What it needs, and whether it is here."""
        why = model_folders.packages_missing()
        if not why:
            try:
                wan.check_folder(Path(weights) if weights else model_folders.default_folder("wan-animate-2"), "wan-animate-2", _INDEX)
            except UnderstudyError as error:
                why = error.message
        return Description(
            "wan-animate-2", "photoreal, by Wan-Animate-2 from a film of the performing character",
            "Needs a film of the performing character (--driving), diffusers 0.42 (pip install 'understudy[video]'), "
            "Wan2.2-Animate-2-14B, and a GPU with 96 GB, or 80 GB with offload; docs/film.md tells where to get it.", not why, why,
            "code Apache-2.0; weights: see their model card", cost=Cost(memory_gb=43, memory_gb_per_megapixel=76),
            device="cuda", takes_driving=True)

    def key(self) -> str:
        """Changes with every option that changes a picture."""
        return f"{self._weights} {self._precision} {self._steps} {self._segment} {self._prompt} {self._length} {self._pixels}"

    def keep_in(self, folder: Path) -> None:
        """Keep the drawn pictures there until the film is finished."""
        self._kept.folder = folder

    def prepare(self, scene: Scene, report: Report) -> list[str]:
        """Check the weights, the memory and the driving film; nothing is loaded yet.

        :raises UnderstudyError: ``request_invalid`` without a driving film, ``weights_missing``, ``weights_invalid``,
            ``out_of_memory``, and what photograph and film can cause.
        """
        folder = wan.check_folder(self._weights, "wan-animate-2", _INDEX)
        if scene.driving is None:
            raise UnderstudyError("request_invalid", "Wan-Animate-2 needs a film of the performing character, and there is none.",
                                  "Render the viewport over the film's range and give that film (--driving FILE).")
        next(driving.read_film(scene.driving, 1, scene.track.fps))
        width, height = working_size(scene.width, scene.height, 16, self._pixels)
        count = len(scene.track)
        segment = min(self._segment, max(-(-(count - 1) // 4) * 4 + 1, 5))
        need = wan.wan_need(folder, "animate-2", count, segment, width, height, 4 if self._precision == "fp32" else 2)
        offload, memory = devices.choose_offload(need, self._offload, self._device)
        notes = [*scene.photo.notes, memory]
        report("looking at the photograph", 0.01)
        stage = set_stage(scene, width, height)
        if self._device == "cpu":
            notes.append("There is no GPU, so this takes very long.")
        distilled = "Distilled" in str(model_folders.read_json(folder / _INDEX).get("_class_name", ""))
        steps = self._steps or (_DISTILLED if distilled else _STEPS).get(scene.quality, 40)
        self._ready = _Prepared(scene, stage, folder, offload, steps, segment)
        return notes

    def frames(self, start: int, stop: int, report: Report) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 RGB; the first call draws the whole film."""
        if self._ready is None:
            raise RuntimeError("prepare() has not been called")
        yield from wan.developed(self._kept, "wan-animate-2", self._ready, self.key(), lambda: self._draw(report), start, stop, report)

    def _draw(self, report: Report) -> np.ndarray:
        import torch
        from PIL import Image

        r = self._ready
        assert r is not None and r.scene.driving is not None
        if self._pipe is None:
            report("loading the networks", 0.02)
            self._pipe = _load(r.folder, self._device, self._precision, r.offload)
        fps, count = r.scene.track.fps, len(r.scene.track)
        report("reading the driving film", 0.08)
        film = [Image.fromarray(p) for p in driving.read_film(r.scene.driving, count, fps)]
        # near the model's own rate frame stands for frame; else it draws at its own and the nearest pictures are taken
        own = abs(fps - _RATE) > 6
        drawn = count if not own else max(int(count / fps * _RATE), 1)
        segments = -(-max(drawn - 1, 1) // (r.segment - 1))
        height, width = r.stage.track.height, r.stage.track.width
        try:
            with wan.steps_reported(self._pipe.scheduler, segments * r.steps, report, 0.1, 0.95):
                videos = self._pipe(
                    prompt=self._prompt, image=Image.fromarray(r.stage.photo.pixels), driving_video=film,
                    driving_video_fps=fps if own else None, fps=_RATE, height=height, width=width, segment_frame_length=r.segment,
                    prev_segment_conditioning_frames=1, num_inference_steps=r.steps, max_sequence_length=self._length,
                    generator=torch.Generator("cpu").manual_seed(r.scene.seed), output_type="np", output="videos")
        except torch.OutOfMemoryError as error:
            raise UnderstudyError("out_of_memory", "The device ran out of memory while drawing.",
                                  "Film in parts, choose a smaller film, or the offload model or sequential.") from error
        pictures = wan.to_uint8(videos[0])
        return driving.resampled(pictures, _RATE, count, fps) if own else pictures[:count]


def _load(folder: Path, device: str, precision: str, offload: str) -> Any:
    """The pipeline with all parts from this folder, whatever places its index names; no code in the folder is run."""
    import torch
    from diffusers import ComponentsManager, ModularPipeline

    kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    manager = ComponentsManager() if offload == "model" else None
    if manager is not None:
        manager.enable_auto_cpu_offload(device=device)
    try:
        pipe = ModularPipeline.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True, components_manager=manager)
        for name in _PARTS:
            spec = pipe.get_component_spec(name)
            given = {} if name in ("tokenizer", "scheduler") else {"dtype": torch.float32 if name == "vae" else kind}
            part = spec.load(pretrained_model_name_or_path=str(folder), subfolder=name, revision=None, local_files_only=True, **given)
            pipe.update_components(**{name: part})
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, TypeError) as error:
        raise UnderstudyError("weights_invalid", f"{folder.name} cannot be loaded ({type(error).__name__}: {error}).",
                              "Fetch the model again.") from error
    if offload == "sequential":
        from diffusers.hooks import apply_group_offloading

        for name in ("text_encoder", "image_encoder", "vae", "transformer"):
            apply_group_offloading(getattr(pipe, name), onload_device=torch.device(device), offload_device=torch.device("cpu"),
                                   offload_type="leaf_level")
    elif offload == "none":
        pipe.to(device)
    return pipe
