# SPDX-License-Identifier: Apache-2.0
"""What both Wan-Animate renderers share: folders, memory, progress, and the finished film between its segments."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from bridge_server.motion.generator import Report
from bridge_server.video import device as devices
from bridge_server.video import model_folders
from bridge_server.video.renderers import Scene
from bridge_server.video.staging import Stage
from shared.errors import UnderstudyError

__all__ = ["PROMPT", "Kept", "check_folder", "developed", "embed_prompt", "scene_digest", "sized", "steps_reported", "to_uint8", "wan_need"]

PROMPT: Final = "A person speaks to the camera."
LIBRARIES: Final = {"transformer": "diffusers", "vae": "diffusers", "text_encoder": "transformers", "image_encoder": "transformers",
                    "scheduler": "config", "tokenizer": "config"}
WORK: Final = {"animate": 15.0, "animate-2": 15.0}
"""Live bytes of a transformer's call, in its hidden states; counted by the tests."""
VAE: Final = 14.0
"""The same of the picture encoder and decoder, in one frame's feature maps of their first width times four frames."""


def check_folder(folder: Path | None, renderer: str, index: str, extra: dict[str, str] | None = None) -> Path:
    """The folder, complete. :raises UnderstudyError: ``weights_missing`` with everything that is missing, in one sentence."""
    fix = "Fetch the model in diffusers' layout; docs/film.md tells how."
    if folder is None:
        raise UnderstudyError("weights_missing", model_folders.missing_weights(renderer), "Name the folder with --weights.")
    if not folder.is_dir():
        raise UnderstudyError("weights_missing", f"There is no folder of weights {folder}.", fix)
    missing = [] if (folder / index).is_file() else [index]
    missing += model_folders.missing_parts(folder, {**LIBRARIES, **(extra or {})})
    if missing:
        raise UnderstudyError("weights_missing", f"The weights in {folder} are incomplete: {', '.join(missing)} "
                              f"{'is' if len(missing) == 1 else 'are'} missing.", fix)
    return folder


def wan_need(folder: Path, kind: str, frames: int, segment: int, width: int, height: int, bytes_each: int) -> devices.Need:
    """Memory for a film of ``frames``, ``segment`` of them at once.

    :param kind: a key of :data:`WORK`. :param bytes_each: of the transformer's numbers; the picture coder runs in full precision.
    """
    transformer = model_folders.read_json(folder / "transformer" / "config.json")
    vae = model_folders.read_json(folder / "vae" / "config.json")
    wide = transformer.get("dim") or transformer["num_attention_heads"] * transformer["attention_head_dim"]
    spatial = vae.get("scale_factor_spatial", 8)
    tokens = ((segment - 1) // 4 + 2) * (height // spatial // 2) * (width // spatial // 2)
    # Wan-Animate-2 keeps keys and values of the driving film, of every layer
    cache = 2 * transformer["num_layers"] * tokens * wide * bytes_each if kind == "animate-2" else 0
    # every picture of the film stays on the device until its end, as do the films that drive it
    held = 4 * 3 * frames * (2 * width * height + 512 * 512)
    weights = {name: model_folders.part_bytes(folder / name, library, 4 if name == "vae" else bytes_each)
               for name, library in LIBRARIES.items() if library != "config"}
    work = {
        "transformer": int(WORK[kind] * tokens * wide * bytes_each) + cache + held,
        "vae": int(VAE * vae.get("base_dim", 96) * width * height * 4 * 4) + held,
        "text_encoder": 200_000_000, "image_encoder": 100_000_000,
    }
    return devices.Need(weights, work)


def embed_prompt(pipe: Any, prompt: str, length: int) -> Any:
    """(1, length, C), as the pipeline embeds a prompt, without its text cleaner, which is a package of its own."""
    import torch

    words = pipe.tokenizer([prompt], padding="max_length", max_length=length, truncation=True, return_attention_mask=True,
                           return_tensors="pt")
    device = pipe._execution_device
    with torch.no_grad():
        states = pipe.text_encoder(words.input_ids.to(device), words.attention_mask.to(device)).last_hidden_state
    # what pads the prompt is zero, not what the encoder makes of padding
    return states * words.attention_mask[..., None].to(states)


@contextmanager
def steps_reported(scheduler: Any, steps: int, report: Report, low: float, high: float) -> Iterator[None]:
    """Report every step of a scheduler while inside; what ``report`` raises ends the pipeline."""
    step, done = scheduler.step, 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal done
        out = step(*arguments, **named)
        done += 1
        report("denoising", low + (high - low) * min(done / max(steps, 1), 1.0))
        return out

    scheduler.step = counted
    try:
        yield
    finally:
        del scheduler.step


def to_uint8(pictures: Any) -> np.ndarray:
    """(F, H, W, 3) uint8 of pictures in [0, 1]."""
    return (np.clip(np.asarray(pictures, np.float32), 0, 1) * 255).round().astype(np.uint8)


def developed(kept: Kept, name: str, ready: Any, key: str, draw: Callable[[], np.ndarray], start: int, stop: int,
              report: Report) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 RGB of frames ``start`` to ``stop``; the whole film is drawn, once, for the first.

    :param ready: what ``prepare()`` left: ``scene``, ``stage`` and ``film``.
    """
    if ready.film is None:
        ready.film = kept.pictures(name, scene_digest(ready.scene, ready.stage, key), draw)
    for n in range(start, stop):
        report("developing", 0.95 + 0.05 * n / max(len(ready.film), 1))
        yield sized(ready.film[n], ready.scene)


def sized(picture: np.ndarray, scene: Scene) -> np.ndarray:
    """A picture at the film's size."""
    size = (scene.width, scene.height)
    if picture.shape[1::-1] == size:
        return picture
    smaller = picture.shape[1] > size[0]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def scene_digest(scene: Scene, stage: Stage, key: str) -> str:
    """Changes with anything that changes a picture."""
    digest = sha256(f"{key} {scene.seed} {scene.quality} {scene.width} {scene.height} {scene.photo.digest}".encode())
    for part in (stage.track.points, stage.track.confidence, *(scene.face[n] for n in sorted(scene.face))):
        digest.update(np.ascontiguousarray(part, np.float32).tobytes())
    if scene.driving is not None:
        digest.update(sha256(scene.driving.read_bytes()).digest())
    return digest.hexdigest()


class Kept:
    """Finished pictures in a folder, so that a film whose encoding was interrupted need not be drawn again."""

    def __init__(self) -> None:
        self.folder: Path | None = None

    def pictures(self, name: str, digest: str, draw: Callable[[], np.ndarray]) -> np.ndarray:
        """(F, H, W, 3) uint8 from the folder, or drawn and put there."""
        path = None if self.folder is None else self.folder / f"{name}-{digest[:16]}.npy"
        if path is not None and path.is_file():
            found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
            return found
        drawn = draw()
        if path is not None and path.parent.is_dir():
            temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
            with temporary.open("wb") as file:
                np.save(file, drawn, allow_pickle=False)
            temporary.replace(path)
        return drawn
