# SPDX-License-Identifier: GPL-3.0-or-later
"""What a film will take, from what its renderer says of itself in the bridge's welcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Renderer", "film_size", "renderers_of", "words_for_seconds"]


@dataclass(frozen=True)
class Renderer:
    """A renderer as the bridge describes it. :ivar why_not: what it lacks, empty where it runs. :ivar cost: None where not known."""

    name: str
    summary: str = ""
    needs: str = ""
    why_not: str = ""
    device: str = ""
    takes_driving: bool = False
    cost: Mapping[str, float] | None = None

    def estimate(self, width: int, height: int, frames: int, quality: str) -> str:
        """Time and memory in one line, or a sentence that they are not known."""
        if self.cost is None:
            return "Time not known"
        megapixels = width * height / 1e6
        share = float(self.cost.get(quality, 1.0)) if quality in ("draft", "best") else 1.0
        seconds = self._of("start_seconds") + share * frames * (self._of("frame_seconds") + megapixels * self._of("megapixel_seconds"))
        memory = self._of("memory_gb") + megapixels * self._of("memory_gb_per_megapixel")
        return f"About {words_for_seconds(seconds)} · {memory:.1f} GB" + (f" on {self.device}" if self.device else "")

    def _of(self, name: str) -> float:
        assert self.cost is not None
        return float(self.cost.get(name, 0.0))


def words_for_seconds(seconds: float) -> str:
    """"40 s", "12 min", "3.5 h": two digits are all that an estimate is good for."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def renderers_of(welcome: Mapping[str, Any]) -> list[Renderer]:
    """The renderers that a bridge has, those that run there first; one without a bridge: the embedded one."""
    found: list[Renderer] = []
    described: Sequence[Any] = welcome.get("renderers") or ()
    for item in described:
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            why_not = "" if item.get("runs_here", True) else str(item.get("why_not") or "It cannot run there.")
            cost = item.get("cost")
            found.append(Renderer(item["name"], str(item.get("summary", "")), str(item.get("needs", "")), why_not,
                                  str(item.get("device", "")), bool(item.get("takes_driving")), cost if isinstance(cost, dict) else None))
    return sorted(found, key=lambda r: (bool(r.why_not), r.name != "puppet", r.name)) or [Renderer("puppet")]


def film_size(shape: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Even sides in the proportions of ``shape``, the shorter one ``short_side`` pixels and the longer one at most 4096."""
    scale = min(short_side / min(shape), 4096 / max(shape))
    width, height = (max(int(round(side * scale)) // 2 * 2, 64) for side in shape)
    return width, height
