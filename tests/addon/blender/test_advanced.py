# SPDX-License-Identifier: Apache-2.0
"""What is folded away is there, is drawn, and reaches the bridge: guidance, variety, the face's error, the route of a face."""

from __future__ import annotations

from typing import Any

import bpy
import pytest

from .conftest import open_character
from .paper import Paper
from .shot import direct, perform


@pytest.fixture
def character(addon: Any, bridge: Any) -> Any:
    character = open_character("mixamo_arkit")
    direct(character)
    return character


@pytest.mark.parametrize("opened", [False, True])
def test_scales_are_folded_away_in_the_panel(character: Any, opened: bool) -> None:
    from blender_addon import performance

    paper = Paper(opened)
    performance.draw(paper, bpy.context, character)
    assert paper.panels == [("understudy_advanced", True)] and "Advanced" in paper.texts
    there = {"text_guidance", "audio_guidance", "temperature", "face_error"} & set(paper.props)
    assert len(there) == (4 if opened else 0)


def test_scales_reach_the_bridge(character: Any, bridge: Any) -> None:
    from blender_addon.shared.requests import MotionRequest

    perform()
    plain, asked = MotionRequest(), bridge.requests[-1]
    names = ("text_guidance", "audio_guidance", "temperature")
    assert [getattr(asked, n) for n in names] == [getattr(plain, n) for n in names], "the defaults are the protocol's"
    settings = character.understudy
    settings.text_guidance, settings.audio_guidance, settings.temperature = 5.0, 0.5, 0.25
    perform()
    assert [getattr(bridge.requests[-1], n) for n in names] == [5.0, 0.5, 0.25]


def test_the_error_of_the_face_is_heeded(character: Any) -> None:
    from blender_addon import takes
    from .shot import curves_of

    character.understudy.key_mode = "SIMPLIFIED"

    def jaw_keys() -> int:
        assert takes.current(character) is not None
        return sum(len(c.keyframe_points) for c in curves_of(character) if "jawOpen" in c.data_path)

    perform()
    before = jaw_keys()
    character.understudy.face_error = 0.2
    perform()
    assert 2 <= jaw_keys() < before


def test_the_route_of_the_face_is_chosen_from_what_the_bridge_has(character: Any, bridge: Any) -> None:
    from blender_addon import session
    from blender_addon.face import acting

    def labels() -> list[str]:
        paper = Paper()
        acting.draw(paper, bpy.context, character)
        assert "route" in paper.props
        return paper.texts

    face = acting.of(character)
    assert acting.routes() == ["rules"] and labels() == []
    bridge.faces = ["rules", "audio2face", "mine"]
    perform()
    assert list(acting._routes(face, bpy.context, "AUDIO")) == ["audio2face"] and acting.routes() == bridge.faces
    assert bridge.requests[-1].face_settings.route == ""
    face.route = "audio2face"
    assert labels() == []
    perform()
    assert bridge.requests[-1].face_settings.route == "audio2face"
    face.route = "gone"
    assert labels() == ["The bridge has no such route"]
    # a bridge that was met while it loaded tells later
    from blender_addon.shared.protocol import Message

    session.desk()._on_message(Message("status", "", {"faces": ["rules", "gone"], "renderers": []}))
    assert labels() == []
