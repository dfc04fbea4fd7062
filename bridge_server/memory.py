# SPDX-License-Identifier: Apache-2.0
"""What a device has left, and what to tell a user when that is too little."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Final

import psutil

from shared.errors import UnderstudyError

__all__ = ["free_memory", "longest", "too_little"]

HEADROOM: Final = 0.9
"""Part of the free memory that is reckoned with: the rest goes to what other programs take meanwhile."""
_SIZE: Final = re.compile(r"(\d+(?:\.\d*)?)\s*([KMGT])i?B\b")
_FACTORS: Final = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def free_memory(device: str) -> tuple[int, int]:
    """(free, total) bytes of the memory that models on ``device`` use; that of the machine for cpu and mps."""
    torch = sys.modules.get("torch")
    if device.startswith("cuda") and torch is not None and torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info(torch.device(device))
        return int(free), int(total)
    memory = psutil.virtual_memory()
    return int(memory.available), int(memory.total)


def longest(seconds: float, free: int, needed: Callable[[float], int]) -> float | None:
    """The longest performance of at most ``seconds`` that needs no more than the free memory, None when not even 1 s does.

    :param needed: bytes that a performance of some seconds takes; does not fall as they grow.
    """
    room = free * HEADROOM
    if seconds <= 1.0 or needed(1.0) > room:
        return None
    low, high = 1.0, seconds
    if needed(high) <= room:
        return high
    while high - low > 0.5:
        middle = (low + high) / 2
        low, high = (middle, high) if needed(middle) <= room else (low, middle)
    return low


def too_little(
    detail: str, device: str, seconds: float | None = None, needed: Callable[[float], int] | None = None
) -> UnderstudyError:
    """The error for a performance that did not fit, also on a second try with less; call it when the memory is free again.

    :param detail: what the library said; its figure is given where nothing better is known.
    :param seconds: how long the performance was to be.
    :param needed: bytes at the smallest setting by seconds, where the generator knows; as in :func:`longest`.
    """
    free, total = free_memory(device)
    has = f"{device} has {_size(free)} of {_size(total)} free"
    other = "close other programs that use the device, or start the bridge with --device cpu"
    if device == "cpu":
        other = "close other programs"
    if needed is not None and seconds:
        fits = longest(seconds, free, needed)
        # an estimate below what there is has just been proved wrong, so nothing is promised by it
        if fits is None or fits < seconds:
            advice = f"Perform at most {_time(fits)} at once" if fits is not None else "Use a device with more memory"
            return UnderstudyError(
                "out_of_memory",
                f"{_time(seconds)} of performance need about {_size(needed(seconds))} of memory also in the smallest steps, "
                f"and {has}.",
                f"{advice}, {other}.",
            )
    found = _SIZE.search(detail)
    asked = f", and {_size(float(found[1]) * _FACTORS[found[2]])} more were asked for" if found else ""
    half = f"Perform {_time(seconds / 2)} or less at once" if seconds and seconds > 2 else "Perform a shorter stretch"
    return UnderstudyError(
        "out_of_memory",
        f"The memory is too small for this performance, also in smaller steps: {has}{asked}.",
        f"{half}, {other}.",
    )


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{max(1, round(count / 2**20))} MB"


def _time(seconds: float) -> str:
    return f"{int(seconds)} s" if seconds < 120 else f"{int(seconds) // 60}:{int(seconds) % 60:02d} minutes"
