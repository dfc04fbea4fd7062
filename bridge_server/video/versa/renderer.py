# SPDX-License-Identifier: Apache-2.0
"""The ``versa`` renderer: from a scene to the frames of a film."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from bridge_server.motion.generator import Report
from bridge_server.pose_track.track import PoseTrack
from bridge_server.video import device as devices
from bridge_server.video import model_folders
from bridge_server.video.renderers import Cost, Description, Scene
from bridge_server.video.staging import Stage, face_box, set_stage, working_size
from bridge_server.video.versa import refine
from shared.errors import UnderstudyError

__all__ = ["VersaRenderer"]

_STEPS: Final = {"draft": 12, "normal": 25, "best": 40}
_MULTIPLE: Final = 64
_PIXELS: Final = 576 * 1024
"""What the weights were trained at; more does not sharpen."""


@dataclass
class _Prepared:
    scene: Scene
    stage: Stage
    files: Any
    offload: str
    steps: int
    window: int
    regions: list[refine.Region]
    faces: Any = None
    film: Any = None
    refined: dict[str, Any] | None = None


class VersaRenderer:
    """Pose-guided video diffusion on Stable Video Diffusion, with MimicMotion's weights and, where trained, the face's own layers.

    :param weights: folder, see :mod:`.weights`; by default ``$UNDERSTUDY_FILM_WEIGHTS/versa``.
    :param device: ``auto``, ``cuda``, ``cuda:1``, ``cpu``. :param precision: ``auto``, ``fp16``, ``bf16``, ``fp32``.
    :param offload: ``auto``; ``none``: all parts on the device; ``model``: one at a time; ``sequential``: one layer at a time, slow.
    :param steps: of denoising (0: 12, 25 or 40 by quality). :param window: frames at once. :param overlap: that windows share.
    :param guidance: 1 turns it off and halves the time. :param refine: regions drawn twice, of face and hands, or ``none``.
    :param refine_size: pixels of their crops. :param refine_strength: share of the schedule they are drawn anew with.
    :param emotion: ``auto`` (from the face curves) or a label. :param pixels: area that is worked at.
    """

    def __init__(
        self, weights: str | Path | None = None, device: str = "auto", precision: str = "auto", offload: str = "auto", steps: int = 0,
        window: int = 72, overlap: int = 6, guidance: float = 2.0, refine: str = "face,hands", refine_size: int = 384,
        refine_strength: float = 0.3, emotion: str = "auto", pixels: int = _PIXELS,
    ) -> None:
        self._weights = Path(weights) if weights else model_folders.default_folder("versa")
        self._device = devices.choose_device(device)
        self._precision = devices.choose_precision(precision, self._device)
        self._offload, self._steps, self._window, self._overlap = offload, int(steps), int(window), int(overlap)
        self._guidance, self._emotion, self._pixels = float(guidance), emotion, int(pixels)
        self._refine_size, self._strength = int(refine_size) // 64 * 64, float(refine_strength)
        self._keep: Path | None = None
        words = [w.strip() for w in refine.split(",") if w.strip() and w.strip() != "none"]
        if unknown := [w for w in words if w not in ("face", "hands", "left_hand", "right_hand")]:
            raise UnderstudyError("request_invalid", f"Nothing named {unknown[0]!r} can be refined.", "Choose face, hands, both or none.")
        self._regions = [r for r in _REGION_NAMES if r in words or ("hands" in words and "hand" in r)]
        if self._window < 2 or not 0 <= self._overlap < self._window - 1:
            raise UnderstudyError("request_invalid", f"Windows of {self._window} frames cannot overlap by {self._overlap}.",
                                  "Choose a window of at least 2 frames and an overlap under it.")
        if not (0 <= self._strength < 1 and 64 <= self._refine_size <= 1024 and 0 <= self._steps <= 200):
            raise UnderstudyError("request_invalid", "The steps or the refinement are out of range.",
                                  "Choose up to 200 steps, crops of 64 to 1024 pixels and a strength under 1.")
        self._drawing: Any = None
        self._ready: _Prepared | None = None

    @classmethod
    def describe(cls, weights: str | Path | None = None) -> Description:
        """What it needs, and whether it is here."""
        why = model_folders.packages_missing()
        folder = Path(weights) if weights else model_folders.default_folder("versa")
        if not why and folder is None:
            why = model_folders.missing_weights("versa")
        elif not why and folder is not None:
            from bridge_server.video.versa.weights import find_files

            try:
                find_files(folder)
            except UnderstudyError as error:
                why = error.message
        return Description(
            "versa", "photoreal, by pose-guided video diffusion; slow without a GPU",
            "Needs diffusers (pip install 'understudy[video]'), Stable Video Diffusion XT, MimicMotion's checkpoint, and a GPU with 16 GB "
            "for 576x1024; docs/film.md tells where to get them.", not why, why,
            "code Apache-2.0; weights: Stability AI Community Licence and MimicMotion's own", device="cuda",
            # not measured yet on any GPU of ours: memory is computed, time is left open
            cost=Cost(memory_gb=3.7, memory_gb_per_megapixel=19.5))

    def key(self) -> str:
        """Changes with every option that changes a picture."""
        return f"{self._weights} {self._precision} {self._steps} {self._window} {self._overlap} {self._guidance} {self._regions} " \
               f"{self._refine_size} {self._strength} {self._emotion} {self._pixels}"

    def keep_in(self, folder: Path) -> None:
        """Keep the unfinished film there after each step, so that it goes on where it was."""
        self._keep = folder

    def prepare(self, scene: Scene, report: Report) -> list[str]:
        """Check the weights and the memory, look at the photograph; nothing is loaded yet.

        :raises UnderstudyError: ``weights_missing``, ``weights_invalid``, ``out_of_memory``, and what the photograph can cause.
        """
        from bridge_server.video.versa.memory import versa_need
        from bridge_server.video.versa.weights import find_files

        if self._weights is None:
            raise UnderstudyError("weights_missing", model_folders.missing_weights("versa"), "Name the folder with --weights.")
        files = find_files(self._weights)
        width, height = working_size(scene.width, scene.height, _MULTIPLE, self._pixels)
        window = min(self._window, len(scene.track) + 1)
        need = versa_need(files, window, width, height, 4 if self._precision == "fp32" else 2)
        offload, memory = devices.choose_offload(need, self._offload, self._device)
        notes = [*scene.photo.notes, memory]
        report("looking at the photograph", 0.01)
        stage = set_stage(scene, width, height)
        regions, lacking = refine.find_regions(stage.track, stage.reference, self._regions, self._refine_size)
        notes += lacking
        if (width, height) != (scene.width, scene.height):
            notes.append(f"The film is drawn at {width}x{height} and brought to {scene.width}x{scene.height}.")
        if files.face is None:
            notes.append("These weights have no face layers (stage 2), so the mouth does not follow the speech.")
        elif scene.audio is None:
            notes.append("There is no speech, so the mouth stays as it is.")
        if self._device == "cpu":
            notes.append("There is no GPU, so this takes very long.")
        self._ready = _Prepared(scene, stage, files, offload, self._steps or _STEPS.get(scene.quality, 25), window, regions)
        return notes

    def frames(self, start: int, stop: int, report: Report) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 RGB; the first call denoises the whole film."""
        if self._ready is None:
            raise RuntimeError("prepare() has not been called")
        r = self._ready
        if r.film is None:
            import torch

            from bridge_server.video.versa import whole_film

            try:
                r.film, r.refined = whole_film.draw(self, r, report)
            except torch.OutOfMemoryError as error:
                raise UnderstudyError("out_of_memory", "The device ran out of memory while drawing.",
                                      "End other programs, or choose a smaller window, film, or another offload.") from error
        size = (r.scene.width, r.scene.height)
        for first in range(start, stop, 8):
            last = min(first + 8, stop)
            report("developing", 0.9 + 0.1 * first / max(len(r.scene.track), 1))
            # frame 0 of the latents is the photograph
            pictures = self._drawing.decode(r.film[:, 1:], first, last)
            for region in r.regions:
                drawn = self._drawing.decode((r.refined or {})[region.name][:, 1:], first, last)
                for n in range(first, last):
                    refine.paste(pictures[n - first], region, n, drawn[n - first])
            for picture in pictures:
                yield picture if picture.shape[1::-1] == size else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


_REGION_NAMES: Final = refine.REGIONS


def face_crop(stage: Stage) -> np.ndarray:
    """(side, side, 3) uint8: the photograph's face, which says who speaks."""
    left, top, side = face_box(stage.person, stage.photo.size)
    return np.ascontiguousarray(stage.photo.pixels[top: top + side, left: left + side])


def posed(stage: Stage) -> PoseTrack:
    """The photograph's pose as frame 0, then the film's."""
    from bridge_server.video.versa.pictures import joined

    return joined(stage.reference, stage.track)
