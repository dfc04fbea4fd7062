# SPDX-License-Identifier: Apache-2.0
"""``versa`` at its published size beside the plain U-Net of diffusers, on a GPU, with random weights.

``python -m benchmarks.video_gpu`` prints peak memory, seconds per step of both in one run, and the overhead; without a GPU it
says so and is no failure. Random weights take as long and as much memory as trained ones.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

__all__ = ["main", "measure"]

SVD_XT: Final[dict[str, Any]] = {
    "sample_size": 96, "in_channels": 8, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280], "layers_per_block": 2,
    "down_block_types": ["CrossAttnDownBlockSpatioTemporal"] * 3 + ["DownBlockSpatioTemporal"],
    "up_block_types": ["UpBlockSpatioTemporal"] + ["CrossAttnUpBlockSpatioTemporal"] * 3, "cross_attention_dim": 1024,
    "num_attention_heads": [5, 10, 20, 20], "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 768,
    "transformer_layers_per_block": 1, "num_frames": 25,
}
_SCHEDULER: Final[dict[str, Any]] = {
    "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "prediction_type": "v_prediction", "sigma_max": 700.0,
    "sigma_min": 0.002, "steps_offset": 1, "timestep_spacing": "leading", "timestep_type": "continuous", "use_karras_sigmas": True,
}
MEMORY_GB: Final = 20.0
OVERHEAD: Final = 0.15


def _made(make: Callable[[], Any], device: str, dtype: Any) -> Any:
    """A network with random weights, made on the device in its final type."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return make().eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)


def _seconds(work: Callable[[], object], device: str) -> float:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - began


def measure(device: str, frames: int, steps: int, width: int, height: int, unet_config: dict[str, Any] | None = None) -> dict[str, float]:
    """Denoise ``frames`` in one window with guidance 2, face layers at work, then decode; and the plain U-Net's two calls a step."""
    import torch
    from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNetSpatioTemporalConditionModel

    from bridge_server.video.versa.conditions import EMOTION_NAMES, FaceConditioner, FaceConfig, FaceInputs
    from bridge_server.video.versa.memory import CHUNK, CONTEXT
    from bridge_server.video.versa.pose_net import PoseNet
    from bridge_server.video.versa.sampler import Networks, Reference, Sampling, denoise, start_noise
    from bridge_server.video.versa.unet import VersaUNet

    config = unet_config or SVD_XT
    dtype = torch.float16 if device.startswith("cuda") else torch.float32
    wide, first = config["cross_attention_dim"], config["block_out_channels"][0]
    face_config = FaceConfig(width=wide, identity_width=wide)
    h, w = height // 8, width // 8
    torch.manual_seed(0)
    image, embedding = torch.randn(1, 4, h, w), torch.randn(1, 1, wide)
    ids = torch.tensor([[6.0, 127.0, 0.0]])
    poses = torch.rand(frames, 3, height, width) * 2 - 1
    out: dict[str, float] = {}
    with torch.no_grad():
        plain = _made(lambda: UNetSpatioTemporalConditionModel(**config), device, dtype)
        sample = torch.randn(1, frames, 8, h, w, dtype=dtype, device=device)
        given = (torch.tensor(1.0, device=device), embedding.to(device, dtype), ids.to(device, dtype))

        def both() -> None:
            for _ in range(2):
                plain(sample, *given)

        both()  # the first call chooses its kernels
        times = sorted(_seconds(both, device) for _ in range(min(steps, 5)))
        out["plain_step_seconds"] = times[len(times) // 2]
        del plain
        if device.startswith("cuda"):
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        unet = _made(lambda: VersaUNet.made(config), device, dtype)
        nets = Networks(unet, _made(lambda: PoseNet(first), device, dtype), _made(lambda: FaceConditioner(face_config), device, dtype),
                        EulerDiscreteScheduler(**_SCHEDULER))
        faces = FaceInputs(torch.randn(frames, face_config.window, face_config.audio_width), torch.eye(len(EMOTION_NAMES))[[1] * frames],
                           torch.rand(frames), torch.randn(wide))
        vae = _made(lambda: AutoencoderKLTemporalDecoder(
            down_block_types=("DownEncoderBlock2D",) * 4, block_out_channels=(128, 256, 512, 512) if unet_config is None else (32,) * 4,
            layers_per_block=2, latent_channels=4), device, dtype)
        # the image encoder's 632 million numbers lie beside the others when nothing is offloaded
        encoder = torch.empty(632_000_000 if unet_config is None else 0, dtype=dtype, device=device)
        marks: list[float] = []

        def step(done: int, latents: torch.Tensor) -> None:
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            marks.append(time.perf_counter())

        nets.scheduler.set_timesteps(steps)
        noise = start_noise(frames, frames, (h, w), 0) * nets.scheduler.init_noise_sigma
        latents = denoise(nets, noise.to(device), Reference(embedding, image, ids), lambda index: poses[index],
                          Sampling(steps, frames, 0, 2.0), faces=faces, masks=lambda index: torch.ones(len(index), h, w), after_step=step)
        gaps = sorted(b - a for a, b in zip(marks, marks[1:], strict=False))
        out["versa_step_seconds"] = gaps[len(gaps) // 2]
        part = latents[0, : CHUNK + 2 * CONTEXT].to(device, dtype)
        out["decode_seconds"] = _seconds(lambda: vae.decode(part, num_frames=len(part)), device) * frames / CHUNK
        del encoder
    if device.startswith("cuda"):
        out["peak_gb"] = torch.cuda.max_memory_reserved() / 2**30
    out["overhead"] = out["versa_step_seconds"] / out["plain_step_seconds"] - 1
    return out


def main(given: list[str] | None = None) -> int:
    """:returns: 0, also where there is no GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.video_gpu", description=__doc__)
    parser.add_argument("--frames", type=int, default=72)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--size", default="576x1024", help="WIDTHxHEIGHT")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    options = parser.parse_args(given)
    from bridge_server.video.model_folders import packages_missing

    if why := packages_missing():
        print(f"Nothing was measured: {why}")
        return 0
    import torch

    if not torch.cuda.is_available():
        print("Nothing was measured: there is no CUDA GPU on this machine, and the published size takes hours on a processor.")
        return 0
    width, height = (int(n) for n in options.size.split("x"))
    figures = measure("cuda", options.frames, options.steps, width, height)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {width}x{height}, {options.frames} frames, {options.steps} steps, "
          "fp16")
    print(f"peak memory            {figures['peak_gb']:8.1f} GB   (goal: at most {MEMORY_GB:g})")
    print(f"plain U-Net            {figures['plain_step_seconds']:8.3f} s a step, two calls")
    print(f"versa                  {figures['versa_step_seconds']:8.3f} s a step")
    print(f"overhead               {100 * figures['overhead']:8.1f} %    (goal: at most {100 * OVERHEAD:g})")
    print(f"decoding all frames    {figures['decode_seconds']:8.1f} s")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
