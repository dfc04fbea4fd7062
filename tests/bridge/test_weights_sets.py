# SPDX-License-Identifier: Apache-2.0
"""The welcome says which weights there are and what they may be used for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge_server.service.weights_sets import known_sets


def test_shipped_and_own_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, card in (("mine", {"version": "2", "licence": "CC-BY-NC-4.0", "non_commercial": True, "data": ["a"]}), ("torn", None)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "card.json").write_text("{" if card is None else json.dumps(card))
    monkeypatch.setenv("UNDERSTUDY_WEIGHTS", str(tmp_path))
    sets = {s["name"]: s for s in known_sets()}
    assert sets["mine"] == {"name": "mine", "version": "2", "licence": "CC-BY-NC-4.0", "non_commercial": True, "data": ["a"]}
    assert "torn" not in sets and sets["starter"]["non_commercial"] is False and sets["starter"]["licence"] == "CC0-1.0"
