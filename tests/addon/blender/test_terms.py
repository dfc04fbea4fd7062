# SPDX-License-Identifier: Apache-2.0
"""Weights are chosen by name; what may not be used commercially says so in the panel and on the take."""

from __future__ import annotations

import json
from typing import Any

import bpy
import pytest

from .conftest import open_character
from .shot import direct, perform


class Paper:
    """A layout that remembers its labels."""

    def __init__(self) -> None:
        self.labels: list[str] = []

    def prop(self, *_args: Any, **_rest: Any) -> None:
        pass

    def label(self, text: str = "", icon: str = "NONE") -> None:
        self.labels.append(text)


@pytest.fixture
def character(addon: Any, bridge: Any) -> Any:
    character = open_character("mixamo_arkit")
    direct(character)
    return character


def test_the_choice_goes_with_the_request_and_the_take_says_its_terms(character: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from blender_addon import jobs, takes, terms

    settings = character.understudy
    assert settings.weights == "starter"
    sets = [{"name": "starter", "licence": "CC0-1.0", "non_commercial": False},
            {"name": "starter-nc", "licence": "CC-BY-NC-4.0", "non_commercial": True}]
    monkeypatch.setattr(terms, "known", lambda: sets)
    assert list(terms.names(settings, bpy.context, "NC")) == ["starter-nc"]
    paper = Paper()
    terms.draw(paper, settings)
    assert paper.labels == []
    settings.weights = "starter-nc"
    terms.draw(paper, settings)
    assert paper.labels == ["For non-commercial use only (CC-BY-NC-4.0)"]
    assert jobs.build_request(bpy.context, character).weights == "starter-nc"
    perform()
    action = takes.current(character).action
    facts = takes.facts_of(action)
    paper = Paper()
    terms.draw_take(paper, action)
    assert paper.labels == []
    facts["generator"] = {"generator": sets[1]}
    action[takes.FACTS_KEY] = json.dumps(facts)
    terms.draw_take(paper, action)
    assert paper.labels == ["For non-commercial use only (CC-BY-NC-4.0)"]


def test_what_is_made_from_a_take_keeps_its_terms(character: Any) -> None:
    from blender_addon import takes, terms

    perform()
    action = takes.current(character).action
    facts = takes.facts_of(action)
    facts["generator"]["generator"] = {"name": "versa", "licence": "CC-BY-NC-4.0", "non_commercial": True}
    action[takes.FACTS_KEY] = json.dumps(facts)
    # neither says anything of weights itself; of the second take some is still the first one's, and of the third all of the body
    bpy.ops.understudy.perform_range(start=10, end=30)
    bpy.ops.understudy.perform_face()
    assert len(character.understudy.takes) == 3
    for take in character.understudy.takes:
        paper = Paper()
        terms.draw_take(paper, take.action)
        assert paper.labels == ["For non-commercial use only (CC-BY-NC-4.0)"], take.name
    last = character.understudy.takes[2].action
    assert takes.motion_of(last).metadata["bases"][0]["licence"] == "CC-BY-NC-4.0", "a file that is exported says so as well"
