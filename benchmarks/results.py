# SPDX-License-Identifier: Apache-2.0
"""The list of results: what was measured, the target it stands beside, where and when."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

__all__ = ["FILE", "Result", "best", "machine", "merge", "table"]

FILE: Final = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Result:
    """One line.

    :ivar reference: the target of the specification, or the thing that it is compared with.
    :ivar ratio: value / reference; for targets "at most" it should be 1 or less.
    """

    name: str
    value: float
    unit: str
    reference: float
    ratio: float
    machine: str
    date: str

    @classmethod
    def of(cls, name: str, value: float, unit: str, reference: float) -> Result:
        """A result measured here and now."""
        return cls(name, round(value, 6), unit, reference, round(value / reference, 4), machine(),
                   datetime.date.today().isoformat())


def machine() -> str:
    """The machine in general words: cores, processor family, system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    family = {"x86_64": "x86-64", "AMD64": "x86-64"}.get(platform.machine(), platform.machine())
    return f"{cores} cores {family}, {platform.system()}"


def best(action: Callable[[], float], times: int) -> float:
    """The least of several calls, as ``timeit`` does: other programs on the machine only ever add time."""
    return min(action() for _ in range(times))


def merge(new: list[Result], file: Path = FILE) -> list[Result]:
    """Put results into the file; those of the same name on the same machine are replaced, others stay."""
    try:
        old = [Result(**item) for item in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        old = []
    fresh = {(r.name, r.machine) for r in new}
    merged = [r for r in old if (r.name, r.machine) not in fresh] + new
    merged.sort(key=lambda r: (r.name, r.machine))
    text = ",\n".join("  " + json.dumps(asdict(r), ensure_ascii=False) for r in merged)
    part = file.with_suffix(".part")
    part.write_text(f"[\n{text}\n]\n", encoding="utf-8")
    part.replace(file)
    return merged


def table(results: list[Result]) -> str:
    """Aligned text."""
    rows = [("what", "measured", "target", "ratio")]
    rows += [(r.name, f"{r.value:.4g} {r.unit}", f"{r.reference:.4g} {r.unit}", f"{r.ratio:.2f}") for r in results]
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]))
    return "\n".join(lines)
