# SPDX-License-Identifier: Apache-2.0
"""The board of strips without Blender: lanes, hits, drags with snapping, cuts, gaps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.core.board import LANES, Board, Strip, drag, gaps, lane_gaps, snap, split
from blender_addon.shared.skeleton import BODY_PARTS

STRIPS = [Strip("a", 0, 30, selected=True), Strip("b", 40, 60), Strip("c", 10, 50, "head")]


def board(strips: list[Strip] = STRIPS) -> Board:
    """Ten pixels a frame, lanes of 20 pixels, empty ones of 5, from 24 up."""
    return Board(strips, lambda f: 100 + 10 * f, lambda x: (x - 100) / 10, 24, 20, edge=6, empty_height=5)


def by_name(strips: list[Strip]) -> dict[str, Strip]:
    return {s.uuid: s for s in strips}


def test_every_part_has_a_lane_which_is_thin_when_empty() -> None:
    assert set(LANES) == set(BODY_PARTS)
    assert [board().height_of(lane) for lane in LANES] == [20, 5, 5, 5, 5, 20]
    assert board().top == 84 and board().lane_bottom("full") == 64 and board().lane_bottom("head") == 24
    assert [board().lane_at(y) for y in (23, 24, 43, 44, 48, 49, 63, 64, 83, 84)] == [
        None, "head", "head", "right_arm", "right_arm", "left_arm", "upper", "full", "full", None]
    assert board([]).top == 54 and board([]).lane_at(24) == "head"


@given(st.sampled_from(LANES), st.sampled_from(LANES), st.floats(0.01, 0.99))
def test_a_strip_stays_under_the_mouse_in_the_lane_that_it_is_dragged_into(old: str, new: str, place: float) -> None:
    before = board([Strip("a", 0, 30, old)])
    y = before.lane_bottom(new) + place * before.height_of(new)
    assert before.lane_at(y) == new
    after = board([s for s in drag(before.strips, "body", "a", 0, lane=new)])
    assert after.lane_at(y) == new


@pytest.mark.parametrize(("x", "y", "found"), [
    (101, 70, ("a", "start")), (250, 70, ("a", "body")), (398, 70, ("a", "end")), (450, 70, None), (501, 70, ("b", "start")),
    (250, 30, ("c", "body")), (250, 10, None), (97.5, 70, ("a", "start")), (90, 70, None),
])
def test_what_is_under_the_mouse(x: float, y: float, found: tuple[str, str] | None) -> None:
    hit = board().at(x, y)
    assert (hit and (hit.uuid, hit.zone)) == found


def test_a_short_strip_can_still_be_moved() -> None:
    tiny = Board([Strip("t", 0, 6)], lambda f: f, lambda x: x, 0, 20, edge=6)
    assert {tiny.at(x, 45).zone for x in (0.5, 3, 5.5)} == {"start", "body", "end"}  # type: ignore[union-attr]


def test_the_upper_one_of_two_is_taken() -> None:
    hit = board([Strip("under", 0, 30), Strip("over", 10, 20)]).at(250, 60)
    assert hit is not None and hit.uuid == "over"


def test_box() -> None:
    assert board().inside(0, 0, 1000, 100) == ["a", "b", "c"]
    assert board().inside(450, 80, 250, 65) == ["a"]
    assert board().inside(410, 65, 480, 80) == []


def test_a_drag_moves_all_that_is_selected_to_whole_frames() -> None:
    moved = by_name(drag([*STRIPS[:1], Strip("b", 40, 60, selected=True), STRIPS[2]], "body", "a", 5.4))
    assert (moved["a"].start, moved["a"].end, moved["b"].start, moved["c"].start) == (5, 35, 45, 10)


def test_a_drag_snaps_with_either_end_to_strips_and_targets() -> None:
    assert by_name(drag(STRIPS, "body", "a", 8.8, reach=1.5))["a"].end == 40
    assert by_name(drag(STRIPS, "body", "a", 58.9, reach=1.5))["a"].start == 60
    assert by_name(drag(STRIPS, "body", "a", 99.2, targets=[100.5], reach=1.5))["a"].start == 100.5
    assert by_name(drag(STRIPS, "body", "a", 99.2))["a"].start == 99


def test_edges() -> None:
    assert by_name(drag(STRIPS, "end", "a", 9.0, reach=2))["a"] == Strip("a", 0, 40, selected=True)
    assert by_name(drag(STRIPS, "start", "b", -9.7, reach=2))["b"].start == 30
    assert by_name(drag(STRIPS, "end", "a", -100, shortest=6))["a"].end == 6
    assert by_name(drag(STRIPS, "start", "a", 100, shortest=6))["a"].start == 24


def test_into_another_lane() -> None:
    moved = by_name(drag(STRIPS, "body", "a", 0, lane="head"))
    assert moved["a"].part == "head" and moved["b"].part == "full"


@given(st.floats(-500, 500), st.sampled_from(["start", "end", "body"]), st.floats(0, 10))
def test_no_drag_breaks_a_strip(delta: float, zone: str, reach: float) -> None:
    for s in drag(STRIPS, zone, "a", delta, reach=reach, targets=[3.5], shortest=6):  # type: ignore[arg-type]
        assert s.end - s.start >= 6 - 1e-6


def test_snap() -> None:
    assert snap(10.3, [12.2, 11.0], 1) == 11.0 and snap(10.3, [12.2], 1) == 10.0


def test_split() -> None:
    first, second = split(Strip("a", 0, 30, text="waves"), 10) or (None, None)
    assert first == Strip("a", 0, 10, text="waves") and second == Strip("", 10, 30, text="waves")
    assert split(Strip("a", 0, 30), 2) is None and split(Strip("a", 0, 30), 40) is None


def test_gaps() -> None:
    assert gaps(STRIPS, -10, 100) == [(-10, 0), (60, 100)]
    assert gaps([Strip("a", 0, 30, enabled=False)], 0, 40) == [(0, 40)]
    assert gaps([Strip("a", 0, 30)], 5, 20) == []


def test_gaps_of_a_lane_are_where_its_part_is_not_directed_in_another_one_either() -> None:
    strips = [Strip("a", 0, 10), Strip("b", 20, 30, "upper"), Strip("c", 40, 50, "head")]
    assert lane_gaps(strips, "full", 0, 60) == [(10, 60)]
    assert lane_gaps(strips, "lower", 0, 60) == [(10, 60)]
    assert lane_gaps(strips, "left_arm", 0, 60) == [(10, 20), (30, 60)]
    assert lane_gaps(strips, "head", 0, 60) == [(10, 20), (30, 40), (50, 60)]
