# SPDX-License-Identifier: Apache-2.0
"""How much memory a film takes, known before anything is loaded.

Every large tensor of a call is a multiple of the first layer's output, so the peak of live tensors is one number times that. The
numbers were counted with a tracker of live storages, which the tests run again.
"""

from __future__ import annotations

from typing import Final

from bridge_server.video import model_folders
from bridge_server.video.device import Need
from bridge_server.video.versa.weights import VersaFiles

__all__ = ["CHUNK", "CONTEXT", "DECODER", "ENCODER", "UNET", "versa_need"]

UNET: Final = 27.1
"""Live bytes of a U-Net call, in outputs of its first convolution; the widest place is a feed-forward at full size."""
DECODER: Final = 8.1
ENCODER: Final = 5.2
"""The same of the picture decoder and encoder, in full-size feature maps of their first width."""
CHUNK: Final = 4
"""Frames that are decoded at once."""
CONTEXT: Final = 1
"""Frames to either side that are decoded with them and dropped, because the decoder looks at neighbours."""


def versa_need(files: VersaFiles, frames: int, width: int, height: int, bytes_each: int) -> Need:
    """For windows of ``frames`` at (width, height) pixels.

    :param bytes_each: 4, or 2 for half precision.
    :raises UnderstudyError: ``weights_invalid`` for a broken config.
    """
    unet = model_folders.read_json(files.svd / "unet" / "config.json")
    vae = model_folders.read_json(files.svd / "vae" / "config.json")
    first, pixel = unet["block_out_channels"][0], vae["block_out_channels"][0]
    latent = (height // 8) * (width // 8)
    # the encoder runs in full precision where its config asks for that
    upcast = 4 if vae.get("force_upcast", True) else bytes_each
    stored = 2 if files.checkpoint.stat().st_size < 4.6e9 else 4
    weights = {
        "unet": files.checkpoint.stat().st_size * bytes_each // stored,
        "vae": model_folders.part_bytes(files.svd / "vae", "diffusers", bytes_each),
        "image_encoder": model_folders.part_bytes(files.svd / "image_encoder", "transformers", bytes_each),
    }
    work = {
        "unet": int(UNET * first * latent * frames * bytes_each),
        "vae": int(max(DECODER * (CHUNK + 2 * CONTEXT) * bytes_each, ENCODER * upcast) * pixel * width * height),
        "image_encoder": 50_000_000,
    }
    return Need(weights, work)
