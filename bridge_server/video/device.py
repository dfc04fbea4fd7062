# SPDX-License-Identifier: Apache-2.0
"""Which device draws, in which precision, and whether a film fits into its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.errors import UnderstudyError

__all__ = ["OFFLOADS", "PRECISIONS", "Need", "choose_device", "choose_offload", "choose_precision", "free_bytes"]

PRECISIONS: Final = ("auto", "fp32", "fp16", "bf16")
OFFLOADS: Final = ("auto", "none", "model", "sequential")
_GIB: Final = 2**30
_RESERVE: Final = 0.6 * _GIB
"""What a CUDA context and its libraries take besides our tensors."""


@dataclass(frozen=True)
class Need:
    """Bytes on the device that draws.

    :ivar weights: by part; with ``model`` offload only the largest is there at a time. :ivar work: while a part computes, by part.
    """

    weights: dict[str, int]
    work: dict[str, int]

    def bytes(self, offload: str) -> int:
        """Peak under an offload."""
        if offload == "none":
            return sum(self.weights.values()) + max(self.work.values())
        if offload == "model":
            return max(self.weights.get(part, 0) + self.work.get(part, 0) for part in self.weights)
        # one layer at a time: a fiftieth of a network is more than the largest layer of any of ours
        return max(self.weights.get(part, 0) // 50 + self.work.get(part, 0) for part in self.weights)


def choose_device(name: str = "auto") -> str:
    """``cuda``, ``mps`` or ``cpu`` for ``auto``. :raises UnderstudyError: ``unsupported`` for a device that is not here."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, number = name.partition(":")
    there = {"cpu": True, "cuda": torch.cuda.is_available() and int(number or 0) < torch.cuda.device_count(),
             "mps": torch.backends.mps.is_available()}.get(kind, False)
    if not there:
        raise UnderstudyError("unsupported", f"There is no device {name!r} on this machine.", "Choose auto, cpu or cuda.")
    return name


def choose_precision(name: str, device: str) -> str:
    """``auto`` is fp16 on GPUs, which the weights are published in, and fp32 on processors, which have no fast fp16.

    :raises UnderstudyError: ``request_invalid``.
    """
    if name not in PRECISIONS:
        raise UnderstudyError("request_invalid", f"There is no precision {name!r}.", f"Choose one of {', '.join(PRECISIONS)}.")
    return ("fp32" if device == "cpu" else "fp16") if name == "auto" else name


def free_bytes(device: str) -> int:
    """Memory of the device that can still be had."""
    import psutil
    import torch

    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def choose_offload(need: Need, offload: str, device: str, free: int | None = None) -> tuple[str, str]:
    """The offload to use, and a sentence about memory.

    :raises UnderstudyError: ``out_of_memory`` where the film does not fit, ``request_invalid`` for an unknown offload.
    """
    if offload not in OFFLOADS:
        raise UnderstudyError("request_invalid", f"There is no offload {offload!r}.", f"Choose one of {', '.join(OFFLOADS)}.")
    free = free_bytes(device) if free is None else free
    reserve = _RESERVE if device.startswith("cuda") else 0
    # weights that wait on the processor are still there when the processor draws
    choices = ["none"] if device == "cpu" else ["none", "model", "sequential"] if offload == "auto" else [offload]
    for choice in choices:
        wanted = need.bytes(choice) + reserve
        if wanted <= free:
            return choice, f"About {wanted / _GIB:.1f} GB of memory are needed on {device}, {free / _GIB:.1f} GB are free."
    least = need.bytes(choices[-1]) + reserve
    raise UnderstudyError(
        "out_of_memory", f"There is too little memory on {device}: about {least / _GIB:.1f} GB are needed and {free / _GIB:.1f} GB "
        "are free.",
        "Choose a smaller film, fewer frames at once (option window), or another offload, or end other programs.")
