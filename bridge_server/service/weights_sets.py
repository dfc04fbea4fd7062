# SPDX-License-Identifier: Apache-2.0
"""Which weights sets there are and under what terms, for the welcome; nothing of them is loaded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

__all__ = ["known_sets"]

_SHIPPED: Final = Path(__file__).resolve().parent.parent / "weights"


def known_sets() -> list[dict[str, Any]]:
    """Sets that a request may name: ``name``, ``version``, ``licence``, ``non_commercial``, ``data``.

    Shipped ones, and those in the folder that ``UNDERSTUDY_WEIGHTS`` names. A set whose card cannot be read is left out here:
    performing with it says what is wrong with it.
    """
    own = os.environ.get("UNDERSTUDY_WEIGHTS")
    sets: dict[str, dict[str, Any]] = {}
    for folder in (*([Path(own)] if own else []), _SHIPPED):
        for path in sorted(folder.glob("*/card.json")):
            try:
                card = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            sets.setdefault(path.parent.name, {
                "name": path.parent.name, "version": str(card.get("version", "")), "licence": str(card.get("licence", "")),
                "non_commercial": bool(card.get("non_commercial", False)), "data": [str(d) for d in card.get("data", [])],
            })
    return list(sets.values())
