# SPDX-License-Identifier: Apache-2.0
"""The training loop that all stages share: resumable, seeded, logged, the same on CPU and GPU."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

__all__ = ["RunOptions", "train"]


@dataclass
class RunOptions:
    """:ivar folder: where checkpoints and logs go; a run in the same folder goes on from its last checkpoint.

    :ivar minutes: stop after this much time even if steps remain (0: no limit); the schedule then follows time.
    :ivar bf16: autocast to bfloat16.
    """

    folder: Path
    steps: int = 4000
    rate: float = 3e-4
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    device: str = "cpu"
    bf16: bool = False
    minutes: float = 0.0
    validate_every: int = 250
    average: float = 0.998


def _seed_everything(seed: int) -> None:
    torch.manual_seed(seed)


class _Log:
    """``log.jsonl``, and TensorBoard where it is installed."""

    def __init__(self, folder: Path) -> None:
        self.file = open(folder / "log.jsonl", "a", encoding="utf-8")
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.board: Any = SummaryWriter(str(folder / "tensorboard"))
        except ImportError:
            self.board = None

    def write(self, step: int, values: dict[str, float]) -> None:
        self.file.write(json.dumps({"step": step, **{k: round(float(v), 6) for k, v in values.items()}}) + "\n")
        self.file.flush()
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def close(self) -> None:
        self.file.close()
        if self.board is not None:
            self.board.close()


def train(
    model: nn.Module,
    step_loss: Callable[[], tuple[Tensor, dict[str, float]]],
    options: RunOptions,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    better: str = "",
) -> dict[str, Any]:
    """Train ``model`` in place and return the best state by validation, else the last average.

    :param step_loss: draws a batch, runs the model, gives loss () and figures to log.
    :param validate: figures of the averaged weights on the validation split.
    :param better: the validation figure to minimise; the best average is kept (early stopping by choice of checkpoint).
    :returns: the state dict to ship.
    """
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    _seed_everything(options.seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=options.rate, weight_decay=options.weight_decay, betas=(0.9, 0.98))
    averaged = {k: v.detach().clone() for k, v in model.state_dict().items()}
    best, best_state, first, spent = math.inf, None, 0, 0.0
    last = folder / "last.pt"
    if last.is_file():
        saved = torch.load(last, map_location=options.device, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        averaged, best, best_state = saved["averaged"], saved["best"], saved["best_state"]
        first, spent = saved["step"], saved["spent"]
        torch.manual_seed(options.seed + first)
    log = _Log(folder)
    begun = time.monotonic() - spent
    progress = tqdm(range(first, options.steps), initial=first, total=options.steps, mininterval=10, desc=folder.name)

    def save(step: int) -> None:
        temporary = last.with_suffix(".part")
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "averaged": averaged, "best": best,
                    "best_state": best_state, "step": step, "spent": time.monotonic() - begun}, temporary)
        temporary.replace(last)

    def check(step: int) -> None:
        nonlocal best, best_state
        if validate is None:
            return
        live = {k: v.detach().clone() for k, v in model.state_dict().items()}
        model.load_state_dict(averaged)
        model.eval()
        figures = validate(model)
        model.train()
        model.load_state_dict(live)
        log.write(step, {f"val/{k}": v for k, v in figures.items()})
        progress.set_postfix({k: f"{v:.4g}" for k, v in figures.items()})
        if better and figures[better] < best:
            best, best_state = figures[better], {k: v.clone() for k, v in averaged.items()}

    model.train()
    # on CPUs the plain form's gradient is several times faster than the fused one's, at our lengths
    fused = [] if options.device == "cpu" else [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    kernels = [*fused, SDPBackend.MATH]
    step = first
    for step in progress:
        done = step / options.steps
        if options.minutes:
            done = max(done, (time.monotonic() - begun) / 60 / options.minutes)
            if done >= 1:
                break
        scale = min(1.0, (step + 1) / options.warmup) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))
        for group in optimizer.param_groups:
            group["lr"] = options.rate * scale
        # the backward pass under the same choice: gradient checkpointing computes parts of the forward pass again
        with sdpa_kernel(kernels):
            with torch.autocast(options.device.split(":")[0], torch.bfloat16, enabled=options.bf16):
                loss, figures = step_loss()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
        nn.utils.clip_grad_norm_(parameters, options.clip)
        optimizer.step()
        decay = min(options.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, value in model.state_dict().items():
                if value.dtype.is_floating_point:
                    averaged[name].lerp_(value, 1 - decay)
                else:
                    averaged[name].copy_(value)
        if step % 50 == 0:
            log.write(step, {"loss": float(loss.detach()), **figures, "rate": options.rate * scale})
        if (step + 1) % options.validate_every == 0:
            check(step + 1)
            save(step + 1)
    check(step + 1)
    save(step + 1)
    log.close()
    return best_state if best_state is not None else averaged
